"""Which public trades are news: each one once, in order, and none that was over before it was told.

Venues repeat themselves: the last trades are told anew after every subscribing, some venues send a
message twice, and two connections overlap while one takes over from the other. Whoever counts such
a trade as news fills an order, fires a stop or measures a flow that never was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from citadel_micro.core.events import TradeTick

REMEMBERED: Final = 512
"""Trades remembered at least, of one symbol. Venues repeat at most their last 100 (Coinbase)."""
LATE_NS: Final = 1_000_000_000
"""A trade that happened this long before the newest one comes from the past. Streams of one venue
keep their order to some milliseconds."""

_Known = dict[object, int]


class SeenTrades:
    """The trades of one symbol that have been, by the venue's number, else by what they say.

    A trade without a number is the same one when its time, price, size and side are, and it came
    in another message: one message may well tell of two equal trades.
    """

    __slots__ = ("_older", "_young")

    def __init__(self) -> None:
        # Two generations, so that forgetting the oldest costs nothing each time.
        self._young: _Known = {}
        self._older: _Known = {}

    def take(self, trade: TradeTick) -> bool:
        """Remember it. False when it has been already; a trade without a time is never known."""
        stamp = trade.exchange_ns
        if not stamp:
            return True
        name = trade.trade_id
        key: object = (name, stamp) if name else (stamp, trade.price, trade.size, trade.side)
        before = self._young.get(key)
        if before is None:
            before = self._older.get(key)
        if before is not None and (name or before != trade.recv_ns):
            return False
        if len(self._young) >= REMEMBERED:
            self._young, self._older = {}, self._young
        self._young[key] = trade.recv_ns
        return True


class News:
    """Judges the trades of one symbol as they come; ``happened_ns`` is when the last one was."""

    __slots__ = ("_lag_ns", "_samples", "_seen", "happened_ns")

    def __init__(self) -> None:
        self._seen = SeenTrades()
        self._lag_ns: int | None = None
        self._samples = 0
        self.happened_ns = 0
        """Engine time at which the newest trade happened, at the latest; at most its receipt."""

    def take(self, trade: TradeTick, lag_ns: int | None) -> bool:
        """Whether the trade is news.

        Args:
            trade: as it came.
            lag_ns: receive time minus venue's time of the book's last update; None if not known.
                It holds what the clocks differ by, and the way, so what a trade has beyond it is
                how late the trade is told.
        """
        if trade.history or not self._seen.take(trade):
            return False
        happened_ns = trade.recv_ns
        if trade.exchange_ns:
            happened_ns = min(happened_ns, trade.exchange_ns + self._least(trade, lag_ns))
        if happened_ns < self.happened_ns - LATE_NS:
            return False
        self.happened_ns = max(happened_ns, self.happened_ns)
        return True

    def _least(self, trade: TradeTick, lag_ns: int | None) -> int:
        """The smallest lag of the last samples; renewed, so that one wrong stamp is outlived."""
        least = trade.recv_ns - trade.exchange_ns
        if lag_ns is not None:
            least = lag_ns if self._lag_ns is None else min(lag_ns, self._lag_ns)
        elif self._lag_ns is not None:
            least = min(least, self._lag_ns)
        self._samples += 1
        if self._samples >= 64:  # noqa: PLR2004 - some seconds of a busy market
            self._samples = 0
            self._lag_ns = lag_ns
        else:
            self._lag_ns = least
        return least
