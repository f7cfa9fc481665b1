"""HTTP snapshots for the venues whose streams need one: rate-limited, retried, one at a time.

While many symbols wait, small snapshots are requested, which cost less; full ones follow when no symbol
waits, and replace them. Polls of the books of silent symbols come last, one at a time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from citadel_micro.core.marketdata.snapshot_buffer import FEW_LEVELS
from citadel_micro.core.model.events import BookLook, DepthUpdate, FeedStatus
from citadel_micro.shell.http.public import PublicHost
from citadel_micro.shell.http.retry_after import seconds
from citadel_micro.shell.marketdata.backoff import Backoff, Pacer
from citadel_proto.errors import PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from citadel_micro.shell.marketdata.context import Emit, Tap
    from citadel_micro.shell.marketdata.decode import Decoder
    from citadel_micro.shell.marketdata.spec import VenueSpec

REQUEST_TIMEOUT_S: Final = 10.0
CALM_S: Final = 30.0
"""A book that needed no snapshot for this long gets its next one without delay."""
CROWD: Final = 10
"""With more symbols than this without a book, snapshots are quick ones."""
DEEPEN_AFTER_S: Final = 5.0
"""Full snapshots follow the small ones when none was requested for this long."""
LOOK_PAUSE_S: Final = 0.2
"""Between two polls: they are optional, and leave the venue's budget to the snapshots."""
UNTOLD_S: Final = 5.0
"""Pause where a venue asks for one and does not say how long."""
NO_CONNECTION: Final = -1
"""Number of the connection of what came over HTTP, for taps."""
_REFUSED: Final = frozenset({400, 404})
_SLOW_DOWN: Final = frozenset({418, 429, 503})
_OK: Final = 200


