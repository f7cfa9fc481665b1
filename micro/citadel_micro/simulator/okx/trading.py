"""Requests that change orders: place, cancel, amend, and the timer that cancels everything.

Source: "Order Book Trading / Trade" of the venue's documentation. An acknowledged cancel or amend
only says that the request was taken; the order's channel says what came of it.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final, cast

from citadel_micro.sim.exchange.model import OrderRefused, OrderRequest
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.okx.errors import OkxError, parameter, refusal, translated
from citadel_micro.simulator.okx.names import Json, SwapSpec, coins_e8, stamp
from citadel_micro.simulator.okx.order_json import BY_TIMER, BY_USER, NONE, Wishes
from citadel_micro.simulator.private.orders import cancel_order, note_new
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.sim.exchange.model import OrderType, Side, StpMode, TimeInForce
    from citadel_micro.simulator.okx.auth import OkxQuery
    from citadel_micro.simulator.okx.errors import Doing
    from citadel_micro.simulator.private.venue import Call, Venue

_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9]{1,32}")
_TAG: Final = re.compile(r"[A-Za-z0-9]{1,16}")
_DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_STP: Final[Mapping[str, StpMode]] = {
    "cancel_maker": "EXPIRE_MAKER",
    "cancel_taker": "EXPIRE_TAKER",
    "cancel_both": "EXPIRE_BOTH",
}
_TYPES: Final[Mapping[str, tuple[OrderType, TimeInForce]]] = {
    "market": ("MARKET", "GTC"),
    "limit": ("LIMIT", "GTC"),
    "post_only": ("LIMIT_MAKER", "GTC"),
    "fok": ("LIMIT", "FOK"),
    "ioc": ("LIMIT", "IOC"),
}
TIMER_S: Final = range(10, 121)
_SECOND_NS: Final = 1_000_000_000


class Trading:
    """The requests, over one venue."""

    modes: tuple[str, ...] = ("cash",)
    """``tdMode``."""

    def __init__(self, venue: Venue) -> None:
        """Trade there."""
        self._venue = venue
        self.wishes: dict[int, Wishes] = {}
        """By order id, where there are any."""
        self.stillborn: set[int] = set()
        """Post-only orders that would have taken: their channel reports the end alone."""
        self._due: dict[tuple[str, str], int] = {}
        """(account, tag) -> when its orders are canceled."""

    def wish(self, order_id: int) -> Wishes:
        """Return what an order was sent with."""
        return self.wishes.get(order_id, NONE)

    def place(self, call: Call) -> list[Json]:
        """Place an order."""
        query = cast("OkxQuery", call.query)
        symbol = query.symbol()
        target = query.get("tgtCcy") if query.get("ordType") == "market" else ""
        wishes = Wishes(_matching(query, "tag", _TAG), target, query.get("tdMode"))
        request = self._request(query, symbol)
        self._prepare(call, symbol)
        try:
            done = self._venue.exchange.place(call.account, request)
        except OrderRefused as refused:
            raise refusal(refused, "place") from refused
        if wishes != NONE:
            self.wishes[done.order.order_id] = wishes
        if done.order.expiry == "POST_ONLY":
            self.stillborn.add(done.order.order_id)
        note_new(self._venue, call, done.order)
        return [self._done(query, done.order.order_id, done.order.time_ns) | {"tag": wishes.tag}]

    def _prepare(self, call: Call, symbol: str) -> None:
        """Do what an order needs before the exchange gets it: nothing, on spot."""

    def _request(self, query: OkxQuery, symbol: str) -> OrderRequest:
        if query.get("tdMode") not in self.modes:
            raise parameter("tdMode")
        side = query.get("side")
        if side not in {"buy", "sell"}:
            raise parameter("side")
        if query.get("posSide") not in {"", "net"}:
            raise parameter("posSide")
        kind, in_force = _TYPES.get(query.get("ordType"), ("", ""))
        if not kind:
            raise parameter("ordType")
        market = kind == "MARKET"
        spec = self._venue.spec(symbol)
        swap = isinstance(spec, SwapSpec)
        if swap and kind == "LIMIT_MAKER":
            kind, in_force = "LIMIT", "GTX"  # as the exchange of futures calls it
        by_value = market and side == "buy" and not swap
        target = query.get("tgtCcy") or ("quote_ccy" if by_value else "base_ccy")
        if target not in {"base_ccy", "quote_ccy"}:
            raise parameter("tgtCcy")
        by_quote = market and target == "quote_ccy" and not swap
        stp = query.get("stpMode")
        if stp and stp not in _STP:
            raise parameter("stpMode")
        amount = _decimal_e8(query, "sz")
        if not amount:
            raise parameter("sz")
        return OrderRequest(
            symbol=symbol,
            side=cast("Side", side.upper()),
            type=cast("OrderType", kind),
            time_in_force=cast("TimeInForce", in_force),
            quantity_e8=0 if by_quote else coins_e8(spec, amount),
            quote_e8=amount if by_quote else 0,
            price_e8=0 if market else _decimal_e8(query, "px"),
            client_id=_matching(query, "clOrdId", _CLIENT_ID),
            stp=_STP.get(stp),
            # Of no meaning on spot, where it is ignored.
            reduce_only=swap and query.get("reduceOnly") == "true",
        )

    def cancel(self, call: Call) -> list[Json]:
        """Cancel an order."""
        query = cast("OkxQuery", call.query)
        symbol = query.symbol()
        order_id, client_id = self.named(query)
        try:
            order = cancel_order(
                self._venue, call, symbol, order_id=order_id, client_id=client_id, name=BY_USER
            )
        except OrderRefused as refused:
            raise self._why_not(call, refused, "cancel") from refused
        except ApiError as error:
            raise translated(error) from error
        return [self._done(query, order.order_id, self._venue.now_ns)]

    def amend(self, call: Call) -> list[Json]:
        """Change an order's price, its total size, or both."""
        query, venue = cast("OkxQuery", call.query), self._venue
        symbol = query.symbol()
        order_id, client_id = self.named(query)
        size, price = _decimal_e8(query, "newSz"), _decimal_e8(query, "newPx")
        if not size and not price:
            raise OkxError(51500, "You must enter a price, quantity, or TP/SL", row=True)
        try:
            before = venue.exchange.order(
                call.account, symbol, order_id=order_id, client_id=client_id
            )
            spec = venue.spec(symbol)
            order = venue.exchange.amend(
                call.account,
                symbol,
                order_id=before.order_id,
                quantity_e8=coins_e8(spec, size) if size else before.lots * spec.lot_e8,
                price_e8=price,
            )
        except OrderRefused as refused:
            raise self._why_not(call, refused, "amend") from refused
        row = self._done(query, order.order_id, order.update_ns)
        return [row | {"reqId": query.get("reqId")}]

    def named(self, query: OkxQuery) -> tuple[int, str]:
        """Return the order's id, or else the client's (0 and empty where it is the other).

        Raises:
            OkxError: 51407 for neither, 51000 for what is no id.
        """
        order_id = query.get("ordId")
        if order_id:
            if not order_id.isdecimal():
                raise parameter("ordId")
            return int(order_id), ""
        client_id = _matching(query, "clOrdId", _CLIENT_ID)
        if not client_id:
            raise OkxError(51407, "Either order ID or client order ID is required.", row=True)
        return 0, client_id

    def _why_not(self, call: Call, refused: OrderRefused, doing: Doing) -> OkxError:
        """Return why an order cannot be canceled or amended: it is over, and how."""
        query, canceling = cast("OkxQuery", call.query), doing == "cancel"
        if refused.reason != "UNKNOWN_ORDER":
            return refusal(refused, doing)
        order_id, client_id = self.named(query)
        try:
            order = self._venue.exchange.order(
                call.account, query.symbol(), order_id=order_id, client_id=client_id
            )
        except OrderRefused as absent:
            return refusal(absent, doing)
        if order.status == "FILLED":
            code = 51402 if canceling else 51510
            return OkxError(code, "Your order has already been completed.", row=True)
        code = 51401 if canceling else 51509
        return OkxError(code, "Your order has already been canceled.", row=True)

    def _done(self, query: OkxQuery, order_id: int, time_ns: int) -> Json:
        return {
            "clOrdId": query.get("clOrdId"),
            "ordId": str(order_id),
            "sCode": "0",
            "sMsg": "",
            "ts": stamp(time_ns),
        }

    # ------------------------------------------------------------------ cancel-all-after

    def cancel_all_after(self, call: Call) -> list[Json]:
        """Start, renew or stop the timer of the account, or of one tag."""
        query = cast("OkxQuery", call.query)
        text, tag = query.get("timeOut"), _matching(query, "tag", _TAG)
        if not text.isdecimal() or (int(text) and int(text) not in TIMER_S):
            raise parameter("timeOut", row=False)
        now_ns = self._venue.now_ns
        seconds = int(text)
        due_ns = now_ns + seconds * _SECOND_NS
        if seconds:
            self._due[call.account, tag] = due_ns
        else:
            self._due.pop((call.account, tag), None)
        trigger = stamp(due_ns) if seconds else "0"
        return [{"triggerTime": trigger, "tag": tag, "ts": stamp(now_ns)}]

    def run_timers(self) -> bool:
        """Cancel where the time is up; whether anything was."""
        now_ns = self._venue.now_ns
        due = [key for key, due_ns in self._due.items() if due_ns <= now_ns]
        for account, tag in due:
            del self._due[account, tag]
            for order in self._venue.exchange.open_orders(account):
                if not tag or self.wish(order.order_id).tag == tag:
                    self._venue.exchange.cancel(
                        account, order.symbol, order_id=order.order_id, cancel_id=BY_TIMER
                    )
        return bool(due)


def _matching(query: OkxQuery, name: str, form: re.Pattern[str]) -> str:
    text = query.get(name)
    if text and not form.fullmatch(text):
        raise parameter(name)
    return text


def _decimal_e8(query: OkxQuery, name: str) -> int:
    """Return a decimal parameter in 1e-8; 0 without one."""
    text = query.get(name)
    if not text:
        return 0
    if not _DECIMAL.fullmatch(text):
        raise parameter(name)
    scaled = Decimal(text) * E8
    if scaled != int(scaled):
        raise parameter(name)
    return int(scaled)
