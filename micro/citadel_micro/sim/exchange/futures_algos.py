"""Conditional orders of futures: they wait outside the book, with ids and a list of their own.

A trigger is the last price or the mark price. What triggers places an ordinary order; a stop of a buy
waits for a rise, its take profit for a fall, and a sell's the other way round. A trailing stop is active
from its trigger price on, and fires when the price comes back from its best since by a share of it. Nothing
is locked while one waits: margin is judged when it triggers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.sim.exchange.model import (
    Order,
    OrderRefused,
    OrderRequest,
    Placed,
    Side,
    StpMode,
    TimeInForce,
)
from citadel_micro.sim.exchange.rules import judge_price, judge_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.rules import SymbolRules

AlgoType = Literal[
    "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"
]
AlgoStatus = Literal[
    "NEW", "TRIGGERING", "TRIGGERED", "FINISHED", "CANCELED", "REJECTED", "EXPIRED"
]
Working = Literal["CONTRACT_PRICE", "MARK_PRICE"]
LIMITED: Final = frozenset({"STOP", "TAKE_PROFIT"})
"""Those that place a limit order; the others trade at the market."""
_STOPS: Final = frozenset({"STOP", "STOP_MARKET"})
KEPT: Final = 10_000
"""Conditional orders that are over and can still be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgoRequest:
    """A conditional order as it is asked for; amounts and prices in 1e-8.

    ``close_position`` closes what is held when it triggers, and has no quantity. ``trail_e4`` is of a
    trailing stop: how far it follows, in 1e-4 of the best price; its trigger is 0 where it is active at once.
    """

    symbol: str
    side: Side
    type: AlgoType
    trigger_e8: int
    working: Working = "CONTRACT_PRICE"
    time_in_force: TimeInForce = "GTC"
    quantity_e8: int = 0
    price_e8: int = 0
    reduce_only: bool = False
    close_position: bool = False
    stp: StpMode | None = None
    good_till_ns: int = 0
    client_id: str = ""
    trail_e4: int = 0

    @property
    def rising(self) -> bool:
        """Whether it waits for a rise."""
        return (self.side == "BUY") == (self.type in _STOPS)

    def triggers(self, low_e8: int, high_e8: int) -> bool:
        """Whether prices between two would trigger it."""
        return high_e8 >= self.trigger_e8 if self.rising else low_e8 <= self.trigger_e8

    def turned(self, best_e8: int, low_e8: int, high_e8: int) -> bool:
        """Whether a trailing stop's price has come back far enough from its best."""
        if self.side == "SELL":
            return low_e8 * 10_000 <= best_e8 * (10_000 - self.trail_e4)
        return high_e8 * 10_000 >= best_e8 * (10_000 + self.trail_e4)

    def best(self, best_e8: int, low_e8: int, high_e8: int) -> int:
        """A trailing stop's best price after prices between two; 0: none before."""
        if self.side == "SELL":
            return max(best_e8, high_e8)
        return min(best_e8 or low_e8, low_e8)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgoOrder:
    """A conditional order as it stands. ``order_id`` is what it placed, 0 before.

    ``best_e8`` is a trailing stop's best price since it is active, 0 before.
    """

    account_id: str
    algo_id: int
    client_id: str
    request: AlgoRequest
    status: AlgoStatus
    create_ns: int
    update_ns: int
    trigger_ns: int = 0
    order_id: int = 0
    reason: str = ""
    best_e8: int = 0

    @property
    def open(self) -> bool:
        """Whether it still waits."""
        return self.status == "NEW"


