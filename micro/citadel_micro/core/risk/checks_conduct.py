"""Row 16 of the risk table: too many messages, repetitions and rejects of an entry's kind.

Exits skip all of it: a strategy that has gone mad must still be able to leave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.risk_limits import UNUSED
from citadel_micro.core.risk.rows import CLEAR, SKIPPED
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.risk.check_context import Case
    from citadel_micro.core.risk.conduct import Conduct

MESSAGE_RATE: Final = RiskCode.MESSAGE_RATE
DUPLICATE_ORDER: Final = RiskCode.DUPLICATE_ORDER
REJECT_RATE: Final = RiskCode.REJECT_RATE
ORDER_TO_FILL: Final = RiskCode.ORDER_TO_FILL
REPEATED_EXECUTION: Final = RiskCode.REPEATED_EXECUTION

CODES: Final = (MESSAGE_RATE, DUPLICATE_ORDER, REJECT_RATE, ORDER_TO_FILL, REPEATED_EXECUTION)
_SKIPPED: Final = tuple(SKIPPED[code] for code in CODES)
_CLEAR: Final = {code: CLEAR[code] for code in CODES}


def check_conduct(case: Case, conduct: Conduct) -> None:
    """16 (not for reductions): the order is none of too many."""
    if case.reducing:
        case.rows += _SKIPPED
        return
    request, limits, now_ns = case.request, case.limits, case.now_ns
    venue, symbol = request.venue, request.symbol
    most = limits.max_messages_per_second
    if most >= UNUSED or case.parent:
        case.rows.append(_CLEAR[MESSAGE_RATE])
    else:
        _judge(
            case,
            MESSAGE_RATE,
            conduct.messages(request, now_ns),
            most,
            "orders and amends of its strategy within a second",
        )
    most = limits.max_identical_orders
    if most >= UNUSED or not case.parent:
        case.rows.append(_CLEAR[DUPLICATE_ORDER])
    else:
        _judge(
            case,
            DUPLICATE_ORDER,
            conduct.identical(request, limits, now_ns),
            most,
            f"identical orders within {limits.identical_window_ns / 1e9:g} s",
        )
    most = limits.max_venue_rejects
    if most >= UNUSED:
        case.rows.append(_CLEAR[REJECT_RATE])
    else:
        _judge(
            case,
            REJECT_RATE,
            conduct.rejects(venue, limits, now_ns),
            most,
            f"orders rejected by {venue} within {limits.venue_rejects_window_ns / 1e9:g} s",
        )
    most = limits.max_unfilled_messages
    if most >= UNUSED:
        case.rows.append(_CLEAR[ORDER_TO_FILL])
    else:
        _judge(
            case,
            ORDER_TO_FILL,
            conduct.unfilled(venue, symbol, limits, now_ns),
            most,
            f"orders and amends of {symbol} without a fill",
        )
    most = limits.max_repeated_entries
    if most >= UNUSED or not case.parent:
        case.rows.append(_CLEAR[REPEATED_EXECUTION])
    else:
        _judge(
            case,
            REPEATED_EXECUTION,
            conduct.entries(request, limits, now_ns),
            most,
            f"entries of its strategy to {request.side} within "
            f"{limits.repeated_window_ns / 1e9:g} s",
        )


def _judge(case: Case, code: RiskCode, count: int, most: int, what: str) -> None:
    """The order would be one more than were counted."""
    if count < most:
        case.rows.append((16, code, True, count, most, ""))
    else:
        case.failed_entry(16, code, f"{count} {what} are the most", value=count, limit=most)
