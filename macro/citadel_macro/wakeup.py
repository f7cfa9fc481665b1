"""End Freqtrade's pause between two loops as soon as an order has filled and closed, or a person asks.

Freqtrade sleeps ``process_throttle_secs`` between loops, five seconds by default, so a fill would
reach its database two and a half seconds late on average. The worker waits on the connector's event
instead. A reprice does not wake it: only an order that closed with a fill wakes the worker, and
not more often than a budget allows, otherwise a chasing order, or one that is sent and ends again
and again, would keep Freqtrade spinning. How often depends on what a loop costs: 14 ms of
the processor for a bot of two pairs, perhaps a second for one of a hundred.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

BURST: Final = 8.0
PER_S: Final = 1.0
MOST_PER_S: Final = 4.0
"""Each loop may ask the exchange for something: tickers, candles."""
SHARE: Final = 0.25
"""Of a core, for loops that begin early, where that allows more than ``PER_S``."""
WATCH_S: Final = 0.5
"""How often a sleeper looks at what comes without an event, such as silence."""


class Budget:
    """How often the pause may end early: ``BURST`` times at once.

    In the long run as often as makes the loops ``SHARE`` of a core, but at least ``PER_S`` and at most
    ``MOST_PER_S`` times a second.

    Args:
        clock: seconds, that never go back.
        worked: seconds of processor time that the thread of the loop has taken.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock = clock
        self._worked = worked
        self._left = BURST
        self._at_s = clock()
        self._per_s = PER_S
        self._began_s: float | None = None

    def loop_begins(self) -> None:
        """A pause has ended."""
        self._began_s = self._worked()

    def loop_ended(self) -> None:
        """A pause begins: what the loop before it has cost counts for the next early ends."""
        if self._began_s is None:
            return
        cost_s = self._worked() - self._began_s
        self._refill()
        self._per_s = min(MOST_PER_S, max(PER_S, SHARE / cost_s if cost_s > 0 else MOST_PER_S))

    def spend(self) -> float:
        """Use one; returns the seconds until it may be used, 0 for now."""
        self._refill()
        self._left -= 1.0
        return max(0.0, -self._left / self._per_s)

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(BURST, self._left + (now - self._at_s) * self._per_s)
        self._at_s = now


class WakeUp:
    """A sleep that ends early on news.

    Args:
        event: set by the connector on every execution report.
        news: whether anything changed that Freqtrade has not fetched yet.
        budget: of early ends, kept from one sleep to the next.
        watch: called now and then while it sleeps.
        asked: whether a person has asked for something that waits for the end of the pause; no budget
            is needed for it.
    """

    def __init__(
        self,
        event: threading.Event,
        news: Callable[[], bool],
        budget: Budget | None = None,
        watch: Callable[[], object] = lambda: None,
        asked: Callable[[], bool] = lambda: False,
    ) -> None:
        self._event = event
        self._news = news
        self._watch = watch
        self._asked = asked
        self._budget = budget or Budget()

    def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``, or until there is news.

        The event is cleared before the news is checked, never after: a report that arrives in
        between sets it again, so none is missed.
        """
        self._budget.loop_ended()
        try:
            self._sleep(time.monotonic() + seconds)
        finally:
            self._budget.loop_begins()

    def _sleep(self, deadline: float) -> None:
        while True:
            self._event.clear()
            remaining = deadline - time.monotonic()
            if self._asked():
                return
            if self._news():
                self._until(time.monotonic() + min(self._budget.spend(), remaining))
                return
            if remaining <= 0:
                return
            self._watch()
            self._event.wait(min(remaining, WATCH_S))

    def _until(self, deadline: float) -> None:
        """Sleep through further news, for which there is no budget, but not through what a person asks."""
        while (remaining := deadline - time.monotonic()) > 0:
            self._event.clear()
            if self._asked():
                return
            self._event.wait(remaining)
