"""A rest below the venue's minimum is dust: it is reported, and ends what worked it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine_kit import MS, SECOND, SYMBOL, VENUE, Rig, rules
from exit_kit import exit_, fall, held, holding, large, sold_beside, stop

from citadel_micro.core.model.events import OrderDone, OrderFilled

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument


def shrunk(lots: int, instrument: Instrument) -> Rig:
    """Of 500 lots it holds so many still; a stop over the whole is held."""
    rig = holding(instrument=instrument)
    stop(rig)
    exit_(rig, "exit", str(Decimal(500 - lots) / 1_000))
    rig.run(10 * MS)
    rig.venue.fill(rig.live("exit").place.client_id, 500 - lots)
    rig.run(10 * MS)
    assert held(rig) == Decimal(lots) / 1_000
    return rig


def test_a_rest_below_the_minimum_ends_a_stop_as_dust_and_not_as_closed() -> None:
    rig = shrunk(2, rules(min_notional=Decimal(200)))
    fall(rig)
    rig.run(100 * MS)
    report = rig.report("stop")
    assert (report.status, report.reason_code) == ("done_dust", "DUST")
    assert "0.002 BTC" in report.reason
    assert held(rig) == Decimal("0.002")
    assert [dict(n.fields)["rest"] for n in rig.notes if n.event == "dust_left"] == ["0.002"]


def test_an_exempt_venue_takes_the_rest() -> None:
    exempt = rules(min_notional=Decimal(200), kind="linear", reduce_only_exempt_min_notional=True)
    rig = shrunk(2, exempt)
    fall(rig)
    rig.run(1 * SECOND)
    assert held(rig) == 0
    report = rig.report("stop")
    assert (report.status, report.reason_code) == ("done_dust", "POSITION_CLOSED")


def test_what_is_enough_at_the_touch_is_no_dust() -> None:
    """5 lots are worth 299.90 at the bid and 298.40 at the worst price of the stop."""
    rig = shrunk(5, rules(min_notional=Decimal("299.5")))
    fall(rig)
    rig.run(1 * SECOND)
    assert held(rig) == 0
    assert rig.venue.placed[-1].price_ticks == 599_800


def test_a_position_of_less_than_a_lot_is_dust_too() -> None:
    rig = holding(instrument=rules(fee_side="received"))
    sold_beside(rig, 499)
    sold_beside(rig, 0, trade_id="y", base_fee="0.0004")
    assert held(rig) == Decimal("0.0006")
    stop(rig)
    fall(rig)
    rig.run(100 * MS)
    assert (rig.report("stop").status, rig.report("stop").reason_code) == ("done_dust", "DUST")
    assert "0.0006" in rig.report("stop").reason


def test_flatten_of_dust_says_so_and_ends() -> None:
    rig = shrunk(2, rules(min_notional=Decimal(200)))
    rig.operate("flatten")
    rig.run(5 * SECOND)
    flattened = next(note for note in rig.notes if note.event == "flattened")
    assert flattened.level == "warning"
    assert dict(flattened.fields)["rest"] == "0.002"
    assert not [key for key in rig.durable if key.startswith("flatten/")]


def test_an_ioc_that_leaves_dust_ends_once_and_for_all() -> None:
    rig = holding(instrument=rules(min_notional=Decimal(200)))
    stop(rig)
    rig.venue.fill_at_once = False
    rig.venue.latency_ns = 20 * MS
    fall(rig)
    order = rig.venue.placed[-1]
    rig.venue._inbox.clear()
    for event in (
        OrderFilled(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=order.client_id,
            trade_id="part",
            price_ticks=599_800,
            quantity_lots=498,
            cumulative_lots=498,
            fee=Decimal(0),
            fee_currency="USDT",
            liquidity="taker",
            exchange_ns=rig.now,
        ),
        OrderDone(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=order.client_id,
            status="expired",
            cumulative_lots=498,
            reason="",
            exchange_ns=rig.now,
        ),
    ):
        rig.send(event)
    rig.run(1 * SECOND)
    report = rig.report("stop")
    assert (report.status, report.reason_code) == ("done_dust", "DUST")
    assert report.filled == Decimal("0.498")
    assert "0.002 BTC" in report.reason


def test_an_own_entry_in_the_way_of_a_slice_is_withdrawn_too() -> None:
    """The size is refused first, the entry that it would trade with second."""
    rig = large()
    exit_(rig, "more", "0.01", side="buy", limit_price=Decimal(59_900))
    stop(rig, quantity="1.5")
    rig.run(100 * MS)
    fall(rig)
    rig.run(3 * SECOND)
    assert held(rig) == 0
    assert rig.report("more").reason_code == "SELF_CROSS"
