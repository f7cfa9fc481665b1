"""Trades of others on the account: those that no order of ours has made, and until when they are known.

A trade belongs to the account as a whole, so a derivative position follows it, whoever traded.
The counts here show how much of the position that was, and keep a trade from being counted
twice: the venue sends it again whenever the period of a query overlaps with the last one's.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from citadel_micro.core.model.account_events import AccountTrade, FundingPayment

Key = tuple[str, str]
"""(venue, symbol)."""
FUNDING = "funding"
"""Stands for the order id of a payment, which no order has made."""
_ZERO = Decimal(0)


class ForeignBook:
    """By instrument: trades of others, and the time up to which the venue's list was read."""

    def __init__(self) -> None:
        self.known_ns: dict[Key, int] = {}
        """Venue's time up to which every trade of the account is known."""
        self.base_ns: dict[Key, int] = {}
        """Venue's time of the adopted position: what others had traded before is part of it."""
        self.net: dict[Key, Decimal] = {}
        """Bought by others less sold since, in units of quantity."""
        self.unused: dict[Key, Decimal] = {}
        """The part of it that has not explained any difference of coins yet."""
        self.others: dict[Key, Decimal] = {}
        """For a shared account: the position of the other micros, by their own orders."""
        self._agreed_ns: dict[Key, int] = {}
        """Venue's time of the last statement without a shortage."""
        self._oldest_ns: dict[Key, int] = {}
        """Anything older is known or irrelevant: an answer may be an old one."""
        self._seen: dict[Key, dict[tuple[str, str], int]] = {}
        """(venue order id, trade id) -> venue's time, of those that could be sent again."""

    def is_new(self, key: Key, trade: AccountTrade) -> bool:
        """Whether it was not counted before, nor is part of an adopted position."""
        if trade.exchange_ns <= max(self.base_ns.get(key, 0), self._oldest_ns.get(key, 0)):
            return False
        return (trade.venue_order_id, trade.trade_id) not in self._seen.get(key, {})

    def is_new_payment(self, key: Key, payment: FundingPayment) -> bool:
        """Whether a payment of funding was not booked before; it counts as booked from now on."""
        row = (FUNDING, payment.payment_id)
        seen = self._seen.setdefault(key, {})
        oldest_ns = max(self.base_ns.get(key, 0), self._oldest_ns.get(key, 0))
        if payment.exchange_ns <= oldest_ns or row in seen:
            return False
        seen[row] = payment.exchange_ns
        return True

    def count(self, key: Key, trade: AccountTrade, change: Decimal) -> None:
        """Count a new one; ``change`` is its signed quantity."""
        seen = self._seen.setdefault(key, {})
        seen[trade.venue_order_id, trade.trade_id] = trade.exchange_ns
        self.net[key] = self.net.get(key, _ZERO) + change
        if trade.exchange_ns > self._agreed_ns.get(key, 0):
            self.unused[key] = self.unused.get(key, _ZERO) + change

    def use_up(self, key: Key, exchange_ns: int) -> None:
        """There is no shortage now: trades until then explain nothing that comes later."""
        self.unused.pop(key, None)
        self._agreed_ns[key] = max(exchange_ns, self._agreed_ns.get(key, 0))

    def read_to(self, key: Key, exchange_ns: int, overlap_ns: int) -> None:
        """Every trade up to this time of the venue is known; earlier periods are not queried."""
        self.known_ns[key] = max(exchange_ns, self.known_ns.get(key, 0))
        oldest_ns = self._oldest_ns[key] = self.known_ns[key] - 2 * overlap_ns
        seen = self._seen.get(key)
        if seen:
            self._seen[key] = {each: ns for each, ns in seen.items() if ns > oldest_ns}

    def forget(self, key: Key) -> None:
        """Of a symbol without anything of ours: what others do there need not be known."""
        for rows in (self.known_ns, self.base_ns, self.unused, self._agreed_ns, self._oldest_ns):
            rows.pop(key, None)
        self._seen.pop(key, None)

    def to_state(self) -> dict[str, object]:
        """Plain data; empty where there is nothing to store."""
        exact = {"net": self.net, "unused": self.unused, "others": self.others}
        times = {"known": self.known_ns, "base": self.base_ns}
        state: dict[str, object] = {
            name: [[v, s, str(q)] for (v, s), q in rows.items()]
            for name, rows in exact.items()
            if rows
        }
        state.update(
            {
                name: [[v, s, ns] for (v, s), ns in rows.items()]
                for name, rows in times.items()
                if rows
            }
        )
        seen = [[*key, *each, ns] for key, rows in self._seen.items() for each, ns in rows.items()]
        return {**state, "seen": seen} if seen else state

    def load(self, state: dict[str, object]) -> None:
        """Restore what ``to_state`` gave."""
        rows = cast("dict[str, list[list[Any]]]", state)
        self.known_ns = {(v, s): ns for v, s, ns in rows.get("known", ())}
        self.base_ns = {(v, s): ns for v, s, ns in rows.get("base", ())}
        self.net = {(v, s): Decimal(q) for v, s, q in rows.get("net", ())}
        self.unused = {(v, s): Decimal(q) for v, s, q in rows.get("unused", ())}
        self.others = {(v, s): Decimal(q) for v, s, q in rows.get("others", ())}
        self._seen = {}
        for venue, symbol, order_id, trade_id, ns in rows.get("seen", ()):
            self._seen.setdefault((venue, symbol), {})[order_id, trade_id] = ns
