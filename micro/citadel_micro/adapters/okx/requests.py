"""OKX's requests: their names, parameters, signatures and bytes. Source: "Trade" of the API page."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

import msgspec

from citadel_micro.core.model.time_units import MS, SECOND
from citadel_micro.shell.venue.decimal_text import DecimalText
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.signing import HmacSigner
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.venue.order_ids import OurOrder
    from citadel_micro.shell.venue.venue_clock import VenueClock

OPERATIONS: Final[Mapping[str, str]] = {
    "trade/order": "order",
    "trade/cancel-order": "cancel-order",
    "trade/amend-order": "amend-order",
}
"""Request -> ``op`` of the websocket; every other goes over REST."""
POSTED: Final = frozenset({*OPERATIONS, "trade/cancel-all-after", "account/set-leverage"})
PAGE: Final = 100
CASH: Final = "cash"
"""``tdMode`` of spot orders."""
SPOT: Final = "SPOT"
SWAP: Final = "SWAP"
FUNDING: Final = "8"
"""``type`` of a bill."""
MOST_FAMILIES: Final = 5
"""Of which the tiers may be asked for at once."""
MOST_INSTRUMENTS: Final = 20
"""Of which the leverage may be asked for at once."""
VERIFY: Final = b"GET/users/self/verify"
TIME: Final = Request(
    purpose="upkeep", method="public/time", params={}, costs={"time": 1}, signed=False
)
CONFIG: Final = Request(purpose="query", method="account/config", params={}, costs={"config": 1})
LIMITS: Final[Mapping[tuple[str, int], int]] = {
    ("orders", 2): 1_000,
    ("query", 2): 60,
    ("pending", 2): 60,
    ("fills", 2): 60,
    ("history", 2): 10,
    ("balance", 2): 10,
    ("config", 2): 5,
    ("time", 2): 10,
    ("instruments", 2): 20,
    ("positions", 2): 10,
    ("leverage", 2): 20,
    ("tiers", 2): 10,
    ("bills", 1): 5,
    ("old bills", 2): 5,
    ("timer", 1): 1,
}
"""Requests in so many seconds, by endpoint; new orders and amends over all instruments."""
PER_INSTRUMENT: Final = 60
"""Of each of place, amend and cancel, in 2 s."""


def limits(instruments: Mapping[str, Instrument]) -> dict[tuple[str, int], int]:
    """The rate limits, with those of each instrument."""
    names = [each.venue_symbol for each in instruments.values()]
    verbs = ("place", "amend", "cancel")
    own = {(f"{verb} {name}", 2): PER_INSTRUMENT for verb in verbs for name in names}
    return {**LIMITS, **own}


class OkxRequests:
    """Builds the requests about the orders of some instruments.

    Args:
        instruments: by unified symbol.
        theirs: our client id in the venue's form.
        tag: of our orders, with which the venue's timer finds them; empty for none.
        mode: ``tdMode`` of our orders: ``cash`` on spot, the margin mode of perpetuals.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        theirs: Callable[[str], str] = lambda client_id: client_id,
        tag: str = "",
        mode: str = CASH,
    ) -> None:
        self.mode = mode
        self.kind = SPOT if mode == CASH else SWAP
        self._rules = {
            symbol: (each, DecimalText(each.tick), DecimalText(each.lot))
            for symbol, each in instruments.items()
        }
        self.theirs = theirs
        self._tag = {"tag": tag} if tag else {}

    def place(self, order: PlaceOrder) -> Request:
        """A limit order: good till canceled, immediate or cancel, or post-only."""
        rules, ticks, lots = self._rules[order.symbol]
        kind = {"GTC": "limit", "IOC": "ioc", "FOK": "fok"}[order.time_in_force]
        name = rules.venue_symbol
        return Request(
            purpose="place",
            method="trade/order",
            params={
                "instId": name,
                "tdMode": self.mode,
                "clOrdId": self.theirs(order.client_id),
                "side": order.side,
                "ordType": "post_only" if order.post_only else kind,
                "px": ticks.text(order.price_ticks),
                "sz": lots.text(order.quantity_lots),
                **({"reduceOnly": True} if order.reduce_only and self.kind == SWAP else {}),
                **self._tag,
            },
            costs={f"place {name}": 1, "orders": 1},
            expires_ns=order.expires_ns,
        )

    def cancel(self, command: CancelOrder, order: OurOrder | None) -> Request:
        """By the venue's id where it is known."""
        name = self._rules[command.symbol][0].venue_symbol
        return Request(
            purpose="cancel",
            method="trade/cancel-order",
            params={"instId": name, **self.name_of(command.client_id, order)},
            costs={f"cancel {name}": 1},
        )

    def amend(self, command: AmendOrder, order: OurOrder | None) -> Request:
        """Change price and total size under the same ids; one that cannot be made changes nothing."""
        rules, ticks, lots = self._rules[command.symbol]
        name = rules.venue_symbol
        return Request(
            purpose="amend",
            method="trade/amend-order",
            params={
                "instId": name,
                **self.name_of(command.client_id, order),
                "newPx": ticks.text(command.price_ticks),
                "newSz": lots.text(command.quantity_lots),
            },
            costs={f"amend {name}": 1, "orders": 1},
            expires_ns=command.expires_ns,
        )

    def name_of(self, client_id: str, order: OurOrder | None) -> dict[str, str]:
        """Id parameter of an order."""
        if order is not None and order.venue_order_id:
            return {"ordId": order.venue_order_id}
        return {"clOrdId": self.theirs(client_id)}

    # queries

    def order(self, symbol: str, name: Mapping[str, str]) -> Request:
        """One order, by either id."""
        return self._query("trade/order-of", "query", self._of(symbol) | dict(name))

    def pending(self, after: str = "") -> Request:
        """Open orders, those older than ``after``."""
        return self._query("trade/orders-pending", "pending", self._page(after))

    def fills(
        self, symbol: str, *, begin_ms: int = 0, order_id: str = "", after: str = ""
    ) -> Request:
        """Fills of three days, newest first, those older than ``after``."""
        params = self._page(after) | self._of(symbol)
        params |= {"begin": str(begin_ms)} if begin_ms else {}
        params |= {"ordId": order_id} if order_id else {}
        return self._query("trade/fills", "fills", params)

    def old_fills(
        self, symbol: str, *, begin_ms: int = 0, order_id: str = "", after: str = ""
    ) -> Request:
        """Fills of three months, as ``fills``; the newest may come late."""
        params = self._page(after) | self._of(symbol)
        params |= {"begin": str(begin_ms)} if begin_ms else {}
        params |= {"ordId": order_id} if order_id else {}
        return self._query("trade/fills-history", "history", params)

    def balance(self) -> Request:
        """All balances."""
        return self._query("account/balance", "balance", {})

    def instrument(self, symbol: str) -> Request:
        """Its rules, and the number that the websocket calls it by."""
        return Request(
            purpose="upkeep",
            method="public/instruments",
            params={"instType": self.kind, **self._of(symbol)},
            costs={"instruments": 1},
            signed=False,
        )

    # of perpetuals

    def positions(self) -> Request:
        """All positions that are not flat."""
        return self._query("account/positions", "positions", {"instType": self.kind})

    def leverages(self, symbols: Iterable[str]) -> Request:
        """Of up to ``MOST_INSTRUMENTS``."""
        names = ",".join(self._rules[symbol][0].venue_symbol for symbol in symbols)
        params = {"instId": names, "mgnMode": self.mode}
        return self._query("account/leverage-info", "leverage", params)

    def set_leverage(self, symbol: str, leverage: int) -> Request:
        """Set it."""
        params = {**self._of(symbol), "lever": str(leverage), "mgnMode": self.mode}
        return Request(
            purpose="upkeep",
            method="account/set-leverage",
            params=params,
            costs={"leverage": 1},
        )

    def tiers(self, families: Iterable[str]) -> Request:
        """Of up to ``MOST_FAMILIES``, by their underlying pairs."""
        params = {"instType": self.kind, "tdMode": self.mode, "instFamily": ",".join(families)}
        return self._open("public/position-tiers", "tiers", params)

    def marks(self) -> Request:
        """The mark prices of all perpetuals."""
        return self._open("public/mark-price", "tiers", {"instType": self.kind})

    def bills(self, *, begin_ms: int, old: bool, after: str = "") -> Request:
        """Payments of funding of a week, or of three months, newest first, those older than ``after``."""
        params = self._page(after) | {"type": FUNDING, "begin": str(begin_ms)}
        method = "account/bills-archive" if old else "account/bills"
        return self._query(method, "old bills" if old else "bills", params)

    def _of(self, symbol: str) -> dict[str, str]:
        return {"instId": self._rules[symbol][0].venue_symbol}

    def _page(self, after: str) -> dict[str, str]:
        page = {"instType": self.kind, "limit": str(PAGE)}
        return page | {"after": after} if after else page

    @staticmethod
    def _open(method: str, kind: str, params: Mapping[str, str]) -> Request:
        return Request(
            purpose="upkeep", method=method, params=params, costs={kind: 1}, signed=False
        )

    @staticmethod
    def _query(method: str, kind: str, params: Mapping[str, str]) -> Request:
        return Request(purpose="query", method=method, params=params, costs={kind: 1})


