"""Which public trades are new: each one once, in order, and none that was over before it came.

Venues repeat themselves: the last trades are sent again after every subscription, some venues send a
message twice, and two connections overlap during a handover. Counting such
a trade as new would fill an order, trigger a stop or measure a flow that never was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.marketdata.snapshot_buffer import STAMP_NS

if TYPE_CHECKING:
    from citadel_micro.core.model.events import TradeTick

REMEMBERED: Final = 512
"""Minimum number of trades remembered per symbol. Venues repeat at most their last 100 (Coinbase)."""
LATE_NS: Final = 1_000_000_000
"""A trade that happened this long before the newest one is old. Streams of one venue
keep their order to some milliseconds."""

SAMPLES: Final = 64
"""Trades after which the smallest lag is measured again: one wrong timestamp is outlived."""
UNKNOWN: Final = 1 << 62

_Content = tuple[int, float, float, str]


class SeenTrades:
    """The past trades of one symbol, by the venue's number, else by their content.

    A trade without a number is the same one when its time, price, size and side are, and it came
    in another message: one message may well hold two equal trades.
    """

    __slots__ = ("_older", "_older_bare", "_young", "_young_bare")

    def __init__(self) -> None:
        # Two generations of each, so that dropping the oldest costs nothing each time.
        self._young: dict[str, int] = {}
        self._older: dict[str, int] = {}
        self._young_bare: dict[_Content, int] = {}
        self._older_bare: dict[_Content, int] = {}

    def __len__(self) -> int:
        """Trades that are remembered."""
        named = len(self._young) + len(self._older)
        return named + len(self._young_bare) + len(self._older_bare)

    def take(self, trade: TradeTick) -> bool:
        """Remember it. False if it was seen before; a trade without a time never counts as seen."""
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
    """Checks the trades of one symbol as they come; ``happened_ns`` is the time of the last one."""

    __slots__ = ("_former_ns", "_lag_ns", "_left", "_odd_ns", "happened_ns")

    def __init__(self) -> None:
        super().__init__()
        self._lag_ns = UNKNOWN
        self._odd_ns = self._former_ns = UNKNOWN
        self._left = SAMPLES
        self.happened_ns = 0
        """Engine time at which the newest trade happened, at the latest; at most its receipt."""

    def judge(self, trade: TradeTick, lag_ns: int | None) -> bool:
        """Whether the trade is new, by everything known; it is remembered.

        Args:
            trade: as received.
            lag_ns: receive time minus venue's time of the book's last update; None if not known.
                It contains the clock offset and the transit time, so the excess of a trade's lag
                over it is how late the trade was sent.
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
                self._left, self._lag_ns = SAMPLES, UNKNOWN
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
        """The smallest lag, now that a smaller one was measured.

        One timestamp far ahead would make all later ones look as old as it is ahead: a trade and the
        depth, or two trades, must agree on such a clock before it is used.
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
        self._lag_ns, self._former_ns = min(own_ns, lag_ns), UNKNOWN
        return True


def _near(one_ns: int, other_ns: int) -> bool:
    return abs(one_ns - other_ns) <= STAMP_NS
