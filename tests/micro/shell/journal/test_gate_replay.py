"""The gate explained from a journal, and judged by other limits, from the journal of a real engine."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from engine_kit import SECOND, Rig, config, signal

from citadel_bridge.cli import main
from citadel_micro.core.model.events import Started
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.risk.codes import CODES
from citadel_micro.core.risk.sizing import given_nothing
from citadel_micro.shell.journal.gate_replay import explain, what_if
from citadel_micro.shell.journal.journal import new_journal
from citadel_proto.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.events import Event
    from citadel_micro.core.model.risk_limits import RiskLimits

LIMITS = paper_defaults(
    lease_required=False, depth_participation_bps=10_000.0, max_order_notional=Decimal(30_000)
)


class Journaled(Rig):
    """A rig whose events are journaled as a run's are."""

    def __init__(self, path: Path, limits: RiskLimits = LIMITS) -> None:
        self.settings = config(limits=limits)
        super().__init__(self.settings, start=False)
        self.journal = new_journal(
            path,
            self.settings,
            {(self.instrument.venue, self.instrument.symbol): self.instrument},
            self.now,
        )

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        self.journal.event(self.now, event)
        for command in commands:
            self.journal.command(self.now, command)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "journal-test.tape"
    rig = Journaled(file)
    rig.send(Started(state={}, damaged=""))
    rig.book(60_000.0, 60_000.1)
    rig.run(SECOND // 10)
    for name, quantity in (("small", "0.1"), ("middle", "0.3"), ("large", "0.6")):
        times = {"created_ns": rig.now, "expires_ns": rig.now + 10 * SECOND}
        rig.send(signal(name, quantity=Decimal(quantity), **times))
        rig.run(SECOND)
    rig.journal.sync()
    rig.journal.close()
    return file


def test_every_check_of_an_order_is_there_from_admission_to_its_children(path: Path) -> None:
    found = explain(path, "small")
    assert [each.request.scope for each in found][:2] == ["parent", "child"]
    assert all(each.verdict.ok for each in found)
    assert [(row.number, row.code) for row in found[0].verdict.checks] == list(CODES)
    (denied,) = explain(path, "large")
    assert denied.verdict.code == "MAX_ORDER_NOTIONAL"
    assert explain(path, "unknown") == []


def test_other_limits_deny_and_admit_what_they_would_have(path: Path) -> None:
    same = what_if(path, LIMITS)
    assert (same.denied, same.admitted, same.then) == ({}, {}, same.instead)
    tighter = what_if(
        path, paper_defaults(lease_required=False, max_order_notional=Decimal(10_000))
    )
    assert tighter.denied == {"middle": "MAX_ORDER_NOTIONAL"}
    wider = what_if(
        path,
        paper_defaults(
            lease_required=False,
            depth_participation_bps=10_000.0,
            max_order_notional=Decimal(40_000),
        ),
    )
    assert wider.admitted == {"large": "MAX_ORDER_NOTIONAL"}
    repeated = what_if(
        path,
        paper_defaults(
            lease_required=False, depth_participation_bps=10_000.0, max_repeated_entries=1
        ),
    )
    assert repeated.denied == {"middle": "REPEATED_EXECUTION"}


def test_sizing_is_explained_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "journal-sized.tape"
    sized = replace(LIMITS, sizing={"*": "kelly"}, sizing_capital=Decimal(100_000))
    rig = Journaled(file, sized)
    rig.send(Started(state={}, damaged=""))
    rig.book(60_000.0, 60_000.1)
    rig.run(SECOND // 10)
    for name, confidence in (("sure", 0.6), ("even", 0.5)):
        times = {"created_ns": rig.now, "expires_ns": rig.now + 10 * SECOND}
        rig.send(signal(name, quantity=Decimal("0.4"), confidence=confidence, **times))
        rig.run(SECOND)
    rig.journal.sync()
    rig.journal.close()
    first = explain(file, "sure")[0]
    assert (first.request.asked_lots, first.request.quantity_lots) == (400, 83)
    (nothing,) = explain(file, "even")
    assert given_nothing(nothing.request)
    assert main(["risk", "explain", "sure", "--journal", str(file)]) == 0
    assert "sized: kelly: a position of 5000.00 USDT; given 0.083" in capsys.readouterr().out
    assert main(["risk", "explain", "even", "--journal", str(file)]) == 0
    assert "not sent, its size is nothing" in capsys.readouterr().out

    same = what_if(file, sized)
    assert (same.sized, same.denied, same.admitted, same.then) == ({}, {}, {}, same.instead)
    assert same.then["SIZED"] == 1
    plain = what_if(file, LIMITS)
    assert plain.sized == {"sure": (400, 83, 400), "even": (400, 0, 400)}
    assert plain.admitted == {"even": "SIZED"}
    more = replace(sized, kelly_fraction=Decimal("0.5"))
    assert what_if(file, more).sized == {"sure": (400, 83, 166)}
    limits = tmp_path / "limits.toml"
    limits.write_text('[risk]\nsizing_capital = 100000\n[risk.sizing]\n"*" = "fixed_fraction"\n')
    assert main(["risk", "what-if", str(limits), str(file)]) == 0
    assert "sure would be given 166 of 400 lots, then 83" in capsys.readouterr().out


def test_the_commands_print_both(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["risk", "explain", "large", "--run-dir", str(path.parent)]) == 0
    text = capsys.readouterr().out
    (line,) = [each for each in text.splitlines() if "✗" in each]
    assert line.startswith("✗ 10 MAX_ORDER_NOTIONAL 36000.")
    assert " of 30000, headroom -6000." in line
    assert main(["risk", "explain", "small", "--journal", str(path), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert [each["scope"] for each in row["judged"]] == ["parent", "child"]
    limits = tmp_path / "limits.toml"
    limits.write_text("[risk]\nmax_order_notional = 10000\ndepth_participation_bps = 10000\n")
    assert main(["risk", "what-if", str(limits), str(path)]) == 0
    assert "middle would be denied: MAX_ORDER_NOTIONAL" in capsys.readouterr().out


def test_a_journal_that_was_cut_off_is_judged_as_far_as_it_goes_and_that_is_said(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits, cut = tmp_path / "limits.toml", tmp_path / "cut.ctape"
    limits.write_text("[risk]\nmax_order_notional = 10000\n")
    cut.write_bytes(path.read_bytes()[:-1])
    assert main(["risk", "what-if", str(limits), str(cut)]) == 0
    said = capsys.readouterr()
    assert f"note: {cut}: the file ends within a block" in said.err
    assert main(["risk", "what-if", str(limits), str(path)]) == 0
    assert capsys.readouterr().err == ""


def test_what_is_not_there_is_said(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["risk", "explain", "nothing", "--run-dir", str(path.parent)]) == 2
    assert "no journal has judged" in capsys.readouterr().err
    limits = tmp_path / "limits.toml"
    limits.write_text("[risk]\nmax_order_notionall = 1\n")
    assert main(["risk", "what-if", str(limits), str(path)]) == 2
    assert "max_order_notional" in capsys.readouterr().err
    assert main(["risk", "reload", "--reason", " "]) == 2
    with pytest.raises(DecodeError):
        explain(limits, "x")
