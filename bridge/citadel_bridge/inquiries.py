"""What macro may ask of micro, beyond what it reads of the mirror without waiting."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from citadel_bridge.view import MicroView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_proto.messages import Answer, Balance, ExecutionReport, Position, QueryKind


class MicroInquiries(MicroView):
    """Questions with an answer, each raising ``MicroUnavailable`` when none comes in time."""

    @abstractmethod
    def _query(
        self,
        kind: QueryKind,
        timeout: float,
        *,
        signal_id: str = "",
        venue: str = "",
        symbol: str = "",
        since_ns: int = 0,
    ) -> Answer:
        """Send a question and wait for its answer."""

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
        self, venue: str = "", symbol: str = "", since_ns: int = 0, timeout: float = 2.0
    ) -> tuple[ExecutionReport, ...]:
        """Ask micro for all orders (its own included) updated since then; raises as ``query_order``."""
        answer = self._query("orders", timeout, venue=venue, symbol=symbol, since_ns=since_ns)
        # What the mirror holds is at least as new as the answer.
        return tuple(self.report(item.signal_id) or item for item in answer.reports)

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
