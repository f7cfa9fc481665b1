"""What our adapter reads of answers and events is what Binance's SDK and ccxt read, field by field."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import ccxt.pro
import msgspec
import pytest
from binance_sdk_spot.websocket_api.models import (
    AccountStatusResponse,
    MyTradesResponse,
    OpenOrdersStatusResponse,
    OrderCancelResponse,
    OrderPlaceResponse,
    OrderStatusResponse,
    UserDataStreamEventsResponse,
)
from our_adapter import our_adapter, our_walk
from recording_relay import Relay
from spot_kit import NATIVE, SYMBOL
from waiting import until

from citadel_micro.adapters.binance.spot_messages import Account, Order, SpotReader, Trade
from citadel_micro.core.model.events import OrderAccepted, OrderDone
from citadel_micro.shell.venue.facts import BalanceFact, OrderFact, TradeFact
from citadel_micro.simulator.ccxt_urls import ccxt_overrides

if TYPE_CHECKING:
    from stock_exchange import Exchange

    from citadel_micro.core.model.instrument import Instrument


@pytest.fixture(scope="module")
def traffic(exchange: Exchange) -> tuple[list[tuple[str, bytes]], Instrument]:
    """Answers, by method, and events, from a walk of our adapter with both sides of a trade."""

    async def run() -> tuple[list[tuple[str, bytes]], Instrument]:
        async with Relay(exchange.ready["rest"], exchange.ready["ws"]) as relay:
            async with our_adapter(exchange, relay, "ed25519") as bench:
                await our_walk(bench)
                bid, _ = await bench.touch()
                resting = bench.place("buy", bid, 400)
                await bench.told(OrderAccepted, resting)
                exchange.operate(
                    "POST",
                    "order",
                    account="theirs",
                    symbol=NATIVE,
                    side="SELL",
                    price=str(bench.rules.price(resting.price_ticks)),
                    quantity="3",
                )
                bench.cancel(resting)
                await until(lambda: bench.of(OrderDone, resting), 20)
                await asyncio.sleep(0.3)
            found = []
            for method, frame in relay.frames:
                body = json.loads(frame)
                if "event" in body:
                    found.append(("event", frame))
                elif body.get("status") == 200:
                    found.append((method, frame))
            return found, bench.rules

    return asyncio.run(run())


def result_of(frame: bytes) -> bytes:
    return json.dumps(json.loads(frame)["result"]).encode()


def named(frame: bytes) -> dict[str, Any]:
    """An answer; the SDK takes no numbers for its id."""
    body: dict[str, Any] = json.loads(frame)
    return body | {"id": str(body["id"])}


STATUS: Final = {
    "NEW": "open",
    "PARTIALLY_FILLED": "open",
    "FILLED": "filled",
    "CANCELED": "canceled",
    "EXPIRED": "expired",
}
CCXT_STATUS: Final = {
    "open": "open",
    "closed": "filled",
    "canceled": "canceled",
    "expired": "expired",
}


@pytest.fixture(scope="module")
def unified(exchange: Exchange) -> Any:  # noqa: ANN401 - ccxt has no types
    """Ccxt's readers; it has the markets, and is asked nothing else."""
    client = ccxt.pro.binance(ccxt_overrides(exchange.ready["rest"], exchange.ready["ws"]))

    async def load() -> None:
        await client.load_markets()
        await client.close()

    asyncio.run(load())
    return client


def check_order(rules: Instrument, fact: OrderFact, theirs: Any, name: str) -> None:  # noqa: ANN401
    """Against a model of the SDK for an order in an answer."""
    assert fact.venue_order_id == str(theirs.order_id)
    assert fact.client_id == name
    assert fact.standing == STATUS[theirs.status]
    assert rules.price(fact.price_ticks) == Decimal(theirs.price)
    assert rules.quantity(fact.quantity_lots) == Decimal(theirs.orig_qty)
    assert rules.quantity(fact.cumulative_lots) == Decimal(theirs.executed_qty)


def check_unified(rules: Instrument, fact: OrderFact, order: dict[str, Any]) -> None:
    """Against ccxt's order."""
    assert fact.venue_order_id == order["id"]
    assert fact.symbol == order["symbol"]
    assert fact.standing == CCXT_STATUS[order["status"]]
    assert float(rules.price(fact.price_ticks)) == order["price"]
    assert float(rules.quantity(fact.quantity_lots)) == order["amount"]
    assert float(rules.quantity(fact.cumulative_lots)) == order["filled"]


