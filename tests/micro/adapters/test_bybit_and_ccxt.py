"""What our Bybit adapter signs, sends and reads is what ccxt does, field by field."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import ccxt
import ccxt.async_support
import msgspec
import pytest
from bybit_kit import bybit_config, bybit_of, bybit_rules
from spot_kit import SYMBOL, demo_key

from citadel_micro.adapters.bybit.messages import BybitReader, Execution, Order
from citadel_micro.adapters.bybit.orders import VENUE, bybit_signer
from citadel_micro.adapters.bybit.requests import WALLET, BybitRequests
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
from citadel_micro.shell.venue.facts import OrderFact
from citadel_micro.shell.venue.order_ids import OurOrder
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_micro.simulator.bybit.ccxt_urls import ccxt_overrides
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument

NOW_MS = 1_790_000_000_123
KEY = replace(demo_key(), venue=VENUE)
MARKET = {
    "symbol": "BTCUSDT",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "status": "Trading",
    "lotSizeFilter": {
        "basePrecision": "0.00001",
        "quotePrecision": "0.0000001",
        "minOrderQty": "0.00001",
        "maxOrderQty": "9000",
        "minOrderAmt": "5",
        "maxOrderAmt": "9000000",
    },
    "priceFilter": {"tickSize": "0.01"},
}


def rules() -> Instrument:
    from citadel_micro.sim.exchange.rules import SymbolRules  # noqa: PLC0415 - only here
    from citadel_micro.sim.flow_symbols import choose_symbols  # noqa: PLC0415

    spec = choose_symbols((SYMBOL,))[0].spec
    there: Any = SimpleNamespace(exchange=SimpleNamespace(rules={SYMBOL: SymbolRules.of(spec)}))
    return bybit_rules(there)


def client() -> Any:  # noqa: ANN401 - ccxt has no types
    """Ccxt's class, offline, with one market and the clock of these tests."""
    made = ccxt.bybit({"apiKey": KEY.id.reveal(), "secret": KEY.secret.reveal()})
    told = {"result": {"list": [MARKET]}}
    made.publicGetV5MarketInstrumentsInfo = lambda _params: told
    made.set_markets(made.fetch_spot_markets({}))
    made.nonce = lambda: NOW_MS
    return made


def signer() -> Any:  # noqa: ANN401
    return bybit_signer(KEY, VenueClock(lambda: NOW_MS * 1_000_000))


def test_a_query_has_ccxts_address_and_signature() -> None:
    request = BybitRequests({SYMBOL: rules()}).orders("realtime", SYMBOL, orderId="17")
    target, body, headers = signer().http(request)
    theirs = client().sign("v5/order/realtime", ["private"], "GET", dict(request.params))
    assert theirs["url"].endswith(target)
    assert body == ""
    assert {name: theirs["headers"][name] for name in headers} == headers
    target, _, headers = signer().http(WALLET)
    theirs = client().sign("v5/account/wallet-balance", ["private"], "GET", dict(WALLET.params))
    assert theirs["headers"]["X-BAPI-SIGN"] == headers["X-BAPI-SIGN"]


@pytest.mark.parametrize(
    ("more", "told"), [({"post_only": True}, {"postOnly": True}), ({"time_in_force": "IOC"}, {})]
)
def test_an_order_has_ccxts_parameters_and_signature(more: Any, told: Any) -> None:  # noqa: ANN401
    order = PlaceOrder(
        venue=VENUE,
        symbol=SYMBOL,
        client_id="scabc123run1-1-1",
        parent_id="p",
        side="buy",
        price_ticks=6_543_210,
        quantity_lots=1_234,
        post_only=False,
        time_in_force="GTC",
        reduce_only=False,
        expires_ns=(NOW_MS + 5_000) * 1_000_000,
    )
    order = replace(order, **more)
    request = BybitRequests({SYMBOL: rules()}).place(order)
    asked = {"clientOrderId": order.client_id, **told}
    if not order.post_only:
        asked |= {"timeInForce": "IOC", "smpType": "CancelTaker"}
    theirs = client().create_order_request(SYMBOL, "limit", "buy", 0.01234, 65432.1, asked)
    ours = dict(request.params)
    # The same number, written with the tick's decimals.
    assert Decimal(ours.pop("price")) == Decimal(theirs.pop("price"))
    assert ours == theirs
    _, body, headers = signer().http(request)
    assert json.loads(body) == dict(request.params)
    signed = client().sign("v5/order/create", ["private"], "POST", dict(request.params))
    assert headers["X-BAPI-TIMESTAMP"] == signed["headers"]["X-BAPI-TIMESTAMP"]
    assert headers["X-BAPI-RECV-WINDOW"] == signed["headers"]["X-BAPI-RECV-WINDOW"]
    assert signed["body"] == body
    assert headers["X-BAPI-SIGN"] == signed["headers"]["X-BAPI-SIGN"]
    frame = json.loads(signer().frame(7, request))
    assert frame["op"] == "order.create"
    assert frame["args"] == [dict(request.params)]
    assert frame["header"]["X-BAPI-RECV-WINDOW"] == "5000"


