"""Snapshots and lists that are not whole: pages that end early, old fills, messages that never came."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from kraken_bench import kraken_bench
from unheard_adapters import NAMES, placing, unheard_adapter
from waiting import until

from citadel_micro.adapters.hyperliquid.dialect import HyperDialect
from citadel_micro.adapters.kraken.sequence import MOST_GAPS, WITHIN_NS, Gaps, Numbers
from citadel_micro.core.model.commands import QueryOrder, QueryTrades
from citadel_micro.core.model.events import (
    AccountTrades,
    OrderFilled,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.shell.venue.dialect import Found, Survey, Unclear
from citadel_micro.shell.venue.facts import TradeFact
from citadel_micro.shell.venue.outcomes import Answered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kraken_bench import KrakenBench

    from citadel_micro.core.model.commands import PlaceOrder
    from citadel_micro.shell.venue.dialect import Request

S = 1_000_000_000
COIN = NAMES["hyperliquid"][1]


def _query(order: PlaceOrder) -> QueryOrder:
    return QueryOrder(venue=order.venue, symbol=order.symbol, client_id=order.client_id)


def body(value: object) -> Answered:
    return Answered(status=200, body=json.dumps(value).encode())


# Kraken: lists with their length, and numbered messages


def kraken_trade(number: int) -> dict[str, Any]:
    return {
        "ordertxid": "OAAAAA-AAAAA-AAAAAA",
        "pair": "XBTUSDT",
        "time": 1_795_832_253.0 - number,
        "type": "buy",
        "price": "90000.1",
        "vol": "0.00001",
        "fee": "0",
        "trade_id": 1_000 - number,
    }


class Trades:
    """Kraken's list of trades, newest first, in pages of which some end early."""

    def __init__(self, count: int, pages: tuple[int, ...]) -> None:
        self.rows = {f"T{number}": kraken_trade(number) for number in range(count)}
        self.pages = iter(pages)
        self.told = count
        self.order = {"status": "closed", "vol": "1", "vol_exec": "1", "cl_ord_id": "another"}

    async def ask(self, request: Request) -> Answered:
        if request.method == "QueryOrders":
            row = self.order | {"descr": {"pair": "XBTUSDT", "type": "buy", "price": "1"}}
            return body({"error": [], "result": {"OAAAAA-AAAAA-AAAAAA": row}})
        assert request.method == "TradesHistory"
        begin = int(request.params["ofs"])
        page = dict(list(self.rows.items())[begin : begin + next(self.pages)])
        return body({"error": [], "result": {"trades": page, "count": self.told}})


@pytest.mark.parametrize("pages", [(50, 50, 50), (7, 50, 50, 50), (50, 1, 50, 50)])
def test_every_trade_of_kraken_is_read_whatever_the_pages_hold(pages: tuple[int, ...]) -> None:
    async def main() -> None:
        adapter = unheard_adapter("kraken-spot")
        trades = Trades(120, pages)
        found = await adapter._dialect.trades(trades.ask, "BTC/USDT", 0)
        assert not isinstance(found, Unclear)
        assert {each.fact.trade_id for each in found} == set(trades.rows)
        await adapter.released()

    asyncio.run(main())


def test_a_list_of_krakens_trades_that_stops_before_its_length_is_none() -> None:
    async def main() -> None:
        adapter = unheard_adapter("kraken-spot")
        trades = Trades(60, (50, 0))
        found = await adapter._dialect.trades(trades.ask, "BTC/USDT", 0)
        assert isinstance(found, Unclear)
        assert "50 of 60" in found.text
        await adapter.released()

    asyncio.run(main())


def test_a_coin_that_kraken_does_not_list_is_not_held() -> None:
    async def ask(request: Request) -> Answered:
        held = {"XXBT": {"balance": "0.5", "hold_trade": "0.1"}}
        result: Mapping[str, object] = {"open": {}} if request.method == "OpenOrders" else held
        return body({"error": [], "result": result})

    async def main() -> None:
        adapter = unheard_adapter("kraken-spot")
        told = await adapter._dialect.survey(ask)
        assert isinstance(told, Survey)
        assert {coin: (str(free), str(used)) for coin, free, used in told.balances} == {
            "BTC": ("0.4", "0.1"),
            "USDT": ("0", "0"),
        }
        await adapter.released()

    asyncio.run(main())


def numbered(number: int, channel: str = "executions") -> bytes:
    row = {"channel": channel, "type": "update", "data": [], "sequence": number}
    return json.dumps(row).encode()


