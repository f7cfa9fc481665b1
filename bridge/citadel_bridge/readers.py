"""Receiving frames, and doing so in an event loop; ``receiver`` does it in threads.

A reader takes frames off its sockets in bounded batches, and passes them to a sink. Every publisher
has a socket of its own: so one that falls silent is noticed beside others that are not, and one that
floods gets its turn and no more.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import zmq

from citadel_bridge.sockets import (
    HIGH_WATER,
    Context,
    Endpoint,
    connect,
    disconnect,
    subscriber_socket,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from citadel_bridge.lane_merge import Way

log = logging.getLogger(__name__)

BATCH: Final = 256
"""Frames taken in one go before others on the loop get their turn; about 1 ms of decoding."""
TURN: Final = 16
"""Frames of one publisher before the next has its turn."""
LONGEST_PAUSE_NS: Final = 15_000_000_000
"""A silent publisher is reconnected at least this often."""

LONGEST_SILENCE_NS: Final = 60_000_000_000
"""So is one whose connection seems to be up."""

_EVENTS: Final = int(zmq.EVENTS)
_IN: Final = int(zmq.POLLIN)
_NOBLOCK: Final = int(zmq.NOBLOCK)
"""Plain numbers: they need not be converted at every call."""
_UP: Final = zmq.EVENT_HANDSHAKE_SUCCEEDED
_DOWN: Final = zmq.EVENT_DISCONNECTED


class Sink(Protocol):
    """What a reader does with frames."""

    def feed(self, frame: bytes) -> None:
        """Take one frame."""

    def flush(self) -> None:
        """The batch has ended."""


class Source(Protocol):
    """Where frames come from."""

    @property
    def closed(self) -> bool:
        """Nothing comes from it any more."""

    def take(self, sink: Sink, most: int) -> int:
        """Pass on up to ``most`` frames; fewer mean that there are no more."""


_Source = TypeVar("_Source", bound=Source)


class Link:
    """The connection to one publisher.

    ZeroMQ reconnects by itself after a lost connection, but gives up after a broken one (a frame
    beyond ``sockets.MAX_MESSAGE``, a peer with other keys or none), for good and without an error.
    The only symptom is silence.
    """

    def __init__(
        self,
        context: Context,
        endpoint: Endpoint,
        subscriptions: Iterable[bytes],
        high_water: int,
    ) -> None:
        self.endpoint = endpoint
        self._subscribed = frozenset(subscriptions)
        self._server_key = b""
        self._cut = False
        """Nothing is taken from it: its key is revoked."""
        self._way: Way | None = None
        self.socket = subscriber_socket(context, [], self._subscribed, high_water=high_water)
        try:
            self._connect()
        except BaseException:
            self.socket.close(linger=0)
            raise
        fd = self.socket.getsockopt(zmq.FD)
        assert isinstance(fd, int)  # noqa: S101 - what this option returns
        self.fd = fd
        """Becomes readable when something has happened on the socket; the same as long as it is open."""
        self._monitor = self.socket.get_monitor_socket(_UP | _DOWN)
        self._up = False
        self.received_ns = 0
        """Monotonic clock at its last frame; 0 before the first."""
        self.remade = 0
        """How often it was reconnected because of silence."""
        self._since_ns = time.monotonic_ns()
        self._pause_ns = 0

    def take(self, sink: Sink, most: int) -> int:
        """Pass on up to ``most`` frames; fewer mean that there are no more."""
        feed = sink.feed if self._way is None else self._way.by_zmq
        for taken in range(most):
            try:
                frame = self.socket.recv(_NOBLOCK)
            except zmq.Again:
                most = taken
                break
            if self._cut:
                continue
            feed(frame)
            if self.socket.closed:  # the sink may end the run
                return 0
            # Most often a frame comes alone, and to ask costs a third of an error; not in a burst.
            if taken == 0 and not int(self.socket.get(_EVENTS)) & _IN:
                most = 1
                break
        if most and not self._cut:
            self.received_ns = time.monotonic_ns()
            self._pause_ns = 0
        return most

    def subscribe(self, wanted: frozenset[bytes]) -> None:
        """Take these topics from now on. What is in both lists is not interrupted."""
        for prefix in wanted - self._subscribed:
            self.socket.setsockopt(zmq.SUBSCRIBE, prefix)
        for prefix in self._subscribed - wanted:
            self.socket.setsockopt(zmq.UNSUBSCRIBE, prefix)
        self._subscribed = wanted

    def silent_ns(self, now_ns: int) -> int:
        """How long nothing was received, counted from the start."""
        return now_ns - max(self.received_ns, self._since_ns)

    def remake_if_silent(self, after_ns: int, now_ns: int) -> bool:
        """Reconnect when nothing was received for so long, then at growing intervals.

        A publisher with a revoked key is disconnected, however much it sends: what it has sent and
        nobody has taken yet is discarded, and it is connected again when it has another key.
        """
        if not self._cut and self.key_revoked():
            self._set_cut(cut=True)
            disconnect(self.socket, self.endpoint)
            log.warning("no longer listening to %s: its key is revoked", self.endpoint.address)
            return True
        up = self._is_up() and not self._cut
        patience = LONGEST_SILENCE_NS if up else max(after_ns, self._pause_ns)
        if self.silent_ns(now_ns) < patience:
            return False
        self._pause_ns = min(max(2 * self._pause_ns, after_ns), LONGEST_PAUSE_NS)
        self.remake(now_ns)
        self.remade += 1
        text = "nothing received from %s: reconnecting"
        known = self.remade == 1 and self.received_ns and not self._cut
        (log.warning if known else log.debug)(text, self.endpoint.address)
        return True

    def key_revoked(self) -> bool:
        """Whether the key that it was connected by is revoked."""
        keys = self.endpoint.keys
        return keys is not None and keys.revoked(self._server_key)

    def _is_up(self) -> bool:
        """Whether the connection is up, as far as ZeroMQ knows: the peer may just be quiet."""
        while self._monitor.poll(0):
            # The event's number, 16 bits: what pyzmq reads it with imports its asyncio.
            number, _ = self._monitor.recv_multipart()
            self._up = int.from_bytes(number[:2], sys.byteorder) == _UP
        return self._up

    def join(self, way: Way) -> None:
        """Its frames may come by a lane as well: pass them on by this, instead of the sink."""
        self._way = way
        way.cut = self._cut

    def _set_cut(self, *, cut: bool) -> None:
        self._cut = cut
        if self._way is not None:
            self._way.cut = cut

    @property
    def closed(self) -> bool:
        """Whether it was closed, perhaps by the sink."""
        return self.socket.closed

    def close(self) -> None:
        """Close the connection."""
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close(linger=0)

    def remake(self, now_ns: int) -> None:
        """Connect anew."""
        self._since_ns = now_ns
        disconnect(self.socket, self.endpoint)
        self._connect()

    def _connect(self) -> None:
        keys = self.endpoint.keys
        if keys is not None:
            keys = keys.current()  # as they are on disk now: either side's may have been rotated
            self._server_key = keys.server
            self._set_cut(cut=self.key_revoked())
        if not self._cut:
            connect(self.socket, Endpoint(self.endpoint.address, keys))


def drain(links: list[_Source], sink: Sink, batch: int) -> list[_Source]:
    """Take frames in turns; returns the sources that may have more."""
    turn = batch if len(links) == 1 else TURN
    left = batch
    while links and left > 0:
        more = []
        for link in links:
            if link.closed:
                return []
            taken = link.take(sink, turn)
            left -= taken
            if taken == turn:
                more.append(link)
        links = more
    sink.flush()
    return links


class SubscriberFD:
    """SUB sockets read by an asyncio loop through their file descriptors; works under uvloop.

    A descriptor is edge-triggered: it signals once that something happened, not that frames wait.
    So every wake-up drains until there is nothing left, or for a bounded batch and then again on
    the loop's next iteration, after others have had their turn.

    Args:
        loop: the loop; everything here is called from its thread.
        context: ZeroMQ context.
        endpoints: publishers to connect to.
        subscriptions: topic prefixes.
        sink: receives the frames.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        endpoints: Iterable[Endpoint],
        subscriptions: Iterable[bytes],
        sink: Sink,
        *,
        high_water: int = HIGH_WATER,
        batch: int = BATCH,
    ) -> None:
        self._loop = loop
        self._context = context
        self._sink = sink
        self._subscriptions = list(subscriptions)
        self._high_water = high_water
        self._batch = batch
        self._again: asyncio.Handle | None = None
        self._ready: dict[Link, None] = {}
        self._links: list[Link] = []
        self._closed = False
        try:
            for endpoint in endpoints:
                self.connect(endpoint)
        except BaseException:
            self.close()
            raise

    @property
    def links(self) -> list[Link]:
        """One per publisher."""
        return list(self._links)

    def connect(self, endpoint: Endpoint) -> None:
        """Connect to one more publisher."""
        link = Link(self._context, endpoint, self._subscriptions, self._high_water)
        self._links.append(link)
        self._loop.add_reader(link.fd, self._on_edge, link)
        # Frames that arrived before the descriptor was watched raise no edge any more.
        self._continue_soon(link)

    def reconnect(self) -> None:
        """Reconnect everything: for an owner that has received nothing from anybody for too long."""
        now_ns = time.monotonic_ns()
        for link in self._links:
            link.remake(now_ns)
            self._continue_soon(link)  # any call on the socket can consume the edge

    def remake_silent(self, after_ns: int) -> None:
        """Reconnect those from which nothing was received for so long."""
        now_ns = time.monotonic_ns()
        for link in self._links:
            if link.remake_if_silent(after_ns, now_ns):
                self._continue_soon(link)

    def close(self) -> None:
        """Stop reading and close. Safe to repeat."""
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        for link in self._links:
            self._loop.remove_reader(link.fd)
            link.close()
        self._links.clear()
        self._ready.clear()

    def _continue_soon(self, link: Link) -> None:
        self._ready[link] = None
        if self._again is None:
            self._again = self._loop.call_soon(self._on_again)

    def _on_again(self) -> None:
        self._again = None
        self._on_readable()

    def _on_edge(self, link: Link) -> None:
        self._ready[link] = None
        self._on_readable()

    def _on_readable(self) -> None:
        if self._closed:
            return
        ready = list(self._ready)
        self._ready.clear()
        more = ready
        try:
            more = drain(ready, self._sink, self._batch)
        finally:
            # Also after an error in the sink: the edge is consumed, and the rest must not wait for
            # the next frame to arrive.
            if not self._closed:
                for link in more:
                    self._continue_soon(link)
