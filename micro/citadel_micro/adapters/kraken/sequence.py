"""The numbers of the private channels' messages: one that is left out was a report that never came."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.core.model.time_units import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNELS: Final = frozenset({"executions", "balances"})
MOST_GAPS: Final = 3
WITHIN_NS: Final = 600 * SECOND


class _Numbered(msgspec.Struct):
    channel: str = ""
    sequence: int = 0


_numbered: Final = msgspec.json.Decoder(_Numbered).decode


class Numbers:
    """The last number of each channel of one connection."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def missed(self, data: bytes) -> str:
        """Which messages are left out before this one; empty for none. A repeated one leaves none out."""
        try:
            told = _numbered(data)
        except msgspec.MsgspecError:
            return ""  # who reads it says what it is
        if told.channel not in CHANNELS or told.sequence <= 0:
            return ""
        last = self._last.get(told.channel)
        if last is None or told.sequence > last:
            self._last[told.channel] = told.sequence
        if last is None or told.sequence <= last + 1:
            return ""
        return f"messages {last + 1} to {told.sequence - 1} of {told.channel} never came"


class Gaps:
    """Whether a gap still means a loss: of one after another, the numbers are at fault.

    Args:
        now: engine time in ns.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._at: deque[int] = deque(maxlen=MOST_GAPS)

    def believed(self) -> bool:
        """Count one. False for more than three in ten minutes: there would be no connection at all."""
        now_ns = self._now()
        if len(self._at) == MOST_GAPS and 0 <= now_ns - self._at[0] < WITHIN_NS:
            return False
        self._at.append(now_ns)
        return True