def test_a_message_that_is_left_out_is_noticed_by_its_number() -> None:
    numbers = Numbers()
    for number in (1, 2, 2, 3):
        assert not numbers.missed(numbered(number))
    assert not numbers.missed(numbered(1, "balances"))
    assert not numbers.missed(b'{"channel":"heartbeat"}')
    assert not numbers.missed(b"{")
    assert not numbers.missed(numbered(0))
    assert numbers.missed(numbered(6)) == "messages 4 to 5 of executions never came"
    assert not numbers.missed(numbered(4)), "it came late"
    assert not numbers.missed(numbered(7))
    assert numbers.missed(numbered(3, "balances")) == "messages 2 to 2 of balances never came"


def test_numbers_that_leave_out_again_and_again_are_not_believed() -> None:
    now = [0]
    gaps = Gaps(lambda: now[0])
    assert [gaps.believed() for _ in range(MOST_GAPS + 2)] == [True] * MOST_GAPS + [False] * 2
    now[0] = WITHIN_NS
    assert gaps.believed()


def test_after_a_message_that_never_came_the_account_is_read_anew() -> None:
    async def scenario(bench: KrakenBench) -> None:
        session: Any = bench.adapter.stream.current
        session._event(numbered(1_000))
        await until(lambda: bench.statuses().count(True) >= 1 and _blind(bench))
        await bench.up(2)
        assert bench.adapter.stream.current is not session
        bench.query_venue()
        await until(lambda: bool(bench.of(VenueSnapshot)))

    async def main() -> None:
        async with asyncio.timeout(120), kraken_bench() as bench:
            await bench.begin()
            await scenario(bench)

    asyncio.run(main())


def _blind(bench: KrakenBench) -> bool:
    return any(each.blind and "never came" in each.reason for each in bench.of(VenueStatus))


# Hyperliquid: pages without a length, and a subscription that begins with the last fills


def fill(number: int, oid: int = 7, **more: object) -> dict[str, Any]:
    return {
        "coin": COIN,
        "px": "90000",
        "sz": "0.00001",
        "side": "B",
        "time": 1_795_832_253_000 + number // 3,
        "oid": oid,
        "tid": number,
        "crossed": True,
        "fee": "0",
        **more,
    }


@pytest.mark.parametrize("most", [4, 5, 2_000])
def test_every_fill_of_hyperliquid_is_read_though_pages_end_early(most: int) -> None:
    rows = [fill(number) for number in range(20)]

    async def ask(request: Request) -> Answered:
        if request.method == "orderStatus":
            return body({"status": "unknownOid"})
        assert request.method == "userFillsByTime"
        start = int(request.params["startTime"])
        return body([row for row in rows if row["time"] >= start][:most])

    async def main() -> None:
        adapter = unheard_adapter("hyperliquid")
        found = await adapter._dialect.trades(ask, NAMES["hyperliquid"][0], 0)
        assert not isinstance(found, Unclear)
        assert [each.fact.trade_id for each in found] == [str(number) for number in range(20)]
        await adapter.released()

    asyncio.run(main())


def test_of_the_last_fills_that_begin_a_subscription_only_ours_are_told() -> None:
    """A liquidation of last week among them would halt its symbol with every connection."""

    async def main() -> None:
        adapter = unheard_adapter("hyperliquid")
        dialect = adapter._dialect
        assert isinstance(dialect, HyperDialect)
        order = placing(adapter)
        ours = adapter.ids.theirs(order.client_id)
        account = dialect._requests.account
        rows = [
            fill(1, 100, cloid=ours),
            fill(2, 101, cloid=f"0x{'0' * 32}"),
            fill(
                3, 102, liquidation={"liquidatedUser": account, "markPx": "1", "method": "market"}
            ),
            fill(4, 103, dir="Auto-Deleveraging"),
            fill(5, 104),
        ]
        data = {"isSnapshot": True, "user": account, "fills": rows}
        told = dialect.read_event(json.dumps({"channel": "userFills", "data": data}).encode())
        assert [each.client_id for each in told if isinstance(each, TradeFact)] == [order.client_id]
        del data["isSnapshot"]
        live = dialect.read_event(json.dumps({"channel": "userFills", "data": data}).encode())
        assert len(live) == len(rows)
        await adapter.released()

    asyncio.run(main())


def test_at_bybit_a_time_that_is_wrong_costs_no_more_than_two_years() -> None:
    """Since 1970 there would be a query for each of 2,900 weeks, and a ban."""
    asked: list[Request] = []

    async def ask(request: Request) -> Answered:
        asked.append(request)
        return body({"retCode": 0, "result": {"list": []}})

    async def main() -> None:
        adapter = unheard_adapter("bybit-spot")
        assert await adapter._dialect.trades(ask, "BTC/USDT", 0) == []
        await adapter.released()

    asyncio.run(main())
    assert 104 <= len(asked) <= 106


