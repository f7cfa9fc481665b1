"""What is sent to Binance spot: fields, signatures over exactly these bytes, and what ccxt sends."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import ccxt.async_support as ccxt
import pytest

from citadel_micro.adapters.binance.orders import ABILITIES
from citadel_micro.adapters.binance.spot_requests import SpotRequests, SpotSigner
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.keys.api_key import ApiKey
from citadel_micro.shell.keys.secret import Secret
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.order_ids import OurOrder
from citadel_micro.shell.venue.signing import signer_of
from citadel_micro.shell.venue.venue_clock import VenueClock

MS = 1_000_000
NOW = 1_800_000_000_123 * MS
SECRET = "a-secret-of-this-test"
RULES = Instrument(
    venue="binance-spot",
    symbol="ETH/BTC",
    venue_symbol="ETHBTC",
    base="ETH",
    quote="BTC",
    settle="BTC",
    kind="spot",
    tick=Decimal("0.00001"),
    lot=Decimal("0.0001"),
    min_lots=1,
    min_notional=Decimal("0.0001"),
    contract_size=Decimal(1),
    maker_fee=Decimal(0),
    taker_fee=Decimal(0),
    fee_side="received",
)
REQUESTS = SpotRequests({"ETH/BTC": RULES})


def order(**changes: Any) -> PlaceOrder:  # noqa: ANN401 - fields by name
    values: dict[str, Any] = {
        "venue": "binance-spot",
        "symbol": "ETH/BTC",
        "client_id": "scabc123run1-1-1",
        "parent_id": "p",
        "side": "buy",
        "price_ticks": 3_214,
        "quantity_lots": 15_000,
        "post_only": False,
        "time_in_force": "GTC",
        "reduce_only": False,
        "expires_ns": NOW + 2_000 * MS,
        **changes,
    }
    return PlaceOrder(**values)


def signer() -> SpotSigner:
    key = ApiKey(
        venue="binance-spot",
        account="1",
        network="testnet",
        kind="hmac",
        id=Secret("an-id"),
        secret=Secret(SECRET),
        passphrase=Secret(""),
        file="key.toml",
    )
    return SpotSigner(key, signer_of(key), VenueClock(lambda: NOW))


def test_orders_of_each_kind() -> None:
    resting = REQUESTS.place(order(post_only=True, side="sell"))
    assert resting.method == "order.place"
    assert dict(resting.params) == {
        "newClientOrderId": "scabc123run1-1-1",
        "newOrderRespType": "RESULT",
        "price": "0.03214",
        "quantity": "1.5000",
        "side": "SELL",
        "symbol": "ETHBTC",
        "type": "LIMIT_MAKER",
    }
    taking = dict(REQUESTS.place(order(time_in_force="IOC")).params)
    assert (taking["type"], taking["timeInForce"], taking["newOrderRespType"]) == (
        "LIMIT",
        "IOC",
        "FULL",
    )
    assert dict(REQUESTS.place(order()).params)["timeInForce"] == "GTC"


def test_what_is_signed_is_what_is_sent() -> None:
    frame = json.loads(signer().frame(7, REQUESTS.place(order()), logged_on=False))
    assert (frame["id"], frame["method"]) == (7, "order.place")
    params = frame["params"]
    signature = params.pop("signature")
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
    assert signature == hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
    assert params["apiKey"] == "an-id"
    assert params["timestamp"] == 1_800_000_000_123
    assert params["recvWindow"] == 2_000
    assert isinstance(params["price"], str)

    target = signer().target(REQUESTS.place(order()))
    path, _, query = target.partition("?")
    assert path == "/api/v3/order"
    signed, _, signature = query.rpartition("&signature=")
    assert signature == hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
    assert dict(parse_qsl(signed)) == {
        **{name: str(value) for name, value in params.items() if name != "apiKey"}
    }


def test_after_the_logon_nothing_is_signed() -> None:
    frame = json.loads(signer().frame(7, REQUESTS.place(order()), logged_on=True))
    assert "signature" not in frame["params"]
    assert "apiKey" not in frame["params"]
    assert frame["params"]["timestamp"] == 1_800_000_000_123


def test_what_has_expired_has_no_bytes() -> None:
    late = REQUESTS.place(order(expires_ns=NOW - 1))
    assert signer().frame(1, late, logged_on=False) == b""
    assert signer().target(late) == ""
    assert b"recvWindow" in signer().frame(1, REQUESTS.account(), logged_on=False)


def test_an_order_is_named_by_the_venues_id_where_it_is_known() -> None:
    command = CancelOrder(venue="binance-spot", symbol="ETH/BTC", client_id="c-1")
    unknown = OurOrder("c-1", "ETH/BTC", "buy", 1, 1, 1, 1)
    assert REQUESTS.cancel(command, None).params["origClientOrderId"] == "c-1"
    assert REQUESTS.cancel(command, unknown).params["origClientOrderId"] == "c-1"
    unknown.venue_order_id = "77"
    known = REQUESTS.cancel(command, unknown).params
    assert known["orderId"] == 77
    assert "origClientOrderId" not in known


@pytest.mark.parametrize(
    ("price", "lots", "why"),
    [(3_215, 9_000, "price"), (3_214, 15_000, "smaller"), (3_214, 16_000, "smaller")],
)
def test_an_amend_only_makes_smaller(price: int, lots: int, why: str) -> None:
    known = OurOrder("c-1", "ETH/BTC", "buy", 3_214, 15_000, 1, 1, venue_order_id="77")
    command = AmendOrder(
        venue="binance-spot",
        symbol="ETH/BTC",
        client_id="c-1",
        parent_id="p",
        side="buy",
        price_ticks=price,
        quantity_lots=lots,
        post_only=True,
        reduce_only=False,
        expires_ns=NOW + 2_000 * MS,
    )
    refused = REQUESTS.amend(command, known)
    assert isinstance(refused, str)
    assert why in refused
    assert isinstance(REQUESTS.amend(command, None), str)
    assert ABILITIES.amends == "quantity_down"


def test_field_by_field_as_ccxt_sends_it() -> None:
    async def sent_by_ccxt() -> dict[str, str]:
        exchange = ccxt.binance({"apiKey": "an-id", "secret": SECRET})
        market = {
            **exchange.safe_market_structure(
                {
                    "id": "ETHBTC",
                    "symbol": "ETH/BTC",
                    "base": "ETH",
                    "quote": "BTC",
                    "baseId": "ETH",
                    "quoteId": "BTC",
                    "type": "spot",
                    "spot": True,
                    "active": True,
                    "precision": {"price": 0.00001, "amount": 0.0001},
                }
            ),
            "info": {"orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"]},
        }
        exchange.markets = {"ETH/BTC": market}
        exchange.markets_by_id = {"ETHBTC": [market]}
        exchange.symbols = ["ETH/BTC"]
        request = exchange.create_order_request(
            "ETH/BTC",
            "limit",
            "buy",
            1.5,
            0.03214,
            {"postOnly": True, "clientOrderId": "scabc123run1-1-1"},
        )
        await exchange.close()
        return {name: str(value) for name, value in request.items()}

    theirs = asyncio.run(sent_by_ccxt())
    ours = dict(REQUESTS.place(order(post_only=True)).params)
    for name in ("symbol", "side", "type", "price", "newClientOrderId"):
        assert theirs[name] == ours[name], name
    assert Decimal(theirs["quantity"]) == Decimal(str(ours["quantity"]))


def test_requests_that_need_no_signature_have_none() -> None:
    request = Request(purpose="upkeep", method="time", params={}, signed=False)
    assert json.loads(signer().frame(3, request, logged_on=False)) == {
        "id": 3,
        "method": "time",
        "params": {},
    }
    assert signer().target(request) == "/api/v3/time"
