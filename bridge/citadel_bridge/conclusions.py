"""Reports that macro makes itself, when micro confirms that it never received a signal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from citadel_proto.messages import ExecutionReport

if TYPE_CHECKING:
    from citadel_proto.messages import Signal

NEVER_RECEIVED: Final = "NEVER_RECEIVED"
"""Reason code: expired, and micro confirmed that it never received the signal."""
WITHDRAWN: Final = "WITHDRAWN"
"""Reason code: canceled, and micro confirmed that it never received the signal."""
LOCAL: Final = "macro"
"""``instance`` of a report that this side concluded itself, with one of the two codes above."""


def concluded(signal: Signal, status: str, code: str) -> ExecutionReport:
    """The last report of a signal that micro never received; any of micro's own replaces it."""
    return ExecutionReport(
        signal_id=signal.signal_id,
        revision=0,
        venue=signal.venue,
        symbol=signal.symbol,
        side=signal.side,
        kind=signal.kind,
        order_type=signal.order_type,
        status=status,  # type: ignore[arg-type]
        quantity=signal.quantity,
        filled="0",
        average=None,
        limit_price=signal.limit_price,
        stop_price=signal.stop_price,
        triggered=False,
        reason_code=code,
        reason="micro never received the signal",
        permitted=None,
        fills=(),
        balances=(),
        position=None,
        strategy=signal.strategy,
        tag=signal.tag,
        algo=signal.algo,
        arrival_mid=float("nan"),
        reprices=0,
        own=False,
        created_ns=signal.created_ns,
        updated_ns=time.time_ns(),
        instance=LOCAL,
        seq=0,
    )