def test_amends_and_cancels_have_ccxts_parameters() -> None:
    ours = OurOrder("scabc123run1-1-1", SYMBOL, "buy", 6_543_210, 1_234, 0, 1, "1790000000123")
    command = AmendOrder(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=ours.client_id,
        parent_id="p",
        side="buy",
        price_ticks=6_543_211,
        quantity_lots=1_000,
        post_only=True,
        reduce_only=False,
        expires_ns=(NOW_MS + 2_000) * 1_000_000,
    )
    requests = BybitRequests({SYMBOL: rules()})
    theirs = client().edit_order_request(
        ours.venue_order_id, SYMBOL, "limit", "buy", 0.01, 65432.11
    )
    amend = dict(requests.amend(command, ours).params)
    # The same number, written with the lot's decimals.
    assert Decimal(str(amend.pop("qty"))) == Decimal(theirs.pop("qty"))
    assert amend == theirs
    cancel = CancelOrder(venue=VENUE, symbol=SYMBOL, client_id=ours.client_id)
    theirs = client().cancel_order_request(ours.venue_order_id, SYMBOL)
    del theirs["orderFilter"]  # the default
    assert dict(requests.cancel(cancel, ours).params) == theirs
    assert requests.cancel(cancel, None).params["orderLinkId"] == ours.client_id


def test_a_log_on_is_signed_as_ccxt_does() -> None:
    frame = json.loads(signer().log_on())
    key, expires, signature = frame["args"]
    assert (frame["op"], key, expires) == ("auth", KEY.id.reveal(), NOW_MS + 10_000)
    theirs = client()
    payload = theirs.encode(f"GET/realtime{expires}")
    assert theirs.hmac(payload, theirs.encode(theirs.secret), "sha256", "hex") == signature


STATUS = {"open": "open", "filled": "closed", "canceled": "canceled", "expired": "canceled"}


def test_rows_are_read_as_ccxt_reads_them() -> None:
    async def run() -> None:
        async with SimulatorServer(bybit_config()) as server:
            venue = bybit_of(server)
            made = ccxt.async_support.bybit(
                {
                    **ccxt_overrides(server.rest_url, server.ws_url),
                    "apiKey": KEY.id.reveal(),
                    "secret": KEY.secret.reveal(),
                }
            )
            try:
                await made.load_markets()
                ask = venue.exchange.last_ticks(SYMBOL) / 100
                low = float(made.price_to_precision(SYMBOL, ask * 0.9))
                high = float(made.price_to_precision(SYMBOL, ask * 1.05))
                await made.create_order(SYMBOL, "limit", "buy", 0.01, low, {"clientOrderId": "a-1"})
                gone = await made.create_order(SYMBOL, "limit", "buy", 0.02, low)
                await made.cancel_order(gone["id"], SYMBOL)
                await made.create_order(SYMBOL, "limit", "buy", 0.02, high, {"timeInForce": "IOC"})
                await made.create_order(SYMBOL, "limit", "sell", 0.01, low, {"timeInForce": "IOC"})
                orders = await made.fetch_open_orders(SYMBOL)
                orders += await made.fetch_canceled_and_closed_orders(SYMBOL)
                trades = await made.fetch_my_trades(SYMBOL)
            finally:
                await made.close()
        reader = BybitReader({SYMBOL: rules()})
        assert {each["status"] for each in orders} == {"open", "canceled", "closed"}
        for theirs in orders:
            ours = reader.order(msgspec.convert(theirs["info"], Order))
            assert isinstance(ours, OrderFact)
            assert ours.venue_order_id == theirs["id"]
            assert ours.client_id == (theirs["clientOrderId"] or "")
            assert STATUS[ours.standing] == theirs["status"]
            known = rules()
            assert float(known.price(ours.price_ticks)) == theirs["price"]
            assert float(known.quantity(ours.quantity_lots)) == theirs["amount"]
            assert float(known.quantity(ours.cumulative_lots)) == theirs["filled"]
            assert ours.exchange_ns == theirs["lastUpdateTimestamp"] * 1_000_000
        assert {each["side"] for each in trades} == {"buy", "sell"}
        for theirs in trades:
            owned = reader.owned(msgspec.convert(theirs["info"], Execution))
            assert owned is not None
            fact = owned.fact
            assert (fact.trade_id, owned.side) == (theirs["id"], theirs["side"])
            assert float(fact.fee) == theirs["fee"]["cost"]
            assert fact.fee_currency == theirs["fee"]["currency"]
            assert fact.liquidity == theirs["takerOrMaker"]
            assert float(rules().quantity(fact.quantity_lots)) == theirs["amount"]
            assert float(rules().price(fact.price_ticks)) == theirs["price"]

    asyncio.run(run())
