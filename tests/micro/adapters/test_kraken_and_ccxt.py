"""What our Kraken adapter signs, sends and reads is what ccxt does, field by field."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

import ccxt
import ccxt.async_support
import ccxt.pro
import msgspec
import pytest
from kraken_bench import kraken_key, kraken_rules
from kraken_kit import SYMBOL, addresses, kraken_config, raw_client, raw_socket

from citadel_micro.adapters.kraken.messages import KrakenReader, OrderRow, TradeRow, coin_of
from citadel_micro.adapters.kraken.orders import VENUE
from citadel_micro.adapters.kraken.requests import KrakenRequests, timer
from citadel_micro.adapters.kraken.session import RestSigner, deadline_of, frame_of
from citadel_micro.core.model.client_ids import ClientIds
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
from citadel_micro.shell.venue.facts import OrderFact, TradeFact
from citadel_micro.shell.venue.order_ids import OurOrder
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_micro.simulator.ccxt_urls import kraken_overrides
from citadel_micro.simulator.server import SimulatorServer

NOW_NS = 1_790_000_000_123_000_000
KEY = kraken_key()
NAMES = ClientIds("uuid", "abc123")
OURS = "scabc123run1-1-1"
PAIR = {
    "altname": "XBTUSDT",
    "wsname": "XBT/USDT",
    "base": "XXBT",
    "quote": "USDT",
    "pair_decimals": 2,
    "lot_decimals": 5,
    "ordermin": "0.00001",
    "costmin": "5",
    "tick_size": "0.01",
    "status": "online",
    "leverage_buy": [],
}


def client(kind: Any = ccxt.kraken) -> Any:  # noqa: ANN401 - ccxt has no types
    """Ccxt's class, offline, with one market."""
    made = kind({"apiKey": KEY.id.reveal(), "secret": KEY.secret.reveal()})
    plain = ccxt.kraken()
    plain.publicGetAssetPairs = lambda _params: {"result": {"XBTUSDT": PAIR}}
    made.set_markets(plain.fetch_markets())
    return made


def requests() -> KrakenRequests:
    return KrakenRequests({SYMBOL: kraken_rules()}, NAMES.theirs, lambda: NOW_NS)


def placing(*, post_only: bool = False, ioc: bool = False) -> PlaceOrder:
    return PlaceOrder(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=OURS,
        parent_id="p",
        side="buy",
        price_ticks=6_543_210,
        quantity_lots=1_234,
        post_only=post_only,
        time_in_force="IOC" if ioc else "GTC",
        reduce_only=False,
        expires_ns=NOW_NS + 2_000_000_000,
    )


def test_a_call_is_signed_as_ccxt_signs_it() -> None:
    body, headers = RestSigner(KEY).signed("/0/private/QueryOrders", {"txid": "O1,O2", "trades": 1})
    nonce = dict(parse_qsl(body))["nonce"]
    theirs = client()
    theirs.incrementing_nonce = lambda: nonce
    signed = theirs.sign("QueryOrders", ["private"], "POST", {"txid": "O1,O2", "trades": 1})
    assert body == signed["body"]
    assert signed["headers"]["API-Key"] == headers["API-Key"]
    assert signed["headers"]["API-Sign"] == headers["API-Sign"]


def test_nonces_rise_though_the_clock_stands() -> None:
    signer = RestSigner(KEY)
    nonces = [
        int(dict(parse_qsl(signer.signed("/0/private/Balance", {})[0]))["nonce"]) for _ in range(50)
    ]
    assert nonces == sorted(set(nonces))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, {"timeInForce": "gtc"}),
        ({"post_only": True}, {"postOnly": True, "time_in_force": "gtc"}),
        ({"ioc": True}, {"timeInForce": "IOC"}),
    ],
)
def test_an_order_has_ccxts_parameters(more: dict[str, bool], told: dict[str, Any]) -> None:
    ours = json.loads(frame_of(7, requests().place(placing(**more)), "t", "d"))
    theirs = client(ccxt.pro.kraken)
    begun = {
        "method": "add_order",
        "params": {
            "order_type": "limit",
            "side": "buy",
            "order_qty": theirs.parse_to_numeric(theirs.amount_to_precision(SYMBOL, 0.01234)),
            "symbol": SYMBOL,
            "token": "t",
        },
        "req_id": 7,
    }
    params = {"clientOrderId": NAMES.theirs(OURS), **told}
    request, rest = theirs.order_request_ws(
        "createOrderWs", SYMBOL, "limit", begun, 0.01234, 65432.1, params
    )
    request["params"] |= rest
    # What ccxt leaves to the venue's defaults, and we say.
    assert ours["params"].pop("fee_preference") == "quote"
    assert ours["params"].pop("stp_type") == "cancel_newest"
    assert ours["params"].pop("deadline") == "d"
    assert ours == request


