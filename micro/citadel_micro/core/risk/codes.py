"""Properties of each risk code: its row of the table, whether it ends an entry, who may skip it.

The single source for it; gate, executor, breakers and docs/reference/risk-checks.md follow it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from citadel_proto.reason_codes import RiskCode

State = Literal["ACTIVE", "PROBATION", "REDUCING", "HALTED", "KILLED"]
ResetClass = Literal["automatic", "timed", "manual", "reconcile", "kill"]

_C: Final = RiskCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Traits of one code. Without ``ends_entry`` an order waits for the denial to pass."""

    row: int = 0
    """Of the risk table; 0 for what is a breaker only."""
    ends_entry: bool = False
    """It ends an entry, unless the cause is a missing input: a mark, a rate or a balance comes back
    with its source. Exits wait whatever the code."""
    exits_skip: bool = False
    """Verified reductions skip the check (¹)."""
    sliced: bool = False
    """One order is too large: a reduction is worked in slices that pass (²)."""
    passing: bool = False
    """The market may change in a moment: a verified reduction is admitted and waits."""
    needs_price: bool = False
    """A denial is meaningless while there is no price to check against."""
    trips: State | None = None
    """State in which its breaker puts a scope."""
    reset: ResetClass | None = None
    """How its breaker is reset."""

    @property
    def by_hand(self) -> bool:
        """A person has to reset the breaker."""
        return self.reset in {"manual", "reconcile", "kill"}


