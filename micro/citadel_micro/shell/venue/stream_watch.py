"""Detects a mute stream on a connection that is up: expected events do not come.

The venue's answer to a request shows what the stream has to report: an order's acknowledgement, or its
end. Where that does not come within a limit, the stream counts as mute, whatever its connection's state.
"""

from __future__ import annotations

from typing import Final

REPORT_WITHIN_NS: Final = 3_000_000_000
"""How long after the answer the stream may report the same."""
MOST_SEEN: Final = 4_096


class StreamWatch:
    """Expected events of one stream. Times are the engine's, in ns.

    Args:
        owed_ns: how long after an answer the stream may take to report the same.
    """

    def __init__(self, within_ns: int = REPORT_WITHIN_NS) -> None:
        self._within_ns = within_ns
        self._expected: dict[tuple[str, str], int] = {}
        """(venue's order id, "open" | "closed") -> by when, oldest first."""
        self._seen: dict[tuple[str, str], None] = {}
        self._account_due_ns = 0
        self._account_changed_ns = 0
        self._account_said_ns = 0
        self._newest_ns = 0
        """Newest venue time that the stream has reported."""
        self._heard_ns = 0
        """Venue time from which on the stream surely reports everything."""

    def expect_order(self, venue_order_id: str, *, closed: bool, now_ns: int) -> None:
        """An answer shows that this order is open, or closed."""
        key = (venue_order_id, "closed" if closed else "open")
        if key not in self._seen:
            self._expected.setdefault(key, now_ns + self._within_ns)

    def expect_end(self, venue_order_id: str, *, ended_ns: int, now_ns: int) -> None:
        """The answer to a query shows that this order has ended at that time of the venue."""
        if ended_ns > self._heard_ns:
            self.expect_order(venue_order_id, closed=True, now_ns=now_ns)

    def saw_order(self, venue_order_id: str, *, closed: bool) -> None:
        """The stream has reported this order."""
        for what in ("open", "closed") if closed else ("open",):
            key = (venue_order_id, what)
            self._expected.pop(key, None)
            self._seen[key] = None
        while len(self._seen) > MOST_SEEN:
            del self._seen[next(iter(self._seen))]

    def expect_account(self, changed_ns: int, now_ns: int) -> None:
        """An answer shows that the account has last changed at this time of the venue.

        Counted when it is repeated: a venue that gives the time of the answer instead
        would count as mute again and again.
        """
        again = changed_ns == self._account_said_ns
        self._account_said_ns = changed_ns
        if again and changed_ns > self._newest_ns and not self._account_due_ns:
            self._account_changed_ns = changed_ns
            self._account_due_ns = now_ns + self._within_ns

    def saw(self, exchange_ns: int) -> None:
        """The stream has reported something."""
        self._newest_ns = max(self._newest_ns, exchange_ns)
        if self._newest_ns >= self._account_changed_ns:
            self._account_due_ns = 0

    def overdue(self, now_ns: int) -> str:
        """The order that it should have reported; empty when nothing is overdue."""
        for (venue_order_id, what), due_ns in self._expected.items():
            if due_ns <= now_ns:
                return f"order {venue_order_id} is {what}, and the stream does not say so"
            break
        if self._account_due_ns and self._account_due_ns <= now_ns:
            return "the account has changed, and the stream has said nothing since"
        return ""

    def begin(self, venue_ns: int, surely_ns: int = 0) -> None:
        """Another stream: nothing from before this time of the venue is expected.

        Args:
            venue_ns: which the venue's clock has certainly reached.
            surely_ns: which it has certainly not passed; the same where 0.
        """
        self._heard_ns = max(venue_ns, surely_ns)
        self._expected.clear()
        self._account_due_ns = 0
        self._newest_ns = max(self._newest_ns, venue_ns)
