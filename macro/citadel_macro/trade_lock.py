"""Who gets Freqtrade's lock sees what the one before him has committed.

Freqtrade's loop and the people who act in FreqUI or Telegram have a database session each, and take turns
under one lock. A session keeps the rows that somebody still holds as it has read them, though, and its loop
holds the open trades while candles are fetched and strategies called: an exit that a person sends meanwhile is
not among the orders of a trade that the loop then looks at. So it would take the fill of that exit for a sale
by others, or put the canceled stop up again.

Not everything of Freqtrade that changes trades takes that lock: filling in fees, funding, the open orders at
a start, a trade that is reloaded from the exchange. A trade that a person deletes meanwhile makes the database
raise, and an error of the database ends the bot. ``under_lock`` has them take it.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

from freqtrade.persistence import Trade

if TYPE_CHECKING:
    from collections.abc import Callable

    from freqtrade.freqtradebot import FreqtradeBot


class TradeLock:
    """A lock in the place of Freqtrade's own, which ends what its holder's session has read before.

    The thread that holds it may take it once more.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1
        if self._depth > 1:
            return
        try:
            Trade.commit()  # type: ignore[no-untyped-call]
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        self._lock.release()


def under_lock(
    bot_of: Callable[[Any], FreqtradeBot],
) -> Callable[[Callable[..., Any], Any], object]:
    """A hook that has a method take the bot's lock, and commit what it has changed before it gives it back.

    Args:
        bot_of: from the object of the method.
    """

    def make(original: Callable[..., Any], _: object) -> object:
        @functools.wraps(original)
        def locked(owner: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Freqtrade's
            lock = getattr(bot_of(owner), "_exit_lock", None)
            if not isinstance(lock, TradeLock):
                return original(owner, *args, **kwargs)
            with lock:
                answer = original(owner, *args, **kwargs)
                Trade.commit()  # type: ignore[no-untyped-call]
            return answer

        return locked

    return make
