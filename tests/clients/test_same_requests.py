"""What our adapter sends is what Binance's SDK sends, field by field, signatures included."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import pytest
from binance_common.errors import BadRequestError
from binance_common.utils import hmac_hashing
from binance_sdk import sdk_rest, sdk_ws
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from our_adapter import our_adapter, our_key, our_rules, our_walk
from recording_relay import Relay
from spot_kit import SYMBOL, VENUE, S

from citadel_micro.adapters.binance.spot_requests import SpotRequests, SpotSigner
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
from citadel_micro.shell.venue.order_ids import OurOrder
from citadel_micro.shell.venue.signing import signer_of
from citadel_micro.shell.venue.venue_clock import VenueClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recording_relay import Sent
    from stock_exchange import Exchange

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.keys.api_key import KeyKind

ITS_OWN: Final = {"timestamp", "signature", "recvWindow", "apiKey"}
"""Of each request alone; the rest must be equal. The SDK's user sets ``recvWindow`` where wanted."""

REFUSALS: Final = {-2010, -2011, -2013, -2038, -1013}
"""Of well-formed requests about orders that do not exist, or exist already."""


def snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name)


def function_of(method: str) -> str:
    """Of the SDK's websocket client: ``openOrders.status`` is ``open_orders_status``."""
    return snake(method.replace(".", "_").replace("keepPriority", "keep_priority")).replace(
        "__", "_"
    )


def comparable(params: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if name not in ITS_OWN}


def of_orders(sent: list[Sent]) -> list[Sent]:
    """Requests about orders and the account, not of sessions."""
    return [each for each in sent if not each.path.startswith(("session", "userData", "time"))]


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_the_websocket_requests_of_the_adapter_are_the_sdks(
    exchange: Exchange, kind: KeyKind
) -> None:
    async def run() -> None:
        rest, ws = exchange.ready["rest"], exchange.ready["ws"]
        async with Relay(rest, ws) as ours, Relay(rest, ws) as theirs:
            async with our_adapter(exchange, ours, kind) as bench:
                await our_walk(bench)
            sent = of_orders([each for each in ours.sent if not each.verb])
            methods = {each.path for each in sent}
            assert methods == {
                *("order.place", "order.cancel", "order.status", "order.amend.keepPriority"),
                *("openOrders.status", "account.status"),
            } | (methods & {"myTrades", "allOrders"})
            types = {each.params["type"] for each in sent if each.path == "order.place"}
            assert types == {"LIMIT", "LIMIT_MAKER"}
            async with sdk_ws(exchange, "theirs", kind, theirs.ws_url) as client:
                logon = len(theirs.sent)
                for each in sent:
                    arguments = {
                        snake(name): value
                        for name, value in each.params.items()
                        if name not in ITS_OWN
                    }
                    # Most are about orders of another account, and are refused; not so their form.
                    await getattr(client, function_of(each.path))(**arguments)
                for mine, other in zip(sent, theirs.sent[logon:], strict=True):
                    assert mine.path == other.path
                    assert comparable(mine.params) == comparable(other.params)
                    # A session that has logged on signs nothing more; otherwise everything is signed.
                    signed = {"apiKey", "signature"}
                    assert mine.params.keys() & signed == other.params.keys() & signed
                    assert isinstance(mine.params["timestamp"], int)
                    assert isinstance(other.params["timestamp"], int)
            refused = [
                json.loads(frame)["error"]["code"]
                for method, frame in theirs.frames
                if method and "error" in json.loads(frame)
            ]
            assert set(refused) <= REFUSALS, refused
            asked = [each for each in (*ours.sent, *theirs.sent) if each.path == "session.logon"]
            assert bool(asked) == (kind == "ed25519")
            for each in asked:
                check_signature(
                    exchange, "ours" if each in ours.sent else "theirs", kind, each.params
                )
            for each in sent:
                if "signature" in each.params:
                    check_signature(exchange, "ours", kind, each.params)

    asyncio.run(run())


def check_signature(exchange: Exchange, account: str, kind: str, params: dict[str, Any]) -> None:
    """What the SDK's own signing makes of these parameters, sorted by name."""
    _, secret = exchange.key(account, kind)
    rest = {name: value for name, value in params.items() if name != "signature"}
    payload = "&".join(f"{name}={rest[name]}" for name in sorted(rest))
    assert params["signature"] == signature_of(secret, kind, payload)