class AlgoOrders:
    """All conditional orders of one exchange."""

    def __init__(
        self,
        rules: dict[str, SymbolRules],
        next_id: Callable[[], int],
        place: Callable[[str, OrderRequest], Placed],
        held_lots: Callable[[str, str], int],
        find: Callable[[int], Order | None],
    ) -> None:
        """``place`` sends an order, ``held_lots`` says a position, ``find`` an order by its id.

        ``next_id`` gives an id that no order has either: Freqtrade keeps both in one table.
        """
        self._rules = rules
        self._next_id = next_id
        self._place = place
        self._held_lots = held_lots
        self._find = find
        self._all: dict[int, AlgoOrder] = {}
        self._waiting: dict[str, dict[int, AlgoOrder]] = {symbol: {} for symbol in rules}
        self._triggered: dict[int, None] = {}
        self._new: list[AlgoOrder] = []

    # ------------------------------------------------------------------ doors

    def add(
        self, account_id: str, request: AlgoRequest, prices: tuple[int, int], now_ns: int
    ) -> AlgoOrder:
        """Let a conditional order wait. ``prices`` are the last and the mark price in 1e-8.

        Raises:
            OrderRefused: FILTER, DUPLICATE_CLIENT_ID, WOULD_TRIGGER, BAD_COMBINATION.
        """
        rules = self._rules[request.symbol]
        price = prices[0] if request.working == "CONTRACT_PRICE" else prices[1]
        self._judge(rules, account_id, request, price)
        active = not request.trigger_e8
        if not active and request.triggers(price, price):
            raise OrderRefused("WOULD_TRIGGER")
        algo_id = self._next_id()
        algo = AlgoOrder(
            account_id=account_id,
            algo_id=algo_id,
            client_id=request.client_id or f"simalgo{algo_id}",
            request=request,
            status="NEW",
            create_ns=now_ns,
            update_ns=now_ns,
            best_e8=price if active else 0,
        )
        self._waiting[request.symbol][algo.algo_id] = algo
        self._keep(algo)
        return algo

    def _judge(
        self, rules: SymbolRules, account_id: str, request: AlgoRequest, price_e8: int
    ) -> None:
        waiting = [
            each for each in self._waiting[request.symbol].values() if each.account_id == account_id
        ]
        if request.client_id and any(
            each.client_id == request.client_id for each in self.open_of(account_id, None)
        ):
            raise OrderRefused("DUPLICATE_CLIENT_ID", request.client_id)
        if len(waiting) >= rules.max_algo_orders:
            raise OrderRefused("FILTER", filter_name="MAX_NUM_ALGO_ORDERS")
        if request.close_position == bool(request.quantity_e8):
            raise OrderRefused("BAD_COMBINATION", "either a quantity or closePosition")
        if request.trigger_e8:
            judge_price(rules, request.trigger_e8)
        if request.quantity_e8:
            price = request.price_e8 or request.trigger_e8 or price_e8
            judge_size(
                rules, request.side, request.quantity_e8, price, reduce_only=request.reduce_only
            )

    def cancel(self, account_id: str, algo_id: int, client_id: str, now_ns: int) -> AlgoOrder:
        """Cancel one that waits.

        Raises:
            OrderRefused: UNKNOWN_ORDER.
        """
        algo = self.find(account_id, algo_id, client_id)
        if not algo.open:
            raise OrderRefused("UNKNOWN_ORDER")
        return self._end(algo, "CANCELED", now_ns)

    def find(self, account_id: str, algo_id: int, client_id: str) -> AlgoOrder:
        """Return one by its id, or the newest with a client id.

        Raises:
            OrderRefused: UNKNOWN_ORDER.
        """
        found = self._all.get(algo_id) if algo_id else None
        if not algo_id:
            mine = (each for each in reversed(self._all.values()) if each.account_id == account_id)
            found = next((each for each in mine if each.client_id == client_id), None)
        if found is None or found.account_id != account_id:
            raise OrderRefused("UNKNOWN_ORDER")
        return found

    def open_of(self, account_id: str, symbol: str | None) -> list[AlgoOrder]:
        """Return those that wait, oldest first."""
        found = [
            each
            for name, waiting in self._waiting.items()
            if symbol in {None, name}
            for each in waiting.values()
            if each.account_id == account_id
        ]
        return sorted(found, key=lambda each: each.algo_id)

    def all_of(self, account_id: str, symbol: str) -> list[AlgoOrder]:
        """Return all that are known, oldest first."""
        self.follow()
        return [
            each
            for each in self._all.values()
            if each.account_id == account_id and each.request.symbol == symbol
        ]

    # ------------------------------------------------------------------ triggers

    def trigger(self, symbol: str, working: Working, span_e8: tuple[int, int], now_ns: int) -> None:
        """Let what prices between two trigger place its orders, oldest first."""
        due = [
            each
            for each in self._waiting[symbol].values()
            if each.request.working == working and self._is_due(each, *span_e8)
        ]
        for algo in due:
            if algo.algo_id in self._waiting[symbol]:  # not gone by what another one did
                self._fire(algo, now_ns)

    def _is_due(self, algo: AlgoOrder, low_e8: int, high_e8: int) -> bool:
        request = algo.request
        if not request.trail_e4:
            return request.triggers(low_e8, high_e8)
        if algo.best_e8 and request.turned(algo.best_e8, low_e8, high_e8):
            return True
        if algo.best_e8 or request.triggers(low_e8, high_e8):
            followed = replace(algo, best_e8=request.best(algo.best_e8, low_e8, high_e8))
            self._waiting[request.symbol][algo.algo_id] = self._all[algo.algo_id] = followed
        return False

    def _fire(self, algo: AlgoOrder, now_ns: int) -> None:
        del self._waiting[algo.request.symbol][algo.algo_id]
        algo = replace(algo, status="TRIGGERING", update_ns=now_ns, trigger_ns=now_ns)
        self._keep(algo)
        request = self._order_of(algo)
        if request is None:
            self._keep(replace(algo, status="EXPIRED", reason="no position to close"))
            return
        try:
            placed = self._place(algo.account_id, request)
        except OrderRefused as refused:
            self._keep(replace(algo, status="REJECTED", reason=str(refused)))
            return
        self._keep(replace(algo, status="TRIGGERED", order_id=placed.order.order_id))
        self._triggered[algo.algo_id] = None

    def _order_of(self, algo: AlgoOrder) -> OrderRequest | None:
        request = algo.request
        quantity = request.quantity_e8
        if request.close_position:
            lots = self._held_lots(algo.account_id, request.symbol)
            held = -lots if request.side == "BUY" else lots
            if held <= 0:
                return None
            quantity = held * self._rules[request.symbol].spec.lot_e8
        limited = request.type in LIMITED
        return OrderRequest(
            symbol=request.symbol,
            side=request.side,
            type="LIMIT" if limited else "MARKET",
            time_in_force=request.time_in_force if limited else "GTC",
            quantity_e8=quantity,
            price_e8=request.price_e8 if limited else 0,
            client_id=algo.client_id,
            stp=request.stp,
            good_till_ns=request.good_till_ns if limited else 0,
            reduce_only=request.reduce_only or request.close_position,
        )

    def drop(self, account_id: str, symbol: str, now_ns: int) -> None:
        """Cancel all of a symbol that wait."""
        for algo in self.open_of(account_id, symbol):
            self._end(algo, "CANCELED", now_ns)

    def _end(self, algo: AlgoOrder, status: AlgoStatus, now_ns: int) -> AlgoOrder:
        self._waiting[algo.request.symbol].pop(algo.algo_id, None)
        ended = replace(algo, status=status, update_ns=now_ns)
        self._keep(ended)
        return ended

    # ------------------------------------------------------------------ what is told

    def follow(self) -> None:
        """Note whose orders are over by now."""
        for algo_id in list(self._triggered):
            algo = self._all.get(algo_id)
            order = None if algo is None else self._find(algo.order_id)
            if order is None or not order.open:
                del self._triggered[algo_id]
                if algo is not None:
                    time_ns = algo.update_ns if order is None else order.update_ns
                    self._keep(replace(algo, status="FINISHED", update_ns=time_ns))

    def drain(self) -> list[AlgoOrder]:
        """Return (once) every state that conditional orders have gone through, in order."""
        self.follow()
        new, self._new = self._new, []
        return new

    def _keep(self, algo: AlgoOrder) -> None:
        self._all[algo.algo_id] = algo
        self._new.append(algo)
        if len(self._all) > KEPT:
            oldest = next((each for each in self._all.values() if not each.open), None)
            if oldest is not None and oldest.algo_id not in self._triggered:
                del self._all[oldest.algo_id]
