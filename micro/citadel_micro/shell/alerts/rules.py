"""Which alerts are due: every condition once when it begins and once when it is over.

Pure: the time is passed in. A condition is a reason why micro is unhealthy, by its key; an event
happens once. What comes together is sent as one message, and no more than ``most_per_hour`` are
sent: then the next one says how many were left out. A severe one is never left out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity = Literal["info", "warning", "critical"]
RANK: Final = {"info": 0, "warning": 1, "critical": 2}
AGAIN_S: Final = 600.0
"""The same event is sent again after this."""
OVER_S: Final = 5.0
"""A condition is over once it has not been seen for this long: a flapping one is sent once."""
GROUP_S: Final = 1.0
"""What begins within this time of the first is sent with it."""
HOUR_S: Final = 3_600.0
MOST_LINES: Final = 20
"""Lines of one message; it says how many more there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that is so, as long as it is seen."""

    key: str
    severity: Severity
    text: str
    hold_s: float = 0.0
    """Told only after it was so for this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message."""

    severity: Severity
    title: str
    body: str


@dataclass(slots=True)
class _Seen:
    condition: Condition
    began_s: float
    last_s: float
    sent: bool = False


class AlertRules:
    """Which alerts were sent, and which are to be sent.

    Args:
        name: of this micro; begins each title.
        least: lowest severity that is told.
        most_per_hour: bound on messages that are not critical.
    """

    def __init__(self, name: str, least: Severity, most_per_hour: int) -> None:
        self._name = name
        self._least = RANK[least]
        self._most = most_per_hour
        self._seen: dict[str, _Seen] = {}
        self._events_s: dict[str, float] = {}
        self._waiting: list[tuple[Severity, str]] = []
        self._group_s: float | None = None
        self._sent_s: deque[float] = deque()
        self._left_out = 0

    def observe(self, conditions: Iterable[Condition], now_s: float) -> None:
        """Take the conditions that hold now; all others do not."""
        for condition in conditions:
            seen = self._seen.get(condition.key)
            if seen is None:
                seen = self._seen[condition.key] = _Seen(condition, now_s, now_s)
            seen.last_s = now_s
            if not seen.sent and now_s - seen.began_s >= condition.hold_s:
                seen.sent = True
                self._say(condition.severity, condition.text, now_s)
        for key, seen in tuple(self._seen.items()):
            if now_s - seen.last_s >= OVER_S:
                del self._seen[key]
                if seen.sent and RANK[seen.condition.severity] >= self._least:
                    self._put("info", f"over: {seen.condition.text}", now_s)

    def happened(self, key: str, severity: Severity, text: str, now_s: float) -> None:
        """Take something that has happened."""
        last_s = self._events_s.get(key)
        if last_s is None or now_s - last_s >= AGAIN_S:
            self._events_s[key] = now_s
            self._say(severity, text, now_s)
        for old in [each for each, at_s in self._events_s.items() if now_s - at_s >= AGAIN_S]:
            if old != key:
                del self._events_s[old]

    def due(self, now_s: float, *, at_once: bool = False) -> Alert | None:
        """The message to send now, if any. ``at_once``: without waiting for what may join it."""
        if self._group_s is None or (not at_once and now_s - self._group_s < GROUP_S):
            return None
        severity = max((each for each, _ in self._waiting), key=RANK.__getitem__)
        lines = [text for _, text in self._waiting]
        self._waiting, self._group_s = [], None
        while self._sent_s and now_s - self._sent_s[0] >= HOUR_S:
            self._sent_s.popleft()
        if severity != "critical" and len(self._sent_s) >= self._most:
            self._left_out += len(lines)
            return None
        self._sent_s.append(now_s)
        more = len(lines) - MOST_LINES
        lines = lines[:MOST_LINES]
        if more > 0:
            lines.append(f"and {more} more")
        if self._left_out:
            lines.append(f"{self._left_out} earlier ones were left out (most_per_hour)")
            self._left_out = 0
        title = (
            f"{self._name}: {lines[0]}" if len(lines) == 1 else f"{self._name}: {len(lines)} alerts"
        )
        return Alert(severity=severity, title=title[:120], body="\n".join(lines))

    def _say(self, severity: Severity, text: str, now_s: float) -> None:
        if RANK[severity] >= self._least:
            self._put(severity, text, now_s)

    def _put(self, severity: Severity, text: str, now_s: float) -> None:
        self._waiting.append((severity, text))
        if self._group_s is None:
            self._group_s = now_s