def signature_of(secret: str, kind: str, payload: str) -> str:
    if kind == "hmac":
        return str(hmac_hashing(secret, payload))
    key: Any = load_pem_private_key(secret.encode(), None)
    return base64.b64encode(key.sign(payload.encode())).decode()


def our_requests(rules: Instrument) -> Iterator[Any]:
    """One of each kind that can go over REST."""
    requests = SpotRequests({SYMBOL: rules})
    common: dict[str, Any] = {
        "venue": VENUE,
        "symbol": SYMBOL,
        "client_id": "scabc123run1-1-1",
        "parent_id": "p",
        "side": "sell",
        "price_ticks": 9_000_010,
        "quantity_lots": 12_300,
        "reduce_only": False,
        "expires_ns": 0,
    }
    for post_only, time_in_force in ((True, "GTC"), (False, "GTC"), (False, "IOC")):
        yield requests.place(
            PlaceOrder(**common, post_only=post_only, time_in_force=time_in_force)  # type: ignore[arg-type]
        )
    known = OurOrder(
        symbol=SYMBOL,
        client_id="scabc123run1-1-1",
        venue_order_id="77",
        side="sell",
        price_ticks=9_000_010,
        quantity_lots=20_000,
        expires_ns=0,
        placed_ns=0,
    )
    cancel = CancelOrder(venue=VENUE, symbol=SYMBOL, client_id="scabc123run1-1-1")
    yield requests.cancel(cancel, known)
    yield requests.cancel(cancel, None)
    yield requests.amend(AmendOrder(**common, post_only=False), known)
    yield requests.status(SYMBOL, {"origClientOrderId": "scabc123run1-1-1"})
    yield requests.status(SYMBOL, {"orderId": 77})
    yield requests.orders_since(SYMBOL, startTime=1_795_000_000_000)
    yield requests.trades_of(SYMBOL, "77")
    yield requests.trades_since(SYMBOL, fromId=5)
    yield requests.open_orders(SYMBOL)
    yield requests.open_orders()
    yield requests.account()


REST_FUNCTIONS: Final = {
    "order.place": "new_order",
    "order.cancel": "delete_order",
    "order.status": "get_order",
    "order.amend.keepPriority": "order_amend_keep_priority",
    "openOrders.status": "get_open_orders",
    "allOrders": "all_orders",
    "myTrades": "my_trades",
    "account.status": "get_account",
}


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_the_rest_requests_of_the_adapter_are_the_sdks(exchange: Exchange, kind: KeyKind) -> None:
    async def run() -> None:
        rules = await our_rules(exchange)
        key = our_key(exchange, "theirs", kind)
        now = 1_795_824_000 * S
        clock = VenueClock(lambda: now)
        clock.measured(now, now)
        signer = SpotSigner(key, signer_of(key), clock)
        key_id, secret = exchange.key("theirs", kind)
        async with Relay(exchange.ready["rest"], exchange.ready["ws"]) as relay:
            client = sdk_rest(exchange, "theirs", kind, relay.url)
            for request in our_requests(rules):
                arguments = {snake(name): value for name, value in request.params.items()}
                relay.sent.clear()
                await asyncio.to_thread(
                    tolerant, getattr(client, REST_FUNCTIONS[request.method]), arguments
                )
                (theirs,) = relay.sent
                path, _, query = signer.target(request).partition("?")
                ours = dict(pair.split("=", 1) for pair in query.split("&"))
                verb = {
                    "order.place": "POST",
                    "order.cancel": "DELETE",
                    "order.amend.keepPriority": "PUT",
                }.get(request.method, "GET")
                assert (theirs.verb, theirs.path) == (verb, path)
                assert comparable(theirs.params) == comparable(ours)
                assert theirs.key == signer.headers["X-MBX-APIKEY"] == key_id
                payload, _, signature = query.partition("&signature=")
                assert unquote(signature) == signature_of(secret, kind, payload)
                payload, _, signature = theirs.text.partition("&signature=")
                assert unquote(signature) == signature_of(secret, kind, payload)

    asyncio.run(run())


def tolerant(call: Any, arguments: dict[str, Any]) -> None:  # noqa: ANN401 - a method of the SDK
    """The exchange refuses most of these: there are no such orders."""
    try:
        call(**arguments)
    except BadRequestError as error:
        if error.status_code not in REFUSALS:
            raise
