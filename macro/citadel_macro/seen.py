"""What Freqtrade has been shown of its orders: which changes are new to it, what it may retry."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from freqtrade.persistence import Order, PairLocks

from citadel_macro import ccxt_orders as orders
from citadel_macro import funding
from citadel_macro.account import AccountMixin
from citadel_macro.notices import Notices
from citadel_macro.retry_pace import Key, Pace
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from freqtrade.exchange.exchange_types import CcxtOrder

    from citadel_proto.messages import ExecutionReport

logger = logging.getLogger(__name__)

LOCK_REASON_MAX: Final = 250
"""Freqtrade's column for the reason of a pair lock holds 255 characters."""

BOOK_LOCK: Final = timedelta(seconds=5)
"""How long a pair is locked whose book was not ready: one that synchronizes is so in a second or two,
and without any lock Freqtrade would send the entry again in every loop."""
BOOK_CODES: Final = frozenset({RiskCode.BOOK_NOT_LIVE, RiskCode.BOOK_STALE, RiskCode.BOOK_CROSSED})


class SeenMixin(AccountMixin):
    """State of the bridged exchange between micro's reports and Freqtrade's loops."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Freqtrade's to define
        self._shown: dict[str, str] = {}
        self._entries: set[str] = set()
        self._uncommitted: dict[str, str] = {}
        self.pace = Pace()
        self._tried: dict[str, tuple[Key, bool]] = {}
        self.notices = Notices(self.link)
        self.of_others: dict[str, ExecutionReport] = {}
        """Closed orders of others that may have closed something of ours."""
        self.weighed: dict[str, str] = {}
        """By such an order: what the account held when it was last looked at."""
        self.shares: dict[str, Decimal] = {}
        """By order of others: how much of it is of a trade of ours."""
        self.booking = ""
        """The one of them that is booked now. One that was booked and is in no trade any more was of a
        trade that has been deleted, and must not be booked on the next of its pair."""
        self.unsellable: set[str] = set()
        """Pairs whose rest is below the venue's minimum according to micro."""
        self._paid_before: dict[str, Decimal] = {}
        """By the first entry of a trade: funding of the position that it has found."""
        self._requested = threading.Event()
        super().__init__(*args, **kwargs)

    def request(self) -> None:
        """A person wants another state of the bot: its pause is over."""
        self._requested.set()
        self.link.wake.set()

    def take_request(self) -> bool:
        """Whether a person has asked for one since the last call."""
        if not self._requested.is_set():
            return False  # not cleared: one may come just now
        self._requested.clear()
        return True

    def held_back(self, pair: str, side: str, kind: str = "order") -> str:
        """Why such an order may not be sent yet; empty when it may."""
        return self.pace.held((pair, side, kind), time.monotonic())

    def _show(self, report: ExecutionReport) -> CcxtOrder:
        """Return a report to Freqtrade, recording what it was shown; lock a rejected entry's pair."""
        if not self.link.owns(report):
            return orders.part_of(orders.order_dict(report), self._share_of(report))
        order = orders.order_dict(report, self.link.sent_ns(report))
        if report.signal_id in self._entries:
            self._paid_before.setdefault(report.signal_id, funding.paid_before(report))
        if orders.is_terminal(report):
            self._shown.pop(report.signal_id, None)
            self._note_end(report)
            if report.signal_id in self._entries:
                self._entries.discard(report.signal_id)
                if not orders.has_filled(report):
                    self._paid_before.pop(report.signal_id, None)
                if report.status == "rejected":
                    brief = BOOK_LOCK if report.reason_code in BOOK_CODES else None
                    self.lock(report.symbol, f"{report.reason_code}: {report.reason}", brief)
        else:
            self._shown[report.signal_id] = order["status"]
        return order

    def take_paid_before(self, order_id: str | None) -> Decimal:
        """Funding of the position that the first entry of a trade has found; given until the entry ends."""
        if order_id in self._entries:
            return self._paid_before.get(order_id, Decimal(0))
        return self._paid_before.pop(order_id or "", Decimal(0))

    def _share_of(self, report: ExecutionReport) -> Decimal:
        """How much of an order of others is of a trade of ours; 0 when it is not known."""
        share = self.shares.get(report.signal_id)
        if share is None:
            row = Order.order_by_id(report.signal_id, report.symbol)
            share = Decimal(0) if row is None else Decimal(repr(row.safe_amount))
        return share

    def _note_end(self, report: ExecutionReport) -> None:
        """Once for each order: whether the next one like it has to wait."""
        key, entry = self._tried.pop(report.signal_id, (None, False))
        if key is None:
            return
        if orders.has_filled(report):
            self.notices.filled(report)
            self.pace.filled(key)
            self.unsellable.discard(report.symbol)
        elif orders.failed(report):
            self.notices.refused(report)
            reason = f"{report.reason_code or report.status} ({report.reason})"
            self.pace.failed(key, reason, time.monotonic(), entry=entry)
        if not entry and orders.too_small(report):
            self.unsellable.add(report.symbol)

    def is_booked(self, order: CcxtOrder) -> bool:
        """Whether Freqtrade has it: it would book it again, and close a trade of which it is a half."""
        row = Order.order_by_id(order["id"], order["symbol"])
        return row is not None and not row.ft_is_open and row.filled == order["filled"]

    def ended(self) -> set[str]:
        """Orders that Freqtrade was last shown as open and that have closed."""
        ended = set()
        for order_id in tuple(self._shown):
            report = self.link.report(order_id)
            if report is not None and orders.is_terminal(report):
                ended.add(order_id)
        return ended

    def news(self) -> set[str]:
        """Those of them that have filled something.

        The others could only be sent again, which can wait for Freqtrade's
        own pause.
        """
        reports = ((order_id, self.link.report(order_id)) for order_id in self.ended())
        return {id_ for id_, report in reports if report is not None and orders.has_filled(report)}

    def no_news(self, order_ids: set[str]) -> None:
        """Freqtrade has had its chance to fetch these; if it did not, it never will.

        Otherwise an order that it no longer follows would wake it for ever.
        """
        for order_id in order_ids:
            self._shown.pop(order_id, None)
            self._tried.pop(order_id, None)

    def settle_committed(self) -> None:
        """Record in the intent log which of the orders just sent are in Freqtrade's database."""
        for order_id, pair in tuple(self._uncommitted.items()):
            if Order.order_by_id(order_id, pair) is not None:
                self.link.settle(order_id, "booked")
            del self._uncommitted[order_id]

    def lock(self, pair: str, why: str, span: timedelta | None = None) -> None:
        """Lock a pair for new trades for ``lock_minutes``, or less."""
        usual = timedelta(minutes=self.settings.lock_minutes)
        until = datetime.now(UTC) + (usual if span is None else min(span, usual))
        reason = why[:LOCK_REASON_MAX]
        PairLocks.lock_pair(pair, until, reason)
        logger.warning("Locked %s until %s: %s", pair, until.isoformat(), reason)
