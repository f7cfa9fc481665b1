"""Actions: orders, cancels, modifies, the timer, leverage."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.model import OrderRefused, OrderRequest
from citadel_micro.simulator.hyperliquid import order_json
from citadel_micro.simulator.hyperliquid.refusals import NO_ORDER, text_of
from citadel_micro.simulator.hyperliquid.signed import Rejected, Unreadable
from citadel_micro.simulator.hyperliquid.universe import MAX_LEVERAGE, e8_of, on_grid
from citadel_micro.simulator.private.method import Method
from citadel_micro.simulator.private.orders import cancel_order, note_new
from citadel_micro.simulator.private.venue import Call
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.exchange.model import Order, TimeInForce
    from citadel_micro.simulator.hyperliquid.allowance import Allowance
    from citadel_micro.simulator.hyperliquid.universe import Perp, Universe
    from citadel_micro.simulator.private.venue import Venue

Json = dict[str, Any]
_MS_NS: Final = 1_000_000
_TIFS: Final[dict[str, TimeInForce]] = {"Gtc": "GTC", "Ioc": "IOC", "Alo": "GTX"}
_CLOID: Final = re.compile(r"0x[0-9a-f]{32}")
METHODS: Final = {
    "order": "order.place",
    "cancel": "order.cancel",
    "cancelByCloid": "order.cancel",
    "modify": "order.modify",
    "batchModify": "order.modify",
    "scheduleCancel": "scheduleCancel",
    "updateLeverage": "updateLeverage",
    "updateIsolatedMargin": "updateIsolatedMargin",
}
"""Kind of action -> what fault rules call it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCall(Call):
    """An action that has been let in."""

    action: Json = field(default_factory=dict)


class Failed(ApiError):  # noqa: N818 - what happened, in one word
    """The action was taken, and all of its orders were refused, each with a text."""

    def __init__(self, statuses: list[Json]) -> None:
        """Keep the texts."""
        super().__init__(-1, "refused", status=200)
        self.statuses = statuses


class _Refused(Exception):  # noqa: N818 - an answer about one order
    """One order's error."""