TRAITS: Final[dict[RiskCode, Traits]] = {
    _C.KILLED: Traits(row=1, ends_entry=True),
    _C.HALTED: Traits(row=1, ends_entry=True),
    _C.REDUCE_ONLY: Traits(row=1, ends_entry=True),
    _C.MACRO_LEASE_LOST: Traits(row=2, ends_entry=True, exits_skip=True),
    _C.VENUE_DMS_NOT_ARMED: Traits(row=2, exits_skip=True),
    _C.RECONCILING: Traits(row=3),
    _C.UNKNOWN_EXPOSURE: Traits(row=3, exits_skip=True),
    _C.INTENT_EXPIRED: Traits(row=4),
    _C.DUPLICATE: Traits(row=4),
    _C.SEQ_GAP: Traits(row=4, exits_skip=True),
    _C.SYMBOL_DISALLOWED: Traits(row=5, ends_entry=True),
    _C.VENUE_DISALLOWED: Traits(row=5, ends_entry=True),
    _C.BAD_NUMBER: Traits(row=6),
    _C.BAD_TICK: Traits(row=6),
    _C.BAD_LOT: Traits(row=6),
    _C.BELOW_MIN: Traits(row=6, needs_price=True),
    _C.BOOK_STALE: Traits(row=7, passing=True),
    _C.BOOK_CROSSED: Traits(row=7, passing=True),
    _C.BOOK_NOT_LIVE: Traits(row=7, passing=True),
    _C.CLOCK_SKEW: Traits(row=7),
    _C.PRICE_COLLAR: Traits(row=8, needs_price=True),
    _C.REF_DIVERGENCE: Traits(row=8, passing=True),
    _C.SPREAD_WIDE: Traits(row=9, exits_skip=True, passing=True),
    _C.DEPTH_PARTICIPATION: Traits(row=9, sliced=True, passing=True),
    _C.MAX_ORDER_QTY: Traits(row=10, sliced=True),
    _C.MAX_ORDER_NOTIONAL: Traits(row=10, sliced=True),
    _C.SELF_CROSS: Traits(row=11),
    _C.MAX_POSITION: Traits(row=12, ends_entry=True, exits_skip=True),
    _C.GROSS: Traits(row=13, ends_entry=True, exits_skip=True),
    _C.NET: Traits(row=13, ends_entry=True, exits_skip=True),
    _C.VENUE: Traits(row=13, ends_entry=True, exits_skip=True),
    _C.GROUP: Traits(row=13, ends_entry=True, exits_skip=True),
    _C.STRATEGY_BUDGET: Traits(row=13, ends_entry=True, exits_skip=True),
    _C.OWNER_BUDGET: Traits(row=13, ends_entry=True, exits_skip=True),
    _C.OPEN_ORDERS: Traits(row=13, exits_skip=True),
    _C.FREE_BALANCE: Traits(row=14, ends_entry=True, needs_price=True),
    _C.LEVERAGE: Traits(row=14, ends_entry=True, exits_skip=True),
    _C.LIQUIDATION_DISTANCE: Traits(row=14, ends_entry=True, exits_skip=True),
    _C.DAILY_LOSS: Traits(
        row=15, ends_entry=True, exits_skip=True, trips="REDUCING", reset="manual"
    ),
    _C.ROLLING_LOSS: Traits(
        row=15, ends_entry=True, exits_skip=True, trips="REDUCING", reset="manual"
    ),
    _C.DRAWDOWN: Traits(row=15, ends_entry=True, exits_skip=True, trips="REDUCING", reset="manual"),
    _C.MESSAGE_RATE: Traits(row=16, exits_skip=True),
    _C.DUPLICATE_ORDER: Traits(row=16, exits_skip=True),
    _C.REJECT_RATE: Traits(row=16, exits_skip=True),
    _C.ORDER_TO_FILL: Traits(row=16, exits_skip=True),
    _C.REPEATED_EXECUTION: Traits(
        row=16, ends_entry=True, exits_skip=True, trips="REDUCING", reset="manual"
    ),
    _C.STALE_FEED: Traits(trips="REDUCING", reset="automatic"),
    _C.LEASE_LOST: Traits(trips="REDUCING", reset="automatic"),
    _C.REJECT_BURST: Traits(trips="REDUCING", reset="timed"),
    _C.LOSS_STREAK: Traits(trips="REDUCING", reset="timed"),
    _C.FLASH_MOVE: Traits(trips="REDUCING", reset="timed"),
    _C.LATENCY: Traits(trips="REDUCING", reset="timed"),
    _C.OVERFILL: Traits(trips="HALTED", reset="reconcile"),
    _C.POSITION_MISMATCH: Traits(trips="HALTED", reset="reconcile"),
    _C.JOURNAL_FAULT: Traits(trips="HALTED", reset="reconcile"),
    _C.VENUE_ANOMALY: Traits(trips="HALTED", reset="reconcile"),
    _C.FORCED_CLOSE: Traits(trips="HALTED", reset="manual"),
    _C.SHARED_POSITION: Traits(trips="HALTED", reset="manual"),
    _C.OPERATOR_PAUSE: Traits(trips="REDUCING", reset="manual"),
    _C.OPERATOR_HALT: Traits(trips="HALTED", reset="manual"),
    _C.OPERATOR_KILL: Traits(trips="KILLED", reset="kill"),
}
CODES: Final = tuple((traits.row, code) for code, traits in TRAITS.items() if traits.row)
"""(row, code) of every check, in the order of evaluation."""
TRIPS: Final[dict[str, tuple[State, ResetClass]]] = {
    code: (traits.trips, traits.reset)
    for code, traits in TRAITS.items()
    if traits.trips is not None and traits.reset is not None
}
"""Code -> the state its breaker trips to, and how it is reset."""
ENDS_ENTRY: Final[frozenset[str]] = frozenset(
    c for c, traits in TRAITS.items() if traits.ends_entry
)
SLICED: Final[frozenset[str]] = frozenset(c for c, traits in TRAITS.items() if traits.sliced)
PASSING: Final[frozenset[str]] = frozenset(c for c, traits in TRAITS.items() if traits.passing)
NEEDS_PRICE: Final[frozenset[str]] = frozenset(
    c for c, traits in TRAITS.items() if traits.needs_price
)
"""The codes with each trait; see ``Traits``."""
