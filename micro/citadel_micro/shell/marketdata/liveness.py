"""Whether a connection is alive: time of its last message, when to ping, when to prove the books."""

from __future__ import annotations

from typing import Final

PROBE_NS: Final = 5_000_000_000
"""How often a round trip is measured: a small part of the budget of venues that count pings."""
PROOF_NS: Final = 500_000_000
"""A live connection proves its books this often: one event for all of them, at a third of the
age at which a book counts as stale."""
SILENT_NS: Final = 500_000_000
"""After this long without a frame a ping is sent,"""
PING_NS: Final = 750_000_000
"""and again no sooner than this: at most one a second or so."""


class Liveness:
    """See the module. Times are the engine's, in ns."""

    __slots__ = ("_ping_ns", "_pong_ns", "_proof_ns", "frame_ns")

    def __init__(self) -> None:
        self.frame_ns = 0
        """When the last frame came."""
        self._pong_ns = self._ping_ns = self._proof_ns = 0

    @property
    def alive_ns(self) -> int:
        """When the last frame or pong came."""
        return max(self.frame_ns, self._pong_ns)

    def pong(self, now_ns: int) -> None:
        """A pong came; it follows everything that the venue had sent, as any frame does."""
        self._pong_ns = now_ns

    def ping_due(self, now_ns: int) -> bool:
        """Whether to send a ping now; if so, it counts as sent."""
        since_ns = now_ns - self._ping_ns
        silent = now_ns - self.alive_ns >= SILENT_NS
        if since_ns < PROBE_NS and not (silent and since_ns >= PING_NS):
            return False
        self._ping_ns = now_ns
        return True

    def proof_due(self) -> int:
        """Time of the last message, if the books do not have it yet; else 0. Counts as passed on."""
        alive_ns = self.alive_ns
        if alive_ns - self._proof_ns < PROOF_NS:
            return 0
        self._proof_ns = alive_ns
        return alive_ns
