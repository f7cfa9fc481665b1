"""Funding of perpetuals: what micro books on a position, given to the trade that holds it.

micro counts what a position has received and paid since it was opened from nothing, and Freqtrade what
belongs to each trade. The two differ where a trade is opened on a rest of an earlier one, which was too
small to close, or on what somebody else holds: what had been paid before is not of the new trade.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from freqtrade.persistence.trade_model import LocalTrade

    from citadel_proto.messages import ExecutionReport

BEFORE_KEY: Final = "citadel.funding_before"
"""In a trade's custom data, as text: what its position had received and paid before the trade."""
_ZERO: Final = Decimal(0)


def paid_before(report: ExecutionReport) -> Decimal:
    """Funding of the position that an entry found; 0 where there was none."""
    if report.position is None:
        return _ZERO
    filled = Decimal(report.filled) * (1 if report.side == "buy" else -1)
    found = Decimal(report.position.quantity) != filled
    return Decimal(report.position.funding) if found else _ZERO


def of_trades(trades: list[LocalTrade]) -> Decimal:
    """What of a position's funding is not theirs, or booked with their orders already."""
    booked = (
        Decimal(repr(order.funding_fee))
        for trade in trades
        for order in trade.orders
        if order.funding_fee
    )
    return sum(booked, _ZERO) + sum(
        (Decimal(trade.get_custom_data(BEFORE_KEY, "0")) for trade in trades), _ZERO
    )
