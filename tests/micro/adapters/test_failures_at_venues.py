"""Failures of other trading programs, met by each venue's adapter over its real protocol.

What the engine makes of the same reports is in ``test_failures_of_others.py``. Named by the
project and the number of its issue; one story a venue, for a simulator takes longer to start than a
failure to happen.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from started_benches import VENUES, started
from waiting import until

from citadel_micro.core.model.commands import QueryTrades
from citadel_micro.core.model.events import (
    AccountTrades,
    CancelRejected,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderRejected,
    OrderState,
    RequestTimedOut,
)

if TYPE_CHECKING:
    from spot_kit import LiveBench

    from citadel_micro.core.model.commands import PlaceOrder

LOTS = 100
S = 1_000_000_000


async def rested(bench: LiveBench) -> PlaceOrder:
    order = await bench.resting(LOTS)
    await bench.told(OrderAccepted, order)
    return order


def hit(bench: LiveBench, lots: int) -> None:
    """The only open order trades."""
    (resting,) = bench.exchange.open_orders("demo")
    bench.exchange.fill("demo", resting.symbol, order_id=resting.order_id, lots=lots)


def filled(bench: LiveBench, order: PlaceOrder) -> int:
    return sum(each.quantity_lots for each in bench.of(OrderFilled, order))


async def catalyst_317(bench: LiveBench) -> None:
    """scrtlabs/catalyst#317: timeout, placed again, both filled. It is asked about, and there is one."""
    bench.fault("unknown-executed=once")
    order = await bench.resting(LOTS)
    state = await bench.answer(order)
    assert (state.status, state.quantity_lots) == ("open", LOTS)
    assert not bench.of(OrderRejected, order)
    assert len(bench.exchange.open_orders("demo")) == 1
    bench.cancel(order)
    await bench.told(OrderDone, order)


async def bitbot_27(bench: LiveBench) -> None:
    """5an1ty/BitBot#27: place and cancel timed out, both sales were real. It has canceled nothing."""
    order = await rested(bench)
    bench.fault("unknown-lost=once")
    bench.cancel(order)
    assert (await bench.told(RequestTimedOut, order)).request == "cancel"
    assert not bench.of(OrderDone, order)
    assert (await bench.answer(order)).status == "open"
    bench.cancel(order)
    await bench.told(OrderDone, order)


async def nautilus_3827(bench: LiveBench) -> None:
    """nautechsystems/nautilus_trader#3827: a modify's cancel leg was taken for the order's end."""
    if bench.venue == "hyperliquid":
        return  # what it calls a modify is a cancel and another order: micro does not ask for it
    if bench.venue == "kraken":
        return  # its counter is full by so many orders; ``test_kraken_orders.py`` has its own
    order = await rested(bench)
    bench.amend(order, order.price_ticks, LOTS // 2)
    assert (await bench.told(OrderAmended, order)).quantity_lots == LOTS // 2
    state = await bench.answer(order)
    assert (state.status, state.quantity_lots) == ("open", LOTS // 2)
    assert not bench.of(OrderDone, order)
    bench.cancel(order)
    await bench.told(OrderDone, order)
    assert len(bench.of(OrderDone, order)) == 1


async def ccxt_18028(bench: LiveBench) -> None:
    """ccxt/ccxt#18028: one fill delivered twice. It has one name, whoever tells of it."""
    bench.fault("event-duplicated=once,on=TRADE")
    order = await rested(bench)
    hit(bench, 40)
    told = await bench.told(OrderFilled, order)
    await bench.answer(order)
    since_ns = bench.clock.now() - 60 * S
    command = QueryTrades(venue=bench.venue, symbol=bench.symbol, since_ns=since_ns)
    bench.adapter.submit(command, bench.clock.now())
    await until(lambda: bool(bench.of(AccountTrades)))
    listed = [x for x in bench.of(AccountTrades)[-1].trades if x.client_id == order.client_id]
    assert [x.trade_id for x in listed] == [told.trade_id]
    assert filled(bench, order) == 40
    bench.cancel(order)
    await bench.told(OrderDone, order)


async def lean_5972(bench: LiveBench) -> None:
    """QuantConnect/Lean#5972: the event of a fill never came."""
    order = await rested(bench)
    bench.fault("event-lost=once,on=TRADE")
    hit(bench, 30)
    state = await bench.answer(order)
    assert (state.status, state.cumulative_lots, filled(bench, order)) == ("open", 30, 30)
    bench.cancel(order)
    assert (await bench.told(OrderDone, order)).cumulative_lots in {30, -1}
    assert filled(bench, order) == 30


async def binance_net_692(bench: LiveBench) -> None:
    """JKorf/Binance.Net#692: not found right after the acknowledgement."""
    bench.fault("query-lag=once,for=1")
    order = await rested(bench)
    bench.query(order)
    await bench.told(RequestTimedOut, order)
    assert not bench.of(OrderState, order), "it was acknowledged"
    assert (await bench.answer(order)).status == "open"
    bench.cancel(order)
    await bench.told(OrderDone, order)


async def hummingbot_361(bench: LiveBench) -> None:
    """CoinAlpha/hummingbot#361: cancel "not found", and the order lived on."""
    order = await rested(bench)
    bench.fault("cancel-unknown=once")
    bench.cancel(order)
    assert (await bench.told(CancelRejected, order)).code == "NOT_FOUND"
    assert not bench.of(OrderDone, order)
    assert (await bench.answer(order)).status == "open"
    bench.cancel(order)
    await bench.told(OrderDone, order)


async def a_cancel_that_a_fill_overtakes(bench: LiveBench) -> None:
    """Not found, because it is filled: nothing is called canceled."""
    order = await rested(bench)
    bench.fault("fill-wins=once")
    bench.cancel(order)
    await until(lambda: filled(bench, order) == LOTS)
    state = await bench.answer(order)
    assert (state.status, state.cumulative_lots) == ("filled", LOTS)
    assert all(each.status == "filled" for each in bench.of(OrderDone, order))


async def a_copy_of_an_order_on_the_way(bench: LiveBench) -> None:
    """The same order arrives twice: the second refusal is not the first one's fate."""
    order = await rested(bench)
    bench.adapter.submit(bench._gate.issue(order, book_seq=0), bench.clock.now())
    await until(lambda: bool(bench.of(OrderRejected, order) or bench.of(RequestTimedOut, order)))
    assert all(each.code == "DUPLICATE_ID" for each in bench.of(OrderRejected, order))
    assert (await bench.answer(order)).status == "open"
    bench.cancel(order)
    await bench.told(OrderDone, order)


STORIES = (
    catalyst_317,
    bitbot_27,
    nautilus_3827,
    ccxt_18028,
    lean_5972,
    binance_net_692,
    hummingbot_361,
    a_copy_of_an_order_on_the_way,
    a_cancel_that_a_fill_overtakes,
)


@pytest.mark.parametrize("venue", VENUES)
def test_the_failures_of_others(venue: str) -> None:
    async def main() -> None:
        async with started(venue) as bench:
            for story in STORIES:
                try:
                    await story(bench)
                except BaseException as error:
                    error.add_note(f"in {story.__name__}")
                    raise
            assert not bench.exchange.open_orders("demo")

    asyncio.run(main())
