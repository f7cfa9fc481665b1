"""What macro may ask of micro, beyond what it reads of the mirror without waiting."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Unpack

from citadel_bridge.read_api import MicroView
from citadel_bridge.resync import PAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_bridge.requests import Asked
    from citadel_proto.messages import Answer, Balance, ExecutionReport, Position, QueryKind


class MicroInquiries(MicroView):
    """Questions with an answer, each raising ``MicroUnavailable`` when none comes in time."""

    @abstractmethod
    def _query(
        self, kind: QueryKind, timeout: float, *, instance: str = "", **asked: Unpack[Asked]
    ) -> Answer:
        """Send a question and wait for its answer, of one micro or of any."""

    def query_order(self, signal_id: str, timeout: float = 1.0) -> ExecutionReport | None:
        """Ask micro for one order.

        Returns:
            Its newest report; None only when micro is sure that it knows no such order.

        Raises:
            MicroUnavailable: no micro, or no answer within ``timeout`` s.
        """
        answer = self._query("order", timeout, signal_id=signal_id)
        return self.report(signal_id) if answer.found else None

    def query_orders(
        self,
        venue: str = "",
        symbol: str = "",
        since_ns: int = 0,
        timeout: float = 2.0,
        *,
        mine: bool = False,
        working: bool = False,
    ) -> tuple[ExecutionReport, ...]:
        """Ask micro for all orders (its own included) updated since then, oldest first.

        Args:
            venue: empty for all.
            symbol: empty for all.
            since_ns: what has not been updated since then is left out, unless ``working``.
            timeout: for each page of the answer, in seconds.
            mine: leave out the orders of other owners.
            working: only those that have not ended.

        Raises:
            MicroUnavailable: no micro, or a page that did not come within ``timeout`` s.
        """
        pages: list[tuple[ExecutionReport, ...]] = []
        cursor = instance = ""
        while True:
            answer = self._query(
                "orders",
                timeout,
                instance=instance,
                venue=venue,
                symbol=symbol,
                since_ns=since_ns,
                mine=mine,
                working=working,
                cursor=cursor,
                limit=PAGE,
            )
            pages.append(answer.reports)
            if not answer.truncated or answer.cursor in ("", cursor):
                break
            cursor, instance = answer.cursor, answer.instance
        # What the mirror holds is at least as new as the answer.
        return tuple(
            self.report(item.signal_id) or item for page in reversed(pages) for item in page
        )

    def query_balances(self, venue: str, timeout: float = 1.0) -> Mapping[str, Balance]:
        """Ask micro for the balances of a venue, per currency; raises as ``query_order``."""
        answer = self._query("balances", timeout, venue=venue)
        self.mirror.set_answered_balances(venue, answer)
        return self.balances(venue)

    def query_positions(self, venue: str = "", timeout: float = 1.0) -> tuple[Position, ...]:
        """Ask micro for the positions of a venue; raises as ``query_order``."""
        return self._query("positions", timeout, venue=venue).positions

    def query_limits(self, timeout: float = 1.0) -> Mapping[str, str]:
        """Ask micro for its risk limits, as text by name; raises as ``query_order``."""
        return self._query("limits", timeout).limits
