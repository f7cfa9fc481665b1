"""The last seconds of one market's best prices, and what they will be some time after a fill."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.model.instrument import Instrument

KEPT_NS: Final = 10_000_000_000
"""A fill is reported within this, or its own mid is not known."""

TRADES: Final = 1_000
"""As many trades are remembered."""


class Best(NamedTuple):
    """Best prices from one moment on."""

    at_ns: int
    """Engine time."""
    exchange_ns: int
    """The venue's time of them; 0 where it gives none."""
    bid: int
    """Ticks; both are 0 while the book may not be trusted."""
    ask: int
    micro: float
    """Size-weighted mid (Stoikov, "The micro-price", 2018), in half ticks as ``mid2``."""

    @property
    def mid2(self) -> int | None:
        """Bid + ask in ticks; None while the book may not be trusted."""
        return self.bid + self.ask if self.bid else None


class MarketPast:
    """Remembers best prices, and answers when a time has come.

    Args:
        market: a book that somebody else keeps.
        instrument: its rules.
    """

    def __init__(self, market: MarketBook, instrument: Instrument) -> None:
        self.market = market
        self.instrument = instrument
        self._entries: deque[Best] = deque()
        self._trades: deque[tuple[int, int]] = deque(maxlen=TRADES)
        self._due: list[tuple[int, int, Callable[[Best | None], None]]] = []
        self._number = count()

    @property
    def now(self) -> Best | None:
        """The best prices that are in force."""
        return self._entries[-1] if self._entries else None

    def note(self, now_ns: int, exchange_ns: int = 0) -> bool:
        """Take the book's best prices after an event; True when they have changed."""
        while self._due and self._due[0][0] < now_ns:
            heapq.heappop(self._due)[2](self.now)
        best = self.market.best() if self.market.state == "LIVE" else None
        bid = ask = 0
        micro = 0.0
        if best is not None:
            ticks = self.instrument.ticks_of_float
            bid, ask = ticks(best[0]), ticks(best[2])
            sizes = best[1] + best[3]
            micro = 2 * (bid * best[3] + ask * best[1]) / sizes if sizes else float(bid + ask)
        entries = self._entries
        last = self.now
        if last is not None and (last.bid, last.ask, last.micro) == (bid, ask, micro):
            return False
        # Times out of order are of another clock's step; the order of events is what counts.
        entries.append(Best(now_ns, exchange_ns, bid, ask, micro))
        while len(entries) > 1 and entries[1].at_ns < now_ns - KEPT_NS:
            entries.popleft()
        return last is None or (last.bid, last.ask) != (bid, ask)

    def traded(self, now_ns: int, exchange_ns: int) -> None:
        """A public trade has come."""
        self._trades.append((now_ns, exchange_ns))

    def trade_time(self, at_ns: int) -> int:
        """The venue's time of the public trade that came at this time of the engine; 0: there was none."""
        return next((venue_ns for came, venue_ns in reversed(self._trades) if came == at_ns), 0)

    def before(self, at_ns: int, exchange_ns: int = 0) -> Best | None:
        """What was in force just before a time; None where that is not known.

        Quotes and trades come on ways of their own, and the quote that shows a trade often comes first. So
        the venue's times are compared where it gives them.

        Args:
            at_ns: engine time.
            exchange_ns: the same in the venue's time; 0 where that is not known.
        """
        entries = self._entries
        if exchange_ns and entries and entries[-1].exchange_ns:
            earlier = (e for e in reversed(entries) if 0 < e.exchange_ns < exchange_ns)
            found = next(earlier, None)
            if found is not None:
                return found
        return next((each for each in reversed(entries) if each.at_ns < at_ns), None)

    def engine_time(self, exchange_ns: int, now_ns: int) -> int:
        """A time of the venue in the engine's, by the quickest of the last messages; at most now."""
        lags = [each.at_ns - each.exchange_ns for each in self._entries if each.exchange_ns]
        if not lags or not exchange_ns:
            return now_ns
        return min(now_ns, exchange_ns + min(lags))

    def after(self, due_ns: int, now_ns: int, tell: Callable[[Best | None], None]) -> None:
        """Tell what is in force at a time, now or when it has come; never where the journal ends before."""
        if due_ns < now_ns:
            tell(self.before(due_ns + 1))
        else:
            heapq.heappush(self._due, (due_ns, next(self._number), tell))
