"""Ids of micro's own orders: nobody else's signal may have one, nor a cancel take it away."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_kit import SECOND, START, VENUE, Rig, signal

from citadel_micro.core.model.events import SignalReceived, SignalRefused

FIRST = "own-test-2"
"""Of the first order that micro makes itself, in a run that has taken one signal."""


def holding() -> Rig:
    rig = Rig()
    rig.venue.partial_share = 0.0
    rig.send(signal("in", algo="marketable_limit"))
    rig.run(2 * SECOND)
    assert rig.report("in").filled == Decimal("0.5")
    return rig


def flattened(rig: Rig) -> bool:
    rig.operate("flatten")
    rig.run(5 * SECOND)
    return rig.engine.portfolio.quantity(VENUE, "BTC/USDT") == 0


def late(signal_id: str, rig: Rig) -> SignalReceived:
    return signal(signal_id, created_ns=rig.now, expires_ns=START + 600 * SECOND)


def test_a_flattening_has_the_id_that_these_tests_speak_of() -> None:
    rig = holding()
    assert flattened(rig)
    assert rig.parent(FIRST).own


@pytest.mark.parametrize("refusable", [False, True])
def test_a_signal_is_refused_and_micros_own_order_comes_all_the_same(refusable: bool) -> None:
    rig = holding()
    stored = dict(rig.durable)
    for _ in range(2):
        if refusable:
            rig.send(
                SignalRefused(
                    signal_id=FIRST,
                    strategy="test",
                    venue=VENUE,
                    symbol="BTC/USDT",
                    side="buy",
                    code="BAD_NUMBER",
                    reason="no",
                    owner="",
                    epoch=1,
                    expires_ns=rig.now + SECOND,
                )
            )
        else:
            rig.send(late(FIRST, rig))
        report = rig.report(FIRST)
        assert (report.status, report.reason_code) == ("rejected", "RESERVED_ID")
        assert "own-" in report.reason
        assert report.revision == 0, "a report of micro's own order must not be older"
    assert rig.durable == stored
    assert flattened(rig)
    assert rig.report(FIRST).status == "filled"


def test_a_signal_under_the_id_of_an_order_of_micros_gets_no_report_of_it() -> None:
    rig = holding()
    assert flattened(rig)
    before = rig.parent(FIRST).revision
    rig.send(late(FIRST, rig))
    assert rig.report(FIRST).reason_code == "RESERVED_ID"
    assert rig.parent(FIRST).revision == before


def test_a_cancel_before_it_is_made_does_not_end_it() -> None:
    rig = holding()
    rig.cancel(FIRST)
    assert "cancel_of_reserved_id" in rig.events_noted()
    assert flattened(rig)


def test_other_ids_are_taken() -> None:
    rig = holding()
    rig.send(late("owner-1", rig))
    assert rig.report("owner-1").status in {"accepted", "working"}