class Actions:
    """The actions of one market."""

    def __init__(
        self,
        venue: Venue,
        exchange: FuturesExchange,
        universe: Universe,
        allowance: Allowance,
        best: Callable[[str], tuple[int, int]],
    ) -> None:
        """Trade there. ``best`` returns bid and ask of a symbol in ticks."""
        self._best_of = best
        self._venue = venue
        self._exchange = exchange
        self._universe = universe
        self._allowance = allowance

    def methods(self) -> tuple[Method, ...]:
        """Return every kind of action by the name that fault rules know."""
        table: dict[str, Callable[[Call], Json]] = {
            "order.place": self._orders,
            "order.cancel": self._cancels,
            "order.modify": self._modifies,
            "scheduleCancel": self._schedule,
            "updateLeverage": self._leverage,
            "updateIsolatedMargin": self._margin,
        }
        return tuple(
            Method(name, "POST /exchange", answer, weight=1, trades=True)
            for name, answer in table.items()
        )

    # ------------------------------------------------------------------ orders

    def _orders(self, call: Call) -> Json:
        rows = _rows(call, "orders")
        return self._statuses("order", [self._try(self._place, call, row) for row in rows])

    def _statuses(self, kind: str, made: list[Any]) -> Json:
        if all(isinstance(each, dict) and "error" in each for each in made):
            raise Failed(made)
        return {"type": kind, "data": {"statuses": made}}

    @staticmethod
    def _try(act: Callable[[Call, Json], Any], call: Call, row: Json) -> Any:  # noqa: ANN401 - any JSON value
        try:
            return act(call, row)
        except _Refused as refused:
            return {"error": str(refused)}

    def _perp(self, number: object) -> Perp:
        perp = self._universe.numbered(number)
        if perp is None:
            raise _Refused(f"Asset {number} does not exist.")
        return perp

    def _place(self, call: Call, row: Json) -> Json:
        perp = self._perp(row.get("a"))
        request = self._read(perp, row)
        best = self._best_of(perp.symbol)
        try:
            done = self._exchange.place(call.account, request)
        except OrderRefused as refused:
            raise _Refused(text_of(refused, perp, best)) from refused
        note_new(self._venue, call, done.order)
        return order_json.placed(perp, done.order)

    def _read(self, perp: Perp, row: Json) -> OrderRequest:
        kind, name = row.get("t"), row.get("c")
        if not isinstance(kind, dict) or not isinstance(row.get("b"), bool):
            raise Unreadable
        if "trigger" in kind:
            raise _Refused("Invalid TP/SL price. Trigger orders are not simulated.")
        limit = kind.get("limit")
        tif = _TIFS.get(limit.get("tif", "")) if isinstance(limit, dict) else None
        price, size = row.get("p"), row.get("s")
        if tif is None or not isinstance(price, str) or not isinstance(size, str):
            raise Unreadable
        if name is not None and not (isinstance(name, str) and _CLOID.fullmatch(name.lower())):
            raise Unreadable
        suffix = f" asset={perp.number}"
        try:
            price_e8, size_e8 = e8_of(price), e8_of(size)
        except ArithmeticError:
            raise Unreadable from None
        if not price_e8 or not on_grid(price, perp.decimals):
            raise _Refused(f"Price must be divisible by tick size.{suffix}")
        if size_e8 is None or size_e8 % perp.spec.lot_e8:
            raise _Refused(f"Order has invalid size.{suffix}")
        if not size_e8:
            raise _Refused(f"Order has zero size.{suffix}")
        return OrderRequest(
            symbol=perp.symbol,
            side="BUY" if row["b"] else "SELL",
            type="LIMIT",
            time_in_force=tif,
            quantity_e8=size_e8,
            price_e8=price_e8,
            client_id="" if name is None else name.lower(),
            stp="NONE" if tif == "GTX" else None,
            reduce_only=bool(row.get("r")),
        )

    # ------------------------------------------------------------------ cancel and modify

    def _cancels(self, call: Call) -> Json:
        rows = _rows(call, "cancels")
        return self._statuses("cancel", [self._try(self._cancel, call, row) for row in rows])

    def _cancel(self, call: Call, row: Json) -> str:
        perp = self._perp(row.get("a", row.get("asset")))
        number, name = row.get("o"), row.get("cloid")
        text = f"{NO_ORDER} asset={perp.number}"
        if not isinstance(number, int) and not isinstance(name, str):
            raise Unreadable
        try:
            cancel_order(
                self._venue,
                call,
                perp.symbol,
                order_id=number if isinstance(number, int) else 0,
                client_id=name.lower() if isinstance(name, str) else "",
            )
        except (OrderRefused, ApiError) as refused:
            raise _Refused(text) from refused
        return "success"

    def _modifies(self, call: Call) -> Json:
        action = _action(call)
        rows = _rows(call, "modifies") if action["type"] == "batchModify" else [action]
        return self._statuses("order", [self._try(self._modify, call, row) for row in rows])

    def _modify(self, call: Call, row: Json) -> Json:
        """Cancel an order and place another one, which has another id."""
        wanted = row.get("order")
        if not isinstance(wanted, dict):
            raise Unreadable
        perp = self._perp(wanted.get("a"))
        request = self._read(perp, wanted)
        old = self._open(call, perp, row.get("oid"))
        if old is None:
            raise _Refused(f"Cannot modify canceled or filled order. asset={perp.number}")
        best = self._best_of(perp.symbol)
        try:
            self._exchange.cancel(call.account, perp.symbol, order_id=old.order_id)
            done = self._exchange.place(call.account, request)
        except OrderRefused as refused:
            raise _Refused(text_of(refused, perp, best)) from refused
        return order_json.placed(perp, done.order)

    def _open(self, call: Call, perp: Perp, oid: object) -> Order | None:
        by = {"order_id": oid} if isinstance(oid, int) else {"client_id": str(oid).lower()}
        try:
            order = self._exchange.order(call.account, perp.symbol, **by)
        except OrderRefused:
            return None
        return order if order.open else None

    # ------------------------------------------------------------------ the account

    def _schedule(self, call: Call) -> Json:
        time_ms = _action(call).get("time")
        if time_ms is None:
            self._exchange.count_down(call.account, "", 0)
            return {"type": "default"}
        if not isinstance(time_ms, int):
            raise Unreadable
        self._allowance.check_timer(call.account)
        left = time_ms - self._venue.now_ms
        if left < self._allowance.soonest_ms:
            raise Rejected("Scheduled cancel time must be at least 5 seconds in the future.")
        self._exchange.count_down(call.account, "", left * _MS_NS)
        return {"type": "default"}

    def _leverage(self, call: Call) -> Json:
        action = _action(call)
        perp = self._universe.numbered(action.get("asset"))
        leverage, cross = action.get("leverage"), action.get("isCross")
        if perp is None or not isinstance(leverage, int) or not isinstance(cross, bool):
            raise Unreadable
        if not 1 <= leverage <= MAX_LEVERAGE:
            raise Rejected("Invalid leverage value")
        exchange, account = self._exchange, call.account
        try:
            if exchange.position(account, perp.symbol).isolated is cross:
                exchange.set_isolated(account, perp.symbol, isolated=not cross)
            exchange.set_leverage(account, perp.symbol, leverage)
        except OrderRefused as refused:
            if refused.reason == "MARGIN_TYPE":
                raise Rejected("Cannot switch leverage type with open position.") from refused
            raise Rejected("Insufficient margin to change leverage.") from refused
        return {"type": "default"}

    def _margin(self, call: Call) -> Json:
        action = _action(call)
        perp = self._universe.numbered(action.get("asset"))
        amount = action.get("ntli")
        if perp is None or not isinstance(amount, int):
            raise Unreadable
        try:
            self._exchange.add_margin(call.account, perp.symbol, amount * 100)  # of 1e-6
        except OrderRefused as refused:
            raise Rejected("Insufficient margin to change isolated margin.") from refused
        return {"type": "default"}


def _action(call: Call) -> Json:
    assert isinstance(call, ActionCall)  # noqa: S101 - nothing else is let in here
    return call.action


def _rows(call: Call, name: str) -> list[Json]:
    rows = _action(call).get(name)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise Unreadable
    return rows
