"""The curve of profit and of the account's worth, exported from the journal of a real engine."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import SECOND, VENUE, Rig, config, signal

from citadel_bridge.cli import main
from citadel_micro.core.model.events import Started
from citadel_micro.shell.journal.journal import new_journal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.events import Event

MINUTE = 60 * SECOND


class Journaled(Rig):
    """A rig whose events are journaled as a run's are."""

    def __init__(self, path: Path, *, wide: bool) -> None:
        settings = config(wide_valuation=wide)
        super().__init__(settings, start=False)
        self.journal = new_journal(
            path,
            settings,
            {(self.instrument.venue, self.instrument.symbol): self.instrument},
            self.now,
        )

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        self.journal.event(self.now, event)
        for command in commands:
            self.journal.command(self.now, command)


def traded(path: Path, *, wide: bool) -> Journaled:
    """Half a bitcoin bought at 60,000, which rises by 100 and falls by 200."""
    rig = Journaled(path, wide=wide)
    rig.send(Started(state={}, damaged=""))
    rig.book(60_000.0, 60_000.1)
    rig.run(SECOND)
    rig.engine.portfolio.set_balances(VENUE, [("USDT", Decimal(100_000), Decimal(0))])
    rig.send(signal(created_ns=rig.now, expires_ns=rig.now + 10 * SECOND))
    rig.run(SECOND)
    rig.venue.fill(rig.venue.open_orders()[0].place.client_id, 500)
    for bid in (60_000.0, 60_100.0, 59_900.0):
        rig.book(bid, bid + 0.1)
        rig.run(MINUTE + SECOND, refresh_ns=SECOND)
    rig.journal.sync()
    rig.journal.close()
    return rig


@pytest.mark.parametrize("wide", [True, False])
def test_each_minute_has_its_profit_and_the_falls_that_limits_compare_with(
    tmp_path: Path, *, wide: bool
) -> None:
    file = tmp_path / "journal-test.ctape"
    rig = traded(file, wide=wide)
    out = tmp_path / "out"
    assert main(["export", str(file), "--out", str(out), "--format", "jsonl"]) == 0
    text = (out / "profit.jsonl").read_text()
    rows: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    assert len(rows) >= 4
    times = [row["time"] for row in rows]
    assert times == sorted(set(times))
    for row in rows:
        profit, peak = Decimal(row["profit"]), Decimal(row["peak"])
        assert Decimal(row["drawdown"]) == peak - profit >= 0
        assert Decimal(row["loss_today"]) == Decimal(row["day_anchor"]) - profit
    best, last = max(Decimal(row["profit"]) for row in rows), rows[-1]
    assert best == Decimal(last["peak"])
    assert Decimal(last["profit"]) == rig.engine.portfolio.profit()
    assert Decimal(last["drawdown"]) == 100
    if wide:
        assert Decimal(last["equity"]) == rig.engine.portfolio.equity()
    else:
        assert {row["equity"] for row in rows} == {None}
