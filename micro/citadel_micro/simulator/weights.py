"""Request weights of each IP address, by whole minutes as Binance counts, and what breaking them costs.

Over the limit: 429 until the minute ends. Going on after many of those: 418, a ban of two minutes
first and twice as long each time after, three days at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from citadel_micro.simulator.query import ApiError

_MINUTE_MS: Final = 60_000
FIRST_BAN_MS: Final = 2 * _MINUTE_MS
LONGEST_BAN_MS: Final = 3 * 24 * 60 * _MINUTE_MS
_TOLERATED: Final = (
    10  # requests answered 429 within a minute before the ban; Binance names no number
)


@dataclass(slots=True)
class _Address:
    minute: int = -1
    used: int = 0
    refused: int = 0
    bans: int = 0
    banned_until_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """A request that is not taken: its HTTP status and when to come back."""

    status: int
    retry_at_ms: int

    def retry_after_s(self, now_ms: int) -> int:
        """Return the seconds to wait, rounded up, for ``Retry-After``."""
        return max(-(-(self.retry_at_ms - now_ms) // 1000), 1)


class RequestWeights:
    """Weights used by each address."""

    def __init__(self, limit: int) -> None:
        """Allow ``limit`` a minute and address."""
        self.limit = limit
        self._addresses: dict[str, _Address] = {}

    def _at(self, address: str, now_ms: int) -> _Address:
        entry = self._addresses.setdefault(address, _Address())
        minute = now_ms // _MINUTE_MS
        if minute != entry.minute:
            entry.minute, entry.used, entry.refused = minute, 0, 0
        return entry

    def used(self, address: str, now_ms: int) -> int:
        """Return what this address has used in this minute."""
        return self._at(address, now_ms).used

    def take(self, address: str, weight: int, now_ms: int) -> Limited | None:
        """Count a request; say why it is not taken, or None."""
        entry = self._at(address, now_ms)
        if now_ms < entry.banned_until_ms:
            return Limited(status=418, retry_at_ms=entry.banned_until_ms)
        if entry.used + weight <= self.limit:
            entry.used += weight
            return None
        entry.used += weight
        entry.refused += 1
        if entry.refused > _TOLERATED:
            return self.ban(address, now_ms)
        return Limited(status=429, retry_at_ms=(entry.minute + 1) * _MINUTE_MS)

    def error(self, limited: Limited) -> ApiError:
        """Return the answer to a request that is not taken."""
        if limited.status == 429:  # noqa: PLR2004 - HTTP
            text = (
                f"Too much request weight used; current limit is {self.limit} request weight per "
                "1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
            )
        else:
            text = (
                f"Way too much request weight used; IP banned until {limited.retry_at_ms}. Please "
                "use WebSocket Streams for live updates to avoid bans."
            )
        return ApiError(-1003, text, status=limited.status, retry_at_ms=limited.retry_at_ms)

    def give_back(self, address: str, weight: int, now_ms: int) -> None:
        """Take a weight back: orders that succeed cost none."""
        entry = self._at(address, now_ms)
        entry.used = max(entry.used - weight, 0)

    def ban(self, address: str, now_ms: int) -> Limited:
        """Ban an address, longer each time."""
        entry = self._at(address, now_ms)
        entry.banned_until_ms = now_ms + min(FIRST_BAN_MS << min(entry.bans, 20), LONGEST_BAN_MS)
        entry.bans += 1
        return Limited(status=418, retry_at_ms=entry.banned_until_ms)

    def pardon(self, address: str) -> None:
        """Lift the ban of an address and forget what it used."""
        self._addresses.pop(address, None)
