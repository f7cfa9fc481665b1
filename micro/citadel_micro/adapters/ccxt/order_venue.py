"""One exchange of ccxt that orders are sent to: what its class must have, and the calls that are made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.adapters.ccxt.generic_feed import exchange_class, only_spot
from citadel_micro.adapters.ccxt.order_rows import (
    Frame,
    balance_rows,
    oldest_first,
    order_row,
    text,
    trade_row,
)
from citadel_micro.shell.keys.api_key import ApiKey
from citadel_micro.shell.marketdata.spec import PREFIX
from citadel_proto.errors import BadInput, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.adapters.ccxt.order_rows import OrderRow
    from citadel_micro.shell.venue.dialect import Request

NEEDED: Final = (
    "cancelOrder",
    "createOrder",
    "fetchBalance",
    "fetchMyTrades",
    "fetchOpenOrders",
    "fetchOrder",
    "fetchTime",
)
KINDS: Final = {"IOC": "immediate or cancel", "PO": "post-only"}
"""Kinds of order that the algorithms need, by ccxt's name in ``features``."""
CREDENTIALS: Final = frozenset({"apiKey", "secret", "password"})
_LISTS: Final = ("fetchOrders", "fetchCanceledAndClosedOrders", "fetchClosedOrders")
POLL_S: Final = 1.0
SMALL_PAGE: Final = 50
"""An answer as long as this may be cut, where ccxt does not say how long one can be."""

Exchange = Any
"""An object of ccxt.pro, which has no useful types."""


@dataclass(slots=True, kw_only=True)
class CcxtVenue:
    """One exchange, for one account.

    Args:
        name: venue id, ``ccxt-<exchange>``.
        key: of the account.
        symbols: unified names of the traded symbols.
        urls: (websocket root, HTTP root) instead of the exchange's own hosts; empty for those.
    """

    name: str
    key: ApiKey
    symbols: tuple[str, ...]
    urls: tuple[str, str] = ("", "")
    markets: tuple[Any, Any] | None = None
    """Loaded once for all sessions."""
    closings: dict[asyncio.Task[None], None] = field(default_factory=dict)
    awaited: dict[tuple[str, str], None] = field(default_factory=dict)
    """(symbol, venue's id) of orders that polls have to follow until their end."""
    streams: bool = False
    """Whether the account's news are streamed; otherwise they are polled."""
    rate_s: float = 0.0
    """Between two requests, by ccxt."""
    _features: Mapping[str, Any] = field(default_factory=dict)
    _has: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look at the class. Raises BadInput as ``sound_class``."""
        exchange = sound_class(self.name)
        self._has, self._features = exchange.has, _spot(exchange)
        self.rate_s = exchange.rateLimit / 1_000
        self.streams = all(self._has.get(name) is True for name in ("watchOrders", "watchMyTrades"))

    @property
    def poll_s(self) -> float:
        """Between two rounds of polls: each is some four requests a symbol."""
        return max(POLL_S, 8 * len(self.symbols) * self.rate_s)

    @property
    def where(self) -> str:
        """Its setting, for messages."""
        return f"venues.{self.name}"

    def make(self, settings: Mapping[str, Any]) -> Exchange:
        """An object of ccxt.pro that loads spot markets only, and asks for no more than they need."""
        exchange = exchange_class(self.name)(dict(settings))
        only_spot(exchange)
        exchange.has["fetchCurrencies"] = False
        exchange.options["fetchMargins"] = False
        return exchange

    def credentials(self) -> dict[str, str]:
        """As ccxt's settings."""
        return {
            "apiKey": self.key.id.reveal(),
            "secret": self.key.secret.reveal(),
            "password": self.key.passphrase.reveal(),
        }

    def page(self, method: str) -> int | None:
        """How many rows one answer of a method can have; None where ccxt does not say."""
        limit = (self._features.get(method) or {}).get("limit")
        return limit if isinstance(limit, int) else None

    def may_be_cut(self, method: str, rows: int) -> bool:
        """Whether an answer of so many rows may be a part only."""
        return rows >= (self.page(method) or SMALL_PAGE)

    @property
    def window_days(self) -> int | None:
        """How long a period of trades one question may be about; None where ccxt does not say."""
        days = (self._features.get("fetchMyTrades") or {}).get("untilDays")
        return int(days) if isinstance(days, int | float) and days >= 1 else None

    @property
    def list_method(self) -> str:
        """Which of ccxt's methods lists ended orders; empty where none does."""
        return next((each for each in _LISTS if self._has.get(each)), "")

    # the calls

    async def carry_out(self, exchange: Exchange, request: Request) -> Frame:
        """Make one request, and return its answer. Raises what ccxt raises, and VenueViolation."""
        call = getattr(self, f"_{request.method}")
        frame: Frame = await call(exchange, **request.params)
        return frame

    async def _time(self, exchange: Exchange) -> Frame:
        return Frame(stamp_ms=int(await exchange.fetch_time()))

    async def _place(  # noqa: PLR0917 - one order
        self,
        exchange: Exchange,
        symbol: str,
        side: str,
        amount: str,
        price: str,
        name: str,
        kind: str,
    ) -> Frame:
        params: dict[str, Any] = {"clientOrderId": name}
        params |= {"postOnly": True} if kind == "PO" else {"timeInForce": kind}
        raw = await exchange.create_order(
            symbol, "limit", side, number(amount), number(price), params
        )
        row = order_row(raw, symbol)
        trades = [_of_order(each, row.id) for each in raw.get("trades") or ()]
        whole = all(each.get("id") and each.get("side") for each in trades)
        return Frame(
            orders=(row,),
            trades=tuple(trade_row(each, symbol) for each in trades) if whole else (),
        )

    async def _cancel(self, exchange: Exchange, symbol: str, order: str, name: str) -> Frame:
        """Cancel it by the venue's id, which an open order has; then ask what has become of it."""
        if not order:
            rows = await exchange.fetch_open_orders(symbol)
            found = [each for each in rows if each.get("clientOrderId") == name]
            if not found:
                return Frame(error="OrderNotFound", text="not among the open orders", left=True)
            order = str(found[0]["id"])
        import ccxt  # noqa: PLC0415 - is there, or we would not be

        await exchange.cancel_order(order, symbol)
        try:
            row = order_row(await exchange.fetch_order(order, symbol), symbol)
        except (ccxt.BaseError, VenueViolation):
            return Frame()  # the cancel was taken all the same; the engine asks again
        return Frame(orders=(row,))

    async def _order(self, exchange: Exchange, symbol: str, order: str) -> Frame:
        return Frame(orders=(order_row(await exchange.fetch_order(order, symbol), symbol),))

    async def _open(self, exchange: Exchange, symbol: str) -> Frame:
        rows = await exchange.fetch_open_orders(symbol)
        return Frame(orders=oldest_first(order_row(each, symbol) for each in rows))

    async def _listed(self, exchange: Exchange, symbol: str, since_ms: int) -> Frame:
        methods = [self.list_method]
        if self.list_method == "fetchClosedOrders" and self._has.get("fetchCanceledOrders"):
            methods.append("fetchCanceledOrders")
        rows: list[OrderRow] = []
        for method in methods:
            call = getattr(exchange, SNAKE[method])
            raws = await call(symbol, since_ms, self.page(method))
            if self.may_be_cut(method, len(raws)):
                return Frame(error="Cut", text=f"{method}: {len(raws)} orders, perhaps not all")
            rows += [order_row(each, symbol) for each in raws]
        return Frame(orders=oldest_first(rows))

    async def _trades(
        self, exchange: Exchange, symbol: str, since_ms: int, until_ms: int = 0
    ) -> Frame:
        params = {"until": until_ms} if until_ms else {}
        page = self.page("fetchMyTrades")
        rows = await exchange.fetch_my_trades(symbol, since_ms, page, params)
        return Frame(trades=oldest_first(trade_row(each, symbol) for each in rows))

    async def _balance(self, exchange: Exchange, wanted: str) -> Frame:
        told = await exchange.fetch_balance()
        return Frame(balances=balance_rows(told, frozenset(wanted.split())))

    async def _price(self, exchange: Exchange, symbol: str) -> Frame:
        told = await exchange.fetch_ticker(symbol)
        return Frame(text=text(told.get("last"), "last"))