class SnapshotFetcher:
    """Fetches snapshots of one venue's books and emits them as events.

    A symbol is requested at most once at a time; requesting it again meanwhile does nothing. Repeated
    requests for the same symbol are spaced by a growing delay, so that a stream that can never be
    joined costs little.

    Args:
        symbols: how many the venue has.
    """

    def __init__(
        self,
        spec: VenueSpec,
        rest_url: str,
        *,
        decoder: Decoder,
        emit: Emit,
        clock: Callable[[], int],
        rng: random.Random,
        symbols: int = 1,
        tap: Tap | None = None,
    ) -> None:
        self._spec = spec
        self._rest_url = rest_url.rstrip("/")
        self._decoder = decoder
        self._emit = emit
        self._clock = clock
        self._tap = tap
        self._rng = rng
        self._symbols = symbols
        self._asked_s = 0.0
        self._fetched: set[str] = set()
        """Venue symbols that have had a snapshot since their stream began."""
        self._pacer = Pacer(spec.limits.snapshots_per_s, spec.limits.snapshot_burst)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._shallow: dict[str, str] = {}
        """Venue symbol to unified symbol of the books that have a small snapshot only."""
        self._polls: dict[str, tuple[str, Callable[[str], None]]] = {}
        self._background: asyncio.Task[None] | None = None
        self._backoffs: dict[str, Backoff] = {}
        self._last_s: dict[str, float] = {}
        self._host = PublicHost(self._rest_url, REQUEST_TIMEOUT_S)
        self._log = structlog.get_logger("feeds").bind(venue=spec.venue)
        self.fetched = 0
        self.failures = 0

    def request(self, native: str, symbol: str) -> None:
        """Fetch a snapshot of this venue symbol soon; does nothing if one is being fetched."""
        if native not in self._tasks:
            self._asked_s = asyncio.get_running_loop().time()
            self._tasks[native] = asyncio.get_running_loop().create_task(
                self._run(native, symbol), name=f"snapshot {self._spec.venue} {native}"
            )

    def poll(self, native: str, symbol: str, answered: Callable[[str], None]) -> None:
        """Poll the venue's book of this symbol when there is time, and emit a BookLook."""
        if native not in self._tasks:
            self._polls.setdefault(native, (symbol, answered))
            self._begin_background()

    def forget(self, native: str) -> None:
        """Stop fetching this symbol: its stream has ended, and will request it again.

        Its next request is not delayed, because reconnecting was: a book that waits longer
        than it must buffers the updates of all that time.
        """
        self._last_s.pop(native, None)
        self._fetched.discard(native)
        self._shallow.pop(native, None)
        self._polls.pop(native, None)
        task = self._tasks.pop(native, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Stop everything."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        if self._background is not None:
            tasks.append(self._background)
            self._background = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._host.close()

    async def _run(self, native: str, symbol: str) -> None:
        loop = asyncio.get_running_loop()
        backoff = self._backoffs.setdefault(native, Backoff(self._rng))
        if loop.time() - self._last_s.get(native, -CALM_S) >= CALM_S:
            backoff.reset()
        else:
            await asyncio.sleep(backoff.next())
        while True:
            without = max(len(self._tasks), self._symbols - len(self._fetched))
            quick = self._spec.quick_snapshot is not None and without > CROWD
            await self._pacer.turn(self._spec.quick_cost if quick else 1.0)
            body = await self._get(symbol, self._path(native, quick=quick))
            if body is not None:
                break
            self.failures += 1
            await asyncio.sleep(backoff.next())
        self._last_s[native] = loop.time()
        # Out of the list before the event: a book that rejects it may request again at once.
        self._tasks.pop(native, None)
        self._shallow.pop(native, None)
        self._fetched.add(native)
        if body:
            levels = self._take(native, symbol, body, self._path(native, quick=quick))
            if quick and levels >= FEW_LEVELS:
                self._shallow[native] = symbol
                self._begin_background()

    def _begin_background(self) -> None:
        if self._background is None or self._background.done():
            self._background = asyncio.get_running_loop().create_task(
                self._work_background(), name=f"snapshot {self._spec.venue} background"
            )

    async def _work_background(self) -> None:
        """Full snapshots for the books that have a small one, and polls, while no symbol waits."""
        while self._shallow or self._polls:
            if self._tasks:
                await asyncio.wait(list(self._tasks.values()), return_when=asyncio.FIRST_COMPLETED)
                continue
            if self._polls:
                native = next(iter(self._polls))
                symbol, answered = self._polls.pop(native)
                await self._poll(native, symbol, answered)
                await asyncio.sleep(LOOK_PAUSE_S)
            calm_s = asyncio.get_running_loop().time() - self._asked_s
            if calm_s < DEEPEN_AFTER_S:
                await asyncio.sleep(min(LOOK_PAUSE_S, DEEPEN_AFTER_S - calm_s))
            elif self._shallow and not self._tasks:
                native = next(iter(self._shallow))
                symbol = self._shallow.pop(native)
                await self._pacer.turn()
                if native not in self._tasks:
                    path = self._path(native)
                    body = await self._get(symbol, path)
                    if body and native not in self._tasks:
                        self._take(native, symbol, body, path)

    async def _poll(self, native: str, symbol: str, answered: Callable[[str], None]) -> None:
        make_path = self._spec.poll
        if make_path is None:
            return
        await self._pacer.turn(self._spec.quick_cost)
        body = await self._get(symbol, make_path(native))
        if not body:
            return
        now_ns = self._clock()
        try:
            events = self._decoder.rest(native, body, now_ns)
        except VenueViolation as error:
            self._log.warning("the polled book is invalid", symbol=symbol, error=str(error))
            return
        for event in events:
            if isinstance(event, DepthUpdate):
                poll = BookLook(
                    event.venue, event.symbol, event.last_seq, event.bids, event.asks, now_ns
                )
                self._emit(poll, now_ns)
        answered(symbol)

    def _path(self, native: str, *, quick: bool = False) -> str:
        make_path = self._spec.quick_snapshot if quick else self._spec.snapshot
        assert make_path is not None  # noqa: S101 - nobody asks where there is none
        return make_path(native)

    async def _get(self, symbol: str, path: str) -> bytes | None:
        """Body of the snapshot; empty when the venue will never give one; None to retry."""
        try:
            answer = await self._host.ask(path)
        except PeerUnavailable as error:
            self._log.warning("snapshot failed", symbol=symbol, error=str(error))
            return None
        status, body = answer.status, answer.body
        if status == _OK:
            return body
        words = body[:300].decode("utf-8", "replace")
        self._log.warning("snapshot refused", symbol=symbol, status=status, words=words)
        if status in _REFUSED:
            self._status(symbol, f"snapshot refused, HTTP {status}: {words}", refused=True)
            return b""
        if status in _SLOW_DOWN:
            self._pacer.hold(seconds(answer.headers.get("retry-after", "")) or UNTOLD_S)
        return None

    def _take(self, native: str, symbol: str, body: bytes, path: str) -> int:
        """Emit a snapshot. Returns the levels of its longer side; 0 for none."""
        now_ns = self._clock()
        if self._tap is not None:
            text = body.decode("utf-8", "replace")
            self._tap(now_ns, "rest", NO_CONNECTION, self._rest_url + path, text)
        try:
            events = self._decoder.rest(native, body, now_ns)
        except VenueViolation as error:
            self.failures += 1
            self._log.warning("the snapshot is invalid", symbol=symbol, error=str(error))
            self.request(native, symbol)
            return 0
        self.fetched += 1
        levels = 0
        for event in events:
            if isinstance(event, DepthUpdate):
                levels = max(levels, len(event.bids), len(event.asks))
            self._emit(event, now_ns)
        return levels

    def _status(self, symbol: str, reason: str, *, refused: bool) -> None:
        status = FeedStatus(
            venue=self._spec.venue, symbol=symbol, up=False, reason=reason, refused=refused
        )
        self._emit(status, self._clock())
