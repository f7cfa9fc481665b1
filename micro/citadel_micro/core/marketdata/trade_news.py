"""Which public trades are news: each one once, in order, and none that was over before it was told.

Venues repeat themselves: the last trades are told anew after every subscribing, some venues send a
message twice, and two connections overlap while one takes over from the other. Whoever counts such
a trade as news fills an order, fires a stop or measures a flow that never was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.marketdata.snapshot_buffer import STAMP_NS

if TYPE_CHECKING:
    from citadel_micro.core.model.events import TradeTick

REMEMBERED: Final = 512
"""Trades remembered at least, of one symbol. Venues repeat at most their last 100 (Coinbase)."""
LATE_NS: Final = 1_000_000_000
"""A trade that happened this long before the newest one comes from the past. Streams of one venue
keep their order to some milliseconds."""

SAMPLES: Final = 64
"""Trades after which the smallest lag is measured anew: one wrong stamp is outlived."""
_UNKNOWN: Final = 1 << 62

_Content = tuple[int, float, float, str]


class SeenTrades:
    """The trades of one symbol that have been, by the venue's number, else by what they say.

    A trade without a number is the same one when its time, price, size and side are, and it came
    in another message: one message may well tell of two equal trades.
    """

    __slots__ = ("_older", "_older_bare", "_young", "_young_bare")

    def __init__(self) -> None:
        # Two generations of each, so that forgetting the oldest costs nothing each time.
        self._young: dict[str, int] = {}
        self._older: dict[str, int] = {}
        self._young_bare: dict[_Content, int] = {}
        self._older_bare: dict[_Content, int] = {}

    def __len__(self) -> int:
        """Trades that are remembered."""
        named = len(self._young) + len(self._older)
        return named + len(self._young_bare) + len(self._older_bare)

    def take(self, trade: TradeTick) -> bool:
        """Remember it. False when it has been already; a trade without a time is never known."""
        name, stamp = trade[2], trade[6]  # by position: half the time of names
        if not stamp:
            return True
        if not name:
            return self._take_bare(trade)
        young = self._young
        if young.get(name) == stamp or self._older.get(name) == stamp:
            return False
        young[name] = stamp
        if len(young) > REMEMBERED:
            self._young, self._older = {}, young
        return True

    def _take_bare(self, trade: TradeTick) -> bool:
        key = (trade.exchange_ns, trade.price, trade.size, trade.side)
        before = self._young_bare.get(key) or self._older_bare.get(key)
        if before is not None and before != trade.recv_ns:
            return False
        self._young_bare[key] = trade.recv_ns
        if len(self._young_bare) > REMEMBERED:
            self._young_bare, self._older_bare = {}, self._young_bare
        return True


class News(SeenTrades):
    """Judges the trades of one symbol as they come; ``happened_ns`` is when the last one was."""

    __slots__ = ("_former_ns", "_lag_ns", "_left", "_odd_ns", "happened_ns")

    def __init__(self) -> None:
        super().__init__()
        self._lag_ns = _UNKNOWN
        self._odd_ns = self._former_ns = _UNKNOWN
        self._left = SAMPLES
        self.happened_ns = 0
        """Engine time at which the newest trade happened, at the latest; at most its receipt."""

    def judge(self, trade: TradeTick, lag_ns: int | None) -> bool:
        """Whether the trade is news, by all that is known; it is remembered.

        Args:
            trade: as it came.
            lag_ns: receive time minus venue's time of the book's last update; None if not known.
                It holds what the clocks differ by, and the way, so what a trade has beyond it is
                how late the trade is told.
        """
        _, _, name, _, _, _, stamp, recv_ns, history = trade
        if history:
            return False
        if name and stamp:  # as ``take``, without the call
            young = self._young
            if young.get(name) == stamp or self._older.get(name) == stamp:
                return False
            young[name] = stamp
            if len(young) > REMEMBERED:
                self._young, self._older = {}, young
        elif not self.take(trade):
            return False
        happened_ns = recv_ns
        if stamp:
            lag = recv_ns - stamp
            least = lag if lag_ns is None else lag_ns
            least = self._smaller(lag, lag_ns) if least < self._lag_ns else self._lag_ns
            self._left -= 1
            if not self._left:
                self._left, self._lag_ns = SAMPLES, _UNKNOWN
            if lag > least:
                happened_ns = stamp + least
        if happened_ns <= self.happened_ns:
            if happened_ns >= self.happened_ns - LATE_NS:
                return True
            if not self._jumped_back(recv_ns - stamp, lag_ns):
                return False
            happened_ns = recv_ns
        self.happened_ns = happened_ns
        return True

    def _smaller(self, own_ns: int, depth_ns: int | None) -> int:
        """The smallest lag, now that one is smaller still.

        One stamp far ahead would make all that follow look as old as it is ahead: a trade and the
        depth, or two trades, must agree on such a clock before it is believed.
        """
        lag_ns = own_ns if depth_ns is None else depth_ns
        if lag_ns < min(self._lag_ns, 0) - STAMP_NS:
            odd_ns, self._odd_ns = self._odd_ns, lag_ns
            if not _near(lag_ns, odd_ns if depth_ns is None else own_ns):
                return self._lag_ns
            self._former_ns = self._lag_ns
        self._lag_ns = lag_ns
        return lag_ns

    def _jumped_back(self, own_ns: int, lag_ns: int | None) -> bool:
        """Whether the venue's clock is what it was before it jumped ahead, by trade and depth."""
        former_ns = self._former_ns
        if lag_ns is None or not (_near(own_ns, former_ns) and _near(lag_ns, former_ns)):
            return False
        self._lag_ns, self._former_ns = min(own_ns, lag_ns), _UNKNOWN
        return True


def _near(one_ns: int, other_ns: int) -> bool:
    return abs(one_ns - other_ns) <= STAMP_NS
