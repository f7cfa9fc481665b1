"""Who gets Freqtrade's lock sees what the one before him has committed.

Freqtrade's loop and the people who act in FreqUI or Telegram have a database session each, and take turns
under one lock. A session keeps the rows that somebody still holds as it has read them, though, and its loop
holds the open trades while candles are fetched and strategies called: an exit that a person sends meanwhile is
not among the orders of a trade that the loop then looks at. So it would take the fill of that exit for a sale
by others, or put the canceled stop up again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from freqtrade.persistence import Trade

if TYPE_CHECKING:
    from threading import Lock


class TradeLock:
    """The same lock, which ends what its holder's session has read before.

    Args:
        lock: Freqtrade's own.
    """

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            Trade.commit()  # type: ignore[no-untyped-call]
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._lock.release()
