"""What the connections of every venue have in common: REST calls, and one websocket with its upkeep."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from citadel_micro.shell.venue.outcomes import Answered, Fate, NotSent, Unknown
from citadel_micro.shell.venue.request_socket import RequestSocket
from citadel_micro.shell.venue.unreadable import UNREADABLE, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.http_client import HttpClient
    from citadel_micro.shell.venue.outcomes import Outcome, Refusal

    Call = Coroutine[object, object, Outcome]


class Sends(Protocol):
    """What requests can be sent by."""

    def send(self, request: Request, done: Callable[[Outcome], None]) -> None:
        """Send it; ``done`` is called once with the outcome."""


async def ask(wire: Sends, request: Request) -> Outcome:
    """Send a request, and wait for its outcome."""
    answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def done(outcome: Outcome) -> None:
        if not answered.done():
            answered.set_result(outcome)

    wire.send(request, done)
    return await answered


class RestWire(ABC):
    """The REST API of a venue, as ``shell.venue.dialect.Wire``.

    Args:
        client: of its host.
    """

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._pause_ns: Callable[[], int] = lambda: 0
        self._apply_refusal: Callable[[Refusal], None] = lambda _refusal: None
        self.up = False
        """The last request was answered."""

    def obey(self, pause_ns: Callable[[], int], heed: Callable[[Refusal], None]) -> None:
        """Keep to the venue's limits in what connections ask by themselves, with ``ask``.

        Args:
            pause_ns: how long nothing may be sent.
            heed: called with a refusal that asks for a pause.
        """
        self._pause_ns, self._apply_refusal = pause_ns, heed

    def send(self, request: Request, done: Callable[[Outcome], None]) -> None:
        """Sign and send a request."""
        self.prepare(request, done)()

    def prepare(self, request: Request, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """Sign a request; what is returned sends it."""
        if self._closed:  # a client that is closed would open itself again
            return partial(done, NotSent("the connections are closed"))
        call = self._call(request)
        return partial(done, call) if isinstance(call, NotSent) else partial(self._send, call, done)

    def _send(self, call: Callable[[], Call], done: Callable[[Outcome], None]) -> None:
        task = asyncio.get_running_loop().create_task(self._carry_out(call(), done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask(self, request: Request) -> Outcome:
        """Send a request, and wait for its outcome. Not in a pause: that would lengthen a ban."""
        wait_ns = self._pause_ns()
        if wait_ns:
            return NotSent(f"held back for {wait_ns / 1e9:.1f} s by the venue", wait=True)
        outcome = await ask(self, request)
        if isinstance(outcome, Answered):
            with suppress(*UNREADABLE):
                refused = self.refusal(outcome)
                if refused is not None and (refused.banned or refused.fate is Fate.WAIT):
                    self._apply_refusal(refused)
        return outcome

    async def close(self) -> None:
        """Close the connections, for good; requests in flight end as ``Unknown``."""
        self._closed, self.up = True, False
        # What was sent in this turn of the loop begins to wait first, so that its connection ends with
        # it: a task that is cancelled before it began would leave both behind.
        await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    @staticmethod
    @abstractmethod
    def refusal(answer: Answered) -> Refusal | None:
        """What an answer rejects, by the venue's codes; None for a success."""

    @abstractmethod
    def _call(self, request: Request) -> Callable[[], Call] | NotSent:
        """A request, signed and ready: what sends it when it is called; or why nothing may be."""

    async def _carry_out(self, call: Call, done: Callable[[Outcome], None]) -> None:
        try:
            outcome = await call
        except asyncio.CancelledError:
            if self._closed:  # else the whole loop ends
                done(Unknown("the connections were closed before its answer came"))
            raise
        self.up = isinstance(outcome, Answered)
        done(outcome)


class WireSocket(ABC):
    """One websocket of a venue, as ``shell.venue.dialect.WireSession``.

    Args:
        on_event: receives frames that are no answers.
        ping: as ``RequestSocket``.
    """

    def __init__(
        self, on_event: Callable[[bytes], None], *, ping: tuple[bytes, bytes] | None = None
    ) -> None:
        self._socket = RequestSocket(self._read, on_event, ping=ping)
        self._task: asyncio.Task[None] | None = None
        self._why = ""

    @property
    def up(self) -> bool:
        """Whether requests can be sent."""
        return self._socket.up

    def send(self, request: Request, done: Callable[[Outcome], None]) -> None:
        """Sign and send a request."""
        self.prepare(request, done)()

    @abstractmethod
    def prepare(self, request: Request, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """Sign a request; what is returned sends it."""

    async def closed(self) -> str:
        """Wait for the end and return the reason."""
        why = await self._socket.closed()
        self._end_upkeep()
        return self._why or why

    def close(self) -> None:
        """End it, without waiting."""
        self._end_upkeep()
        self._socket.close()

    # for its kinds

    @abstractmethod
    def _read(self, data: bytes) -> tuple[int, Answered] | None:
        """As ``RequestSocket`` reads a frame."""

    @contextmanager
    def _or_closed(self) -> Iterator[None]:
        """Close it where what comes next fails."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _begin_upkeep(self, upkeep: Coroutine[object, object, None]) -> None:
        """Run this until the end of the connection."""
        self._task = asyncio.get_running_loop().create_task(upkeep)
        self._task.add_done_callback(self._upkeep_ended)

    def _upkeep_ended(self, task: asyncio.Task[None]) -> None:
        """A connection without its upkeep is of no use: what is not understood ends it."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, UNREADABLE):
            self._end(f"an answer that is not understood: {cut(error)}")
        elif error is not None:
            raise error

    def _end_upkeep(self) -> None:
        """End the upkeep: a connection that was lost needs none, and nobody closes it."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._task = None

    def _end(self, why: str) -> None:
        """End it because of something that the venue has said."""
        self._why = why
        self._socket.close()