def test_numbers_are_written_with_every_digit() -> None:
    frame = frame_of(7, requests().place(placing()), "t", "")
    assert b'"limit_price":65432.10,' in frame
    assert b'"order_qty":0.01234,' in frame


def test_amends_and_cancels_have_ccxts_parameters() -> None:
    order = OurOrder(OURS, SYMBOL, "buy", 6_543_210, 1_234, 0, 1, "OQCLML-BW3P3-BUCMWZ")
    command = AmendOrder(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=OURS,
        parent_id="p",
        side="buy",
        price_ticks=6_543_211,
        quantity_lots=1_000,
        post_only=True,
        reduce_only=False,
        expires_ns=NOW_NS + 2_000_000_000,
    )
    ours = json.loads(frame_of(8, requests().amend(command, order), "t", ""))
    theirs = client(ccxt.pro.kraken)
    begun = {
        "method": "amend_order",
        "params": {"order_id": order.venue_order_id, "order_qty": 0.01, "token": "t"},
        "req_id": 8,
    }
    request, _ = theirs.order_request_ws(
        "editOrderWs", SYMBOL, "limit", begun, 0.01, 65432.11, {"postOnly": True}
    )
    assert ours == request
    cancel = CancelOrder(venue=VENUE, symbol=SYMBOL, client_id=OURS)
    frame = json.loads(frame_of(9, requests().cancel(cancel, order), "t", ""))
    assert frame["params"] == {"order_id": [order.venue_order_id], "token": "t"}
    frame = json.loads(frame_of(9, requests().cancel(cancel, None), "t", ""))
    assert frame["params"] == {"cl_ord_id": [NAMES.theirs(OURS)], "token": "t"}
    assert json.loads(frame_of(9, timer(60), "t", ""))["params"] == {"timeout": 60, "token": "t"}


def test_a_deadline_is_the_expiry_by_the_venues_clock() -> None:
    clock = VenueClock(lambda: NOW_NS)
    assert deadline_of(NOW_NS + 2_000_000_000, clock) == "2026-09-21T14:13:22.123Z"
    clock.offset_ns, clock.error_ns = 3_000_000_000, 40_000_000
    assert deadline_of(NOW_NS + 2_000_000_000, clock) == "2026-09-21T14:13:25.083Z"
    assert not deadline_of(NOW_NS + 500_000_000, clock)
    assert not deadline_of(NOW_NS - 1, clock)


def test_requests_cost_what_the_age_of_their_order_makes_them() -> None:
    def costs(age_s: int) -> tuple[int, int]:
        placed_ns = NOW_NS - age_s * 1_000_000_000
        order = OurOrder(OURS, SYMBOL, "buy", 1, 1, 0, placed_ns, "O")
        cancel = CancelOrder(venue=VENUE, symbol=SYMBOL, client_id=OURS)
        amend = AmendOrder(
            venue=VENUE, symbol=SYMBOL, client_id=OURS, parent_id="p", side="buy", price_ticks=1,
            quantity_lots=1, post_only=False, reduce_only=False, expires_ns=0,
        )  # fmt: skip
        made = requests()
        return (
            sum(made.amend(amend, order).costs.values()),
            sum(made.cancel(cancel, order).costs.values()),
        )

    ages = (1, 7, 12, 30, 60, 200, 400)
    assert [costs(age) for age in ages] == [
        (4, 8), (3, 6), (2, 5), (1, 4), (1, 2), (1, 1), (1, 0),
    ]  # fmt: skip


STATUS = {"open": "open", "filled": "closed", "canceled": "canceled", "expired": "expired"}


