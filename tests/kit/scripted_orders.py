"""What a scripted micro is told of an order, and the order as it keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from citadel_micro.sim.flow_symbols import E8, KNOWN_SYMBOLS
from citadel_proto.messages import (
    Fill,
    ParentStatus,
    Signal,
)

Quotes = dict[str, tuple[float, float]]
"""Best bid and best ask by symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What happens to an order.

    ``fraction`` of it is filled at the opposite best price (or its limit) ``after_s`` seconds after
    it arrived, in ``pieces`` fills. ``reject`` is a reason code; ``silent`` ignores the signal;
    ``lose_reports`` acts on it and tells nobody until asked.
    """

    fraction: str = "1"
    after_s: float = 0.0
    pieces: int = 1
    reject: str = ""
    why: str = "scripted"
    """Reason in words of a rejection."""
    silent: bool = False
    lose_reports: bool = False
    maker: bool = False
    sticky: bool = False
    """A cancel comes too late: it is not acted on."""
    dust: bool = False
    """What is not filled is below the venue's minimum, so the order is done with it."""
    cut: str = ""
    """Once its fraction has filled it ends as canceled, with this code."""


@dataclass(slots=True)
class Parent:
    """An order as this micro keeps it."""

    signal: Signal
    script: Script
    due: float
    status: ParentStatus = "accepted"
    fills: list[Fill] = field(default_factory=list)
    revision: int = 0
    reason_code: str = ""
    reason: str = ""
    triggered: bool = False
    own: bool = False
    created_ns: int = 0
    updated_ns: int = 0

    @property
    def filled(self) -> Decimal:
        """Quantity filled."""
        return sum((Decimal(fill.quantity) for fill in self.fills), Decimal(0))


def step_of(signal: Signal) -> Decimal:
    """The venue's lot, also where the quantity ends in zeros, or an unknown symbol's last digit."""
    known = KNOWN_SYMBOLS.get(signal.symbol.partition(":")[0])
    if known is None:
        return Decimal(1).scaleb(int(Decimal(signal.quantity).as_tuple().exponent))
    return (Decimal(known.spec.lot_e8) / E8).normalize()
