"""Why an order was rejected, waits, or has ended: codes in reports that both sides read.

Those of the risk gate and its breakers are ``RiskCode``; what follows from each is up to micro
(``citadel_micro.core.risk.codes``). The other codes are the executor's.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RiskCode(StrEnum):
    """Checks of the gate in the order of evaluation, then the breakers. The text is on the wire."""

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
    STRATEGY_BUDGET = "STRATEGY_BUDGET"
    OWNER_BUDGET = "OWNER_BUDGET"
    OPEN_ORDERS = "OPEN_ORDERS"
    FREE_BALANCE = "FREE_BALANCE"
    LEVERAGE = "LEVERAGE"
    LIQUIDATION_DISTANCE = "LIQUIDATION_DISTANCE"
    DAILY_LOSS = "DAILY_LOSS"
    ROLLING_LOSS = "ROLLING_LOSS"
    DRAWDOWN = "DRAWDOWN"
    MESSAGE_RATE = "MESSAGE_RATE"
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    REJECT_RATE = "REJECT_RATE"
    ORDER_TO_FILL = "ORDER_TO_FILL"
    REPEATED_EXECUTION = "REPEATED_EXECUTION"

    STALE_FEED = "STALE_FEED"
    LEASE_LOST = "LEASE_LOST"
    REJECT_BURST = "REJECT_BURST"
    LOSS_STREAK = "LOSS_STREAK"
    FLASH_MOVE = "FLASH_MOVE"
    LATENCY = "LATENCY"
    OVERFILL = "OVERFILL"
    POSITION_MISMATCH = "POSITION_MISMATCH"
    JOURNAL_FAULT = "JOURNAL_FAULT"
    VENUE_ANOMALY = "VENUE_ANOMALY"
    FORCED_CLOSE = "FORCED_CLOSE"
    SHARED_POSITION = "SHARED_POSITION"
    OPERATOR_PAUSE = "OPERATOR_PAUSE"
    OPERATOR_HALT = "OPERATOR_HALT"
    OPERATOR_KILL = "OPERATOR_KILL"

    # Enum's own is Python code, four times slower, and codes are looked up for every order.
    __hash__ = str.__hash__


SIZED: Final = "SIZED"
"""End of an entry that was given less than it asked for: what it was given has filled, or was nothing."""
SIZING_UNKNOWN: Final = "SIZING_UNKNOWN"
"""How much an entry may be given cannot be calculated, so it is given nothing."""
DUST: Final = "DUST"
"""End of an order: what is left of it, or of its position, is below the venue's minimum."""
OWN_ID: Final = "own-"
"""Begins the ids of orders that micro makes itself (a flattening); no signal may have such an id."""
RESERVED_ID: Final = "RESERVED_ID"
"""The signal's id begins like those."""
SCHEMA_MISMATCH: Final = "SCHEMA_MISMATCH"
"""The signal's sender speaks another version of the messages."""
INSUFFICIENT_FUNDS: Final = "INSUFFICIENT_FUNDS"
"""The venue rejected the order for insufficient funds."""
FUNDS_CODES: Final[frozenset[str]] = frozenset({INSUFFICIENT_FUNDS, RiskCode.FREE_BALANCE})
"""Rejects for insufficient funds: the venue's, and check 14 of the gate."""
MINIMUM_CODES: Final[frozenset[str]] = frozenset({RiskCode.BELOW_MIN, DUST})
"""Ends because the quantity is below the venue's minimum."""
