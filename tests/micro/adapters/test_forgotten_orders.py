"""An order that rested while micro was down, and that the venue has dropped when it is asked: it has ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from started_benches import started

from citadel_micro.adapters.hyperliquid.dialect import HyperDialect
from citadel_micro.adapters.kraken.dialect import KrakenDialect
from citadel_micro.core.model.events import OrderAccepted, OrderFilled, OrderState, RequestTimedOut
from citadel_micro.shell.venue import queries
from citadel_micro.shell.venue.dialect import Absent
from citadel_micro.shell.venue.forgotten import Forgets

if TYPE_CHECKING:
    from collections.abc import Callable

    from spot_kit import LiveBench

    from citadel_micro.core.model.commands import PlaceOrder

SYMBOL = "BTC/USDT"


BENCHES = ("spot", "usdm", "okx", "bybit")


async def _dropped(bench: LiveBench, monkeypatch: pytest.MonkeyPatch) -> PlaceOrder:
    """One that has rested for long, of which 30 lots have filled, and that no query finds by its id."""

    async def find(*_args: object, **_more: object) -> Absent:
        return Absent(trades_too=False, text="no such order")

    order = await bench.resting(100)
    await bench.told(OrderAccepted, order)
    (resting,) = bench.exchange.open_orders("demo")
    bench.exchange.fill("demo", SYMBOL, order_id=resting.order_id, lots=30)
    dialect = bench.adapter._dialect
    assert isinstance(dialect, Forgets)
    known = bench.adapter.ids.find(order.client_id)
    assert known is not None
    monkeypatch.setattr(dialect, "forgets_ns", bench.clock.now() - known.placed_ns)
    monkeypatch.setattr(dialect, "find", find)
    return order


@pytest.mark.parametrize("venue", BENCHES)
def test_it_has_ended_with_what_its_trades_show(
    venue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with started(venue) as bench:
            order = await _dropped(bench, monkeypatch)
            bench.query(order)
            await bench.told(RequestTimedOut, order)  # it may be a copy that lags
            monkeypatch.setattr(queries, "AGAIN_NS", 0)
            bench.query(order)
            await bench.told(RequestTimedOut, order, 2)  # it is open
            assert not bench.of(OrderState, order)
            bench.exchange.cancel_all("demo", SYMBOL)
            ended = await bench.answer(order)
            assert (ended.status, ended.cumulative_lots) == ("canceled", 30)
            assert sum(each.quantity_lots for each in bench.of(OrderFilled, order)) == 30

    asyncio.run(scenario())


def test_one_that_is_younger_than_the_venue_remembers_has_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        async with started("okx") as bench:
            order = await _dropped(bench, monkeypatch)
            monkeypatch.setattr(bench.adapter._dialect, "forgets_ns", 3_600 * 10**9)
            monkeypatch.setattr(queries, "AGAIN_NS", 0)
            bench.exchange.cancel_all("demo", SYMBOL)
            for count in (1, 2):
                bench.query(order)
                await bench.told(RequestTimedOut, order, count)
            assert not bench.of(OrderState, order)

    asyncio.run(scenario())


@pytest.mark.parametrize("dialect", [KrakenDialect, HyperDialect])
def test_where_nobody_says_how_long_an_order_is_known_a_person_decides(
    dialect: Callable[..., object],
) -> None:
    assert not hasattr(dialect, "forgets_ns")
