"""An order that filled long before it is asked about: venues list fills of some days only at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from okx_kit import okx_bench
from usdm_kit import usdm_bench
from waiting import until

from citadel_micro.adapters.binance import usdm_dialect
from citadel_micro.core.model.events import OrderAccepted
from citadel_micro.shell.venue.dialect import Found, Unclear
from citadel_micro.shell.venue.outcomes import Answered
from citadel_micro.simulator.binance_usdm import records as usdm_records
from citadel_micro.simulator.okx import records as okx_records

if TYPE_CHECKING:
    import pytest
    from spot_kit import LiveBench

    from citadel_micro.core.model.commands import PlaceOrder
    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.order_ids import OurOrder
    from citadel_micro.shell.venue.outcomes import Outcome

SYMBOL = "BTC/USDT"
WEEK_MS = 200


async def _filled(bench: LiveBench) -> tuple[PlaceOrder, OurOrder]:
    """One of 100 lots of which 30 have filled, and what a micro knows that was down meanwhile."""
    order = await bench.resting(100)
    await bench.told(OrderAccepted, order)
    (resting,) = bench.exchange.open_orders("demo")
    bench.exchange.fill("demo", SYMBOL, order_id=resting.order_id, lots=30)
    known = bench.adapter.ids.find(order.client_id)
    assert known is not None
    return order, replace(known, filled_lots=0)


async def _found_lots(bench: LiveBench, known: OurOrder) -> int:
    found = await bench.adapter._dialect.find(bench.adapter.ask, known, deep=False)
    assert isinstance(found, Found), found
    assert found.order.cumulative_lots == 30
    return sum(each.quantity_lots for each in found.trades)


def test_okx_has_them_in_its_other_list_after_three_days(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with okx_bench() as bench:
            await bench.begin()
            _, known = await _filled(bench)
            assert await _found_lots(bench, known) == 30
            monkeypatch.setattr(okx_records, "PROMPT_NS", -1)
            assert await _found_lots(bench, known) == 30

    asyncio.run(scenario())


def test_usdm_is_asked_a_week_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with usdm_bench() as bench:
            await bench.begin()
            order, known = await _filled(bench)
            assert await _found_lots(bench, known) == 30
            monkeypatch.setattr(usdm_records, "_WEEK_MS", WEEK_MS)
            monkeypatch.setattr(usdm_dialect, "WEEK_MS", WEEK_MS)
            monkeypatch.setattr(usdm_dialect, "AROUND_MS", 0)
            past_ns = bench.exchange.now_ns + 3 * WEEK_MS * 1_000_000
            await until(lambda: bench.exchange.now_ns > past_ns)
            assert await _found_lots(bench, known) == 30
            dialect = bench.adapter._dialect
            assert isinstance(dialect, usdm_dialect.UsdmDialect)
            begin_ns = known.placed_ns + bench.adapter.clock.offset_ns
            fills = await dialect.fills_of(bench.adapter.ask, known, begin_ns)
            assert not isinstance(fills, Unclear), fills
            assert [each.quantity_lots for each in fills] == [30], order
            owned = await dialect.trades(bench.adapter.ask, order.symbol, begin_ns)
            assert isinstance(owned, list), owned
            assert [each.fact.quantity_lots for each in owned] == [30]

    asyncio.run(scenario())


def test_a_trade_of_the_account_with_itself_is_told_of_both_orders() -> None:
    """One row alone would be a position that is not there."""

    async def scenario() -> None:
        async with usdm_bench() as bench:
            await bench.begin()
            order = await bench.resting(100)
            await bench.told(OrderAccepted, order)
            (resting,) = bench.exchange.open_orders("demo")
            bench.exchange.fill("demo", SYMBOL, order_id=resting.order_id, against_self=True)
            dialect = bench.adapter._dialect
            owned = await dialect.trades(bench.adapter.ask, order.symbol, 0)
            assert isinstance(owned, list), owned
            assert sorted(each.side for each in owned) == ["buy", "sell"]
            assert len({each.fact.trade_id for each in owned}) == 1

    asyncio.run(scenario())


def test_a_time_that_the_venue_says_wrongly_costs_no_more_than_half_a_year() -> None:
    """Of an order of 1970 there would be a query for each of 2,900 weeks, and a ban."""
    asked: list[Request] = []

    async def ask(request: Request) -> Outcome:
        asked.append(request)
        return Answered(status=200, body=b"[]", headers={})

    async def scenario() -> None:
        async with usdm_bench() as bench:
            await bench.begin()
            _, known = await _filled(bench)
            dialect = bench.adapter._dialect
            assert isinstance(dialect, usdm_dialect.UsdmDialect)
            assert await dialect.fills_of(ask, known, 0) == []

    asyncio.run(scenario())
    assert 26 <= len(asked) <= 29