def timer(tag: str, seconds: int) -> Request:
    """Start, renew or (0) stop the timer that cancels the orders of a tag, or of the account."""
    return Request(
        purpose="upkeep",
        method="trade/cancel-all-after",
        params={"timeOut": str(seconds), **({"tag": tag} if tag else {})},
        costs={"timer": 1},
    )


class HttpParts(NamedTuple):
    """One request as HTTP sends it."""

    method: str
    target: str
    headers: dict[str, str]
    body: str


class OkxSigner:
    """Signs and encodes requests.

    Args:
        key: the account's, with its passphrase.
        clock: the venue's time.

    Raises:
        BadInput: the key is no HMAC key, or has no passphrase.
    """

    def __init__(self, key: ApiKey, clock: VenueClock) -> None:
        if key.kind != "hmac" or not key.passphrase.reveal():
            raise BadInput(
                "a key of OKX is a secret and a passphrase",
                where=key.file,
                allowed="id, secret and passphrase",
                mend="copy all three from the venue's page of API keys",
            )
        self._id = key.id.reveal()
        self._passphrase = key.passphrase.reveal()
        self._signer = HmacSigner(key.secret.reveal().encode())
        self._clock = clock
        self._demo = key.network == "demo"
        self._encoder = msgspec.json.Encoder()

    def sign(self, payload: bytes) -> str:
        """Base 64 of HMAC-SHA256."""
        return base64.b64encode(bytes.fromhex(self._signer.sign(payload))).decode()

    def login(self, now_ns: int) -> bytes:
        """The frame that logs a websocket in; ``now_ns`` is the venue's time."""
        stamp = str(now_ns // SECOND)
        arg = {
            "apiKey": self._id,
            "passphrase": self._passphrase,
            "timestamp": stamp,
            "sign": self.sign(stamp.encode() + VERIFY),
        }
        return self._encoder.encode({"op": "login", "args": [arg]})

    def frame(self, number: int, request: Request, code: int) -> bytes:
        """For the websocket; empty for an expired request.

        Args:
            number: of the request.
            request: about an order.
            code: of its instrument, which the websocket does not know by its name.
        """
        args: dict[str, str | int] = {**request.params, "instIdCode": code}
        del args["instId"]
        body: dict[str, object] = {
            "id": str(number),
            "op": OPERATIONS[request.method],
            "args": [args],
        }
        if request.expires_ns:
            expires_ms = self._expiry(request.expires_ns)
            if not expires_ms:
                return b""
            body["expTime"] = str(expires_ms)
        return self._encoder.encode(body)

    def http(self, request: Request) -> HttpParts | None:
        """For REST; None for an expired request."""
        posted = request.method in POSTED
        target = f"/api/v5/{request.method.removesuffix('-of')}"
        body = ""
        if posted:
            body = self._encoder.encode(dict(request.params)).decode()
        elif request.params:
            target += "?" + "&".join(f"{k}={quote(str(v))}" for k, v in request.params.items())
        method = "POST" if posted else "GET"
        headers = {"x-simulated-trading": "1"} if self._demo else {}
        if request.signed:
            if request.expires_ns:
                expires_ms = self._expiry(request.expires_ns)
                if not expires_ms:
                    return None
                headers["expTime"] = str(expires_ms)
            stamp = iso(self._clock.venue_ns())
            headers |= {
                "OK-ACCESS-KEY": self._id,
                "OK-ACCESS-PASSPHRASE": self._passphrase,
                "OK-ACCESS-TIMESTAMP": stamp,
                "OK-ACCESS-SIGN": self.sign(f"{stamp}{method}{target}{body}".encode()),
            }
        return HttpParts(method, target, headers, body)

    def _expiry(self, expires_ns: int) -> int:
        """``expTime``: the venue rejects what it receives later. 0 for an expired request."""
        stamp, window = self._clock.stamp(expires_ns)
        return stamp + window if window else 0


def iso(time_ns: int) -> str:
    """A time as the venue's headers have it: ``2026-11-28T02:00:00.123Z``."""
    whole, rest = divmod(time_ns // MS, 1_000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def simple(method: str, kind: str, **params: str) -> Request:
    """A signed query without more to it."""
    return Request(purpose="query", method=method, params=params, costs={kind: 1})
