"""How the gate's orders have gone so far: what row 16 of the risk table and four breakers judge.

Everything is counted from what the engine was told, in its own time. A count whose limit is unused
is not kept. What a person or a cooldown must clear survives restarts; windows of seconds do not.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from citadel_micro.core.model.risk_limits import UNUSED
from citadel_micro.core.risk.circuit_breakers import symbol_scope, venue_scope
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from collections.abc import Hashable

    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.risk.types import RiskRequest

SECOND_NS: Final = 1_000_000_000
SAMPLES: Final = 20
"""Mids kept of a window of ``flash_window_ns``; a move is found to a twentieth of it."""
MOST_KEYS: Final = 10_000
"""Of one kind of count; beyond, the one without news for longest is dropped. A publisher may invent
any number of strategies within a window."""

Key = tuple[str, ...]


class Cause(NamedTuple):
    """What a breaker trips for."""

    code: RiskCode
    scope: str
    text: str


class Times:
    """The newest times of each key: as many as the limit, so that a full one is at it."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[Hashable, deque[int]] = {}

    def add(self, key: Hashable, now_ns: int, limit: int, window_ns: int) -> None:
        """Count one more, and forget the keys that have had none within the window.

        So what is kept, and stored, is bounded by what happens within one window.
        """
        times = self._times.pop(key, None)
        if times is None or times.maxlen != limit:
            times = deque(times or (), maxlen=limit)
        times.append(now_ns)
        self._times[key] = times  # at the end: the first key is the one without news for longest
        while len(self._times) > 1:
            first = next(iter(self._times))
            newest = self._times[first]
            if newest and now_ns - newest[-1] < window_ns and len(self._times) <= MOST_KEYS:
                break
            del self._times[first]

    def within(self, key: Hashable, now_ns: int, window_ns: int) -> int:
        """How many of them are younger than the window."""
        times = self._times.get(key)
        if times is None:
            return 0
        while times and now_ns - times[0] >= window_ns:
            times.popleft()
        return len(times)

    def drop(self, key: Hashable) -> None:
        """Forget one key."""
        self._times.pop(key, None)

    def to_state(self) -> list[list[object]]:
        """Plain data; see ``load``."""
        return [[list(cast("Key", key)), list(times)] for key, times in self._times.items()]

    def load(self, rows: object) -> None:
        """Restore what ``to_state`` gave."""
        self._times = {
            tuple(key): deque(times, maxlen=max(1, len(times)))
            for key, times in cast("list[tuple[list[str], list[int]]]", rows)
        }


class Streak(NamedTuple):
    """Closed positions of one symbol."""

    losses: int
    """In a row, the last ones."""
    realised: Decimal
    """When the last one was closed, in the settle currency."""
    side: int
    """1 for long, -1 for short, 0 for flat."""


