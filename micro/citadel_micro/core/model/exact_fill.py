"""Fills at prices between two of our ticks, or of quantities between two of our lots.

A run counts in the ticks and lots that it started with. Where a venue has made them finer since, others
trade in the finer ones, and an order of ours is filled in parts that are no whole number of our lots.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypedDict

from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.model.instrument import Instrument


class ExactFill(NamedTuple):
    """What one has filled at, as the venue says."""

    price: Decimal
    """In quote units."""
    quantity: Decimal
    """In the venue's units, as ``Instrument.lot``."""
    lot: Decimal
    """Of ours, in the same."""

    def beyond(self, lots: int) -> Fraction:
        """What it is more than so many lots, in lots."""
        return Fraction(self.quantity) / Fraction(self.lot) - lots

    def row(self) -> list[str]:
        """Plain data."""
        return [str(each) for each in self]

    @classmethod
    def of_row(cls, row: list[str] | None) -> ExactFill | None:
        """What ``row`` gave; None stays None."""
        return None if row is None else cls(*map(Decimal, row))


class FillUnits(TypedDict):
    """A fill in our units."""

    price_ticks: int
    """The nearest."""
    quantity_lots: int
    """Whole ones; may be 0 where there is an ``exact``."""
    exact: ExactFill | None
    """None where it is a whole number of both."""


def in_units(rules: Instrument, price: Decimal, quantity: Decimal) -> FillUnits:
    """A fill's price and quantity in ticks and lots. Raises BadInput for NaN and infinities."""
    ticks, lots = rules.ticks(price, "nearest"), rules.lots(quantity)
    whole = rules.price(ticks) == price and rules.quantity(lots) == quantity
    return FillUnits(
        price_ticks=ticks,
        quantity_lots=lots,
        exact=None if whole else ExactFill(price, quantity, rules.lot),
    )


class InUnits(Protocol):
    """A fill, or a trade of the account, in our units."""

    @property
    def price_ticks(self) -> int:
        """The nearest."""

    @property
    def quantity_lots(self) -> int:
        """Whole ones."""

    @property
    def exact(self) -> ExactFill | None:
        """None where it is a whole number of both."""


def traded(rules: Instrument, fill: InUnits) -> tuple[Decimal, Decimal]:
    """The exact price and quantity of one, in the venue's units."""
    if fill.exact is not None:
        return fill.exact.price, fill.exact.quantity
    return rules.price(fill.price_ticks), rules.quantity(fill.quantity_lots)


def total_lots(fills: Iterable[tuple[int, ExactFill | None]]) -> int:
    """Whole lots of fills, of which each has its own whole lots: two halves make one."""
    total, parts = 0, Fraction(0)
    for lots, exact in fills:
        total += lots
        parts += 0 if exact is None else exact.beyond(lots)
    return total + math.floor(parts)


def whole_lots(rules: Instrument, quantity: Decimal) -> int:
    """A filled total in lots; what is less than one is told with its fill. Raises VenueViolation below 0."""
    if quantity < 0:
        raise VenueViolation(f"{rules.symbol}: {quantity} filled")
    return rules.lots(quantity)
