"""Failures of other trading programs, as their issue trackers describe them: orders in doubt.

Names of tests begin with the project and the number of its issue.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_exchange import Faults
from engine_kit import KEY, MS, SECOND, START, SYMBOL, VENUE, Rig, config, signal
from failures_kit import CHILD, child, rejected, resting, venue

from citadel_micro.core.model.commands import CancelOrder, PlaceOrder, QueryOrder
from citadel_micro.core.model.events import (
    CancelReceived,
    CancelRejected,
    OrderState,
    RequestTimedOut,
    VenueStatus,
)
from citadel_micro.core.orders.order_states import ChildState, ParentState


def timed_out(rig: Rig, request: str = "place") -> None:
    rig.send(
        RequestTimedOut(venue=VENUE, symbol=SYMBOL, client_id=CHILD, request=request)  # type: ignore[arg-type]
    )


def not_found(rig: Rig, client_id: str = CHILD, *, at_ns: int = 0) -> None:
    for source in ("order", "trades"):
        rig.send(
            OrderState(
                venue=VENUE,
                symbol=SYMBOL,
                client_id=client_id,
                status="not_found",
                source=source,
                price_ticks=0,
                quantity_lots=0,
                cumulative_lots=0,
                exchange_ns=at_ns or rig.now,
            )
        )


def test_catalyst_317_a_place_that_timed_out_is_not_placed_again() -> None:
    """scrtlabs/catalyst#317: timeout, placed again, both filled."""
    rig = Rig()
    rig.venue.mute = True  # it takes the order and says nothing
    rig.send(signal())
    timed_out(rig)
    rig.run(60 * SECOND)
    assert len(rig.venue.orders) == 1
    assert len(rig.sent(PlaceOrder)) == 1
    rig.venue.fill(CHILD, 500)
    rig.venue.mute = False
    rig.run(10 * SECOND)
    assert rig.report().status == "filled"
    assert len(rig.venue.orders) == 1


def test_bitbot_27_a_cancel_that_timed_out_has_cancelled_nothing() -> None:
    """5an1ty/BitBot#27: place and cancel timed out, both sales were real."""
    rig = resting()
    rig.cancel("s1")
    rig.venue.fill(CHILD, 500)
    timed_out(rig, "cancel")
    rig.run(30 * SECOND)
    assert rig.parent().reserved == 500
    assert rig.report().status != "canceled"
    rig.venue.mute = False
    rig.run(10 * SECOND)
    assert rig.report().status == "filled"
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.5")


def test_crypto_trading_bot_53_what_waits_to_be_sent_is_judged_again_when_it_is() -> None:
    """Haehnchen/crypto-trading-bot#53: a retry was queued, and the fill came meanwhile."""
    rig = Rig()
    rig.hold_back = True  # approved, and not sent yet
    rig.send(signal())
    rig.operate("halt", scope=f"symbol:{VENUE}:{SYMBOL}")
    rig.let_go()
    assert rig.venue.placed == []

    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    rig.venue.fill(CHILD, 500)
    rejected(rig, "RATE_LIMIT", "sctest-1-2")
    rig.run(30 * SECOND)
    assert len(rig.venue.placed) == 1
    assert rig.report().status == "filled"


def test_hummingbot_3374_a_network_error_forgets_no_order() -> None:
    """hummingbot/hummingbot#3374: orders dropped at a network error, six filled later."""
    rig = resting()
    rig.send(VenueStatus(venue=VENUE, up=False, reason="network"))
    rig.run(3_600 * SECOND)
    assert rig.parent().live
    assert rig.parent().reserved == 500
    rig.venue.fill(CHILD, 500)
    rig.venue.mute = False
    rig.send(VenueStatus(venue=VENUE, up=True, reason="back"))
    rig.run(10 * SECOND)
    assert rig.report().status == "filled"


def test_hummingbot_361_a_cancel_that_finds_nothing_is_a_question() -> None:
    """CoinAlpha/hummingbot#361: cancel "not found", and the order was still live."""
    rig = resting()
    rig.cancel("s1")
    rig.send(
        CancelRejected(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=CHILD,
            code="NOT_FOUND",
            text="Unknown order sent.",
        )
    )
    assert child(rig).state is ChildState.UNKNOWN
    assert rig.parent().reserved == 500
    assert len(rig.sent(QueryOrder)) == 1
    rig.venue.orders[CHILD].status = "open"  # the cancel never arrived
    rig.venue.mute = False
    rig.run(10 * SECOND)
    assert rig.venue.open_orders() == []
    assert rig.parent().state is ParentState.CANCELED


