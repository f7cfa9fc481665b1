"""Orders with fills that were no whole number of our ticks or lots: ``core.model.exact_fill``.

They are counted in whole lots, each order's fractions together: two halves make one. What is left over
of an order that has ended is less than a lot, and takes a whole one of its parent's budget: never more than
asked for is filled.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from citadel_micro.core.model.exact_fill import traded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.children import Child

_ZERO = Decimal(0)


def spare_lots(children: Iterable[Child], rules: Instrument) -> int:
    """Lots that the fractions of ended orders take of their parent's budget."""
    left = sum((Fraction(each.rest) for each in children if each.terminal), Fraction(0))
    return math.ceil(left / Fraction(rules.lot))


def beyond_lots(children: Iterable[Child], rules: Instrument) -> Decimal:
    """What has filled beyond whole lots, in the unit of signals and reports."""
    return sum((each.rest for each in children), _ZERO) * rules.contract_size


def average(children: Iterable[Child], rules: Instrument) -> Decimal | None:
    """Volume-weighted average price of their fills, at most 28 digits; None before the first."""
    quantity = cost = _ZERO
    for child in children:
        for fill in child.fills:
            price, amount = traded(rules, fill)
            quantity += amount
            cost += price * amount
    return cost / quantity if quantity else None
