"""What both clients of websockets have in common: bounds, pings that are timed, what the system holds unread."""

from __future__ import annotations

import sys
import time
from array import array
from typing import TYPE_CHECKING, Any, Final

if sys.platform != "win32":
    import fcntl
    import termios

if TYPE_CHECKING:
    from collections.abc import Callable

    OnFrame = Callable[[bytes], None]
    OnRoundTrip = Callable[[int], None]

MAX_MESSAGE: Final = 32 << 20
"""Bytes. The largest snapshots so far are under 4 MiB; a larger message is not a book."""
PING_S: Final = 10.0
"""An idle peer is pinged after this, and has as long to answer: finds half-open TCP."""
CLOSE_TIMEOUT_S: Final = 1.0
"""A peer that does not answer a close within this is dropped."""


class Pings:
    """Our own pings, distinguished by their payload from those that keep a connection alive."""

    def __init__(self, on_round_trip: OnRoundTrip) -> None:
        self._on_round_trip = on_round_trip
        self._number = 0
        self._sent_ns = 0

    def next(self) -> bytes:
        """Payload of the next ping; one still in flight no longer counts."""
        self._number += 1
        self._sent_ns = time.monotonic_ns()
        return b"citadel %d" % self._number

    def pong(self, payload: bytes) -> None:
        """A pong came."""
        if self._sent_ns and payload == b"citadel %d" % self._number:
            self._on_round_trip(time.monotonic_ns() - self._sent_ns)
            self._sent_ns = 0


def unread_of(socket: Any) -> int:  # noqa: ANN401 - a socket, or what a loop has instead of it
    """Octets in the receive buffer of a socket; 0 where the system does not say."""
    if sys.platform == "win32":
        return 0
    if socket is None or (number := socket.fileno()) < 0:
        return 0
    count = array("i", [0])
    try:
        fcntl.ioctl(number, termios.FIONREAD, count)
    except OSError:
        return 0
    return count[0]
