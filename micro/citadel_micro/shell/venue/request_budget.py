"""Rate limits of a venue: its windows as it counts them, and the pauses that it requires.

Cancels may use all of a window, queries nine tenths, orders four fifths: requests that reduce risk
never wait for those that add it. A pause holds back everything, because clients that continue
are banned for longer. Where the venue does not say how long, queries wait twice as long each time:
they must not bring on the ban, and exits are not to wait as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.shell.venue.outcomes import NotSent
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

SECOND_NS: Final = 1_000_000_000
Purpose = Literal["place", "amend", "cancel", "query", "audit", "upkeep"]
"""``query``: about an order whose state is not known. ``audit``: of the account, from time to time; at a
venue that permits few calls it must leave room for those about orders. ``upkeep``: log on,
subscribe, the time."""
SHARES: Final[Mapping[Purpose, float]] = {
    "place": 0.8,
    "amend": 0.8,
    "query": 0.9,
    "audit": 0.5,
    "cancel": 1.0,
    "upkeep": 1.0,
}
_NEW: Final = ("place", "amend")
_QUERIES: Final = ("query", "audit")
PAUSE_S: Final = 5.0
"""After a rate-limit reject without a duration."""
LONGEST_PAUSE_S: Final = 60.0
"""Of queries, after many of those. After as long without one it is forgotten."""
BAN_S: Final = 120.0
"""Shortest known ban of an address."""
SET_BACK_NS: Final = 10 * SECOND_NS
"""A clock of the venue that goes back by more was set."""


@dataclass(slots=True)
class _Window:
    """One budget: so much of a kind in so many seconds."""

    length_ns: int
    limit: int
    used: int = 0
    began_ns: int = 0

    def roll(self, now_ns: int) -> None:
        began_ns = now_ns - now_ns % self.length_ns
        # Back by more than a window: the venue's clock was wrong before, or was set. Never by less: that
        # would give out a window twice.
        if began_ns > self.began_ns or began_ns < self.began_ns - self.length_ns:
            self.began_ns, self.used = began_ns, 0


@dataclass(slots=True)
class _Counter:
    """One budget that time gives back steadily (Kraken): so much at most, so much less each second."""

    limit: float
    decay: float
    used: float = 0.0
    at_ns: int = 0

    def roll(self, now_ns: int) -> None:
        if now_ns > self.at_ns:
            past_s = (now_ns - self.at_ns) / SECOND_NS if self.at_ns else 0.0
            self.used = max(self.used - past_s * self.decay, 0.0)
            self.at_ns = now_ns
        elif now_ns < self.at_ns - SET_BACK_NS:
            self.at_ns = now_ns  # nothing was given back meanwhile

    def wait_ns(self, cost: float, share: float) -> int:
        over = self.used + min(cost, self.limit * share) - self.limit * share
        return int(over / self.decay * SECOND_NS) + 1 if over > 0 else 0


@dataclass(slots=True)
class _Pause:
    """Nothing is sent until then."""

    until_ns: int = 0
    length_ns: int = 0

    def left_ns(self, now_ns: int) -> int:
        """How long yet; never longer than it was meant to be, whatever the clock does."""
        if self.until_ns - now_ns > self.length_ns:
            self.until_ns = now_ns + self.length_ns
        return max(self.until_ns - now_ns, 0)

    def extend(self, now_ns: int, length_ns: int) -> bool:
        """Pause for so long from now on; False where it was longer already."""
        if length_ns <= self.left_ns(now_ns):
            return False
        self.until_ns, self.length_ns = now_ns + length_ns, length_ns
        return True

    def lengthen(self, now_ns: int) -> None:
        """Pause for twice as long as the last time, unless that lasts yet, or was long ago."""
        if self.left_ns(now_ns):
            return
        longest_ns = int(LONGEST_PAUSE_S * SECOND_NS)
        again = self.length_ns and now_ns - self.until_ns < longest_ns
        length_ns = 2 * self.length_ns if again else int(PAUSE_S * SECOND_NS)
        self.extend(now_ns, min(length_ns, longest_ns))


class RequestBudget:
    """The rate limits of one account at one address. Times are the venue's, in ns.

    Args:
        limits: (kind, seconds) -> most of it in a window of so many seconds, such as
            ``{("weight", 60): 6000, ("orders", 10): 100}``.
        counters: kind -> (most of it, how much of it a second gives back).
    """

    def __init__(
        self,
        limits: Mapping[tuple[str, int], int],
        counters: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        self._counters = {
            kind: _Counter(limit, decay) for kind, (limit, decay) in (counters or {}).items()
        }
        self._windows = {
            key: _Window(key[1] * SECOND_NS, limit) for key, limit in sorted(limits.items())
        }
        self._pause = _Pause()
        self._pause_of_orders = _Pause()
        self._pause_of_queries = _Pause()
        self.reason = ""
        """Why it is paused."""

    def pause_ns(self, now_ns: int) -> int:
        """How long nothing at all may be sent; 0 outside of a pause."""
        return self._pause.left_ns(now_ns)

    def wait_ns(self, purpose: Purpose, costs: Mapping[str, int], now_ns: int) -> int:
        """How long a request of these costs has to wait; 0 if it may be sent now."""
        wait_ns = self._pause.left_ns(now_ns)
        if purpose in _QUERIES:
            wait_ns = max(wait_ns, self._pause_of_queries.left_ns(now_ns))
        if wait_ns:
            return wait_ns
        if purpose in _NEW:
            wait_ns = self._pause_of_orders.left_ns(now_ns)
        share = SHARES[purpose]
        for (kind, _), window in self._windows.items():
            cost = costs.get(kind, 0)
            if not cost:
                continue
            window.roll(now_ns)
            if window.used + cost > window.limit * share:
                wait_ns = max(wait_ns, window.began_ns + window.length_ns - now_ns)
        for kind, counter in self._counters.items():
            if cost := costs.get(kind, 0):
                counter.roll(now_ns)
                wait_ns = max(wait_ns, counter.wait_ns(cost, share))
        return wait_ns

    def take(self, purpose: Purpose, costs: Mapping[str, int], now_ns: int) -> NotSent | None:
        """Count a request that is about to be sent; or say why it may not be."""
        wait_ns = self.wait_ns(purpose, costs, now_ns)
        if wait_ns:
            return NotSent(self._held_back(wait_ns), wait=True)
        self.spend(costs, now_ns)
        return None

    def check_connecting(self, costs: Mapping[str, int], now_ns: int) -> None:
        """Raise PeerUnavailable where a connection may not be made now: during a ban it prolongs it."""
        wait_ns = self.wait_ns("upkeep", costs, now_ns)
        if wait_ns:
            raise PeerUnavailable(self._held_back(wait_ns))

    def _held_back(self, wait_ns: int) -> str:
        why = self.reason or "the venue's limits"
        return f"held back for {wait_ns / SECOND_NS:.1f} s: {why}"

    def spend(self, costs: Mapping[str, int], now_ns: int) -> None:
        """Count a request that is being sent; the venue's own count corrects it."""
        for (kind, _), window in self._windows.items():
            cost = costs.get(kind, 0)
            if cost:
                window.roll(now_ns)
                window.used += cost
        for kind, counter in self._counters.items():
            if cost := costs.get(kind, 0):
                counter.roll(now_ns)
                counter.used += cost

    def full(self, kind: str, now_ns: int) -> None:
        """The venue says that nothing is left of a counter: its own count is ahead of ours."""
        counter = self._counters.get(kind)
        if counter is not None:
            counter.roll(now_ns)
            counter.used = max(counter.used, counter.limit)

    def widen(self, kind: str, limit: float, decay: float) -> None:
        """Set what the venue allows of a counter that is known."""
        counter = self._counters.get(kind)
        if counter is not None:
            counter.limit, counter.decay = limit, decay

    def told(self, kind: str, seconds: int, used: int, now_ns: int, limit: int = 0) -> None:
        """Set the venue's own count of a window, and its limit where it is given."""
        window = self._windows.get((kind, seconds))
        if window is None:
            if not limit:
                return
            window = self._windows[kind, seconds] = _Window(seconds * SECOND_NS, limit)
        window.roll(now_ns)
        window.used = used
        if limit:
            window.limit = limit

    def pause(
        self,
        seconds: float,
        now_ns: int,
        reason: str,
        *,
        banned: bool = False,
        orders_only: bool = False,
    ) -> None:
        """Send nothing for so long; for the usual time where the venue gives none (0).

        Args:
            seconds: how long.
            now_ns: the venue's time.
            reason: for people.
            banned: the address is banned, which lasts longer.
            orders_only: the venue's limit is on new orders: only these are held back.
        """
        length_s = seconds if seconds > 0 else (BAN_S if banned else PAUSE_S)
        if not (seconds > 0 or banned or orders_only):
            self._pause_of_queries.lengthen(now_ns)
        pause = self._pause_of_orders if orders_only else self._pause
        if pause.extend(now_ns, int(length_s * SECOND_NS)) or orders_only:
            self.reason = reason

    def used(self) -> dict[str, tuple[int, int]]:
        """(used, limit) of every window, for people: ``weight/60s``."""
        return {
            f"{kind}/{seconds}s": (window.used, window.limit)
            for (kind, seconds), window in self._windows.items()
        } | {
            kind: (int(counter.used), int(counter.limit))
            for kind, counter in self._counters.items()
        }
