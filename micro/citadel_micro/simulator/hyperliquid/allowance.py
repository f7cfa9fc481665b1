"""How many actions an account has earned, and whether it may arm the timer.

An account begins with 10,000 requests, earns one with every USDC that it trades, and has more for cancels
(page "Rate limits"). Only one that has traded a million may schedule a cancel.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.hyperliquid.signed import Rejected
from citadel_micro.simulator.hyperliquid.universe import wire

FIRST: Final = 10_000
MORE_CANCELS: Final = 100_000
TIMER_VOLUME_E8: Final = 1_000_000 * E8
SOONEST_MS: Final = 5_000


class Allowance:
    """Of all accounts. ``first``, ``timer_e8`` and ``soonest_ms`` are the venue's unless a test says otherwise."""

    def __init__(self) -> None:
        """Nobody has traded yet."""
        self.first = FIRST
        self.timer_e8 = TIMER_VOLUME_E8
        self.soonest_ms = SOONEST_MS
        self.used: Counter[str] = Counter()
        self.volume_e8: Counter[str] = Counter()

    def cap(self, account: str) -> int:
        """Return how many requests an account may have sent."""
        return self.first + self.volume_e8[account] // E8

    def take(self, account: str, count: int, *, cancel: bool) -> None:
        """Count the requests of an action.

        Raises:
            Rejected: the account has used them up.
        """
        cap = self.cap(account)
        most = min(cap + MORE_CANCELS, cap * 2) if cancel else cap
        used = self.used[account] + count
        if used > most:
            raise Rejected(
                f"Too many cumulative requests sent ({used} > {most}) for cumulative volume traded "
                f"${wire(self.volume_e8[account])}. Place taker orders to free up 1 request per USDC "
                "traded."
            )
        self.used[account] = used

    def check_timer(self, account: str) -> None:
        """Refuse a timer to an account that has traded too little.

        Raises:
            Rejected: it has.
        """
        if self.volume_e8[account] < self.timer_e8:
            raise Rejected(
                "Cannot set scheduled cancel time until enough volume traded. Required: "
                f"${self.timer_e8 // E8}. Traded: ${wire(self.volume_e8[account])}."
            )
