"""Held stops of one instrument, found by their trigger price.

A market may hold thousands of them, far away; only those that a book or a trade has reached are
checked, and those that have been reached but not confirmed yet.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.model.events import Side, TradeTick
    from citadel_micro.core.orders.orders import Parent

OLD_NS: Final = 5_000_000_000
"""A trade that came this much later than the book's last update is late: the first messages after a
reconnect are often earlier trades."""
REMEMBERED_IDS: Final = 1_000
"""Number of past trades remembered: the most that a venue sends again at a reconnect."""


class TradeNews:
    """Which trades are new: each counted once, and none older than the known ones.

    ``count`` grows with every new one.
    """

    __slots__ = ("_ids", "_market", "_newest_ns", "count", "last")

    def __init__(self, market: MarketBook) -> None:
        self.last: TradeTick | None = None
        self.count = 0
        self._market = market
        self._newest_ns = 0
        self._ids: dict[str, None] = {}

    def begin(self) -> None:
        """Start watching: everything before is history."""
        market = self._market
        known = market.last_trade
        if known is not None and known.exchange_ns >= self._newest_ns:
            self._advance(known.exchange_ns, known.recv_ns)
            self._ids[known.trade_id] = None
        self._advance(market.exchange_ns, market.last_recv_ns)

    def take(self, trade: TradeTick) -> bool:
        """Whether it is new; then it is ``last``."""
        at_ns, market = trade.exchange_ns, self._market
        if 0 < at_ns < self._newest_ns:
            return False
        usual_ns = market.last_recv_ns - market.exchange_ns if market.exchange_ns else 0
        if at_ns and trade.recv_ns - at_ns > max(usual_ns, 0) + OLD_NS:
            return False
        self._advance(at_ns, trade.recv_ns)
        if trade.trade_id:
            if trade.trade_id in self._ids:
                return False
            self._ids[trade.trade_id] = None
            if len(self._ids) > REMEMBERED_IDS:
                del self._ids[next(iter(self._ids))]
        self.last = trade
        self.count += 1
        return True

    def _advance(self, at_ns: int, recv_ns: int) -> None:
        """Nothing older is new; a time ahead of ours is ignored for that."""
        if self._newest_ns < at_ns <= recv_ns + OLD_NS:
            self._newest_ns = at_ns


class HeldStops:
    """The held stops of one instrument by price: sells trigger from above, buys from below."""

    __slots__ = ("_armed", "_buys", "_market", "_sells", "_trade", "lots", "news", "waiting")

    def __init__(self, market: MarketBook) -> None:
        self.news = TradeNews(market)
        self._market = market
        self.waiting: dict[str, Parent] = {}
        """By signal id."""
        self.lots: dict[Side, int] = {"buy": 0, "sell": 0}
        """Their total quantity."""
        self._sells: list[tuple[float, int, str]] = []
        self._buys: list[tuple[float, int, str]] = []
        self._armed: dict[str, Parent] = {}
        self._trade: float | None = None

    def add(self, parent: Parent) -> None:
        """Watch for its price from now on."""
        self.news.begin()
        self.waiting[parent.id] = parent
        self.lots[parent.signal.side] += parent.target
        insort(self._side(parent), _place(parent))

    def remove(self, parent: Parent) -> None:
        """It was triggered or has ended; does nothing when it is not here."""
        if self.waiting.pop(parent.id, None) is None:
            return
        self._armed.pop(parent.id, None)
        self.lots[parent.signal.side] -= parent.target
        side, place = self._side(parent), _place(parent)
        del side[bisect_left(side, place)]

    def arm(self, parent: Parent, *, armed: bool) -> None:
        """Whether its price was reached once, so that it needs every further update as well."""
        if armed and parent.id in self.waiting:
            self._armed[parent.id] = parent
        else:
            self._armed.pop(parent.id, None)

    @property
    def armed(self) -> Iterable[Parent]:
        """Those waiting for confirmation, by a further update or by time."""
        return self._armed.values()

    def on_trade(self, trade: TradeTick) -> None:
        """Record the trade for the next call of ``reached``."""
        if self.news.take(trade):
            self._trade = trade.price

    def reached(self) -> Iterable[Parent]:
        """Those whose price the book or the last trade has reached, and the armed ones."""
        trade, self._trade = self._trade, None
        best = self._market.best()
        low = high = trade
        if best is not None:
            low = best[0] if low is None else min(low, best[0])
            high = best[2] if high is None else max(high, best[2])
        sells, buys = self._sells, self._buys
        found: dict[str, Parent] = {}
        if sells and low is not None and sells[-1][0] >= low:
            for _, _, name in sells[bisect_left(sells, low, key=_price) :]:
                found[name] = self.waiting[name]
        if buys and high is not None and buys[0][0] <= high:
            for _, _, name in buys[: bisect_right(buys, high, key=_price)]:
                found[name] = self.waiting[name]
        if self._armed:
            found.update(self._armed)
        return tuple(found.values()) if found else ()

    def _side(self, parent: Parent) -> list[tuple[float, int, str]]:
        return self._sells if parent.sign < 0 else self._buys


def _place(parent: Parent) -> tuple[float, int, str]:
    """Sort key: by price, then by age."""
    return parent.rules.price_float(parent.stop_ticks or 0), parent.number, parent.id


def _price(place: tuple[float, int, str]) -> float:
    return place[0]
