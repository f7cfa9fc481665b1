"""What the venue says we hold and what our fills make, and what a difference leads to."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.engine.holdings import AGAIN_NS
from citadel_micro.core.model.commands import QueryVenue
from citadel_micro.core.model.events import VenueSnapshot

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument

SCOPE = f"symbol:{VENUE}:{SYMBOL}"


def perpetual() -> Instrument:
    return rules(kind="linear")


def holding(instrument: Instrument | None = None, **settings: object) -> Rig:
    """A rig that has bought half a coin."""
    rig = Rig(config(**{"compare_ns": 0, **settings}), instrument=instrument)
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market"))
    rig.run(1 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.5")
    return rig


def state(rig: Rig, positions: Any = None, **balances: str) -> None:  # noqa: ANN401 - of any kind
    """The venue says what is there, now and once more when nothing can be under way."""
    state_once(rig, positions, **balances)
    rig.now += AGAIN_NS
    state_once(rig, positions, **balances)


def state_once(rig: Rig, positions: Any = None, **balances: str) -> None:  # noqa: ANN401 - of any kind
    """The venue says what is there, now."""
    rows = tuple((name, Decimal(text), Decimal(0)) for name, text in balances.items())
    rig.now += MS
    rig.send(
        VenueSnapshot(
            venue=VENUE,
            open_orders=tuple(
                rig.venue.state_of(cid, "order")
                for cid, order in rig.venue.orders.items()
                if order.status == "open"
            ),
            balances=rows,
            exchange_ns=rig.now,
            positions=positions,
        )
    )


def tripped(rig: Rig) -> bool:
    trip = rig.engine.risk.breakers.find("POSITION_MISMATCH", SCOPE)
    return trip is not None and trip.state == "HALTED"


@pytest.mark.parametrize("theirs", ["0", "0.499", "0.501", "-0.5", "7"])
def test_another_position_than_ours_halts_the_symbol(theirs: str) -> None:
    rig = holding(perpetual())
    state(rig, ((SYMBOL, Decimal(theirs)),))
    assert tripped(rig)
    rig.send(signal("more", created_ns=rig.now))
    assert rig.report("more").reason_code == "HALTED"
    assert "position_mismatch" in rig.events_noted()


def test_a_position_that_is_not_listed_is_none() -> None:
    rig = holding(perpetual())
    state(rig, ())
    assert tripped(rig)


def test_a_statement_that_is_reported_twice_is_one_statement() -> None:
    rig = holding(perpetual())
    rig.now += MS
    said = VenueSnapshot(
        venue=VENUE, open_orders=(), balances=(), exchange_ns=rig.now, positions=()
    )
    for _ in range(5):
        rig.send(said)
        rig.now += AGAIN_NS
    assert not tripped(rig)


def test_a_statement_of_the_moment_of_a_fill_may_be_of_before_it() -> None:
    rig = holding(perpetual())
    position = rig.engine.portfolio.position(*KEY)
    assert position is not None
    for at_ns in (position.exchange_ns, position.exchange_ns):
        rig.send(
            VenueSnapshot(venue=VENUE, open_orders=(), balances=(), exchange_ns=at_ns, positions=())
        )
        rig.now += AGAIN_NS
    assert not tripped(rig)


def test_one_that_agrees_and_one_that_is_not_reported_halt_nothing() -> None:
    rig = holding(perpetual())
    state(rig, ((SYMBOL, Decimal("0.5")),))
    state(rig, None)
    assert not tripped(rig)


@pytest.mark.parametrize("there", ["0", "0.4", "0.499"])
def test_fewer_coins_than_we_hold_halt_the_symbol(there: str) -> None:
    rig = holding()
    state(rig, USDT="900000", BTC=there)
    assert tripped(rig)


@pytest.mark.parametrize("there", ["0.5", "0.4995", "3", "1000"])
def test_an_account_may_hold_more_than_we_have_bought(there: str) -> None:
    """Of what is less than a lot nothing could be traded."""
    rig = holding()
    state(rig, USDT="900000", BTC=there)
    assert not tripped(rig)


def test_a_coin_that_is_not_listed_is_not_there() -> None:
    rig = holding()
    state(rig, USDT="900000")
    assert tripped(rig)


def test_where_nothing_is_reported_nothing_is_compared() -> None:
    rig = holding()
    state(rig)
    assert not tripped(rig)


def test_a_statement_from_before_a_fill_says_nothing_about_it() -> None:
    rig = holding(perpetual())
    rig.send(
        VenueSnapshot(
            venue=VENUE,
            open_orders=(),
            balances=(),
            exchange_ns=rig.engine.portfolio.position(*KEY).exchange_ns - 1,  # type: ignore[union-attr]
            positions=(),
        )
    )
    assert not tripped(rig)


@given(filled=st.integers(0, 300), told=st.integers(0, 300))
def test_what_an_order_may_have_filled_unreported_explains_a_difference(
    filled: int, told: int
) -> None:
    """Whatever part of a working order has filled, and however much of that was told."""
    rig = holding(perpetual())
    rig.send(
        signal(
            "s",
            side="sell",
            quantity=Decimal("0.3"),
            created_ns=rig.now,
            expires_ns=rig.now + 3_600 * SECOND,
        )
    )
    rig.run(100 * MS, refresh_ns=0)
    order = rig.live("s")
    told = min(told, filled)
    if told:
        rig.venue.fill(order.place.client_id, told)
        rig.run(10 * MS, refresh_ns=0)
    state(rig, ((SYMBOL, Decimal(500 - filled) / 1_000),))
    assert not tripped(rig)
    state(rig, ((SYMBOL, Decimal(500 - 301) / 1_000),))
    assert tripped(rig)


def test_the_way_back_takes_a_second_look_and_a_person() -> None:
    rig = holding(perpetual())
    state(rig, ())
    (trip,) = rig.engine.risk.breakers.trips
    rig.operate("reset", trip_id=trip.trip_id, reason="too soon")
    assert tripped(rig)
    rig.run(60 * SECOND)
    assert tripped(rig)  # no time clears it

    state(rig, ())
    rig.operate("reset", trip_id=trip.trip_id, reason="closed by hand at the venue")
    rig.run(SECOND)

    assert not tripped(rig)
    assert rig.engine.portfolio.quantity(*KEY) == 0
    assert "position_adopted" in rig.events_noted()
    state(rig, ())
    assert not tripped(rig)


def test_what_was_accepted_makes_neither_profit_nor_loss() -> None:
    rig = holding(perpetual())
    rig.book(61_000.0, 61_000.1)
    rig.run(2 * SECOND)
    for theirs in ("0", "0.2"):
        before = rig.engine.portfolio.position(*KEY)
        assert before is not None
        realised = before.realised
        state(rig, ((SYMBOL, Decimal(theirs)),))
        state(rig, ((SYMBOL, Decimal(theirs)),))
        trip = rig.engine.risk.breakers.find("POSITION_MISMATCH", SCOPE)
        assert trip is not None
        rig.operate("reset", trip_id=trip.trip_id, reason="seen")
        rig.run(SECOND)
        position = rig.engine.portfolio.position(*KEY)
        assert position is not None
        assert (position.quantity, position.realised) == (Decimal(theirs), realised)
        assert rig.engine.risk.breakers.find("POSITION_MISMATCH", SCOPE) is not None


def test_a_difference_that_goes_away_lets_a_reset_change_nothing() -> None:
    rig = holding(perpetual())
    state(rig, ())
    state(rig, ((SYMBOL, Decimal("0.5")),))
    (trip,) = rig.engine.risk.breakers.trips
    rig.operate("reset", trip_id=trip.trip_id, reason="their mistake")
    rig.run(SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.5")
    assert not tripped(rig)


def test_it_is_compared_again_and_again() -> None:
    rig = holding(compare_ns=60 * SECOND)
    before = len(rig.sent(QueryVenue))
    rig.run(601 * SECOND)
    assert 9 <= len(rig.sent(QueryVenue)) - before <= 10


def test_it_is_compared_after_a_restart_once_every_fill_is_known() -> None:
    rig = holding(perpetual())
    order_count = len(rig.venue.orders)
    for there, halted in (("0.5", False), ("0", True)):
        rig.venue.positions = ((SYMBOL, Decimal(there)),)
        rig.restart()
        rig.run(5 * SECOND)
        assert not rig.engine.reconciling
        assert tripped(rig) == halted
    assert len(rig.venue.orders) == order_count


def test_it_survives_a_restart() -> None:
    rig = holding(perpetual())
    state(rig, ())
    rig.restart()
    rig.run(20 * SECOND)
    assert tripped(rig)
