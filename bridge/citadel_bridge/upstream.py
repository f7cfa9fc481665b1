"""Bounds on what subscribers may send to a publisher.

A subscription costs the publisher memory, and libzmq processes them all, one peer after the other,
inside the publisher's next ``send``: 200,000 of them took 2 GB and delayed the heartbeat by ten seconds,
and no option of libzmq bounds them. A subscriber sends next to nothing else, so its connection is watched
from outside: one that sends more than a few thousand subscriptions would take is disconnected.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

log = logging.getLogger(__name__)

MOST_OCTETS: Final = 128 * 1024
"""What one subscriber may send at once: the handshake, and about 2,000 subscriptions of 50 characters
(libzmq itself sends 1,000 at once)."""
OCTETS_PER_S: Final = 8 * 1024
"""Allowance per second: a heartbeat a second takes 50."""
WARY_OCTETS: Final = 32 * 1024
"""At once, within a minute after a disconnect, since that subscriber reconnects at once: as many as a
connector that follows single pairs sends when it connects anew."""
MOST_SUBSCRIBERS: Final = 256
"""Connections, those that have not shown a key yet among them: beyond it the host that has most loses its newest,
so that one host keeps out nobody but itself."""

_CHECK_S: Final = 0.05
_EVERY_NS: Final = 250_000_000
_STALLED_NS: Final = 20_000_000
_WARY_NS: Final = 60_000_000_000
_FDS: Final = "/proc/self/fd"
STUCK_NS: Final = 10_000_000_000
"""A subscriber that reads nothing for so long, with something waiting for it, is disconnected: its
queue grows with every message, and only their number is bounded."""
_TCP_INFO: Final = struct.Struct("=120xQQ8xI")
"""tcpi_bytes_acked, tcpi_bytes_received and tcpi_notsent_bytes, Linux 4.6 and later."""


@dataclass(slots=True)
class _Subscriber:
    """One accepted connection."""

    host: str
    since_ns: int
    ended: bool = False
    """Disconnected by us, and not yet closed by ZeroMQ."""
    octets: int = 0
    level: float = 0.0
    seen_ns: int = 0
    taken: int = 0
    moved_ns: int = 0
    """When it last read something, or had nothing to read."""


class Upstream:
    """Watches the accepted connections of one bound socket, in a thread of its own.

    TCP on Linux only; anywhere else it does nothing. An ``ipc://`` peer is the same user.

    Args:
        address: where the socket is bound.
    """

    def __init__(self, address: str) -> None:
        self.disconnected = 0
        """Subscribers that sent too much, or were too many."""
        self.busy_ns = 0
        """Monotonic clock at the start of the current ``send``, 0 when there is none."""
        scheme, _, rest = address.partition("://")
        port = rest.rpartition(":")[2]
        self._port = int(port) if scheme == "tcp" and port.isdigit() else 0
        self._path = rest if scheme == "ipc" else ""
        self._known: dict[int, _Subscriber | None] = {}
        self._wary_until_ns = 0
        self._due_ns = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if self._port and sys.platform == "linux":
            self._thread = threading.Thread(target=self._run, name="citadel-upstream", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread. Safe to repeat."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def disconnect_all(self) -> None:
        """Disconnect every subscriber, from any thread; each may connect again, if it is admitted.

        On Linux; those of an ``ipc://`` address too.
        """
        if not (self._port or self._path) or sys.platform != "linux":
            return
        for name in os.listdir(_FDS):  # noqa: PTH208 - as below
            try:
                with socket.socket(fileno=os.dup(int(name))) as mine:
                    if self._is_ours(mine):
                        mine.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # no socket, the listening one, or closed meanwhile

    def _run(self) -> None:
        while not self._stop.wait(_CHECK_S):
            now_ns, busy_ns = time.monotonic_ns(), self.busy_ns
            if now_ns >= self._due_ns or (busy_ns and now_ns - busy_ns >= _STALLED_NS):
                self._due_ns = now_ns + _EVERY_NS
                self._check_all(now_ns)

    def _check_all(self, now_ns: int) -> None:
        """Check every connection once."""
        before, self._known = self._known, {}
        fds: dict[int, int] = {}
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
            self._known[key] = self._judge(int(name), key, before.get(key), now_ns)
            fds[key] = int(name)
        self._shed(fds)

    def _shed(self, fds: dict[int, int]) -> None:
        """Disconnect what is beyond ``MOST_SUBSCRIBERS``."""
        by_host: dict[str, list[tuple[int, int]]] = {}
        for key in fds:
            subscriber = self._known[key]
            if subscriber is not None and not subscriber.ended:
                by_host.setdefault(subscriber.host, []).append((subscriber.since_ns, key))
        for _ in range(sum(map(len, by_host.values())) - MOST_SUBSCRIBERS):
            most = max(by_host.values(), key=len)
            newest = max(most)
            most.remove(newest)
            with suppress(OSError), socket.socket(fileno=os.dup(fds[newest[1]])) as mine:
                known = self._known[newest[1]]
                if known is not None and os.fstat(mine.fileno()).st_ino == newest[1]:
                    known.ended = True
                    self._disconnect(mine, f"there are {MOST_SUBSCRIBERS} others")

    def _judge(
        self, fd: int, inode: int, known: _Subscriber | None, now_ns: int
    ) -> _Subscriber | None:
        """Check one socket; None when it is no connection of ours."""
        try:
            with socket.socket(fileno=os.dup(fd)) as mine:
                if os.fstat(mine.fileno()).st_ino != inode:
                    return None  # closed meanwhile, and its number is reused
                if known is None and not self._is_ours(mine):
                    return None
                info = mine.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
                if len(info) < _TCP_INFO.size:
                    return None
                subscriber = known or _Subscriber(
                    host=mine.getpeername()[0], since_ns=now_ns, seen_ns=now_ns
                )
                taken, octets, waiting = _TCP_INFO.unpack(info)
                self._charge(subscriber, octets, now_ns)
                if taken != subscriber.taken or not waiting:
                    subscriber.taken, subscriber.moved_ns = taken, now_ns
                wary = now_ns < self._wary_until_ns
                too_much = subscriber.level > (WARY_OCTETS if wary else MOST_OCTETS)
                if too_much:
                    self._wary_until_ns = now_ns + _WARY_NS
                    self._disconnect(mine, f"it sent {octets} octets of subscriptions")
                elif now_ns - subscriber.moved_ns > STUCK_NS:
                    self._disconnect(mine, "it does not read")
                return subscriber
        except OSError:
            return None  # closed meanwhile

    def _is_ours(self, mine: socket.socket) -> bool:
        if mine.family == socket.AF_UNIX and self._path:
            mine.getpeername()  # raises for the listening one
            return bool(mine.getsockname() == self._path)
        if mine.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        if mine.type != socket.SOCK_STREAM or mine.getsockname()[1] != self._port:
            return False
        mine.getpeername()  # raises for the listening one
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
