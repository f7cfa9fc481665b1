"""The exchange: the interface for everything that clients and the operator of the simulator can do.

It owns the clock of its market: the server calls ``advance(now_ns)`` first, publishes the returned
events, and then calls a method, which acts at that time. Accounts' events are fetched with ``drain``
after every call and every advance; public events of a call are fetched with
``take_public`` (or come with the next ``advance``).

Every method that refuses raises ``OrderRefused`` and has changed nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from citadel_micro.core.model.time_units import FAR
from citadel_micro.sim.exchange.accounts import Account, FeePlan
from citadel_micro.sim.exchange.clearing import BNB, Clearing, SpotClearing
from citadel_micro.sim.exchange.entry import OrderEntry
from citadel_micro.sim.exchange.matching import Matching
from citadel_micro.sim.exchange.model import Movement, OrderRefused, OrderRequest, Placed
from citadel_micro.sim.exchange.queries import Queries
from citadel_micro.sim.exchange.records import Records
from citadel_micro.sim.exchange.rules import SymbolRules
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.sim.exchange.model import (
        Fill,
        Order,
        Permission,
        Side,
        Status,
        SymbolStatus,
    )
    from citadel_micro.sim.flow_book import Print
    from citadel_micro.sim.flow_feed import Feed, FeedEvent

_ORDERS_PER_MS = 1_000_000  # ns: ids start from the time, so that they rise over restarts


class Exchange(Queries):
    """Order entry, accounts and records over one market.

    ``feed`` serves public data as before (``depth``, ``candles``, ``trades``, ``specs``); its book
    holds clients' orders and the anonymous flow together. ``rules`` are by unified symbol.
    """

    def __init__(self, feed: Feed, rules: Mapping[str, SymbolRules] | None = None) -> None:
        """Trade on ``feed``; ``rules`` of a symbol that is not named are ``SymbolRules.of``."""
        self._feed = feed
        self.rules: dict[str, SymbolRules] = {
            symbol: SymbolRules.of(spec) for symbol, spec in feed.specs.items()
        }
        self.rules.update(rules or {})
        super().__init__(Records(feed.now_ns // _ORDERS_PER_MS))
        self.clearing: Clearing = self._make_clearing()
        parts = (self.clearing, self._log)
        self._matching = Matching(feed, self.rules, self._accounts, self._records, parts)
        self._entry = OrderEntry(feed, self.rules, self._records, self._matching, parts)
        feed.attach(self)

    @property
    def statuses(self) -> dict[str, SymbolStatus]:
        """Return every symbol's status, to be read."""
        return self._entry.statuses

    def _make_clearing(self) -> Clearing:
        return SpotClearing(self._bnb_price)

    def _bnb_price(self, quote: str) -> tuple[int, int] | None:
        if quote == BNB:
            return 1, 1
        symbol = f"{BNB}/{quote}"
        if symbol not in self.rules:
            return None
        return self._entry.last_ticks(symbol) * self.rules[symbol].spec.tick_e8, 100_000_000

    # ------------------------------------------------------------------ the market

    @property
    def now_ns(self) -> int:
        """Return the time of the last ``advance``, at which all other methods act."""
        return self._feed.now_ns

    def next_ns(self) -> int:
        """Return when ``advance`` may next have something. Calling earlier is harmless."""
        return min(self._feed.next_ns(), self._next_due())

    def advance(self, until_ns: int) -> list[FeedEvent]:
        """Advance the market and everything that depends on time; return the events to publish.

        Raises:
            InvariantError: when time runs backwards.
        """
        out: list[FeedEvent] = []
        while True:
            due = self._next_due()
            if due > until_ns:
                break
            out += self._feed.advance(max(due, self.now_ns))
            self._act_by_time()
            self._settle()
        out += self._feed.advance(until_ns)
        return out

    def _next_due(self) -> int:
        expiry = self._entry.next_expiry()
        return FAR if expiry is None else expiry

    def _act_by_time(self) -> None:
        self._entry.expire()

    def on_fill(self, order_id: int, trade: Print) -> None:
        """Handle a trade of the flow against a client's order (called by the feed)."""
        self._matching.fill_by_flow(order_id, trade)

    def on_trades(self, symbol: str, low: int, high: int) -> None:
        """Trigger stops by trades of the flow (called by the feed)."""
        self._entry.trigger(symbol, low, high)
        self._entry.run_stops()

    def take_public(self) -> list[FeedEvent]:
        """Return (once) the trades and quotes of calls since the last ``advance``."""
        return self._feed.take_out()

    def last_ticks(self, symbol: str) -> int:
        """Return the price of the last trade, or the middle of the book before the first."""
        self._entry.rules_of(symbol)
        return self._entry.last_ticks(symbol)

    def middle_e8(self, symbol: str) -> int:
        """Return the middle of the book in 1e-8 quote, or the last price where a side is empty."""
        book, tick = self._feed.book(symbol), self.rules[symbol].spec.tick_e8
        bid, ask = book.best("bid"), book.best("ask")
        if bid is None or ask is None:
            return self.last_ticks(symbol) * tick
        return (bid + ask) * tick // 2

    # ------------------------------------------------------------------ accounts

    def open_account(
        self,
        account_id: str,
        balances: Mapping[str, int],
        *,
        fees: FeePlan | None = None,
        permissions: frozenset[Permission] = frozenset({"read", "trade"}),
    ) -> None:
        """Open an account with balances in 1e-8 per asset. ``permissions`` are the account's own.

        A key's permissions and addresses are checked by the protocol, which knows the key.

        Raises:
            InvariantError: when there is one of that id, or a balance is negative.
        """
        if account_id in self._accounts:
            msg = f"account {account_id} is open already"
            raise InvariantError(msg)
        self._accounts[account_id] = Account.opened(
            account_id, balances, fees or FeePlan(), permissions
        )

    def set_fees(self, account_id: str, fees: FeePlan) -> None:
        """Change the account's commission for the fills to come."""
        self._account(account_id).fees = fees

    # ------------------------------------------------------------------ orders

    def place(self, account_id: str, request: OrderRequest) -> Placed:
        """Accept an order, match it, and rest what may rest.

        A market order that the book cannot fill, the rest of an IOC and a FOK that cannot fill are
        accepted and end as EXPIRED; prevented self-trades as EXPIRED_IN_MATCH.

        Raises:
            OrderRefused: nothing was placed.
        """
        account = self._account(account_id)
        order = self._entry.prepare(account, request)
        return self._put_to_work(account, order)

    def _put_to_work(self, account: Account, order: Order) -> Placed:
        self._entry.accept(account, order)
        if not order.working:
            self._log.end(self.now_ns)
            return Placed(order.snapshot(), ())
        if self.rules[order.symbol].accepts_takers and self._entry.would_take(order):
            self._entry.end(order, "CANCELED", "POST_ONLY")
            self._log.end(self.now_ns)
            return Placed(order.snapshot(), ())
        sweep = self._entry.work(order)
        self._settle()
        return Placed(order.snapshot(), tuple(sweep.fills), tuple(sweep.preventions))

    def _settle(self) -> None:
        """End a transaction: tell balances, and trigger what its trades trigger."""
        self._log.end(self.now_ns)
        self._entry.run_stops()

    def check(self, account_id: str, request: OrderRequest) -> None:
        """Check an order as ``place`` would, without placing it (``order/test``).

        Raises:
            OrderRefused: as ``place``.
        """
        account = self._account(account_id)
        order = self._entry.prepare(account, request)
        account.lock(order.lock_asset, -order.lock_e8)

    def cancel(
        self,
        account_id: str,
        symbol: str,
        *,
        order_id: int = 0,
        client_id: str = "",
        cancel_id: str = "",
        only: Status | None = None,
    ) -> Order:
        """Cancel an open order, by its id or else its client id (both: they must agree).

        ``cancel_id`` is the id of the cancel itself; ``only`` is a cancel restriction.

        Raises:
            OrderRefused: UNKNOWN_ORDER, CANCEL_RESTRICTION, MARKET_CLOSED.
        """
        self._account(account_id)
        order = self._records.find_open(account_id, symbol, order_id, client_id)
        self._entry.cancel(order, cancel_id, only)
        self._log.end(self.now_ns)
        return order.snapshot()

    def cancel_all(self, account_id: str, symbol: str) -> list[Order]:
        """Cancel all open orders of a symbol, oldest first.

        Raises:
            OrderRefused: UNKNOWN_ORDER when there is none.
        """
        self._account(account_id)
        orders = self._records.open_orders(account_id, symbol)
        if not orders:
            raise OrderRefused("UNKNOWN_ORDER")
        for order in orders:
            self._entry.cancel(order, "", None)
        self._log.end(self.now_ns)
        return [order.snapshot() for order in orders]

    def amend(
        self,
        account_id: str,
        symbol: str,
        *,
        order_id: int = 0,
        client_id: str = "",
        quantity_e8: int,
        price_e8: int = 0,
        new_client_id: str = "",
        post_only: bool = False,
    ) -> Order:
        """Change an open order's total quantity, and on futures or ``in_place`` its price.

        Spot: the quantity must go down and stay above what is filled; the order keeps its place in
        the queue and its id; its client id becomes ``new_client_id`` (the exchange makes one if
        empty). Futures: to the back of the queue; a quantity not above the filled cancels it, and so
        does a GTX that would match. ``in_place``: see ``SymbolRules``; ``post_only`` belongs to it.

        Raises:
            OrderRefused: nothing was changed.
        """
        account = self._account(account_id)
        order = self._records.find_open(account_id, symbol, order_id, client_id)
        rules = self.rules[symbol]
        if rules.futures or rules.in_place:
            self._entry.modify(account, order, quantity_e8, price_e8, post_only=post_only)
        else:
            self._entry.reduce(account, order, quantity_e8, new_client_id)
        self._settle()
        return order.snapshot()

    # ------------------------------------------------------------------ the operator

    def set_status(self, symbol: str, status: SymbolStatus) -> None:
        """Open, halt or close a symbol. All but TRADING refuse new orders; the flow stands still.

        Cancels work in HALT and CANCEL_ONLY. A recorded flow continues in any status.
        """
        self._entry.rules_of(symbol)
        self._entry.statuses[symbol] = status
        self._feed.pause(symbol, paused=status != "TRADING")

    def available(self, account_id: str, asset: str) -> int:
        """Return the amount that may be spent or withdrawn, in 1e-8."""
        return self._account(account_id).balance(asset)[0]

    def deposit(self, account_id: str, asset: str, amount_e8: int) -> None:
        """Add to an account (negative: a withdrawal of what is free).

        Raises:
            OrderRefused: INSUFFICIENT_BALANCE.
        """
        account = self._account(account_id)
        if -amount_e8 > self.available(account_id, asset):
            raise OrderRefused("INSUFFICIENT_BALANCE", asset)
        kind: Literal["deposit", "withdrawal"] = "deposit" if amount_e8 >= 0 else "withdrawal"
        account.move(Movement(self.now_ns, asset, amount_e8, kind))
        self._log.touch(account, asset)
        self._log.end(self.now_ns, amount_e8, kind)

    def fill(
        self,
        account_id: str,
        symbol: str,
        *,
        order_id: int,
        lots: int = 0,
        against_self: bool = False,
    ) -> Fill:
        """Fill a resting order now at its price, as if it had been hit, whatever the queue.

        ``lots`` 0: all that is left. The trade is printed. The other side is the flow, or with
        ``against_self`` a foreign order of the same account: two fills that share a trade id.

        Raises:
            OrderRefused: UNKNOWN_ORDER, BAD_COMBINATION for one that does not rest, and what the
                account's other order is refused for.
        """
        account = self._account(account_id)
        order = self._records.find_open(account_id, symbol, order_id, "")
        if not against_self:
            fill = self._matching.hit(order, lots)
        elif not order.working:
            raise OrderRefused("BAD_COMBINATION", "the order does not rest in the book")
        else:
            lots = min(lots or order.left, order.left)
            side: Side = "SELL" if order.side == "BUY" else "BUY"
            taker = self._entry.prepare(account, self._foreign(symbol, side, lots, order.ticks))
            self._entry.accept(account, taker)
            fill = self._matching.cross(order, taker, order.ticks)
        self._settle()
        return fill

    def _foreign(self, symbol: str, side: Side, lots: int, ticks: int) -> OrderRequest:
        """Return an order of the account that none of its clients sent, free to trade with them."""
        spec = self.rules[symbol].spec
        return OrderRequest(
            symbol=symbol,
            side=side,
            type="LIMIT",
            quantity_e8=lots * spec.lot_e8,
            price_e8=ticks * spec.tick_e8,
            stp="NONE",
            origin="foreign",
        )

    def self_trade(self, account_id: str, symbol: str, side: Side, lots: int) -> Fill:
        """Make the account trade with itself at the last price, as if it had a second client.

        The two orders meet past the queue. ``side`` is the taker's. Returns the maker's fill, whose
        trade id the taker's shares.

        Raises:
            OrderRefused: as ``place``.
        """
        account = self._account(account_id)
        ticks = self.last_ticks(symbol)
        other: Side = "SELL" if side == "BUY" else "BUY"
        maker = self._entry.prepare(account, self._foreign(symbol, other, lots, ticks))
        try:
            taker = self._entry.prepare(account, self._foreign(symbol, side, lots, ticks))
        except OrderRefused:
            account.lock(maker.lock_asset, -maker.lock_e8)
            raise
        self._entry.accept(account, maker)
        self._entry.accept(account, taker)
        fill = self._matching.cross(maker, taker, ticks)
        self._settle()
        return fill