def test_answers_are_read_as_the_sdk_and_ccxt_read_them(
    traffic: tuple[list[tuple[str, bytes]], Instrument],
    unified: Any,  # noqa: ANN401 - ccxt has no types
) -> None:
    frames, rules = traffic
    reader = SpotReader({SYMBOL: rules})
    market = unified.market(SYMBOL)
    models: dict[str, Any] = {
        "order.place": OrderPlaceResponse,
        "order.cancel": OrderCancelResponse,
        "order.status": OrderStatusResponse,
    }
    seen: dict[str, int] = {}
    for method, frame in frames:
        body = json.loads(frame).get("result")
        if method in models:
            theirs = models[method].from_dict(named(frame)).result
            ours = reader.placed(msgspec.json.decode(result_of(frame), type=Order))
            fact = ours[-1]
            assert isinstance(fact, OrderFact)
            name = (
                theirs.orig_client_order_id if method == "order.cancel" else theirs.client_order_id
            )
            check_order(rules, fact, theirs, name)
            order = unified.parse_order(body, market)
            check_unified(rules, fact, order)
            fills = [each for each in ours if isinstance(each, TradeFact)]
            listed = getattr(theirs, "fills", None) or []
            assert len(fills) == len(listed)
            for mine, other, third in zip(
                fills, listed, order["trades"] if fills else [], strict=True
            ):
                assert mine.trade_id == str(other.trade_id) == third["id"]
                assert rules.price(mine.price_ticks) == Decimal(other.price)
                assert rules.quantity(mine.quantity_lots) == Decimal(other.qty)
                assert mine.fee == Decimal(other.commission)
                assert float(mine.fee) == third["fee"]["cost"]
                assert mine.fee_currency == other.commission_asset == third["fee"]["currency"]
            seen["fills"] = seen.get("fills", 0) + len(fills)
        elif method == "openOrders.status":
            rows = msgspec.json.decode(result_of(frame), type=list[Order])
            for row, theirs in zip(
                rows, OpenOrdersStatusResponse.from_dict(named(frame)).result, strict=True
            ):
                found = reader.order(row)
                assert isinstance(found, OrderFact)
                check_order(rules, found, theirs, theirs.client_order_id)
        elif method == "myTrades":
            trades = msgspec.json.decode(result_of(frame), type=list[Trade])
            listed = MyTradesResponse.from_dict(named(frame)).result
            for made, theirs, raw in zip(trades, listed, body, strict=True):
                fill = reader.trade(made)
                third = unified.parse_trade(raw, market)
                assert fill is not None
                assert fill.trade_id == str(theirs.id) == third["id"]
                assert fill.venue_order_id == str(theirs.order_id) == third["order"]
                assert rules.price(fill.price_ticks) == Decimal(theirs.price)
                assert fill.liquidity == third["takerOrMaker"]
                assert fill.fee == Decimal(theirs.commission)
                assert fill.exchange_ns // 1_000_000 == theirs.time == third["timestamp"]
        elif method == "account.status":
            account = msgspec.json.decode(result_of(frame), type=Account)
            model = AccountStatusResponse.from_dict(named(frame)).result
            assert [(b.asset, b.free, b.locked) for b in account.balances] == [
                (b.asset, Decimal(b.free), Decimal(b.locked)) for b in model.balances
            ]
            balance = unified.parse_balance_custom(body, "spot")
            for each in account.balances:
                assert balance[each.asset]["free"] == float(each.free)
                assert balance[each.asset]["used"] == float(each.locked)
        seen[method] = seen.get(method, 0) + 1
    assert seen.keys() >= {*models, "openOrders.status", "account.status"}
    assert seen["fills"] > 0


def test_events_are_read_as_the_sdk_and_ccxt_read_them(
    traffic: tuple[list[tuple[str, bytes]], Instrument],
    unified: Any,  # noqa: ANN401 - ccxt has no types
) -> None:
    frames, rules = traffic
    reader = SpotReader({SYMBOL: rules})
    seen: set[str] = set()
    for kind, frame in frames:
        if kind != "event":
            continue
        event = json.loads(frame)["event"]
        theirs = UserDataStreamEventsResponse.from_dict(event).actual_instance
        facts = reader.event(frame)
        if event["e"] == "outboundAccountPosition":
            (balance,) = facts
            assert isinstance(balance, BalanceFact)
            assert list(balance.balances) == [
                (each.a, Decimal(each.f), Decimal(each.l)) for each in theirs.B
            ]
            seen.add("balances")
            continue
        assert event["e"] == "executionReport"
        seen.add(theirs.x)
        fact = facts[-1]
        assert isinstance(fact, OrderFact)
        assert fact.client_id == (theirs.C or theirs.c)
        assert fact.venue_order_id == str(theirs.i)
        assert fact.standing == STATUS[theirs.X]
        assert rules.price(fact.price_ticks) == Decimal(theirs.p)
        assert rules.quantity(fact.quantity_lots) == Decimal(theirs.q)
        assert rules.quantity(fact.cumulative_lots) == Decimal(theirs.z)
        assert fact.exchange_ns == theirs.T * 1_000_000
        third = unified.parse_ws_order(event, unified.market(SYMBOL))
        check_unified(rules, fact, third)
        assert fact.client_id == third["clientOrderId"]
        trades = [each for each in facts if isinstance(each, TradeFact)]
        assert len(trades) == (theirs.x == "TRADE")
        for mine in trades:
            fill = unified.parse_ws_trade(event, unified.market(SYMBOL))
            assert mine.trade_id == str(theirs.t) == fill["id"]
            assert rules.price(mine.price_ticks) == Decimal(theirs.L)
            assert float(rules.price(mine.price_ticks)) == fill["price"]
            assert rules.quantity(mine.quantity_lots) == Decimal(theirs.l)
            assert float(rules.quantity(mine.quantity_lots)) == fill["amount"]
            assert (mine.fee, mine.fee_currency) == (Decimal(theirs.n), theirs.N)
            assert mine.fee_currency == fill["fee"]["currency"]
            assert float(mine.fee) == fill["fee"]["cost"]
            assert mine.liquidity == fill["takerOrMaker"]
            assert (mine.liquidity == "maker") == theirs.m
            seen.add(mine.liquidity)
    assert seen >= {"NEW", "TRADE", "CANCELED", "REPLACED", "balances", "maker", "taker"}