def test_rows_are_read_as_ccxt_reads_them() -> None:
    async def run() -> None:
        async with SimulatorServer(kraken_config()) as server:
            made = ccxt.async_support.kraken(
                {
                    **kraken_overrides(addresses(server)),
                    "apiKey": KEY.id.reveal(),
                    "secret": KEY.secret.reveal(),
                    "enableRateLimit": False,
                }
            )
            try:
                await made.load_markets()
                last = (await made.fetch_ticker(SYMBOL))["last"]
                low, high = round(last * 0.9, 2), round(last * 1.05, 2)
                ioc = {"timeInForce": "IOC"}
                await made.create_order(SYMBOL, "limit", "buy", 0.01, low, {"clientOrderId": "a-1"})
                gone = await made.create_order(SYMBOL, "limit", "buy", 0.02, low)
                await made.cancel_order(gone["id"], SYMBOL)
                await made.create_order(SYMBOL, "limit", "buy", 0.02, high, ioc)
                await made.create_order(SYMBOL, "limit", "sell", 0.01, low, ioc)
                orders = await made.fetch_open_orders(SYMBOL)
                orders += await made.fetch_closed_orders(SYMBOL)
                trades = await made.fetch_my_trades(SYMBOL)
                balance = await made.fetch_balance()
            finally:
                await made.close()
        reader = KrakenReader({SYMBOL: kraken_rules()})
        assert {each["status"] for each in orders} == {"open", "canceled", "closed"}
        for theirs in orders:
            row = msgspec.convert(theirs["info"], OrderRow, strict=False)
            ours = reader.order(theirs["id"], row)
            assert isinstance(ours, OrderFact)
            assert ours.symbol == theirs["symbol"]
            assert ours.client_id == (theirs["clientOrderId"] or "")
            assert STATUS[ours.standing] == theirs["status"]
            assert ours.price_ticks == round(theirs["price"] * 100)
            assert ours.quantity_lots == round(theirs["amount"] * 100_000)
            assert ours.cumulative_lots == round(theirs["filled"] * 100_000)
        assert len(trades) >= 2
        for theirs in trades:
            trade = reader.trade(
                theirs["id"], msgspec.convert(theirs["info"], TradeRow, strict=False)
            )
            assert isinstance(trade, TradeFact)
            assert trade.venue_order_id == theirs["order"]
            assert trade.price_ticks == round(theirs["price"] * 100)
            assert trade.quantity_lots == round(theirs["amount"] * 100_000)
            assert (float(trade.fee), trade.fee_currency) == (
                theirs["fee"]["cost"],
                theirs["fee"]["currency"],
            )
            assert trade.liquidity == theirs["takerOrMaker"]
            assert abs(trade.exchange_ns - theirs["timestamp"] * 1_000_000) < 1_000_000
        coins = [coin_of(asset) for asset in balance["info"]["result"]]
        assert set(coins) == set(balance["total"])

    asyncio.run(run())


def test_reports_are_read_as_ccxt_reads_them() -> None:
    async def run() -> None:
        async with raw_client() as (raw, side), raw_socket(raw) as socket:
            await socket.ask("subscribe", channel="executions")
            last = side.exchange.last_ticks(SYMBOL) / 100
            order: dict[str, Any] = {"symbol": SYMBOL, "side": "buy", "order_type": "limit"}
            order["order_qty"] = 0.01
            resting = await socket.ask("add_order", **order, limit_price=round(last * 0.9, 2))
            await socket.ask("cancel_order", order_id=[resting["result"]["order_id"]])
            await socket.ask("add_order", **order, limit_price=round(last * 1.05, 2))
            count = 7
            rows: list[Any] = []
            while not any(row["exec_type"] == "filled" for row in rows):
                # One row more for each further level that it takes.
                rows = await socket.rows("executions", "update", count)
                count = len(rows) + 1
        reader, theirs = KrakenReader({SYMBOL: kraken_rules()}), client(ccxt.pro.kraken)
        whole: dict[str, Any] = {}
        seen = set()
        for row in rows:
            frame = {"channel": "executions", "type": "update", "data": [row]}
            facts = reader.event(json.dumps(frame).encode())
            known = whole.setdefault(row["order_id"], {})
            known.update(row)
            for fact in facts:
                if isinstance(fact, TradeFact):
                    trade = theirs.parse_ws_trade(row)
                    assert (fact.trade_id, fact.venue_order_id) == (trade["id"], trade["order"])
                    assert fact.price_ticks == round(trade["price"] * 100)
                    assert fact.quantity_lots == round(trade["amount"] * 100_000)
                    assert (float(fact.fee), fact.liquidity) == (
                        trade["fee"]["cost"],
                        trade["takerOrMaker"],
                    )
                elif isinstance(fact, OrderFact):
                    told = theirs.parse_ws_order(known)
                    assert STATUS[fact.standing] == told["status"]
                    assert fact.price_ticks == round(told["price"] * 100)
                    assert fact.quantity_lots == round(told["amount"] * 100_000)
                    seen.add((row["exec_type"], fact.standing))
        assert {"new", "canceled", "filled"} <= {kind for kind, _ in seen}

    asyncio.run(run())
