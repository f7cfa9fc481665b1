"""Matching: orders against the combined book of clients and the anonymous flow.

Price-time priority: the best price first, within it first come, first served, client or not. A taker
trades at the resting order's price. Trade ids and update ids are the public ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from citadel_micro.sim.exchange.model import Cause, Fill, Order, OrderRefused, Prevention, Status
from citadel_micro.sim.flow_aggregates import numbered
from citadel_micro.sim.flow_book import NOBODY, LevelBook, LevelChange, Print, Resting
from citadel_micro.sim.flow_book import Side as BookSide

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.sim.exchange.accounts import Account
    from citadel_micro.sim.exchange.clearing import Clearing
    from citadel_micro.sim.exchange.event_log import EventLog
    from citadel_micro.sim.exchange.records import Records
    from citadel_micro.sim.exchange.rules import SymbolRules
    from citadel_micro.sim.flow_feed import Feed


def own_side(order: Order) -> BookSide:
    """Return the side of the book on which an order rests."""
    return "bid" if order.side == "BUY" else "ask"


def other_side(order: Order) -> BookSide:
    """Return the side of the book that an order takes from."""
    return "ask" if order.side == "BUY" else "bid"


def crosses(order: Order, ticks: int) -> bool:
    """Whether an order may trade at a price of the other side; a market order always."""
    if not order.ticks:
        return True
    return ticks <= order.ticks if order.side == "BUY" else ticks >= order.ticks


@dataclass(slots=True)
class Sweep:
    """One order's sweep of the book: its trades and the levels that it changed."""

    order: Order
    book: LevelBook
    fills: list[Fill] = field(default_factory=list)
    preventions: list[Prevention] = field(default_factory=list)
    prints: list[Print] = field(default_factory=list)
    levels: dict[tuple[BookSide, int], None] = field(default_factory=dict)


