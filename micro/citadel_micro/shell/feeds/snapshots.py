"""HTTP snapshots for the venues whose streams need one: paced, retried, never two at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiohttp
import structlog

from citadel_micro.core.events import FeedStatus
from citadel_micro.shell.feeds.pace import Backoff, Pacer
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from citadel_micro.shell.feeds.decode import Decoder
    from citadel_micro.shell.feeds.shared import Emit, Tap
    from citadel_micro.shell.feeds.spec import VenueSpec

REQUEST_TIMEOUT_S: Final = 10.0
CALM_S: Final = 30.0
"""A book that needed no snapshot for this long gets its next one without delay."""
NO_CONNECTION: Final = -1
"""Number of the connection of what came over HTTP, for taps."""
_REFUSED: Final = frozenset({400, 404})
_SLOW_DOWN: Final = frozenset({418, 429, 503})
_OK: Final = 200


class SnapshotFetcher:
    """Fetches snapshots of one venue's books and emits them as events.

    A symbol is asked for at most once at a time; asking again meanwhile is free. Repeated requests
    for the same symbol are spaced by a growing delay, so that a stream that can never be joined
    costs little.
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
        tap: Tap | None = None,
    ) -> None:
        self._spec = spec
        self._rest_url = rest_url.rstrip("/")
        self._decoder = decoder
        self._emit = emit
        self._clock = clock
        self._tap = tap
        self._rng = rng
        self._pacer = Pacer(spec.limits.snapshots_per_s, spec.limits.snapshot_burst)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._last_s: dict[str, float] = {}
        self._session: aiohttp.ClientSession | None = None
        self._log = structlog.get_logger("feeds").bind(venue=spec.venue)
        self.fetched = 0
        self.failures = 0

    def request(self, native: str, symbol: str) -> None:
        """Fetch a snapshot of this venue symbol soon; nothing if it is being fetched."""
        if native not in self._tasks:
            self._tasks[native] = asyncio.get_running_loop().create_task(
                self._run(native, symbol), name=f"snapshot {self._spec.venue} {native}"
            )

    def forget(self, native: str) -> None:
        """Stop fetching this symbol: its stream is gone, and will ask anew.

        Its next request is not delayed, because connecting anew has been: a book that waits longer
        than it must keeps the updates of all that time.
        """
        self._last_s.pop(native, None)
        task = self._tasks.pop(native, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Stop everything."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _run(self, native: str, symbol: str) -> None:
        loop = asyncio.get_running_loop()
        backoff = self._backoffs.setdefault(native, Backoff(self._rng))
        if loop.time() - self._last_s.get(native, -CALM_S) >= CALM_S:
            backoff.reset()
        else:
            await asyncio.sleep(backoff.next())
        while True:
            await self._pacer.turn()
            body = await self._get(native, symbol)
            if body is not None:
                break
            self.failures += 1
            await asyncio.sleep(backoff.next())
        self._last_s[native] = loop.time()
        # Out of the list before the event: a book that refuses it may ask again at once.
        self._tasks.pop(native, None)
        if body:
            self._take(native, symbol, body)

    async def _get(self, native: str, symbol: str) -> bytes | None:
        """Body of the snapshot; empty when the venue will never give one; None to try again."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
            )
        make_path = self._spec.snapshot
        if make_path is None:
            return b""
        url = self._rest_url + make_path(native)
        try:
            async with self._session.get(url) as response:
                body = await response.read()
                status = response.status
                retry_after = response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._log.warning("snapshot failed", symbol=symbol, error=str(error) or repr(error))
            return None
        if status == _OK:
            return body
        words = body[:300].decode("utf-8", "replace")
        self._log.warning("snapshot refused", symbol=symbol, status=status, words=words)
        if status in _REFUSED:
            self._status(symbol, f"snapshot refused, HTTP {status}: {words}", refused=True)
            return b""
        if status in _SLOW_DOWN:
            self._pacer.hold(float(retry_after) if retry_after.isdigit() else 5.0)
        return None

    def _take(self, native: str, symbol: str, body: bytes) -> None:
        now_ns = self._clock()
        if self._tap is not None and self._spec.snapshot is not None:
            url = self._rest_url + self._spec.snapshot(native)
            self._tap(now_ns, "rest", NO_CONNECTION, url, body.decode("utf-8", "replace"))
        try:
            events = self._decoder.rest(native, body, now_ns)
        except VenueViolation as error:
            self.failures += 1
            self._log.warning("snapshot is not one", symbol=symbol, error=str(error))
            self.request(native, symbol)
            return
        self.fetched += 1
        for event in events:
            self._emit(event, now_ns)

    def _status(self, symbol: str, reason: str, *, refused: bool) -> None:
        status = FeedStatus(
            venue=self._spec.venue, symbol=symbol, up=False, reason=reason, refused=refused
        )
        self._emit(status, self._clock())
