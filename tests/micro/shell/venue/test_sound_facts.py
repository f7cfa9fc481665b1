"""What a venue says is believed only within bounds, by an adapter that goes on whatever it is told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from spot_kit import live_bench
from waiting import until

from citadel_micro.core.model.events import BalancesUpdated, FundingDue, MarkPrice, VenueStatus
from citadel_micro.shell.venue import sound_facts
from citadel_micro.shell.venue.facts import BalanceFact, OrderFact, TradeFact
from citadel_micro.shell.venue.sound_facts import is_sound, sound
from citadel_proto.bounds import LATEST_NS, LONGEST_NAME
from citadel_proto.errors import VenueViolation

ORDER = OrderFact(
    symbol="BTC/USDT",
    client_id="sc-1",
    venue_order_id="12",
    standing="open",
    price_ticks=10,
    quantity_lots=5,
    cumulative_lots=-1,
    exchange_ns=1,
)
TRADE = TradeFact(
    symbol="BTC/USDT",
    client_id="",
    venue_order_id="12",
    trade_id="3",
    price_ticks=10,
    quantity_lots=5,
    cumulative_lots=-1,
    fee=Decimal("-0.0001"),
    fee_currency="USDT",
    liquidity="maker",
    exchange_ns=1,
)
MARK = MarkPrice("v", "BTC/USDT:USDT", 100.0, 0.0, -0.01, 0, 1, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(ORDER, cumulative_lots=-2),
        replace(ORDER, exchange_ns=2**63),
        replace(ORDER, exchange_ns=-1),
        replace(ORDER, quantity_lots=2**70),
        replace(ORDER, venue_order_id="9" * 5_000),
        replace(ORDER, client_id="a\nb"),
        replace(TRADE, quantity_lots=0),
        replace(TRADE, trade_id=""),
        replace(TRADE, price_ticks=-1),
        replace(TRADE, fee=Decimal("NaN")),
        replace(TRADE, fee=Decimal("1E+999999")),
        replace(TRADE, fee=Decimal("0E-999999")),
        BalanceFact(balances=(("BTC", Decimal(1), Decimal("Infinity")),), exchange_ns=1),
    ],
)
def test_what_is_out_of_bounds_is_not_believed(wrong: OrderFact | TradeFact | BalanceFact) -> None:
    for right in (ORDER, TRADE):
        assert sound(right) is right
    with pytest.raises(VenueViolation):
        sound(wrong)


NUMBERS = st.sampled_from([-(2**70), -2, -1, 0, 1, 10**18, LATEST_NS, LATEST_NS + 1, 2**70])
IDS = st.sampled_from(["", "12", "a\nb", "é", "9" * LONGEST_NAME, "9" * (LONGEST_NAME + 1)])
FEES = st.sampled_from(
    [Decimal(each) for each in ("0", "-0.0001", "1E+40", "1E+41", "1E-41", "NaN", "-Infinity")]
)


AT_BOUNDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("client_id", "venue_order_id", "trade_id", "fee_currency"), IDS),
    **dict.fromkeys(("price_ticks", "quantity_lots", "cumulative_lots", "exchange_ns"), NUMBERS),
    "fee": FEES,
}


@given(data=st.data(), fact=st.sampled_from([ORDER, TRADE]))
@settings(max_examples=examples(150, 2_000))
def test_what_is_plain_is_in_bounds_by_the_whole_check_too(
    data: st.DataObject,
    fact: Any,  # noqa: ANN401 - either, whose fields are replaced by name
) -> None:
    """Few fields at their bounds: with all of them hardly any fact would be plain."""
    names = sorted({each.name for each in fields(fact)} & AT_BOUNDS.keys())
    changed = data.draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    stated = replace(fact, **{name: data.draw(AT_BOUNDS[name]) for name in changed})
    if sound_facts._is_plain(stated):
        sound_facts._check(stated, type(stated).__name__)


def test_a_mark_is_a_price() -> None:
    assert is_sound(MARK)
    assert is_sound(FundingDue(venue="v", exchange_ns=1))
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        assert not is_sound(MARK._replace(mark=wrong))
    assert not is_sound(MARK._replace(funding_rate=float("nan")))


def test_a_price_that_is_no_number_makes_the_stream_blind_and_ends_nothing() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            report = {
                "e": "executionReport",
                "s": "BTCUSDT",
                "c": "x",
                "S": "BUY",
                "q": "1",
                "p": "NaN",
                "x": "NEW",
                "X": "NEW",
                "i": 1,
                "l": "0",
                "z": "0",
                "L": "0",
                "T": 1,
            }
            bench.adapter._frame(json.dumps({"event": report}).encode())
            assert bench.of(VenueStatus)[-1].blind
            assert "not understood" in bench.of(VenueStatus)[-1].reason
            await until(lambda: not bench.of(VenueStatus)[-1].blind, 20)

    asyncio.run(scenario())


def test_a_balance_of_the_far_future_does_not_outlive_those_after_it() -> None:
    async def scenario() -> None:
        async with live_bench() as bench:
            await bench.begin()
            ahead_ms = bench.clock.now() // 10**6 + 86_400_000
            row = {"a": "BTC", "f": "7", "l": "0"}
            event = {"e": "outboundAccountPosition", "E": ahead_ms, "u": ahead_ms, "B": [row]}
            bench.adapter._frame(json.dumps({"event": event}).encode())
            told = bench.of(BalancesUpdated)[-1]
            assert told.balances[0][1] == 7
            assert told.exchange_ns <= bench.clock.now() + 61 * 10**9

    asyncio.run(scenario())
