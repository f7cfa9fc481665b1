"""Whose turn it is to read: of all threads that wait for an answer, one at a time.

A thread that waits reads the sockets itself, so that its answer need not be passed on from the thread
that received it, which takes as long as the way over the wire. While somebody reads, the others wait
to be called: because what they wait for has come, or because it is their turn.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LEADS: Final = hasattr(select, "epoll")
"""Whether waiting threads read: descriptors must be watched by two threads in turns, without a wake-up
of the one whose turn it is not."""
_READABLE: Final = 1
"""``POLLIN``, and ``EPOLLIN`` too."""
_MOST_EVENTS: Final = 64
_RUNG: Final = b"\0"


class Waiter:
    """What one thread waits for; any thread sets it."""

    __slots__ = ("_gate", "done", "on_call", "paused")

    def __init__(self) -> None:
        self.done = False
        """It has come."""
        self.paused = False
        """A signal of the operating system has come, which must be handled first."""
        self.on_call: Callable[[], object] | None = None
        """How to call it while it reads."""
        self._gate = threading.Lock()
        self._gate.acquire()

    def set(self) -> None:
        """It has come: call the thread that waits."""
        self.done = True
        self.call()

    def pause(self) -> None:
        """Call the thread that waits, from a signal's handler: no lock is taken here."""
        self.paused = True
        self.call()

    def call(self) -> None:
        """Let the thread look what there is to do."""
        with suppress(RuntimeError):  # it has been called already
            self._gate.release()
        call = self.on_call
        if call is not None:
            call()

    def wait(self, seconds: float) -> None:
        """Wait to be called."""
        self._gate.acquire(timeout=seconds)


class Bell:
    """Waits for descriptors, or to be rung by any thread or signal's handler."""

    def __init__(self) -> None:
        self._poll = select.epoll() if LEADS else select.poll()
        self._out, self._in = os.pipe()
        for each in (self._out, self._in):
            os.set_blocking(each, False)
        self._poll.register(self._out, _READABLE)

    def watch(self, descriptors: Iterable[int]) -> None:
        """Return when one of these is readable, too."""
        for each in descriptors:
            self._poll.register(each, _READABLE)

    def heed(self, descriptors: Iterable[int], *, on: bool) -> None:
        """Return for these from now on, or not any more; also while another thread waits here."""
        for each in descriptors:
            self._poll.modify(each, _READABLE if on else 0)

    def ring(self) -> None:
        """Let the thread that waits return, or the next that will wait."""
        with suppress(BlockingIOError):  # it has been rung often enough
            os.write(self._in, _RUNG)

    def wait(self, seconds: float | None = None) -> list[int]:
        """Wait; returns the descriptors that are readable."""
        if LEADS and isinstance(self._poll, select.epoll):
            events = self._poll.poll(seconds, _MOST_EVENTS)
        else:
            events = self._poll.poll(None if seconds is None else seconds * 1e3)
        found = [each for each, _ in events]
        if self._out in found:
            found.remove(self._out)
            with suppress(BlockingIOError):
                os.read(self._out, 1024)
        return found

    def close(self) -> None:
        """Close it; the descriptors that it watches stay open."""
        if LEADS and isinstance(self._poll, select.epoll):
            self._poll.close()
        os.close(self._in)
        os.close(self._out)


class Turns:
    """Gives the turn to read to one thread at a time: to a waiting one, else to the owner's own thread.

    Args:
        descriptors: become readable when there is something to read.
        unread: whether there is something to do that no descriptor shows.
    """

    def __init__(self, descriptors: Iterable[int], unread: Callable[[], object]) -> None:
        self._descriptors = tuple(descriptors)
        self._unread = unread
        self._mutex = threading.Lock()
        self._free = threading.Condition(self._mutex)
        self._reader: Waiter | Turns | None = None
        self._waiting: deque[Waiter] = deque()
        self._open = False
        self.ended = False
        """Nobody will read any more."""
        self._watched = True
        self._own = Bell()
        self._own.watch(self._descriptors)
        self._lead = Bell()
        self._lead.watch(self._descriptors)

    @property
    def open(self) -> bool:
        """Whether anybody may read."""
        return self._open

    def begin(self) -> None:
        """Turns are given from now on."""
        self._open = True
        self._own.ring()

    def end(self) -> None:
        """None are given any more, and nobody has to wait: all are called. From any thread."""
        with self._mutex:
            self._open, self.ended = False, True
            self._call_reader()
            for each in self._waiting:
                each.call()
            self._own.ring()

    def close(self) -> None:
        """Wait until nobody reads. After ``end``, and not from who reads."""
        with self._free:
            self._free.wait_for(lambda: self._reader is None)
        self._own.close()
        self._lead.close()

    def call(self) -> None:
        """There is something to do that no descriptor shows: call who reads."""
        with self._mutex:
            if self._open and not self._call_reader():
                self._own.ring()

    # the owner's thread

    def next(self) -> list[int] | None:
        """Wait for the own thread's turn; the descriptors that are readable, None when it has none."""
        ready = self._own.wait()
        with self._mutex:
            if not self._open or self._reader is not None:
                return None
            self._reader = self
        return ready

    def done(self) -> None:
        """The turn of the own thread has ended."""
        with self._mutex:
            self._pass_on()

    # threads that wait

    def enter(self, waiter: Waiter) -> None:
        """A thread begins to wait."""
        with self._mutex:
            if self._reader is None and self._open and LEADS:
                self._give(waiter)
            else:
                self._waiting.append(waiter)

    def leave(self, waiter: Waiter) -> None:
        """It waits no more. Harmless when repeated."""
        with self._mutex:
            if self._reader is waiter:
                self._pass_on()
            elif waiter in self._waiting:
                self._waiting.remove(waiter)

    def has(self, waiter: Waiter) -> bool:
        """Whether it is this one's turn."""
        return self._reader is waiter

    def lead(self, waiter: Waiter, seconds: float) -> list[int]:
        """Wait, in one's turn, for descriptors that are readable, or to be called."""
        waiter.on_call = self._lead.ring
        try:
            if waiter.done or waiter.paused or not self._open or self._unread():
                return []
            return self._lead.wait(seconds)
        finally:
            waiter.on_call = None

    def _give(self, waiter: Waiter) -> None:
        self._reader = waiter
        if self._watched:
            self._own.heed(self._descriptors, on=False)
            self._watched = False

    def _pass_on(self) -> None:
        while self._waiting and self._open and LEADS:
            waiter = self._waiting.popleft()
            if not waiter.done:
                self._give(waiter)
                waiter.call()
                return
        self._reader = None
        if not self._watched:
            self._own.heed(self._descriptors, on=True)
            self._watched = True
        if self._unread() or not self._open:
            self._own.ring()
        self._free.notify_all()

    def _call_reader(self) -> bool:
        if not isinstance(self._reader, Waiter):
            return False
        self._reader.call()
        return True