def test_hummingbot_5896_ghosts_are_not_cancelled_for_ever() -> None:
    """hummingbot/hummingbot#5896: after the loss of a socket, cancels of orders long gone."""
    rig = resting()
    rig.send(VenueStatus(venue=VENUE, up=False, reason="socket closed"))
    rig.venue.orders[CHILD].status = "canceled"
    rig.venue.mute = False
    rig.send(VenueStatus(venue=VENUE, up=True, reason="back"))
    rig.run(5 * SECOND)
    assert child(rig).state is ChildState.CANCELED
    assert rig.sent(CancelOrder) == []

    rig = resting()
    rig.cancel("s1")
    for _ in range(200):
        rig.send(
            CancelRejected(venue=VENUE, symbol=SYMBOL, client_id=CHILD, code="NOT_FOUND", text="")
        )
        not_found(rig)
        rig.run(SECOND)
    assert len(rig.sent(CancelOrder)) == 1
    assert child(rig).state is ChildState.QUARANTINED
    assert "child_quarantined" in rig.events_noted()


def test_binance_net_692_what_was_acknowledged_is_never_not_found() -> None:
    """JKorf/Binance.Net#692: -2013 right after the acknowledgement."""
    rig = resting()
    timed_out(rig, "cancel")
    for _ in range(30):
        not_found(rig)
        rig.run(SECOND)
    assert child(rig).state is ChildState.QUARANTINED
    assert rig.parent().reserved == 500
    assert len(rig.sent(PlaceOrder)) == 1
    (note,) = [dict(each.fields) for each in rig.notes if each.event == "child_quarantined"]
    assert "does not know it now" in str(note["why"])
    rig.restart()
    rig.venue.mute = True
    for _ in range(30):
        not_found(rig)
        rig.run(SECOND)
    assert rig.parent().reserved == 500, "nor after a restart"
    rig.venue.mute = False
    rig.venue._close(rig.venue.orders[CHILD], "canceled")
    rig.run(10 * SECOND)
    assert child(rig).state is ChildState.CANCELED


def operator_cancels(rig: Rig) -> None:
    rig.send(CancelReceived(signal_id="s1", reason="it is gone there", operator=True))


def test_the_operator_gives_up_what_is_quarantined_by_cancelling_it_twice() -> None:
    """Of a venue that forgets dead orders: nothing else could ever end its doubt."""
    rig = resting()
    rig.send(RequestTimedOut(venue=VENUE, symbol=SYMBOL, client_id=CHILD, request="cancel"))
    rig.send(VenueStatus(venue=VENUE, up=True, reason="x"))
    not_found(rig, at_ns=rig.now + 60 * SECOND)
    not_found(rig, at_ns=rig.now + 60 * SECOND)
    assert child(rig).state is ChildState.QUARANTINED
    rig.cancel("s1")
    rig.cancel("s1")
    assert rig.parent().reserved == 500, "macro has seen nothing"
    operator_cancels(rig)
    assert rig.parent().closed
    assert child(rig).state is ChildState.LOST
    rig.send(signal("s2", created_ns=rig.now, expires_ns=rig.now + SECOND))
    assert rig.report("s2").reason_code == ""


def test_one_cancel_of_the_operators_only_closes() -> None:
    rig = resting()
    not_found(rig)
    not_found(rig, at_ns=rig.now + 60 * SECOND)
    operator_cancels(rig)
    assert rig.parent().reserved == 500
    operator_cancels(rig)
    assert rig.parent().closed


def test_what_was_given_up_and_fills_all_the_same_is_counted() -> None:
    rig = resting()
    not_found(rig)
    not_found(rig, at_ns=rig.now + 60 * SECOND)
    operator_cancels(rig)
    operator_cancels(rig)
    rig.venue.mute = False
    rig.venue.fill(CHILD, 100)
    rig.run(10 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.1")
    assert rig.report().filled == Decimal("0.1")
    assert rig.venue.open_orders() == [], "and the rest is withdrawn"
    assert rig.engine.risk.breakers.trips == ()


@pytest.mark.parametrize("timeout_s", [0, 10])
def test_an_order_is_released_only_after_the_venues_back_end_has_given_up(timeout_s: int) -> None:
    """Binance: ten seconds after its receipt a request can still be carried out."""
    rig = Rig(config(venue(backend_timeout_ns=timeout_s * SECOND)))
    rig.venue.faults = Faults(lose_request=1.0, silent_loss=1.0)
    rig.venue.mute = True
    rig.send(signal())
    rig.run(100 * MS)
    timed_out(rig)
    release_ns = START + (2 + timeout_s) * SECOND + 500 * MS
    not_found(rig, at_ns=release_ns)
    assert child(rig).state is ChildState.UNKNOWN
    not_found(rig, at_ns=release_ns + 100 * MS)
    assert child(rig).state is ChildState.LOST