class Matching:
    """Matches orders in the books of one feed, and books the results."""

    def __init__(
        self,
        feed: Feed,
        rules: Mapping[str, SymbolRules],
        accounts: Mapping[str, Account],
        records: Records,
        parts: tuple[Clearing, EventLog],
    ) -> None:
        """``parts`` are the clearing of accounts and the log of their events."""
        self._feed = feed
        self._rules = rules
        self._accounts = accounts
        self._records = records
        self._clearing, self._log = parts
        self._resting: dict[int, Resting] = {}
        self._prevented = 0
        self.traded: dict[str, tuple[int, int]] = {}
        """Lowest and highest price that orders worked here have printed, by symbol, to be taken."""

    # ------------------------------------------------------------------ liquidity in the book

    def cost(self, order: Order) -> tuple[int, int]:
        """Return what a market order would take now: (lots, ticks times lots)."""
        book, unit = self._feed.book(order.symbol), self._rules[order.symbol].unit_e8
        lots = worth = 0
        money = order.quote_e8
        for ticks, _, offered in book.walk(other_side(order)):
            part = min(offered, money // (ticks * unit) if order.quote_e8 else order.left - lots)
            if not part:
                break
            lots += part
            worth += ticks * part
            money -= ticks * part * unit
        return lots, worth

    def fillable(self, order: Order) -> bool:
        """Whether the book can fill an order completely within its limit, without self-trades."""
        lots = 0
        for ticks, order_id, offered in self._feed.book(order.symbol).walk(other_side(order)):
            if not crosses(order, ticks):
                break
            if order_id != NOBODY and self._own(order, order_id):
                if order.stp == "EXPIRE_MAKER":
                    continue
                break
            lots += offered
            if lots >= order.left:
                return True
        return False

    def would_take(self, order: Order) -> bool:
        """Whether a limit order would match at once."""
        best = self._feed.book(order.symbol).best(other_side(order))
        return best is not None and crosses(order, best)

    def _own(self, order: Order, maker_id: int) -> bool:
        maker = self._records.orders[maker_id]
        return order.stp != "NONE" and maker.account_id == order.account_id

    # ------------------------------------------------------------------ working an order

    def work(self, order: Order) -> Sweep:
        """Match an open order and rest what may rest; the rest of others expires."""
        order.working_ns = self._feed.now_ns
        sweep = Sweep(order, self._feed.book(order.symbol))
        if order.time_in_force == "FOK" and not self.fillable(order):
            self.finish(order, "EXPIRED", "EXPIRED", "LIQUIDITY")
            return sweep
        self._sweep(sweep)
        if order.open:
            if order.ticks and order.time_in_force in {"GTC", "GTX", "GTD"}:
                self._rest(sweep)
            else:
                self.finish(order, "EXPIRED", "EXPIRED", "LIQUIDITY")
        self._publish(sweep)
        return sweep

    def _sweep(self, sweep: Sweep) -> None:
        order, book = sweep.order, sweep.book
        side = other_side(order)
        while order.open:
            best = book.best(side)
            if best is None or not crosses(order, best):
                return
            want = self._wanted(order, best)
            if not want:
                return
            maker_id, offered = book.front(side, best)
            if maker_id != NOBODY and self._own(order, maker_id):
                self._prevent(sweep, self._records.orders[maker_id])
                continue
            part = min(want, offered)
            book.take(side, best, part)
            sweep.levels[side, best] = None
            trade = self.print_trade(sweep.book, order, best, part)
            sweep.prints.append(trade)
            if order.quote_e8:
                order.lots += part
            self._count(order, trade)
            if order.quote_e8:
                self._close_if_spent(order, side)
            elif not order.left:
                order.status = "FILLED"
            sweep.fills.append(self._settle(order, trade, maker=False))
            self._other_party(order, maker_id, trade)

    def print_trade(self, book: LevelBook, taker: Order, ticks: int, lots: int) -> Print:
        """Number a trade of a client who takes."""
        book.trade_id += 1
        return Print(
            self._feed.now_ns, taker.symbol, book.trade_id, ticks, lots, taker.side == "SELL"
        )

    def _wanted(self, order: Order, ticks: int) -> int:
        if order.quote_e8:
            unit = self._rules[order.symbol].unit_e8
            return (order.quote_e8 - order.filled_quote_e8) // (ticks * unit)
        return order.left

    def _close_if_spent(self, order: Order, side: BookSide) -> None:
        """A market order by quote amount is filled when the next price's lot is too dear."""
        best = self._feed.book(order.symbol).best(side)
        if best is not None and not self._wanted(order, best):
            order.status = "FILLED"

    def _other_party(self, taker: Order, maker_id: int, trade: Print) -> None:
        if maker_id == NOBODY:
            self._clearing.counter(self._rules[taker.symbol], taker, trade)
        else:
            self.fill_maker(self._records.orders[maker_id], trade)

    def fill_maker(self, maker: Order, trade: Print) -> Fill:
        """Book a trade for the resting order that it hit."""
        self._count(maker, trade)
        if not maker.left:
            maker.status = "FILLED"
            self._resting.pop(maker.order_id, None)
        return self._settle(maker, trade, maker=True)

    def fill_by_flow(self, order_id: int, trade: Print) -> None:
        """Book a trade of the anonymous flow against a resting order."""
        order = self._records.orders[order_id]
        self.fill_maker(order, trade)
        self._clearing.counter(self._rules[order.symbol], order, trade)
        self._log.end(order.update_ns)

    def _count(self, order: Order, trade: Print) -> None:
        order.update_ns = max(order.update_ns, trade.time_ns)
        if not order.filled_lots:
            self._accounts[order.account_id].counts.give_back(order.update_ns)
        order.filled_lots += trade.lots
        order.filled_quote_e8 += trade.lots * trade.ticks * self._rules[order.symbol].unit_e8
        order.status = "PARTIALLY_FILLED"

    def _settle(self, order: Order, trade: Print, *, maker: bool) -> Fill:
        account, rules = self._accounts[order.account_id], self._rules[order.symbol]
        fill = self._clearing.settle(account, rules, order, trade, maker=maker)
        self._records.add_fill(fill)
        if not order.open:
            self._records.close(order)
            self._clearing.adjust(account, rules, order)
        self._log.order(account, "TRADE", order, fill=fill)
        self._log.touch(account, *self._clearing.assets(rules, fill))
        if rules.futures:
            self._log.touch_position(account, order.symbol)
        return fill

    # ------------------------------------------------------------------ self-trade prevention

    def _prevent(self, sweep: Sweep, maker: Order) -> None:
        """Prevent a self-trade, by the taker's mode."""
        taker = sweep.order
        mode = taker.stp
        if mode == "DECREMENT" and taker.quote_e8:
            mode = "EXPIRE_TAKER"  # it has no quantity that could be lowered
        taker_lots = maker_lots = 0
        if mode == "DECREMENT":
            taker_lots = maker_lots = min(taker.left, maker.left)
        if mode in {"EXPIRE_TAKER", "EXPIRE_BOTH"}:
            taker_lots = taker.left
        if mode in {"EXPIRE_MAKER", "EXPIRE_BOTH"}:
            maker_lots = maker.left
        self._prevented += 1
        prevention = Prevention(
            self._prevented, taker.symbol, taker.stp, maker.ticks, taker.order_id, maker.order_id,
            taker_lots, maker_lots, self._feed.now_ns,
        )  # fmt: skip
        sweep.preventions.append(prevention)
        self._records.add_prevention(taker.account_id, prevention)
        if maker_lots:
            maker.prevented_lots += maker_lots
            self.shrink(maker, sweep)
            self._tell_prevented(maker, prevention, over=not maker.left)
        if taker_lots or mode in {"EXPIRE_TAKER", "EXPIRE_BOTH"}:
            taker.prevented_lots += taker_lots
            self._tell_prevented(taker, prevention, over=not taker.left)

    def _tell_prevented(self, order: Order, prevention: Prevention, *, over: bool) -> None:
        if over:
            self.finish(order, "EXPIRED_IN_MATCH", "TRADE_PREVENTION", "STP", prevention)
            return
        account = self._accounts[order.account_id]
        order.update_ns = max(order.update_ns, self._feed.now_ns)
        self._clearing.adjust(account, self._rules[order.symbol], order)
        self._log.order(account, "TRADE_PREVENTION", order, prevention=prevention)
        self._log.touch(account, order.lock_asset)

    # ------------------------------------------------------------------ resting and leaving

    def _rest(self, sweep: Sweep) -> None:
        order = sweep.order
        shown = min(order.visible_lots or order.left, order.left)
        resting = Resting(
            order.order_id, own_side(order), order.ticks, shown, order.left - shown, shown
        )
        self._resting[order.order_id] = resting
        sweep.book.join(resting)
        sweep.levels[resting.side, resting.ticks] = None

    def shrink(self, order: Order, sweep: Sweep) -> None:
        """Reduce a resting order's shown size to what is left of it; it keeps its priority."""
        resting = self._resting.get(order.order_id)
        if resting is None:
            return
        if order.left:
            sweep.book.reduce(resting, order.left)
        else:
            self._leave(order, sweep)
        sweep.levels[resting.side, resting.ticks] = None

    def _leave(self, order: Order, sweep: Sweep) -> None:
        resting = self._resting.pop(order.order_id, None)
        if resting is not None:
            sweep.book.leave(resting)
            sweep.levels[resting.side, resting.ticks] = None

    def withdraw(self, order: Order) -> None:
        """Remove an open order from the book without ending it."""
        sweep = Sweep(order, self._feed.book(order.symbol))
        self._leave(order, sweep)
        self._publish(sweep)

    def resize(self, order: Order) -> None:
        """Show in the book what an order was amended down to."""
        sweep = Sweep(order, self._feed.book(order.symbol))
        self.shrink(order, sweep)
        self._publish(sweep)

    def finish(
        self,
        order: Order,
        status: Status,
        cause: Cause,
        expiry: str = "",
        prevention: Prevention | None = None,
    ) -> None:
        """End an open order that no longer rests, and release its lock."""
        account = self._accounts[order.account_id]
        order.status = status
        order.expiry = expiry
        order.update_ns = max(order.update_ns, self._feed.now_ns)
        self._records.close(order)
        self._clearing.adjust(account, self._rules[order.symbol], order)
        self._log.order(account, cause, order, prevention=prevention)
        if order.lock_asset:
            self._log.touch(account, order.lock_asset)

    # ------------------------------------------------------------------ operator actions

    def hit(self, order: Order, lots: int) -> Fill:
        """Fill a resting order at its price whatever the queue, against the flow.

        ``lots`` 0: all that is left.

        Raises:
            OrderRefused: for an order that does not rest in the book.
        """
        if order.order_id not in self._resting:
            raise OrderRefused("BAD_COMBINATION", "the order does not rest in the book")
        sweep = Sweep(order, self._feed.book(order.symbol))
        sweep.book.trade_id += 1
        lots = min(lots or order.left, order.left)
        buys = order.side == "BUY"
        trade = Print(self._feed.now_ns, order.symbol, sweep.book.trade_id, order.ticks, lots, buys)
        fill = self._trade_past_queue(sweep, order, trade, maker=True)
        self._clearing.counter(self._rules[order.symbol], order, trade)
        sweep.prints.append(trade)
        self._publish(sweep)
        return fill

    def pass_to_flow(self, order: Order, ticks: int) -> Fill:
        """Fill an order completely against the flow at a price, bypassing the book."""
        sweep = Sweep(order, self._feed.book(order.symbol))
        trade = self.print_trade(sweep.book, order, ticks, order.left)
        fill = self._trade_past_queue(sweep, order, trade, maker=False)
        self._clearing.counter(self._rules[order.symbol], order, trade)
        sweep.prints.append(trade)
        self._publish(sweep)
        return fill

    def cross(self, maker: Order, taker: Order, ticks: int) -> Fill:
        """Trade all of the taker with another order bypassing the queue; return the maker's fill."""
        sweep = Sweep(taker, self._feed.book(taker.symbol))
        trade = self.print_trade(sweep.book, taker, ticks, taker.left)
        self._trade_past_queue(sweep, taker, trade, maker=False)
        fill = self._trade_past_queue(sweep, maker, trade, maker=True)
        sweep.prints.append(trade)
        self._publish(sweep)
        return fill

    def _trade_past_queue(self, sweep: Sweep, order: Order, trade: Print, *, maker: bool) -> Fill:
        self._count(order, trade)
        self.shrink(order, sweep)
        if not order.left:
            order.status = "FILLED"
        return self._settle(order, trade, maker=maker)

    def _publish(self, sweep: Sweep) -> None:
        now, symbol, book = self._feed.now_ns, sweep.order.symbol, sweep.book
        events: list[Print | LevelChange] = [*numbered(book, sweep.prints)]
        for side, ticks in sweep.levels:
            left = book.sizes(side).get(ticks, 0)
            events.append(LevelChange(now, symbol, book.stamp(), side, ticks, left))
        if sweep.prints:
            prices = [each.ticks for each in sweep.prints]
            low, high = self.traded.get(symbol, (prices[0], prices[0]))
            self.traded[symbol] = (min(low, *prices), max(high, *prices))
        if events:
            self._feed.publish(symbol, events)
