"""What subscribers may send to a publisher: little.

A subscription costs the publisher memory, and libzmq takes them all, one peer after the other, inside
the publisher's next ``send``: 200,000 of them took 2 GB and held the heartbeat up for ten seconds, and
no option of libzmq bounds them. A subscriber sends next to nothing else, so its connection is watched
from outside: who sends more than a few thousand subscriptions would take is disconnected.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass
from typing import Final

log = logging.getLogger(__name__)

MOST_OCTETS: Final = 128 * 1024
"""That one subscriber may send at once: handshake, and about 2,000 subscriptions of 50 characters (libzmq itself sends
1,000 at once)."""
OCTETS_PER_S: Final = 8 * 1024
"""That are forgiven: a heartbeat a second takes 50."""
WARY_OCTETS: Final = 8 * 1024
"""At once, within a minute after somebody was disconnected, who will come again at once."""
MOST_SUBSCRIBERS: Final = 256

_LOOK_S: Final = 0.05
_EVERY_NS: Final = 250_000_000
_STALLED_NS: Final = 20_000_000
_WARY_NS: Final = 60_000_000_000
_FDS: Final = "/proc/self/fd"
STUCK_NS: Final = 10_000_000_000
"""A subscriber that takes nothing for so long, with something waiting for it, is disconnected: its
queue grows with every message, and only their number is bounded."""
_TCP_INFO: Final = struct.Struct("=120xQQ8xI")
"""tcpi_bytes_acked, tcpi_bytes_received and tcpi_notsent_bytes, Linux 4.6 and later."""


@dataclass(slots=True)
class _Subscriber:
    """One accepted connection."""

    octets: int = 0
    level: float = 0.0
    seen_ns: int = 0
    taken: int = 0
    moved_ns: int = 0
    """When it last took something, or had nothing to take."""


class Upstream:
    """Watches the accepted connections of one bound socket, in a thread of its own.

    Of TCP on Linux only; anywhere else it does nothing. An ``ipc://`` peer is the same user.

    Args:
        address: where the socket is bound.
    """

    def __init__(self, address: str) -> None:
        self.disconnected = 0
        """Subscribers that sent too much, or were too many."""
        self.busy_ns = 0
        """Monotonic clock at the begin of the ``send`` that is under way, 0 when none is."""
        scheme, _, rest = address.partition("://")
        port = rest.rpartition(":")[2]
        self._port = int(port) if scheme == "tcp" and port.isdigit() else 0
        self._known: dict[int, _Subscriber | None] = {}
        self._wary_until_ns = 0
        self._due_ns = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if self._port and sys.platform == "linux":
            self._thread = threading.Thread(target=self._run, name="citadel-upstream", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread. Harmless when repeated."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            now_ns, busy_ns = time.monotonic_ns(), self.busy_ns
            if now_ns >= self._due_ns or (busy_ns and now_ns - busy_ns >= _STALLED_NS):
                self._due_ns = now_ns + _EVERY_NS
                self._look(now_ns)

    def _look(self, now_ns: int) -> None:
        """Judge every connection once."""
        before, self._known = self._known, {}
        count = sum(each is not None for each in before.values())
        for name in os.listdir(_FDS):  # noqa: PTH208 - ten times as fast
            try:
                kind, _, inode = os.readlink(f"{_FDS}/{name}").partition(":")  # noqa: PTH115 - too
            except OSError:
                continue  # closed meanwhile
            if kind != "socket":
                continue
            key = int(inode[1:-1])
            if key in before and before[key] is None:
                self._known[key] = None
                continue
            known = before.get(key)
            subscriber = self._judge(int(name), key, known, count, now_ns)
            self._known[key] = subscriber
            count += known is None and subscriber is not None

    def _judge(
        self, fd: int, inode: int, known: _Subscriber | None, others: int, now_ns: int
    ) -> _Subscriber | None:
        """Look at one socket; None when it is no connection of ours."""
        try:
            with socket.socket(fileno=os.dup(fd)) as mine:
                if os.fstat(mine.fileno()).st_ino != inode:
                    return None  # closed meanwhile, and its number is another's
                if known is None and not self._is_ours(mine):
                    return None
                info = mine.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
                if len(info) < _TCP_INFO.size:
                    return None
                subscriber = known or _Subscriber(seen_ns=now_ns)
                taken, octets, waiting = _TCP_INFO.unpack(info)
                self._charge(subscriber, octets, now_ns)
                if taken != subscriber.taken or not waiting:
                    subscriber.taken, subscriber.moved_ns = taken, now_ns
                wary = now_ns < self._wary_until_ns
                too_much = subscriber.level > (WARY_OCTETS if wary else MOST_OCTETS)
                too_many = known is None and others >= MOST_SUBSCRIBERS
                if too_much:
                    self._wary_until_ns = now_ns + _WARY_NS
                    self._disconnect(mine, f"it sent {octets} octets of subscriptions")
                elif too_many:
                    self._disconnect(mine, f"there are {MOST_SUBSCRIBERS} others")
                elif now_ns - subscriber.moved_ns > STUCK_NS:
                    self._disconnect(mine, "it takes nothing")
                return subscriber
        except OSError:
            return None  # closed meanwhile

    def _is_ours(self, mine: socket.socket) -> bool:
        if mine.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        if mine.type != socket.SOCK_STREAM or mine.getsockname()[1] != self._port:
            return False
        mine.getpeername()  # raises for the one that listens
        return True

    @staticmethod
    def _charge(subscriber: _Subscriber, octets: int, now_ns: int) -> None:
        forgiven = (now_ns - subscriber.seen_ns) * OCTETS_PER_S / 1e9
        subscriber.level = max(subscriber.level - forgiven, 0.0) + octets - subscriber.octets
        subscriber.octets, subscriber.seen_ns = octets, now_ns

    def _disconnect(self, mine: socket.socket, why: str) -> None:
        peer = mine.getpeername()
        self.disconnected += 1
        mine.shutdown(socket.SHUT_RDWR)
        if self.disconnected == 1:
            log.warning("disconnected a subscriber at %s (counted from now): %s", peer[0], why)
