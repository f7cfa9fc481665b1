"""Queries of macro to micro, for what the mirror does not hold."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Unpack

from citadel_bridge.read_api import MicroView
from citadel_bridge.resync import PAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_bridge.requests import QueryFields
    from citadel_proto.messages import Answer, Balance, ExecutionReport, Position, QueryKind


class MicroQueries(MicroView):
    """Queries that wait for an answer, each raising ``MicroUnavailable`` when none comes in time."""

    @abstractmethod
    def _query(
        self, kind: QueryKind, timeout: float, *, instance: str = "", **asked: Unpack[QueryFields]
    ) -> list[Answer]:
        """Send a query and wait for its answers: of one micro, or of all that it concerns."""

    def query_order(self, signal_id: str, timeout: float = 1.0) -> ExecutionReport | None:
        """Query one order.

        Returns:
            Its newest report; None only when micro confirms that it knows no such order.

        Raises:
            MicroUnavailable: no micro, or no answer within ``timeout`` s.
        """
        answers = self._query("order", timeout, signal_id=signal_id)
        return self.report(signal_id) if any(answer.found for answer in answers) else None

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
        """Query all orders (micro's own included) updated since then, oldest first.

        Args:
            venue: empty for all.
            symbol: empty for all.
            since_ns: leave out orders not updated since then, unless ``working``.
            timeout: for each page of the answer, in seconds.
            mine: leave out the orders of other owners.
            working: only open ones.

        Raises:
            MicroUnavailable: no micro, or a page that did not come within ``timeout`` s.
        """
        asked: QueryFields = {
            "venue": venue,
            "symbol": symbol,
            "since_ns": since_ns,
            "mine": mine,
            "working": working,
            "limit": PAGE,
        }
        found: list[ExecutionReport] = []
        answers = self._query("orders", timeout, **asked)
        for first in answers:
            pages, answer, cursor = [first.reports], first, ""
            while answer.truncated and answer.cursor not in ("", cursor):
                cursor = answer.cursor
                asked["cursor"] = cursor
                [answer] = self._query("orders", timeout, instance=first.instance, **asked)
                pages.append(answer.reports)
            found += (item for page in reversed(pages) for item in page)
        if len(answers) > 1:
            found.sort(key=lambda item: item.created_ns)
        # The mirror's reports are at least as new as the answers.
        return tuple(self.report(item.signal_id) or item for item in found)

    def query_balances(self, venue: str, timeout: float = 1.0) -> Mapping[str, Balance]:
        """Query the balances of a venue, per currency; raises as ``query_order``."""
        for answer in self._query("balances", timeout, venue=venue):
            self.mirror.set_answered_balances(venue, answer)
        return self.balances(venue)

    def query_positions(self, venue: str = "", timeout: float = 1.0) -> tuple[Position, ...]:
        """Query the positions of a venue; raises as ``query_order``."""
        answers = self._query("positions", timeout, venue=venue)
        return tuple(position for answer in answers for position in answer.positions)

    def query_limits(self, timeout: float = 1.0) -> Mapping[str, str]:
        """Query the risk limits, as text by name, of several micros the first's; raises as ``query_order``."""
        return self._query("limits", timeout)[0].limits