SNAKE: Final = {
    "fetchOrders": "fetch_orders",
    "fetchCanceledAndClosedOrders": "fetch_canceled_and_closed_orders",
    "fetchClosedOrders": "fetch_closed_orders",
    "fetchCanceledOrders": "fetch_canceled_orders",
}


def sound_class(venue: str) -> Exchange:
    """An object of the class, without a key.

    Raises:
        BadInput: ccxt has no such exchange, or its class lacks what live orders need.
    """
    exchange = exchange_class(venue)({})
    missing = [name for name in NEEDED if exchange.has.get(name) is not True]
    kinds = (_spot(exchange).get("createOrder") or {}).get("timeInForce") or {}
    missing += [f"{what} orders" for name, what in KINDS.items() if not kinds.get(name)]
    needs = exchange.requiredCredentials
    missing += [
        f"a login without {each}" for each in needs if needs[each] and each not in CREDENTIALS
    ]
    if missing:
        raise BadInput(
            f"ccxt's {venue.removeprefix(PREFIX)} lacks what live orders need: {', '.join(missing)}",
            where=f"venues.{venue}",
            allowed=f"spot exchanges of ccxt.pro with {', '.join(NEEDED)}, post-only and IOC",
            mend='trade on another venue, or on paper with mode = "paper"',
        )
    return exchange


def require_spot(venue: str, symbols: Sequence[str]) -> None:
    """Raise BadInput for a derivative: nothing would check its margin."""
    derivatives = [symbol for symbol in symbols if ":" in symbol]
    if derivatives:
        raise BadInput(
            f"{', '.join(derivatives)} on {venue}: through ccxt micro trades spot only",
            where=f"venues.{venue}.symbols",
            allowed="spot symbols, such as BTC/USDT",
            mend="trade derivatives on a venue with an adapter of its own",
        )


def number(amount: str) -> float:
    """A decimal as ccxt takes it. Raises ValueError where a float would not be exactly that."""
    near = float(amount)
    if Decimal(repr(near)) != Decimal(amount):
        raise ValueError(f"{amount} has more digits than ccxt can carry")
    return near


def _spot(exchange: Exchange) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (getattr(exchange, "features", None) or {}).get("spot") or {}
    return found


def _of_order(raw: Mapping[str, Any], order_id: str) -> dict[str, Any]:
    return {**raw, "order": raw.get("order") or order_id}
