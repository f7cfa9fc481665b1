"""What a connection requests from its venue: subscriptions, within the venue's rate limits.

Venues count requests, by the second and some by the hour, and disconnect or ban clients that exceed
them. So a symbol is queued at most once, one that is resubscribed again and again is so at growing
intervals, and when the hour's limit is used up the rest waits; heartbeats are not counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.shell.marketdata.backoff import Backoff, Hourly, Pacer

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from citadel_micro.shell.marketdata.spec import Channel, VenueSpec

CALM_S: Final = 30.0
"""A symbol that was not resubscribed for this long is resubscribed at once the next time."""


class _Ask(NamedTuple):
    text: str
    symbols: tuple[str, ...]
    together: int = 1
    """Number of messages from this one on that are sent together or not at all: a symbol must not be
    left without its subscription because the hour's limit is used up."""


class Subscriptions:
    """The requests of one session of a connection.

    Args:
        natives: venue symbol of each unified symbol.
    """

    def __init__(
        self,
        spec: VenueSpec,
        natives: Mapping[str, str],
        channels: Sequence[Channel],
        rng: random.Random,
    ) -> None:
        self._spec = spec
        self._natives = natives
        self._channels = channels
        self._rng = rng
        self._queue: deque[_Ask] = deque()
        self._filled = asyncio.Event()
        self._asked: dict[int, tuple[str, ...]] = {}
        self._next = 1
        self._hour = Hourly(spec.limits.requests_per_h)
        self._waiting: set[str] = set()
        """Symbols whose resubscription is queued."""
        self._later: dict[str, float] = {}
        """Symbol to the loop's time at which it is resubscribed."""
        self._again: dict[str, tuple[float, Backoff]] = {}

    @property
    def busy(self) -> bool:
        """Requests are queued."""
        return bool(self._queue)

    def take(self, number: int) -> tuple[str, ...]:
        """The symbols of this request, which is answered."""
        return self._asked.pop(number, ())

    def subscribe(self, symbols: Sequence[str]) -> None:
        """Subscribe these."""
        size = self._spec.limits.symbols_per_message
        for start in range(0, len(symbols), size):
            chunk = symbols[start : start + size]
            natives = [self._natives[symbol] for symbol in chunk]
            self._put(self._spec.subscribe(natives, self._channels, self._next), tuple(chunk))

    def again(self, symbol: str) -> float:
        """Resubscribe this one, once however often it is requested. Seconds until then, about."""
        if symbol in self._waiting or symbol in self._later:
            return self._delay_s(symbol)
        now_s = asyncio.get_running_loop().time()
        last_s, backoff = self._again.get(symbol, (0.0, None))
        if backoff is None or now_s - last_s >= CALM_S:
            backoff = backoff or Backoff(self._rng)
            backoff.reset()
            wait_s = 0.0
        else:
            wait_s = backoff.next()
        self._again[symbol] = (now_s + wait_s, backoff)
        if wait_s:
            self._later[symbol] = now_s + wait_s
            self._filled.set()
        else:
            self._ask_again(symbol)
        return self._delay_s(symbol)

    def _delay_s(self, symbol: str) -> float:
        now_s = asyncio.get_running_loop().time()
        return max(self._later.get(symbol, now_s) - now_s, self._hour.wait_s(now_s))

    def _ask_again(self, symbol: str) -> None:
        unsubscribe = self._spec.unsubscribe
        assert unsubscribe is not None  # noqa: S101 - whoever asks has looked
        native = self._natives[symbol]
        self._waiting.add(symbol)
        first = len(self._queue)
        self._put(unsubscribe([native], self._channels, self._next), ())
        self.subscribe([symbol])
        self._queue[first] = self._queue[first]._replace(together=len(self._queue) - first)

    def _put(self, messages: Sequence[str], symbols: tuple[str, ...]) -> None:
        for message in messages:
            self._asked[self._next] = symbols
            self._next += 1
            self._queue.append(_Ask(message, symbols))
        self._filled.set()

    def _wait_s(self) -> float:
        now_s = asyncio.get_running_loop().time()
        return self._hour.wait_s(now_s, self._queue[0].together)

    async def send(self, send: Callable[[str], None]) -> None:
        """Send requests and heartbeats until canceled."""
        loop = asyncio.get_running_loop()
        pacer = Pacer(self._spec.limits.messages_per_s)
        beat = self._spec.heartbeat
        beat_s = loop.time() + beat.interval_s if beat.text else None
        while True:
            due = [] if beat_s is None else [beat_s]
            due += self._later.values()
            if self._queue:
                due.append(loop.time() + self._wait_s())
            try:
                async with asyncio.timeout_at(min(due, default=None)):
                    await self._filled.wait()
            except TimeoutError:
                pass
            self._filled.clear()
            for symbol in [s for s, at_s in self._later.items() if at_s <= loop.time()]:
                del self._later[symbol]
                self._ask_again(symbol)
            if beat_s is not None and loop.time() >= beat_s:
                beat_s = loop.time() + beat.interval_s
                await pacer.turn()
                send(beat.text)
            while self._queue and not self._wait_s():
                await pacer.turn()
                ask = self._queue.popleft()
                self._waiting.difference_update(ask.symbols)
                self._hour.spend(loop.time())
                send(ask.text)
