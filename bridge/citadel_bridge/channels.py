"""Publishing and receiving messages: the publisher, and the sink that decodes received frames.

``Inbox`` decodes, conflates books and counts invalid frames; the readers are in
``readers`` and ``receiver``.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
import zmq

from citadel_bridge.auth import require_keys
from citadel_bridge.readers import BATCH, Sink, SubscriberFD
from citadel_bridge.socket_files import SocketFile
from citadel_bridge.sockets import HIGH_WATER, Context, publisher_socket
from citadel_bridge.upstream import Upstream
from citadel_proto import topics
from citadel_proto.codec import MAX_FRAME, encode
from citadel_proto.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_bridge.auth import ServerKeys
    from citadel_bridge.zap import ZapGuard
    from citadel_proto.messages import MarketChannel, SignalChannel

log = logging.getLogger(__name__)

__all__ = [
    "BATCH",
    "BookConflator",
    "Context",
    "Inbox",
    "Publisher",
    "Sink",
    "SubscriberFD",
]

_T = TypeVar("_T")


class Publisher:
    """A PUB socket that stamps each message with its sender and a per-topic sequence.

    Any thread may publish: stamping and sending are one step under a lock, so sequences are sent
    in order. Sending never blocks. A subscriber that is too slow loses messages (PUB drops at its
    high-water mark silently); it detects that by the sequence.

    Args:
        context: ZeroMQ context; with ``keys``, the one that a ``ZapGuard`` runs on.
        address: where to bind; port 0 takes a free one, see ``address`` afterwards.
        stamp: fields that identify the sender: ``{"instance": …}`` for micro, ``{"epoch": …}`` for
            a macro.
        keys: CURVE keys and allow-list; None for plaintext on this machine.

    Raises:
        Refused, PortTaken, BadInput: as ``publisher_socket``.
    """

    def __init__(
        self,
        context: Context,
        address: str,
        *,
        stamp: Mapping[str, Any],
        keys: ServerKeys | None = None,
        high_water: int = HIGH_WATER,
    ) -> None:
        self._lock = threading.Lock()
        self._stamp = dict(stamp)
        self._seq: dict[bytes, int] = {}
        require_keys(address, keys)
        self._file = SocketFile(address)
        with ExitStack() as undo:
            undo.callback(self._file.close)
            self._socket, self.address = publisher_socket(
                context, address, keys, high_water=high_water
            )
            undo.callback(self._socket.close, linger=0)
            if keys is None:
                self._file.keep_private()
            undo.pop_all()
        self.upstream = Upstream(self.address)
        """Keeps subscribers from sending more than subscriptions."""
        self.beside: Callable[[bytes], object] | None = None
        """Takes every frame before ZeroMQ does, in the same order: a lane."""
        self.published = 0
        """Messages handed to ZeroMQ."""
        self.dropped = 0
        """Messages that ZeroMQ would not take without blocking."""
        self.oversize = 0
        """Messages larger than ``MAX_FRAME``: logged, not sent."""
        self.reports = 0
        """Sequences given to reports, under all topics together."""

    def publish(self, message: SignalChannel | MarketChannel, reply_to: str = "") -> int:
        """Send one message; its ``seq`` and the stamped fields are replaced.

        Args:
            message: any message of this channel.
            reply_to: for an Answer, the ``reply_to`` of its Query.

        Returns:
            The sequence it got, or 0 if it was not sent (see ``dropped`` and ``oversize``).
        """
        topic = topics.topic_of(message, reply_to)
        with self._lock:
            if self._socket.closed:
                return 0
            seq = self._seq.get(topic, 0) + 1
            frame = self._frame(topic, message, seq)
            if len(frame) > MAX_FRAME:
                self.oversize += 1
                log.error(
                    "not published: %s of %d bytes is larger than a frame of %d",
                    type(message).__name__,
                    len(frame),
                    MAX_FRAME,
                )
                return 0
            # The number is used up even if the send fails: to a reader it is a lost message.
            self._seq[topic] = seq
            self.reports += topic.startswith(topics.REPORTS)
            if self.beside is not None:
                self.beside(frame)
            # libzmq processes subscriptions inside send, so a flood of them shows here.
            self.upstream.busy_ns = time.monotonic_ns()
            try:
                self._socket.send(frame, zmq.NOBLOCK)
            except zmq.Again:
                self.dropped += 1
                return 0
            finally:
                self.upstream.busy_ns = 0
            self.published += 1
            return seq

    def rehearse(self, message: SignalChannel | MarketChannel) -> None:
        """Make the frame of a message and drop it: no number is used up, and nothing is sent."""
        self._frame(topics.topic_of(message), message, 0)

    def _frame(self, topic: bytes, message: SignalChannel | MarketChannel, seq: int) -> bytes:
        return topics.join(topic, encode(msgspec.structs.replace(message, seq=seq, **self._stamp)))

    def send_raw(self, frame: bytes) -> None:
        """Send recorded bytes as they are: for replaying a tape.

        Raises:
            zmq.Again: ZeroMQ would not take them without blocking.
        """
        with self._lock:
            self._socket.send(frame, zmq.NOBLOCK)
            self.published += 1

    def watched_by(self, guard: ZapGuard) -> None:
        """Let a guard count this socket's failed handshakes; call before the guard starts.

        Whom it no longer admits is disconnected.
        """
        guard.watch(self._socket)
        guard.on_removed.append(self.upstream.disconnect_all)

    def close(self) -> None:
        """Close the socket, waiting up to 0.2 s for the last messages. Safe to repeat."""
        with self._lock:
            self._socket.close()
        self._file.close()
        self.upstream.close()


class BookConflator:
    """Publishes a topic at most once per interval; of the messages in between, only the latest.

    For books, whose older states are superseded. Never for reports.

    Args:
        publish: usually ``Publisher.publish``.
        interval_ns: least time between two messages of one topic.
    """

    def __init__(
        self, publish: Callable[[MarketChannel], object], interval_ns: int = 50_000_000
    ) -> None:
        self._publish = publish
        self._interval_ns = interval_ns
        self._waiting: dict[bytes, MarketChannel] = {}
        self._next_ns: dict[bytes, int] = {}
        self.conflated = 0
        """Messages that a newer one replaced before they were sent."""

    def offer(self, message: MarketChannel, now_ns: int) -> None:
        """Send now if the topic's interval has passed, else keep until ``flush``."""
        topic = topics.topic_of(message)
        if now_ns >= self._next_ns.get(topic, 0):
            self.conflated += self._waiting.pop(topic, None) is not None
            self._next_ns[topic] = now_ns + self._interval_ns
            self._publish(message)
            return
        self.conflated += topic in self._waiting
        self._waiting[topic] = message

    def flush(self, now_ns: int) -> None:
        """Send the messages that are due."""
        for topic in [t for t in self._waiting if now_ns >= self._next_ns[t]]:
            self._next_ns[topic] = now_ns + self._interval_ns
            self._publish(self._waiting.pop(topic))

    def next_due(self) -> int | None:
        """When ``flush`` must be called, on the clock of ``offer``; None if nothing waits."""
        return min((self._next_ns[topic] for topic in self._waiting), default=None)


