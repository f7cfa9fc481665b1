"""Receiving in a process without an event loop: by a thread of its own, and by those that wait."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from citadel_bridge.interrupts import interrupts_held
from citadel_bridge.readers import BATCH, Link, drain
from citadel_bridge.sockets import HIGH_WATER
from citadel_bridge.turns import Turns, Waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from citadel_bridge.lane_ends import LaneEnds
    from citadel_bridge.readers import Sink
    from citadel_bridge.sockets import Context, Endpoint

log = logging.getLogger(__name__)

AWAITED: Final = 16
"""Frames that a waiting thread takes before it looks whether its own has come: about 0.1 ms."""


class SubscriberThread:
    """SUB sockets read by one thread of its own, or by a thread that waits for what will be received.

    One thread reads at a time, so that frames come to the sink one by one, each once, and those of one
    publisher in order.

    Args:
        context: ZeroMQ context.
        endpoints: publishers to connect to.
        subscriptions: topic prefixes.
        sink: receives the frames; called from the thread that reads, which must not close this then.
        name: of the own thread.
        lanes: by which the same publishers send as well.
    """

    def __init__(
        self,
        context: Context,
        endpoints: Iterable[Endpoint],
        subscriptions: Iterable[bytes],
        sink: Sink,
        *,
        name: str = "citadel-receive",
        high_water: int = HIGH_WATER,
        batch: int = BATCH,
        lanes: LaneEnds | None = None,
    ) -> None:
        self._sink = sink
        self._batch = batch
        self.failure: BaseException | None = None
        """What ended the receiving, if it was an error: a bug of ours, for the owner to raise."""
        self.links: list[Link] = []
        """One per publisher; read only."""
        self.on_subscribed: Callable[[frozenset[bytes], frozenset[bytes]], None] | None = None
        """Called by who reads before the subscriptions change, with those before and after."""
        self._subscribed = self._wanted = frozenset(subscriptions)
        try:
            for endpoint in endpoints:
                self.links.append(Link(context, endpoint, self._subscribed, high_water))
        except BaseException:
            for link in self.links:
                link.close()
            raise
        self._sources: list[Link | LaneEnds] = [*self.links]
        self._lanes = lanes
        if lanes is not None:
            self._sources.insert(0, lanes)
            lanes.merge.want(self._subscribed)
            for link in self.links:
                link.join(lanes.merge.way(sink.feed))
        self._by_fd = {each.fd: each for each in self._sources}
        self._more = list(self._sources)
        """May hold frames that no descriptor shows."""
        self._orders: deque[Callable[[], None]] = deque()
        self._turns = Turns(self._by_fd, lambda: self._more or self._orders)
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        if self._lanes is not None:
            self._orders.append(self._lanes.connect)
        self._turns.begin()
        self._thread.start()

    def wait(self, waiter: Waiter, seconds: float) -> bool:
        """Wait for what a received frame, or any other thread, sets; read meanwhile, if nobody does.

        Ctrl-C and SIGTERM end the reading at once, and are handled after the frame that is at hand.

        Returns:
            Whether it has come; at once when nobody receives any more.
        """
        deadline = time.monotonic() + seconds
        while True:
            waiter.paused = False
            with interrupts_held(waiter.pause):
                try:
                    self._turns.enter(waiter)
                    self._wait(waiter, deadline)
                finally:
                    self._turns.leave(waiter)
            if waiter.done or self._turns.ended or time.monotonic() >= deadline:
                return waiter.done

    def reconnect(self) -> None:
        """Reconnect everything: for an owner that has received nothing from anybody for too long."""
        self._order(self._reconnect)

    def remake_silent(self, after_ns: int) -> None:
        """Reconnect those from which nothing was received for so long."""
        now_ns = time.monotonic_ns()
        if any(link.silent_ns(now_ns) >= after_ns or link.key_revoked() for link in self.links):
            self._order(partial(self._remake_silent, after_ns))
        if self._lanes is not None and self._lanes.missing:
            self._order(self._lanes.connect)

    def subscribe(self, prefixes: frozenset[bytes]) -> None:
        """Take these topics instead of those so far, soon: from any thread, or before the start."""
        self._wanted = prefixes
        self._order(self._subscribe)

    def close(self) -> None:
        """End the reading and close the sockets. Safe to repeat; not from a thread that reads."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._turns.end()
            if self._thread.is_alive():
                self._thread.join()
            self._turns.close()
            for link in self.links:
                link.close()
            if self._lanes is not None:
                self._lanes.close()

    def _order(self, order: Callable[[], None]) -> None:
        """Let who reads do something with the sockets, which only one thread may use at a time."""
        self._orders.append(order)
        self._turns.call()

    def _run(self) -> None:
        try:
            while self._turns.open:
                ready = self._turns.next()
                if ready is not None:
                    try:
                        self._read(ready, self._batch)
                    finally:
                        self._turns.done()
        except BaseException as error:
            log.critical("receiving has ended", exc_info=error)
            self._end(error)

    def _wait(self, waiter: Waiter, deadline: float) -> None:
        turns = self._turns
        while not (waiter.done or waiter.paused or turns.ended):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            if turns.has(waiter):
                self._read(turns.lead(waiter, left), AWAITED)
            else:
                waiter.wait(left)

    def _read(self, ready: list[int], most: int) -> None:
        """Take what is there, up to ``most`` frames. Only in one's turn."""
        try:
            while self._orders:
                self._orders.popleft()()
                # Any call on a socket can take away the sign that there are frames.
                self._more = list(self._sources)
            links = dict.fromkeys([*self._more, *(self._by_fd[each] for each in ready)])
            self._more = []
            if links:
                self._more = drain(list(links), self._sink, most)
        except BaseException as error:
            log.critical("receiving has ended", exc_info=error)
            self._end(error)

    def _end(self, error: BaseException) -> None:
        self.failure = error
        self._turns.end()

    def _subscribe(self) -> None:
        wanted = self._wanted
        if self.on_subscribed is not None:
            self.on_subscribed(self._subscribed, wanted)
        self._subscribed = wanted
        for link in self.links:
            link.subscribe(wanted)
        if self._lanes is not None:
            self._lanes.merge.want(wanted)

    def _reconnect(self) -> None:
        now_ns = time.monotonic_ns()
        for link in self.links:
            link.remake(now_ns)

    def _remake_silent(self, after_ns: int) -> None:
        now_ns = time.monotonic_ns()
        for link in self.links:
            link.remake_if_silent(after_ns, now_ns)
