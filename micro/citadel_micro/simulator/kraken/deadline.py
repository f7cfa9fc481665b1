"""Until when a request is good."""

from __future__ import annotations

from dataclasses import dataclass

from citadel_micro.simulator.kraken.errors import KrakenError
from citadel_micro.simulator.private.signed import Times


@dataclass(frozen=True, slots=True)
class Deadline(Times):
    """Until when the matching engine takes a request."""

    def __init__(self, at_ns: int) -> None:
        """End at a time in ns."""
        Times.__init__(self, at_ns // 1_000, 0)

    def check(self, now_ns: int) -> None:
        """Refuse a request that is too late.

        Raises:
            KrakenError: it is.
        """
        if now_ns // 1_000 > self.made_us:
            raise KrakenError("EService:Deadline elapsed")
