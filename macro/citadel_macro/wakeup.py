"""End Freqtrade's pause between two loops as soon as an order has filled and closed.

Freqtrade sleeps ``process_throttle_secs`` between loops, five seconds by default, so a fill would
reach its database two and a half seconds late on average. The worker waits on the connector's event
instead. A reprice does not wake it: only an order that closed with a fill wakes the worker, and
not more often than a budget allows, otherwise a chasing order, or one that is sent and ends again
and again, would keep Freqtrade spinning.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

BURST: Final = 8.0
PER_S: Final = 1.0
WATCH_S: Final = 0.5
"""How often a sleeper looks at what comes without an event, such as silence."""


class Budget:
    """How often the pause may end early: ``BURST`` times at once, ``PER_S`` in the long run."""

    def __init__(self) -> None:
        self._left = BURST
        self._at_s = time.monotonic()

    def spend(self) -> float:
        """Use one; returns the seconds until it may be used, 0 for now."""
        now = time.monotonic()
        self._left = min(BURST, self._left + (now - self._at_s) * PER_S) - 1.0
        self._at_s = now
        return max(0.0, -self._left / PER_S)


class WakeUp:
    """A sleep that ends early on news.

    Args:
        event: set by the connector on every execution report.
        news: whether anything changed that Freqtrade has not fetched yet.
        budget: of early ends, kept from one sleep to the next.
        watch: called now and then while it sleeps.
    """

    def __init__(
        self,
        event: threading.Event,
        news: Callable[[], bool],
        budget: Budget | None = None,
        watch: Callable[[], object] = lambda: None,
    ) -> None:
        self._event = event
        self._news = news
        self._watch = watch
        self._budget = budget or Budget()

    def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``, or until there is news.

        The event is cleared before the news is checked, never after: a report that arrives in
        between sets it again, so none is missed.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._event.clear()
            remaining = deadline - time.monotonic()
            if self._news():
                time.sleep(max(0.0, min(self._budget.spend(), remaining)))
                return
            if remaining <= 0:
                return
            self._watch()
            self._event.wait(min(remaining, WATCH_S))
