"""Recording: a subscriber on both channels that writes every frame, unchanged, to a tape."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import zmq

from citadel_bridge.channels import BATCH
from citadel_bridge.readers import Link
from citadel_bridge.tape_parts import PartsWriter
from citadel_proto import tape, topics
from citadel_proto.codec import decode_market, decode_signal
from citadel_proto.errors import DecodeError
from citadel_proto.messages import MacroHeartbeat, MicroHeartbeat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from citadel_bridge.sockets import Endpoint
    from citadel_bridge.tape_parts import Rotation

_S: Final = 1_000_000_000
_GREETING_NS: Final = 3 * _S // 2
_FLUSH_NS: Final = _S // 2
_POLL_MS: Final = 100
_HIGH_WATER: Final = 100_000  # a recorder must not lose a burst that a trader may conflate


_SILENT_NS: Final = 5 * _S


class _Into:
    """Frames of one direction, on their way to the tape."""

    def __init__(self, recorder: Recorder, direction: int) -> None:
        self._recorder, self._direction = recorder, direction

    def feed(self, frame: bytes) -> None:
        """Write one frame."""
        self._recorder.take(self._direction, frame)

    def flush(self) -> None:
        """The tape has blocks of its own."""


class Recorder:
    """Writes both channels to a new tape.

    The first 1.5 s at most are kept in memory, to learn from the heartbeats which instances the
    header should name.

    Args:
        signals: publishers of signals.
        market: publishers of the market channel.
        out: the tape, which must not exist yet.
        rotation: when to start a new file, and how many stay; None for one file.
        compress: compress blocks with zstd.
    """

    def __init__(
        self,
        signals: Sequence[Endpoint],
        market: Sequence[Endpoint],
        out: Path,
        *,
        rotation: Rotation | None = None,
        compress: bool = False,
    ) -> None:
        self.out = out
        self._rotation = rotation
        self.counts = {tape.SIGNALS: 0, tape.MARKET: 0}
        """Frames written, per direction."""
        self._compress = compress
        self._endpoints = {
            "signals": " ".join(end.address for end in signals),
            "market": " ".join(end.address for end in market),
        }
        self._waiting: list[tape.Record] = []
        self._instances: dict[str, int] = {}
        self._writer: PartsWriter | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._links: dict[zmq.Socket[bytes], tuple[Link, _Into]] = {}
        try:
            for direction, ends in ((tape.SIGNALS, signals), (tape.MARKET, market)):
                into = _Into(self, direction)
                for end in ends:
                    link = Link(self._context, end, [topics.ALL], _HIGH_WATER)
                    self._links[link.socket] = link, into
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def run(self, stop: Callable[[], bool], duration_s: float | None = None) -> None:
        """Record until ``stop()`` returns True or the time is up; the tape is complete afterwards.

        Raises:
            BadInput: the file exists, or cannot be created.
            OSError: it cannot be written any more.
        """
        begun = time.monotonic_ns()
        flushed = begun
        poller = zmq.Poller()
        for socket in self._links:
            poller.register(socket, zmq.POLLIN)
        try:
            while not stop():
                now = time.monotonic_ns()
                if duration_s is not None and now - begun >= duration_s * _S:
                    break
                for socket, _ in poller.poll(_POLL_MS):
                    link, into = self._links[socket]
                    link.take(into, BATCH)
                for link, _ in self._links.values():
                    link.remake_if_silent(_SILENT_NS, now)
                if self._writer is None:
                    if now - begun >= _GREETING_NS or len(self._instances) > 1:
                        self._begin()
                elif now - flushed >= _FLUSH_NS:
                    self._writer.flush()
                    flushed = now
            if self._writer is None:
                self._begin()
        finally:
            if self._writer is not None:
                self._writer.close()
            self._context.destroy(linger=0)

    @property
    def instances(self) -> tuple[str, ...]:
        """Runs whose heartbeats were received so far, in order of appearance."""
        return tuple(self._instances)

    def take(self, direction: int, frame: bytes) -> None:
        """Write one frame, or keep it until the header is written."""
        self.counts[direction] += 1
        record = tape.Record(direction, time.time_ns(), frame)
        if self._writer is None:
            self._note_instance(direction, frame)
            self._waiting.append(record)
        else:
            self._writer.append(record)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that hold the recording."""
        written = () if self._writer is None else self._writer.paths
        return tuple(path for path in written if path.exists())

    def _header(self) -> tape.TapeHeader:
        return tape.TapeHeader(
            created_ns=time.time_ns(), endpoints=self._endpoints, instances=self.instances
        )

    def _begin(self) -> None:
        self._writer = PartsWriter(
            self.out, self._header, rotation=self._rotation, compress=self._compress
        )
        for record in self._waiting:
            self._writer.append(record)
        self._waiting.clear()
        self._writer.flush()

    def _note_instance(self, direction: int, frame: bytes) -> None:
        if not frame.startswith(topics.exactly(topics.HEARTBEAT)):
            return
        body = frame[len(topics.HEARTBEAT) + 1 :]
        try:
            beat = decode_signal(body) if direction == tape.SIGNALS else decode_market(body)
        except DecodeError:
            return  # recorded all the same: a tape keeps every frame, decodable or not
        if isinstance(beat, MacroHeartbeat | MicroHeartbeat):
            self._instances.setdefault(beat.instance, direction)
