"""How long micro has been silent, by questions without an answer. Pure.

Time in which the watchdog itself was stopped, or its machine asleep, is not micro's silence: one
question counts for a few seconds at most, however long it was under way.
"""

from __future__ import annotations

from typing import Final

MOST_A_QUESTION_S: Final = 3.0


class Silence:
    """Of one micro at one venue.

    Args:
        limit_s: silence after which its orders are to be canceled.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.lasted_s = 0.0
        """So far; 0 after an answer."""

    @property
    def expired(self) -> bool:
        """It has lasted too long."""
        return self.lasted_s >= self.limit_s

    def answered(self) -> None:
        """Micro has answered, and is in command of its orders."""
        self.lasted_s = 0.0

    def unanswered(self, elapsed_s: float) -> None:
        """A question was not answered so; ``elapsed_s`` since the one before it was asked."""
        self.lasted_s += min(max(elapsed_s, 0.0), MOST_A_QUESTION_S)
