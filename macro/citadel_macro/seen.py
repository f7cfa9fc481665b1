"""What Freqtrade has been shown of its orders: what is news to it, and what it may try again."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from freqtrade.persistence import Order, PairLocks

from citadel_macro import ccxt_orders as orders
from citadel_macro.account import AccountMixin
from citadel_macro.retry_pace import Key, Pace

if TYPE_CHECKING:
    from freqtrade.exchange.exchange_types import CcxtOrder

    from citadel_proto.messages import ExecutionReport

logger = logging.getLogger(__name__)

LOCK_REASON_MAX: Final = 250
"""Freqtrade's column for the reason of a pair lock holds 255 characters."""


class SeenMixin(AccountMixin):
    """The memory of the bridged exchange, between the reports of micro and Freqtrade's loops."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Freqtrade's to define
        self._shown: dict[str, str] = {}
        self._entries: set[str] = set()
        self._uncommitted: dict[str, str] = {}
        self.pace = Pace()
        self._tried: dict[str, tuple[Key, bool]] = {}
        self.unsellable: set[str] = set()
        """Pairs of which micro said that what is to be sold is below the venue's minimum."""
        super().__init__(*args, **kwargs)

    def held_back(self, pair: str, side: str, kind: str = "order") -> str:
        """Why such an order is not tried yet, in words; empty when it may be."""
        return self.pace.held((pair, side, kind), time.monotonic())

    def _show(self, report: ExecutionReport) -> CcxtOrder:
        """Hand a report to Freqtrade, remembering what it was shown; lock a rejected entry's pair."""
        order = orders.order_dict(report)
        if orders.is_terminal(report):
            self._shown.pop(report.signal_id, None)
            self._note_end(report)
            if report.signal_id in self._entries:
                self._entries.discard(report.signal_id)
                if report.status == "rejected":
                    self.lock(report.symbol, f"{report.reason_code}: {report.reason}")
        else:
            self._shown[report.signal_id] = order["status"]
        return order

    def _note_end(self, report: ExecutionReport) -> None:
        """Once for each order: whether the next one like it has to wait a while."""
        key, entry = self._tried.pop(report.signal_id, (None, False))
        if key is None:
            return
        if orders.has_filled(report):
            self.pace.filled(key)
            self.unsellable.discard(report.symbol)
        elif orders.failed(report):
            reason = f"{report.reason_code or report.status} ({report.reason})"
            self.pace.failed(key, reason, time.monotonic(), entry=entry)
        if not entry and orders.too_small(report):
            self.unsellable.add(report.symbol)

    def ended(self) -> set[str]:
        """Orders that Freqtrade was last shown as open and that have come to their end."""
        ended = set()
        for order_id in tuple(self._shown):
            report = self.link.report(order_id)
            if report is not None and orders.is_terminal(report):
                ended.add(order_id)
        return ended

    def news(self) -> set[str]:
        """Of these the ones that have filled something.

        All that could be done at once about the others is to send them again; that has the time of
        Freqtrade's own pause.
        """
        reports = ((order_id, self.link.report(order_id)) for order_id in self.ended())
        return {id_ for id_, report in reports if report is not None and orders.has_filled(report)}

    def no_news(self, order_ids: set[str]) -> None:
        """Freqtrade has had its chance to look at these; if it did not, it never will.

        Else an order that it has lost interest in would wake it for ever.
        """
        for order_id in order_ids:
            self._shown.pop(order_id, None)
            self._tried.pop(order_id, None)

    def settle_committed(self) -> None:
        """Tell the intent log which of the orders just sent are in Freqtrade's database by now."""
        for order_id, pair in tuple(self._uncommitted.items()):
            if Order.order_by_id(order_id, pair) is not None:
                self.link.settle(order_id, "booked")
            del self._uncommitted[order_id]

    def lock(self, pair: str, why: str) -> None:
        """Keep new trades of a pair away for ``lock_minutes``."""
        until = datetime.now(UTC) + timedelta(minutes=self.settings.lock_minutes)
        reason = why[:LOCK_REASON_MAX]
        PairLocks.lock_pair(pair, until, reason)
        logger.warning("Locked %s until %s: %s", pair, until.isoformat(), reason)