def test_a_time_of_the_far_future_is_not_believed_of_a_list_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A position with it would count as newer than every statement of the venue, for ever."""
    far_ms = 7_258_118_400_000  # the year 2200
    state: dict[str, Any] = {
        "order": {
            "coin": COIN,
            "side": "B",
            "limitPx": "90000",
            "sz": "0.0",
            "origSz": "0.00001",
            "oid": 7,
            "timestamp": far_ms,
        },
        "status": "filled",
        "statusTimestamp": far_ms,
    }
    payment = {"time": far_ms, "delta": {"coin": COIN, "usdc": "-1"}}

    async def ask(request: Request) -> Answered:
        told = {
            "orderStatus": {"status": "order", "order": state},
            "userFillsByTime": [fill(1) | {"time": far_ms}],
            "userFunding": [payment],
        }
        return body(told[request.method])

    async def main() -> None:
        adapter = unheard_adapter("hyperliquid")
        monkeypatch.setattr(adapter._queries, "_ask", ask)
        posted: list[Any] = []  # events
        monkeypatch.setattr(adapter._queries, "_post", posted.extend)
        order = placing(adapter)
        state["order"]["cloid"] = adapter.ids.theirs(order.client_id)
        adapter._queries.order(_query(order))
        adapter._queries.trades(QueryTrades(venue=adapter.venue, symbol=order.symbol, since_ns=0))
        await until(lambda: any(isinstance(each, AccountTrades) for each in posted))
        await until(lambda: any(isinstance(each, OrderFilled) for each in posted))
        soon_ns = adapter.clock.venue_ns() + 61 * S
        times = [each.exchange_ns for each in posted]
        lists = [each for each in posted if isinstance(each, AccountTrades)]
        times += [trade.exchange_ns for each in lists for trade in each.trades]
        times += [payment.exchange_ns for each in lists for payment in each.funding]
        assert len(times) >= 5
        assert max(times) < soon_ns
        await adapter.released()

    asyncio.run(main())


# an order that is found has the name that it was asked for


def binance_row(client_id: str) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "orderId": 7,
        "clientOrderId": client_id,
        "price": "90000.0",
        "origQty": "0.01",
        "executedQty": "0",
        "status": "CANCELED",
        "side": "BUY",
        "time": 1_795_832_253_000,
        "updateTime": 1_795_832_253_000,
    }


def hyper_row(cloid: str | None) -> dict[str, Any]:
    order = {
        "coin": COIN,
        "side": "B",
        "limitPx": "90000",
        "sz": "0.01",
        "origSz": "0.01",
        "oid": 7,
        "timestamp": 1_795_832_253_000,
        "cloid": cloid,
    }
    return {
        "status": "order",
        "order": {"order": order, "status": "canceled", "statusTimestamp": 1_795_832_253_000},
    }


@pytest.mark.parametrize(
    ("venue", "row"),
    [
        ("binance-spot", binance_row("renamed-by-the-cancel")),
        ("binance-usdm", binance_row("renamed-by-the-cancel")),
        ("hyperliquid", hyper_row(None)),
    ],
)
def test_an_order_that_has_lost_our_name_is_ours_all_the_same(
    venue: str, row: dict[str, Any]
) -> None:
    async def ask(_request: Request) -> Answered:
        return body(row)

    async def main() -> None:
        adapter = unheard_adapter(venue)
        order = placing(adapter)
        known = adapter.ids.find(order.client_id)
        assert known is not None
        found = await adapter._dialect.find(ask, known, deep=False)
        assert isinstance(found, Found)
        assert (found.order.client_id, found.order.venue_order_id) == (order.client_id, "7")
        adapter.ids.named(known, "8")
        other = await adapter._dialect.find(ask, known, deep=False)
        assert isinstance(other, Unclear), "it is another order"
        await adapter.released()

    asyncio.run(main())


def test_an_answer_about_another_order_of_hyperliquid_is_none() -> None:
    async def ask(_request: Request) -> Answered:
        return body(hyper_row(f"0x{'0' * 32}"))

    async def main() -> None:
        adapter = unheard_adapter("hyperliquid")
        known = adapter.ids.find(placing(adapter).client_id)
        assert known is not None
        assert isinstance(await adapter._dialect.find(ask, known, deep=False), Unclear)
        await adapter.released()

    asyncio.run(main())
