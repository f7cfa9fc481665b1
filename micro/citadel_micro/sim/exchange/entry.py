"""Order entry: validation of requests, and how orders are accepted, triggered, amended and closed."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from citadel_micro.sim.exchange.model import (
    STOP_TYPES,
    Cause,
    Order,
    OrderRefused,
    OrderRequest,
    Status,
    SymbolStatus,
)
from citadel_micro.sim.exchange.rules import Standing, SymbolRules, judge, judge_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.sim.exchange.accounts import Account
    from citadel_micro.sim.exchange.clearing import Clearing
    from citadel_micro.sim.exchange.event_log import EventLog
    from citadel_micro.sim.exchange.matching import Matching, Sweep
    from citadel_micro.sim.exchange.records import Records
    from citadel_micro.sim.flow_feed import Feed

_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS
_CLOSED: frozenset[SymbolStatus] = frozenset({"END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY"})


def triggers(order: Order, low: int, high: int) -> bool:
    """Whether trades between two prices (ticks) trigger a stop.

    A stop loss of a buy waits for a rise, its take profit for a fall; a sell the other way round.
    """
    rising = (order.side == "BUY") == (order.type in {"STOP_LOSS", "STOP_LOSS_LIMIT"})
    return high >= order.stop_ticks if rising else low <= order.stop_ticks


class OrderEntry:
    """From requests to orders in the book, and out of it."""

    def __init__(
        self,
        feed: Feed,
        rules: Mapping[str, SymbolRules],
        records: Records,
        matching: Matching,
        parts: tuple[Clearing, EventLog],
    ) -> None:
        """``parts`` are the clearing of accounts and the log of their events."""
        self._feed = feed
        self._rules = rules
        self._records = records
        self._matching = matching
        self._clearing, self._log = parts
        self.statuses: dict[str, SymbolStatus] = dict.fromkeys(rules, "TRADING")
        self._stops: dict[str, dict[int, Order]] = {symbol: {} for symbol in rules}
        self._accounts_of: dict[int, Account] = {}
        self._expiries: list[tuple[int, int]] = []
        self._averages: dict[str, tuple[int, int]] = {}

    def rules_of(self, symbol: str) -> SymbolRules:
        """Return a symbol's rules.

        Raises:
            OrderRefused: UNKNOWN_SYMBOL.
        """
        rules = self._rules.get(symbol)
        if rules is None:
            raise OrderRefused("UNKNOWN_SYMBOL", symbol)
        return rules

    def last_ticks(self, symbol: str) -> int:
        """Return the last trade's price, or the middle of the book before the first."""
        trades = self._feed.trades[symbol]
        if trades:
            return trades[-1].ticks
        book = self._feed.book(symbol)
        ends = [best for best in (book.best("bid"), book.best("ask")) if best is not None]
        return sum(ends) // max(len(ends), 1)

    def average_e8(self, symbol: str) -> int:
        """Return the average price of five minutes, drawn up once a second."""
        second = self._feed.now_ns // _SECOND_NS
        known = self._averages.get(symbol)
        if known is not None and known[0] == second:
            return known[1]
        store = self._feed.candles[symbol]
        candle = store.span(store.now - 4, store.now + 1)
        tick = self._rules[symbol].spec.tick_e8
        price = candle.quote * tick // candle.lots if candle.lots else candle.close * tick
        self._averages[symbol] = (second, price)
        return price

    # ------------------------------------------------------------------ new orders

    def prepare(self, account: Account, request: OrderRequest) -> Order:
        """Check a request and lock what it needs; the order is in no record yet.

        Raises:
            OrderRefused: nothing was changed.
        """
        rules = self.rules_of(request.symbol)
        if ("futures" if rules.futures else "trade") not in account.permissions:
            raise OrderRefused("NO_PERMISSION")
        if self.statuses[request.symbol] in _CLOSED:
            raise OrderRefused("MARKET_CLOSED", self.statuses[request.symbol])
        judge(rules, request, self._standing(account, rules))
        if request.client_id and self._records.taken(account.account_id, request.client_id):
            raise OrderRefused("DUPLICATE_CLIENT_ID", request.client_id)
        order = self.make(account, request)
        cost = None
        if order.type in STOP_TYPES:
            last = self.last_ticks(order.symbol)
            if triggers(order, last, last):
                raise OrderRefused("WOULD_TRIGGER")
        elif not order.ticks:
            cost = self._matching.cost(order)
        elif not rules.accepts_takers and self.would_take(order):
            raise OrderRefused("WOULD_TAKE")
        if rules.futures and order.time_in_force == "FOK" and not self._matching.fillable(order):
            raise OrderRefused("FOK")
        self._clearing.reserve(account, rules, order, cost)
        return order

    def would_take(self, order: Order) -> bool:
        """Whether it is post-only, and would match at once."""
        return self._post_only(order) and self._matching.would_take(order)

    @staticmethod
    def _post_only(order: Order) -> bool:
        return order.type == "LIMIT_MAKER" or order.time_in_force == "GTX"

    def _standing(self, account: Account, rules: SymbolRules) -> Standing:
        spec = rules.spec
        out = list(self._records.open_of(account.account_id, spec.symbol))
        buying = 0
        if rules.max_position_e8:
            buying = sum(order.left for order in out if order.side == "BUY") * spec.lot_e8
        return Standing(
            average_e8=self.average_e8(spec.symbol),
            orders=len(out),
            algo_orders=sum(order.type in STOP_TYPES and not order.triggered for order in out),
            held_e8=sum(account.balance(spec.base)),
            buying_e8=buying,
        )

    def make(self, account: Account, request: OrderRequest) -> Order:
        """Create an order from a checked request, or one of the exchange's own."""
        rules = self._rules[request.symbol]
        spec = rules.spec
        now = self._feed.now_ns
        return Order(
            account_id=account.account_id,
            order_id=0,
            client_id=request.client_id,
            symbol=spec.symbol,
            side=request.side,
            type=request.type,
            time_in_force=request.time_in_force,
            lots=request.quantity_e8 // spec.lot_e8,
            quote_e8=request.quote_e8,
            ticks=request.price_e8 // spec.tick_e8,
            stop_ticks=request.stop_e8 // spec.tick_e8,
            visible_lots=request.visible_e8 // spec.lot_e8,
            stp=request.stp or rules.default_stp,
            reduce_only=request.reduce_only,
            good_till_ns=request.good_till_ns,
            origin=request.origin,
            time_ns=now,
            update_ns=now,
            working_ns=0,
            lock_asset=spec.quote,
        )

    def accept(self, account: Account, order: Order) -> None:
        """Put a prepared order on record."""
        order.order_id = self._records.next_id()
        order.client_id = order.client_id or f"sim{order.order_id}"
        self._records.add(order)
        self._accounts_of[order.order_id] = account
        account.counts.add(order.time_ns)
        self._log.touch(account, order.lock_asset)
        if order.type in STOP_TYPES:
            self._stops[order.symbol][order.order_id] = order
        else:
            order.working_ns = order.time_ns
        if order.good_till_ns:
            heapq.heappush(self._expiries, (order.good_till_ns, order.order_id))
        self._log.order(account, "NEW", order)

    def work(self, order: Order) -> Sweep:
        """Match a working order."""
        return self._matching.work(order)

    # ------------------------------------------------------------------ stops and expiries

    def run_stops(self) -> None:
        """Trigger what the trades since the last call trigger, and what those orders' trades do."""
        traded = self._matching.traded
        while traded:
            symbol = next(iter(traded))
            low, high = traded.pop(symbol)
            self.trigger(symbol, low, high)

    def trigger(self, symbol: str, low: int, high: int) -> None:
        """Let stops that trades between two prices trigger go to the book, oldest first."""
        waiting = self._stops[symbol]
        for order in [each for each in waiting.values() if triggers(each, low, high)]:
            if waiting.pop(order.order_id, None) is None:
                continue  # canceled by the trades of one before it
            account = self._accounts_of[order.order_id]
            order.triggered = True
            order.update_ns = order.working_ns = self._feed.now_ns
            self._log.order(account, "NEW", order)
            judged_now = not order.ticks or self._rules[symbol].futures
            if judged_now and not self._fund(account, order):
                self._matching.finish(order, "EXPIRED", "EXPIRED", "FUNDS")
            else:
                self._matching.work(order)
            self._log.end(self._feed.now_ns)

    def _fund(self, account: Account, order: Order) -> bool:
        """Lock what a triggered order needs now instead of what it was thought to need."""
        asset, locked = order.lock_asset, order.lock_e8
        account.lock(asset, -locked)
        order.lock_e8 = 0
        try:
            rules = self._rules[order.symbol]
            cost = None if order.ticks else self._matching.cost(order)
            self._clearing.reserve(account, rules, order, cost)
        except OrderRefused:
            return False
        return True

    def next_expiry(self) -> int | None:
        """Return when the next GTD order ends (ns); None when there is none."""
        while self._expiries:
            order = self._records.orders.get(self._expiries[0][1])
            if order is not None and order.open:
                return self._expiries[0][0]
            heapq.heappop(self._expiries)
        return None

    def expire(self) -> None:
        """End the GTD orders that are due."""
        while True:
            due = self.next_expiry()
            if due is None or due > self._feed.now_ns:
                return
            _, order_id = heapq.heappop(self._expiries)
            self.end(self._records.orders[order_id], "EXPIRED", "GTD")

    def end(self, order: Order, status: Status, expiry: str = "") -> None:
        """Take an open order out of the book, or from the waiting stops, and end it."""
        self._stops[order.symbol].pop(order.order_id, None)
        self._matching.withdraw(order)
        cause: Cause = "CANCELED" if status == "CANCELED" else "EXPIRED"
        self._matching.finish(order, status, cause, expiry)

    # ------------------------------------------------------------------ cancel and amend

    def cancel(self, order: Order, cancel_id: str, only: Status | None) -> None:
        """Cancel an open order.

        Raises:
            OrderRefused: CANCEL_RESTRICTION, MARKET_CLOSED.
        """
        if self.statuses[order.symbol] in {"END_OF_DAY", "BREAK"}:
            raise OrderRefused("MARKET_CLOSED", self.statuses[order.symbol])
        if only is not None and order.status != only:
            raise OrderRefused("CANCEL_RESTRICTION", f"the order is {order.status}")
        order.cancel_id = cancel_id
        self.end(order, "CANCELED")

    def reduce(self, account: Account, order: Order, quantity_e8: int, client_id: str) -> None:
        """Lower the quantity of an order that keeps its place (spot).

        Raises:
            OrderRefused: nothing was changed.
        """
        rules = self._rules[order.symbol]
        self._open_market(order.symbol)
        if order.amends >= rules.max_amends:
            raise OrderRefused("AMEND_COUNT")
        done = order.filled_lots + order.prevented_lots
        if not done * rules.spec.lot_e8 < quantity_e8 < order.lots * rules.spec.lot_e8:
            raise OrderRefused("AMEND_QUANTITY")
        price = (order.ticks or order.stop_ticks) * rules.spec.tick_e8
        judge_size(rules, order.side, quantity_e8, price)
        self._check_name(account, order, client_id)
        order.lots = quantity_e8 // rules.spec.lot_e8
        order.amends += 1
        order.update_ns = self._feed.now_ns
        self._records.rename(order, client_id or f"sim{order.order_id}.{order.amends}")
        self._matching.resize(order)
        self._clearing.adjust(account, rules, order)
        self._log.touch(account, order.lock_asset)
        self._log.order(account, "REPLACED", order)

    def modify(
        self,
        account: Account,
        order: Order,
        quantity_e8: int,
        price_e8: int,
        *,
        post_only: bool = False,
    ) -> None:
        """Change quantity and price of an order (futures, and spot where it is done ``in_place``).

        It goes to the back of the queue, unless ``in_place`` it is made smaller at its price.

        Raises:
            OrderRefused: nothing was changed.
        """
        rules = self._rules[order.symbol]
        self._open_market(order.symbol)
        if order.amends >= rules.max_amends:
            raise OrderRefused("AMEND_COUNT")
        price_e8 = price_e8 or order.ticks * rules.spec.tick_e8
        judge_size(rules, order.side, quantity_e8, price_e8, reduce_only=order.reduce_only)
        if order.type in STOP_TYPES and not order.triggered:
            raise OrderRefused("BAD_COMBINATION", "a stop that waits cannot be modified")
        lots, ticks = quantity_e8 // rules.spec.lot_e8, price_e8 // rules.spec.tick_e8
        if lots <= order.filled_lots + order.prevented_lots:
            self.end(order, "CANCELED")
            return
        changed = order.snapshot()
        changed.lots, changed.ticks = lots, ticks
        if (post_only or self._post_only(changed)) and self._matching.would_take(changed):
            if rules.in_place:
                raise OrderRefused("WOULD_TAKE")
            self.end(order, "EXPIRED")
            return
        account.lock(order.lock_asset, -order.lock_e8)
        try:
            self._clearing.reserve(account, rules, changed, None)
        except OrderRefused:
            account.lock(order.lock_asset, order.lock_e8)
            raise
        stays = rules.in_place and ticks == order.ticks and lots <= order.lots
        if not stays:
            self._matching.withdraw(order)
        order.lots, order.ticks = lots, ticks
        order.lock_asset, order.lock_e8 = changed.lock_asset, changed.lock_e8
        order.lock_first = changed.lock_first
        order.amends += 1
        order.update_ns = self._feed.now_ns
        self._log.touch(account, order.lock_asset)
        account.counts.add(order.update_ns)
        self._log.order(account, "REPLACED", order)
        if stays:
            self._matching.resize(order)
        else:
            self._matching.work(order)

    def _open_market(self, symbol: str) -> None:
        if self.statuses[symbol] in _CLOSED:
            raise OrderRefused("MARKET_CLOSED", self.statuses[symbol])

    def _check_name(self, account: Account, order: Order, client_id: str) -> None:
        new = client_id not in {"", order.client_id}
        if new and self._records.taken(account.account_id, client_id):
            raise OrderRefused("DUPLICATE_CLIENT_ID", client_id)