class Inbox(Generic[_T]):
    """Decodes frames and delivers the messages.

    Books of one topic within a batch are conflated before decoding: only the last is worth the
    work. Everything else is delivered one by one, in order. Undecodable frames are counted, logged
    once per kind, and dropped.

    Args:
        decode: ``codec.decode_signal`` or ``codec.decode_market``.
        deliver: called with topic and message.
    """

    def __init__(self, decode: Callable[[bytes], _T], deliver: Callable[[bytes, _T], None]) -> None:
        self._decode = decode
        self._deliver = deliver
        self._books: dict[bytes, bytes] = {}
        self.received = 0
        """Frames taken."""
        self.conflated = 0
        """Books replaced by a newer one of the same batch."""
        self.undecodable: dict[str, int] = {}
        """Frames dropped, per kind (the first part of the topic, ``other`` if there is none)."""

    def feed(self, frame: bytes) -> None:
        """Deliver one frame; a book is held until ``flush``."""
        self.received += 1
        try:
            if len(frame) > MAX_FRAME:
                raise DecodeError(f"{len(frame)} bytes are more than the {MAX_FRAME} of a frame")  # noqa: TRY301
            topic, body = topics.split(frame)
        except DecodeError as error:
            self._drop("other", error)
            return
        if topic.startswith(topics.BOOKS):
            self.conflated += topic in self._books
            self._books[topic] = body
            return
        self._hand_on(topic, body)

    def flush(self) -> None:
        """Deliver the held books."""
        while self._books:
            topic = next(iter(self._books))
            self._hand_on(topic, self._books.pop(topic))

    def _hand_on(self, topic: bytes, body: bytes) -> None:
        try:
            message = self._decode(body)
        except DecodeError as error:
            kind = topic.partition(b"/")[0].decode("ascii", "replace")
            self._drop(kind if kind in topics.KINDS else "other", error)
            return
        self._deliver(topic, message)

    def _drop(self, kind: str, error: DecodeError) -> None:
        count = self.undecodable.get(kind, 0) + 1
        self.undecodable[kind] = count
        if count == 1:
            log.warning("dropped an undecodable message (%s; counted from now on): %s", kind, error)