class Conduct:
    """Counts of messages, entries, rejects, acknowledgments, losing positions, moves."""

    def __init__(self) -> None:
        self._messages = Times()
        self._identical = Times()
        self._rejects = Times()
        self._unfilled = Times()
        self._entries = Times()
        self._slow: dict[str, int] = {}
        self._streaks: dict[tuple[str, str], Streak] = {}
        self._mids: dict[tuple[str, str], deque[tuple[int, float]]] = {}

    # counts that row 16 judges

    def messages(self, request: RiskRequest, now_ns: int) -> int:
        """Orders and amends of its strategy within the last second."""
        return self._messages.within((request.strategy,), now_ns, SECOND_NS)

    def identical(self, request: RiskRequest, limits: RiskLimits, now_ns: int) -> int:
        """Parents equal to it in everything but the id."""
        return self._identical.within(_twin(request), now_ns, limits.identical_window_ns)

    def rejects(self, venue: str, limits: RiskLimits, now_ns: int) -> int:
        """Orders that the venue has rejected."""
        return self._rejects.within((venue,), now_ns, limits.venue_rejects_window_ns)

    def unfilled(self, venue: str, symbol: str, limits: RiskLimits, now_ns: int) -> int:
        """Orders and amends of a symbol since its last fill."""
        return self._unfilled.within((venue, symbol), now_ns, limits.unfilled_window_ns)

    def entries(self, request: RiskRequest, limits: RiskLimits, now_ns: int) -> int:
        """Entries of its strategy in its direction."""
        return self._entries.within(_direction(request), now_ns, limits.repeated_window_ns)

    # what happens

    def sent(self, request: RiskRequest, limits: RiskLimits, now_ns: int) -> None:
        """A place or an amend was approved."""
        if limits.max_messages_per_second < UNUSED:
            most = limits.max_messages_per_second
            self._messages.add((request.strategy,), now_ns, most, SECOND_NS)
        if limits.max_unfilled_messages < UNUSED:
            key = (request.venue, request.symbol)
            most, window_ns = limits.max_unfilled_messages, limits.unfilled_window_ns
            self._unfilled.add(key, now_ns, most, window_ns)

    def admitted(self, request: RiskRequest, limits: RiskLimits, now_ns: int) -> bool:
        """An entry was admitted; whether that must survive a restart."""
        kept = False
        if 0 < limits.max_identical_orders < UNUSED:
            most, window_ns = limits.max_identical_orders, limits.identical_window_ns
            self._identical.add(_twin(request), now_ns, most, window_ns)
            kept = True
        if 0 < limits.max_repeated_entries < UNUSED:
            most, window_ns = limits.max_repeated_entries, limits.repeated_window_ns
            self._entries.add(_direction(request), now_ns, most, window_ns)
            kept = True
        return kept

    def repeated(self, request: RiskRequest, limits: RiskLimits) -> Cause:
        """An entry was denied as one too many; counting begins anew, for when a person has looked."""
        self._entries.drop(_direction(request))
        text = (
            f"{limits.max_repeated_entries} entries of {request.strategy or 'no strategy'} to "
            f"{request.side} within {limits.repeated_window_ns / 1e9:g} s, and one more asked for"
        )
        return Cause(RiskCode.REPEATED_EXECUTION, symbol_scope(request.venue, request.symbol), text)

    def rejected(self, venue: str, limits: RiskLimits, now_ns: int) -> bool:
        """The venue has rejected an order; whether that must survive a restart."""
        if not 0 < limits.max_venue_rejects < UNUSED:
            return False
        most, window_ns = limits.max_venue_rejects, limits.venue_rejects_window_ns
        self._rejects.add((venue,), now_ns, most, window_ns)
        return True

    def filled(self, venue: str, symbol: str) -> None:
        """An order of this symbol has traded."""
        self._unfilled.drop((venue, symbol))

    def acknowledged(self, venue: str, took_ns: int, limits: RiskLimits) -> Cause | None:
        """The venue has acknowledged an order."""
        if took_ns <= limits.max_ack_ns:
            self._slow.pop(venue, None)
            return None
        slow = self._slow[venue] = self._slow.get(venue, 0) + 1
        if slow < limits.slow_acks:
            return None
        del self._slow[venue]
        text = (
            f"{slow} acknowledgments in a row took longer than {limits.max_ack_ns / 1e6:g} ms, the "
            f"last {took_ns / 1e6:.0f} ms"
        )
        return Cause(RiskCode.LATENCY, venue_scope(venue), text)

    def position(
        self, key: tuple[str, str], side: int, realised: Decimal, limits: RiskLimits
    ) -> tuple[bool, Cause | None]:
        """A position after a fill: whether a count must survive a restart, and what trips.

        Args:
            key: venue and symbol.
            side: 1 for long, -1 for short, 0 where nothing is left that could be sold.
            realised: all that was ever realized on it, fees and funding included.
            limits: those in effect.
        """
        if not 0 < limits.loss_streak < UNUSED:
            return False, None
        before = self._streaks.get(key)
        if before is None:
            # Whatever came earlier was not counted.
            self._streaks[key] = Streak(0, realised, side)
            return True, None
        if before.side in (0, side):
            if side == before.side:
                return False, None
            self._streaks[key] = before._replace(side=side)
            return True, None
        lost = realised < before.realised
        losses = before.losses + 1 if lost else 0
        cause = None
        if losses >= limits.loss_streak:
            text = f"{losses} positions in a row were closed with a loss"
            cause = Cause(RiskCode.LOSS_STREAK, symbol_scope(*key), text)
            losses = 0
        self._streaks[key] = Streak(losses, realised, side)
        return True, cause

    def moved(
        self, key: tuple[str, str], mid: float, limits: RiskLimits, now_ns: int
    ) -> Cause | None:
        """The mid of a book that may be trusted."""
        mids = self._mids.setdefault(key, deque())
        while mids and now_ns - mids[0][0] > limits.flash_window_ns:
            mids.popleft()
        low, high = mid, mid
        for _, each in mids:
            low, high = min(low, each), max(high, each)
        if (high - low) * 10_000 > limits.flash_move_bps * low:
            mids.clear()
            mids.append((now_ns, mid))
            text = (
                f"the mid has moved by {(high - low) / low * 1e4:.0f} bps within "
                f"{limits.flash_window_ns / 1e9:g} s, from {low:g} to {high:g}"
            )
            return Cause(RiskCode.FLASH_MOVE, symbol_scope(*key), text)
        if not mids or now_ns - mids[-1][0] >= limits.flash_window_ns // SAMPLES:
            mids.append((now_ns, mid))
        return None

    # durable state

    def to_state(self) -> dict[str, object]:
        """Plain data from which ``load`` makes the durable part; empty where nothing was counted."""
        streaks = [
            [*key, each.losses, str(each.realised), each.side]
            for key, each in self._streaks.items()
        ]
        rows = {
            "identical": self._identical.to_state(),
            "entries": self._entries.to_state(),
            "rejects": self._rejects.to_state(),
            "streaks": streaks,
        }
        return {name: value for name, value in rows.items() if value}

    def load(self, state: dict[str, object]) -> None:
        """Restore what ``to_state`` gave."""
        self._identical.load(state.get("identical", []))
        self._entries.load(state.get("entries", []))
        self._rejects.load(state.get("rejects", []))
        rows = cast("list[tuple[str, str, int, str, int]]", state.get("streaks", []))
        self._streaks = {
            (venue, symbol): Streak(losses, Decimal(realised), side)
            for venue, symbol, losses, realised, side in rows
        }


def _twin(request: RiskRequest) -> Key:
    """What makes two orders the same order sent twice."""
    return (
        request.strategy,
        request.venue,
        request.symbol,
        request.side,
        str(request.quantity_lots),
        str(request.price_ticks),
    )


def _direction(request: RiskRequest) -> Key:
    return (request.strategy, request.venue, request.symbol, request.side)
