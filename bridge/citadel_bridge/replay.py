"""Playing a tape back into sockets, and recomputing a journal by the package that wrote it."""

from __future__ import annotations

import time
from importlib import metadata
from typing import TYPE_CHECKING, Final

import zmq

from citadel_bridge.auth import require_keys
from citadel_bridge.errors import PortTaken
from citadel_bridge.sockets import LINGER_MS
from citadel_proto import tape
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERIFIERS: Final = "citadel.verifiers"
"""Entry-point group: a name is a tape's kind, its object ``verify(path: Path, *, until: str = "", as_json:
bool = False) -> int`` (an Exit)."""

_S: Final = 1_000_000_000
_SEND_TIMEOUT_MS: Final = 10_000
_HIGH_WATER: Final = 10_000


class Player:
    """Binds publishers and sends a tape's frames, byte for byte, in their order.

    A slow subscriber slows the player down; no frame is dropped. Plaintext, on this machine only.

    Args:
        addresses: where to bind, per direction (``tape.SIGNALS``, ``tape.MARKET``); a direction
            without an address is not played.

    Raises:
        BadInput, Refused, PortTaken: an address cannot be bound.
    """

    def __init__(self, addresses: dict[int, str]) -> None:
        self.sent = dict.fromkeys(addresses, 0)
        """Frames sent, per direction."""
        self.bound: dict[int, str] = {}
        """Addresses with the ports that were taken."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: dict[int, zmq.Socket[bytes]] = {}
        try:
            for direction, address in addresses.items():
                self._bind(direction, address)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def wait_for_subscribers(self, timeout_s: float) -> None:
        """Wait until every address has a subscriber.

        Raises:
            PeerUnavailable: one has none in time.
        """
        deadline = time.monotonic() + timeout_s
        for direction, socket in self._sockets.items():
            left = max(0, int((deadline - time.monotonic()) * 1000))
            if not socket.poll(left, zmq.POLLIN):
                raise PeerUnavailable(
                    f"nobody subscribed at {self.bound[direction]} within {timeout_s:g} s"
                )

    def play(
        self,
        reader: tape.TapeReader,
        *,
        speed: float | None = 1.0,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Send the records.

        Args:
            reader: the tape; its ``tail`` says afterwards whether the end was reached.
            speed: multiple of the recorded speed; None for as fast as the subscribers read.
            sleep: waits, in seconds.

        Raises:
            PeerUnavailable: a subscriber has stopped reading.
        """
        first_ns = 0
        began = time.monotonic_ns()
        for record in reader.records():
            socket = self._sockets.get(record.direction)
            if socket is None:
                continue
            first_ns = first_ns or record.recv_ns
            if speed is not None:
                due = began + int((record.recv_ns - first_ns) / speed)
                wait = due - time.monotonic_ns()
                if wait > 0:
                    sleep(wait / _S)
            try:
                socket.send(record.frame)
            except zmq.Again as error:
                raise PeerUnavailable(
                    f"a subscriber of {self.bound[record.direction]} has not read for "
                    f"{_SEND_TIMEOUT_MS // 1000} s"
                ) from error
            self.sent[record.direction] += 1

    def close(self) -> None:
        """Close the sockets, waiting for the last frames to be sent."""
        for socket in self._sockets.values():
            socket.close(linger=10 * LINGER_MS)
        self._context.term()

    def _bind(self, direction: int, address: str) -> None:
        require_keys(address, None)
        # XPUB reports subscribers, and with NODROP waits for slow ones: a replay must not lose
        # frames.
        socket = self._context.socket(zmq.XPUB)
        socket.setsockopt(zmq.XPUB_NODROP, 1)
        socket.setsockopt(zmq.SNDHWM, _HIGH_WATER)
        socket.setsockopt(zmq.SNDTIMEO, _SEND_TIMEOUT_MS)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            socket.close(linger=0)
            if error.errno == zmq.EADDRINUSE:
                raise PortTaken(f"{address} is in use; stop what publishes there") from error
            raise BadInput(f"cannot bind {address!r}: {error.strerror}") from error
        bound = socket.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(bound, bytes)  # noqa: S101 - what this option returns
        self.bound[direction] = bound.rstrip(b"\0").decode()
        self._sockets[direction] = socket


def verify(path: Path, until: str = "", *, as_json: bool = False) -> int:
    """Recompute a tape with the verifier of its kind.

    Args:
        path: the tape.
        until: stop there and print the state, in the verifier's own words.
        as_json: print one JSON object.

    Returns:
        The verifier's exit code.

    Raises:
        BadInput: nothing installed can recompute this kind of tape.
        DecodeError: not a tape.
    """
    with tape.TapeReader.open(path) as reader:
        kind = reader.header.kind
    found = list(metadata.entry_points(group=VERIFIERS, name=kind))
    if not found:
        raise BadInput(
            f"a tape of kind {kind!r} cannot be recomputed",
            where=str(path),
            allowed="micro's journals, with micro installed",
            mend="leave out --verify to play it, or see: citadel tape verify",
        )
    check: Callable[..., int] = found[0].load()
    asked = {"until": until, "as_json": as_json}
    return check(path, **{name: value for name, value in asked.items() if value})
