"""Invariants of the gate that need a whole engine, and that every invariant told of has its test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from engine_kit import MS, SECOND, Rig, config, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.commands import CancelOrder
from citadel_micro.core.model.events import LimitsChanged
from citadel_micro.core.model.risk_limits import paper_defaults

REPOSITORY = Path(__file__).resolve().parents[4]
PAGE = REPOSITORY / "docs" / "reference" / "risk-checks.md"

FORBIDDING = st.lists(
    st.sampled_from(["pause", "halt", "kill", "limits", "stale", "restart", "silence"]), max_size=3
)


@given(FORBIDDING, st.integers(1, 3))
def test_a_cancel_passes_whatever_the_gate_forbids(steps: list[str], orders: int) -> None:
    limits = paper_defaults(lease_required=False, depth_participation_bps=10_000.0)
    rig = Rig(config(limits=limits))
    for number in range(orders):
        rig.send(signal(f"s{number}", algo="limit", limit_price=rules_price(rig)))
    rig.run(20 * MS)
    assert len(rig.venue.open_orders()) == orders
    for step in steps:
        if step == "limits":
            closed = paper_defaults(
                lease_required=True,
                max_messages_per_second=0,
                max_unfilled_messages=0,
                max_venue_rejects=0,
                allowed_symbols=(),
            )
            rig.send(LimitsChanged(limits=closed, reason="t"))
        elif step == "stale":
            rig.run(2 * SECOND, refresh_ns=0)
        elif step == "silence":
            rig.run(20 * SECOND)
        elif step == "restart":
            rig.restart()
            rig.run(SECOND)
        else:
            rig.operate(step)
    for number in range(orders):
        rig.cancel(f"s{number}")
    rig.run(SECOND)
    assert rig.venue.open_orders() == []
    canceled = {str(each.client_id) for _, each in rig.commands if isinstance(each, CancelOrder)}
    assert canceled == set(rig.venue.orders)


def rules_price(rig: Rig) -> object:
    """Far enough from the market not to trade."""
    return rig.instrument.price(rig.venue.bid_ticks - 1_000)


def test_every_invariant_of_the_page_names_a_test_that_exists() -> None:
    section = PAGE.read_text(encoding="utf-8").split("## Invariants")[1]
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", section)
    tables = section.count("| invariant | test |")
    assert tables == 2
    assert len(named) == section.count("\n| ") - 2 * tables  # a heading and a line below it
    for path, test in named:
        tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, path
