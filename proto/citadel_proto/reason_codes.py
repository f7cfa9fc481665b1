"""Why an order was refused, waits, or has ended: codes that both sides read in reports.

Those of the risk gate and its breakers are ``RiskCode``; what follows from each is micro's affair
(``citadel_micro.core.risk.codes``). The rest of the codes are the executor's own words.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RiskCode(StrEnum):
    """Checks of the gate in the order of judgement, then the breakers. The text is on the wire."""

    KILLED = "KILLED"
    HALTED = "HALTED"
    REDUCE_ONLY = "REDUCE_ONLY"
    MACRO_LEASE_LOST = "MACRO_LEASE_LOST"
    VENUE_DMS_NOT_ARMED = "VENUE_DMS_NOT_ARMED"
    RECONCILING = "RECONCILING"
    UNKNOWN_EXPOSURE = "UNKNOWN_EXPOSURE"
    INTENT_EXPIRED = "INTENT_EXPIRED"
    DUPLICATE = "DUPLICATE"
    SEQ_GAP = "SEQ_GAP"
    SYMBOL_DISALLOWED = "SYMBOL_DISALLOWED"
    VENUE_DISALLOWED = "VENUE_DISALLOWED"
    BAD_NUMBER = "BAD_NUMBER"
    BAD_TICK = "BAD_TICK"
    BAD_LOT = "BAD_LOT"
    BELOW_MIN = "BELOW_MIN"
    BOOK_STALE = "BOOK_STALE"
    BOOK_CROSSED = "BOOK_CROSSED"
    BOOK_NOT_LIVE = "BOOK_NOT_LIVE"
    CLOCK_SKEW = "CLOCK_SKEW"
    PRICE_COLLAR = "PRICE_COLLAR"
    REF_DIVERGENCE = "REF_DIVERGENCE"
    SPREAD_WIDE = "SPREAD_WIDE"
    DEPTH_PARTICIPATION = "DEPTH_PARTICIPATION"
    MAX_ORDER_QTY = "MAX_ORDER_QTY"
    MAX_ORDER_NOTIONAL = "MAX_ORDER_NOTIONAL"
    SELF_CROSS = "SELF_CROSS"
    MAX_POSITION = "MAX_POSITION"
    GROSS = "GROSS"
    NET = "NET"
    VENUE = "VENUE"
    GROUP = "GROUP"
    OPEN_ORDERS = "OPEN_ORDERS"
    FREE_BALANCE = "FREE_BALANCE"
    DAILY_LOSS = "DAILY_LOSS"
    ROLLING_LOSS = "ROLLING_LOSS"
    DRAWDOWN = "DRAWDOWN"

    STALE_FEED = "STALE_FEED"
    LEASE_LOST = "LEASE_LOST"
    REJECT_BURST = "REJECT_BURST"
    OVERFILL = "OVERFILL"
    POSITION_MISMATCH = "POSITION_MISMATCH"
    JOURNAL_FAULT = "JOURNAL_FAULT"
    OPERATOR_PAUSE = "OPERATOR_PAUSE"
    OPERATOR_HALT = "OPERATOR_HALT"
    OPERATOR_KILL = "OPERATOR_KILL"

    # Enum's own is Python code, four times slower, and codes are looked up for every order.
    __hash__ = str.__hash__


DUST: Final = "DUST"
"""An order's end: what is left of it, or of its position, is below the venue's minimum."""
INSUFFICIENT_FUNDS: Final = "INSUFFICIENT_FUNDS"
"""The venue's refusal for want of money."""
FUNDS_CODES: Final[frozenset[str]] = frozenset({INSUFFICIENT_FUNDS, RiskCode.FREE_BALANCE})
"""Rejections about money: the venue's, and check 14 of the gate."""
MINIMUM_CODES: Final[frozenset[str]] = frozenset({RiskCode.BELOW_MIN, DUST})
"""Ends for being smaller than the venue takes."""
