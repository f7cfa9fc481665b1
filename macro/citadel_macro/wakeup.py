"""End Freqtrade's pause between two loops as soon as an order has news.

Freqtrade sleeps ``process_throttle_secs`` between loops, five seconds by default, so a fill would
reach its database two and a half seconds late on average. The worker waits on the connector's event
instead. Repricing a resting order is no news: only an order that came to its end wakes the worker,
else a chasing order would keep Freqtrade spinning.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable


class WakeUp:
    """A sleep that ends early when there is news.

    Args:
        event: set by the connector on every execution report.
        news: whether anything changed that Freqtrade has not seen yet.
    """

    def __init__(self, event: threading.Event, news: Callable[[], bool]) -> None:
        self._event = event
        self._news = news

    def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``, or until there is news.

        The event is cleared before the news is looked at, never after: a report that arrives in
        between sets it again, so none is missed.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._event.clear()
            if self._news():
                return
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self._event.wait(remaining):
                return
