"""Fair shares: rate limits per publisher, so that none can starve the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_proto.messages import Query, Signal

if TYPE_CHECKING:
    from citadel_proto.messages import SignalChannel

SIGNALS: Final = (10_000, 500)
"""Signals of one publisher at once, and a second: half of what micro can handle, and far more than
any strategy sends."""
QUESTIONS: Final = (10_000, 1_000)
LIST_COST: Final = 100
"""A query for orders counts as so many for one order: its answer can have 1.5 MB."""
OTHERS: Final = (10_000, 1_000)
"""Cancels and heartbeats."""
_S: Final = 1_000_000_000


class _Bucket:
    """Tokens of one kind of message."""

    __slots__ = ("_left", "_most", "_per_s", "_seen_ns")

    def __init__(self, most: int, per_s: int) -> None:
        self._most, self._per_s = most, per_s
        self._left, self._seen_ns = float(most), 0

    def take(self, cost: int, now_ns: int) -> bool:
        """Take so many tokens, or none."""
        if self._seen_ns:
            gained = (now_ns - self._seen_ns) * self._per_s / _S
            self._left = min(self._left + gained, self._most)
        self._seen_ns = now_ns
        if self._left < cost:
            return False
        self._left -= cost
        return True


class Shares:
    """Rate limits of one publisher: of one address, which cannot be forged.

    A message beyond its share is neither accepted nor answered: its sender publishes it again until it
    is acknowledged or expires, as with any lost message. A reject would cost as much as an
    order, and would have to be remembered as long.
    """

    def __init__(self) -> None:
        self._signals = _Bucket(*SIGNALS)
        self._questions = _Bucket(*QUESTIONS)
        self._others = _Bucket(*OTHERS)
        self.beyond: dict[str, int] = {}
        """Messages not accepted, by kind."""

    def take(self, message: SignalChannel, now_ns: int) -> bool:
        """Charge a message; False when the share is used up."""
        if isinstance(message, Signal):
            taken = self._signals.take(1, now_ns)
        elif isinstance(message, Query):
            taken = self._questions.take(LIST_COST if message.kind == "orders" else 1, now_ns)
        else:
            taken = self._others.take(1, now_ns)
        if not taken:
            kind = type(message).__name__
            self.beyond[kind] = self.beyond.get(kind, 0) + 1
        return taken
