"""Kraken's rate limits: counters that requests raise and time lowers.

One for the REST calls of a key; one for the trading in each pair of an account, where amends and
cancels of young orders cost more ("API rate limits" and "Trading rate limits" of its
documentation, the highest tier).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from citadel_micro.simulator.kraken.errors import KrakenError

_SECOND_NS: Final = 1_000_000_000
CALLS: Final = (20.0, 1.0)
"""Most of the counter, and how much it loses in a second."""
TRADING: Final = (180.0, 3.75)
AMEND: Final = ((5, 3), (10, 2), (15, 1))
"""Younger than so many seconds -> that much, besides 1."""
CANCEL: Final = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))


@dataclass(slots=True)
class _Counter:
    count: float = 0.0
    at_ns: int = 0

    def now(self, now_ns: int, decay: float) -> float:
        past = max(now_ns - self.at_ns, 0) / _SECOND_NS
        self.count, self.at_ns = max(self.count - past * decay, 0.0), now_ns
        return self.count


class Counters:
    """All counters of a market."""

    def __init__(self) -> None:
        """Start at 0."""
        self._counters: dict[tuple[str, str], _Counter] = {}

    def _at(self, owner: str, what: str, now_ns: int, decay: float) -> _Counter:
        counter = self._counters.setdefault((owner, what), _Counter(at_ns=now_ns))
        counter.now(now_ns, decay)
        return counter

    def call(self, key_id: str, cost: int, now_ns: int) -> None:
        """Count a REST call.

        Raises:
            KrakenError: there were too many.
        """
        most, decay = CALLS
        counter = self._at(key_id, "", now_ns, decay)
        if counter.count + cost > most:
            raise KrakenError("EAPI:Rate limit exceeded")
        counter.count += cost

    def trade(self, account: str, symbol: str, cost: int, now_ns: int, *, cancels: bool) -> None:
        """Count a trading request; a cancel is carried out in any case.

        Raises:
            KrakenError: there were too many.
        """
        most, decay = TRADING
        counter = self._at(account, symbol, now_ns, decay)
        if counter.count + cost > most and not cancels:
            raise KrakenError("EOrder:Rate limit exceeded")
        counter.count += cost


def by_age(table: tuple[tuple[int, int], ...], age_ns: int) -> int:
    """Return what the age of an order makes a request about it cost."""
    for limit, cost in table:
        if age_ns < limit * _SECOND_NS:
            return cost
    return 0
