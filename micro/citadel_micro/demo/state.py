"""The demo's view of micro's market channel and of Freqtrade's database."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from citadel_proto.messages import (
    TERMINAL_STATUSES,
    BookSnapshot,
    ExecutionReport,
    FeedState,
    Fill,
    MicroHeartbeat,
    RiskState,
)
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_proto.messages import MarketChannel

TOO_LARGE: Final = RiskCode.MAX_ORDER_QTY
"""Code of the reject that the demo provokes."""
_SHOWN_FILLS: Final = 8
"""Fills that the live view has room for."""


@dataclass(slots=True)
class Incidents:
    """The faults that the run has to include, and whether it did.

    A model decides for itself what it buys, so with one only the restart can be required.
    """

    only_restart: bool = False
    rejected: str = ""
    """Code of the reject, once it happened."""
    partial_cancel: str = ""
    """Id of an order that was canceled after a partial fill."""
    restarted: bool = False
    """micro was killed while an order was working, and is back."""
    worked_through: int = 0
    """Working orders at the moment of the kill."""

    def missing(self) -> list[str]:
        """The faults still missing, as text."""
        rows = (
            (self.rejected, "an order rejected by the risk gate"),
            (self.partial_cancel, "a partly filled order canceled by Freqtrade's time limit"),
            (self.restarted, "a restart of micro after kill -9"),
        )
        wanted = rows[-1:] if self.only_restart else rows
        return [text for done, text in wanted if not done]


@dataclass(slots=True)
class DemoState:
    """The latest messages, by key. Written by one receiving thread, read by the view."""

    books: dict[str, BookSnapshot] = field(default_factory=dict)
    reports: dict[str, ExecutionReport] = field(default_factory=dict)
    risk: dict[str, RiskState] = field(default_factory=dict)
    feeds: dict[str, FeedState] = field(default_factory=dict)
    fills: deque[tuple[ExecutionReport, Fill]] = field(
        default_factory=lambda: deque(maxlen=_SHOWN_FILLS)
    )
    beat: MicroHeartbeat | None = None
    gone: set[str] = field(default_factory=set)
    """Orders that micro says are not open, whose terminal report was lost."""
    incidents: Incidents = field(default_factory=Incidents)

    def on_message(self, message: MarketChannel) -> None:
        """Handle one message of the market channel."""
        if isinstance(message, BookSnapshot):
            self.books[message.symbol] = message
        elif isinstance(message, ExecutionReport):
            self._on_report(message)
        elif isinstance(message, MicroHeartbeat):
            self.beat = message
        elif isinstance(message, RiskState):
            self.risk[message.scope] = message
        elif isinstance(message, FeedState):
            self.feeds[message.symbol] = message

    def _on_report(self, report: ExecutionReport) -> None:
        before = self.reports.get(report.signal_id)
        if before is not None and before.revision >= report.revision:
            return
        self.reports = {**self.reports, report.signal_id: report}
        known = {fill.trade_id for fill in before.fills} if before is not None else frozenset()
        self.fills.extend((report, fill) for fill in report.fills if fill.trade_id not in known)
        if report.reason_code == TOO_LARGE and report.status == "rejected":
            self.incidents.rejected = report.reason_code
        if report.status == "canceled" and report.kind == "order" and report.fills:
            self.incidents.partial_cancel = report.signal_id

    def working(self) -> list[ExecutionReport]:
        """Open orders, oldest first; held stops are not working.

        What ends while micro is down is reported as it comes up, before anybody listens again: micro is
        asked (``only_open``), and that nothing is open is told with every heartbeat.
        """
        if self.beat is not None and self.beat.working == 0:
            return []
        return [
            report
            for report in self.reports.values()
            if report.status not in TERMINAL_STATUSES
            and report.signal_id not in self.gone
            and (report.kind == "order" or report.triggered)
        ]

    def only_open(self, before: Iterable[str], found: Iterable[str]) -> None:
        """Take over which orders micro has open.

        Args:
            before: the orders shown as working before it was asked: what is reported meanwhile is newer.
            found: its open orders.
        """
        self.gone |= set(before) - set(found)
