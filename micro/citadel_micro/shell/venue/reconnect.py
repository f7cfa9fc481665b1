"""Keeps one connection up: reconnects at growing intervals, and replaces it before the venue cuts it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import structlog

from citadel_micro.shell.marketdata.backoff import Backoff
from citadel_micro.shell.venue.unreadable import UNREADABLE, cut
from citadel_proto.errors import PeerUnavailable, Refused

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

log: Final = structlog.get_logger("venue")

CALM_S: Final = 60.0
"""After a connection that lasted this long the next pause is the shortest again."""
REFUSED_PAUSE_S: Final = (60.0, 900.0)
"""First and longest pause after the venue has rejected the key: retrying fast would not help."""


class Session(Protocol):
    """A connection that is ready for use."""

    async def closed(self) -> str:
        """Wait for the end and return the reason."""

    def close(self) -> None:
        """End it, without waiting."""


SessionT = TypeVar("SessionT", bound=Session)


class Reconnector(Generic[SessionT]):
    """Keeps one session up from ``start`` to ``close``.

    Args:
        name: for logs.
        open_session: makes one that is ready. Raises PeerUnavailable where there is no connection,
            Refused where the venue refuses the key.
        on_up: a session is ready, the first or its replacement.
        on_down: there is none any more, or none yet, and why.
        rng: jitter of the pauses.
        renew_s: a session is replaced after this long: the new one is up before the old one closes.
    """

    def __init__(
        self,
        name: str,
        open_session: Callable[[], Awaitable[SessionT]],
        *,
        on_up: Callable[[SessionT], None],
        on_down: Callable[[str], None],
        rng: random.Random,
        renew_s: float,
    ) -> None:
        self._name = name
        self._open = open_session
        self._on_up = on_up
        self._on_down = on_down
        self._renew_s = renew_s
        self._backoff = Backoff(rng)
        self._refused = Backoff(rng, *REFUSED_PAUSE_S)
        self._was_refused = False
        self._task: asyncio.Task[None] | None = None
        self._watchers: dict[asyncio.Future[None], None] = {}
        self._wanted = asyncio.Event()
        """Another session is wanted."""
        self.current: SessionT | None = None
        self.opened = 0
        """How many sessions there were."""

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    def replace(self) -> None:
        """Open another one, then close this one: the venue is about to."""
        self._wanted.set()

    def drop(self, why: str, *, refused: bool = False) -> None:
        """Drop this one: it is down from now on, and another one is opened.

        Args:
            why: for people.
            refused: the venue rejects the key: the next attempt comes after a long pause only.
        """
        self._was_refused = self._was_refused or refused
        session = self._take_down(why)
        if session is not None:
            session.close()

    async def close(self) -> None:
        """End it and all its tasks."""
        tasks: list[asyncio.Future[None]] = [*self._watchers]
        if self._task is not None:
            tasks.append(self._task)
        self._task, self._watchers = None, {}
        for task in tasks:
            task.cancel()
        session, self.current = self.current, None
        if session is not None:
            session.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    # inside

    async def _run(self) -> None:
        while True:
            try:
                fresh = await self._open()
            except Refused as error:
                self._failed(str(error))
                await asyncio.sleep(self._refused.next())
                continue
            except (PeerUnavailable, *UNREADABLE) as error:
                # What is not understood is asked for again, too: else there would never be a connection.
                self._failed(cut(error))
                await asyncio.sleep(self._backoff.next())
                continue
            self.opened += 1
            old, self.current = self.current, fresh
            self._wanted.clear()
            self._watchers[asyncio.ensure_future(self._watch(fresh))] = None
            self._on_up(fresh)
            if old is not None:
                old.close()
            await self._until_wanted()

    def _failed(self, why: str) -> None:
        log.warning("not connected", session=self._name, why=why)
        if self.current is None:
            self._on_down(why)

    async def _until_wanted(self) -> None:
        """Wait until another session is needed, and as long as opening one is not allowed yet."""
        since_s = asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            # Not ``wait_for``: that forgets a cancellation that comes together with the event.
            async with asyncio.timeout(self._renew_s):
                await self._wanted.wait()
        if asyncio.get_running_loop().time() - since_s >= CALM_S:
            self._backoff.reset()
            self._refused.reset()
        # Also before a replacement: a venue that announces its end again and again is not flooded.
        refused, self._was_refused = self._was_refused, False
        await asyncio.sleep((self._refused if refused else self._backoff).next())

    async def _watch(self, session: SessionT) -> None:
        why = await session.closed()
        if self.current is session:
            self._take_down(why)
        self._watchers = {task: None for task in self._watchers if not task.done()}

    def _take_down(self, why: str) -> SessionT | None:
        session, self.current = self.current, None
        self._wanted.set()
        if session is not None:
            log.warning("connection down", session=self._name, why=why)
            self._on_down(why)
        return session
