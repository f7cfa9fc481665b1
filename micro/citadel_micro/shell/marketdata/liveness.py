"""Whether a connection lives: when it was heard, when to ask for a pong, and when to tell the books."""

from __future__ import annotations

from typing import Final

PROBE_NS: Final = 5_000_000_000
"""How often a round trip is measured: of the budgets of venues that count pings, a small part."""
PROOF_NS: Final = 500_000_000
"""A connection that lives says so to the books this often: one event for all of them, a third of the
age at which a book counts as stale."""
SILENT_NS: Final = 500_000_000
"""After this long without a frame a pong is asked for,"""
PING_NS: Final = 750_000_000
"""and again no sooner than this: at most one a second or so."""


class Pulse:
    """See the module. Times are the engine's, in ns."""

    __slots__ = ("_ping_ns", "_pong_ns", "_proof_ns", "frame_ns")

    def __init__(self) -> None:
        self.frame_ns = 0
        """When the last frame came."""
        self._pong_ns = self._ping_ns = self._proof_ns = 0

    @property
    def alive_ns(self) -> int:
        """When it was last heard, be it a pong."""
        return max(self.frame_ns, self._pong_ns)

    def pong(self, now_ns: int) -> None:
        """One came; it comes behind all that the venue had sent, as any frame does."""
        self._pong_ns = now_ns

    def ping_due(self, now_ns: int) -> bool:
        """Whether a pong is to be asked for now; if so, that counts as done."""
        since_ns = now_ns - self._ping_ns
        silent = now_ns - self.alive_ns >= SILENT_NS
        if since_ns < PROBE_NS and not (silent and since_ns >= PING_NS):
            return False
        self._ping_ns = now_ns
        return True

    def news(self) -> int:
        """When it was last heard, if the books have not been told; else 0. Counts as told."""
        heard_ns = self.alive_ns
        if heard_ns - self._proof_ns < PROOF_NS:
            return 0
        self._proof_ns = heard_ns
        return heard_ns
