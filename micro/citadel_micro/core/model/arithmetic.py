"""The decimal arithmetic of every decision, whatever others in the process have set."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, DivisionByZero, InvalidOperation, Overflow
from typing import Final

DECISIONS: Final = Context(
    prec=28,
    rounding=ROUND_HALF_EVEN,
    Emin=-999999,
    Emax=999999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero, Overflow],
)
"""Python's own defaults, written out.

The context of a thread belongs to everyone in it, and libraries change it for good (ccxt sets
ROUND_HALF_UP and traps underflow whenever it formats a number). An average entry price would then
end in another digit than when its journal is replayed.
"""
