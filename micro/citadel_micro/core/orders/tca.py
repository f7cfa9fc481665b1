"""What a parent order cost against its arrival price, from the parent alone.

The definition is ``citadel_proto.shortfall``'s. Mids are whole half ticks and quantities whole lots,
so its parts are exact.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from citadel_proto.shortfall import Shortfall, Traded, costs, fee_in_quote

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.children import ChildFill
    from citadel_micro.core.orders.orders import Parent


def shortfall(parent: Parent) -> Shortfall | None:
    """Cost of a parent so far, or of one that has ended.

    None for one that has no target or saw no two-sided market at its arrival. Where no mid was
    known later, the one before it is used, so that its move counts in the next part.
    """
    rules = parent.instrument
    arrival = parent.arrival_half_ticks
    if rules is None or not arrival or not parent.target:
        return None
    unit = _worth(rules, arrival) / arrival  # quote units of a lot at a price of half a tick
    traded: list[Traded] = []
    unpriced: dict[str, Decimal] = {}
    for child in parent.children:
        for fill in child.fills:
            charged = _in_quote(rules, fill)
            if charged is None:
                before = unpriced.get(fill.fee_currency, Decimal(0))
                unpriced[fill.fee_currency] = before + fill.fee
            traded.append(
                Traded(
                    price=2 * fill.price_ticks,
                    quantity=fill.quantity_lots,
                    mid=fill.mid_half_ticks or child.mid_half_ticks or None,
                    fee=(charged or 0) / unit,
                )
            )
    parts = costs(
        traded,
        sign=parent.sign,
        arrival=arrival,
        target=parent.target,
        release=parent.release_half_ticks or None,
        final=parent.final_half_ticks or None,
    )
    return parts.shortfall(tuple(unpriced.items()))


def _in_quote(rules: Instrument, fill: ChildFill) -> Fraction | None:
    inverse = rules.kind == "inverse"
    return fee_in_quote(
        fill.fee,
        fill.fee_currency,
        base=rules.settle if inverse else rules.base,
        quote=rules.quote if inverse else rules.settle,
        price=rules.price(fill.price_ticks),
    )


def _worth(rules: Instrument, half_ticks: int) -> Fraction:
    """A lot at a price, in quote units."""
    units = Fraction(rules.lot) * Fraction(rules.contract_size)
    if rules.kind == "inverse":
        return units  # a contract is a fixed amount of quote, whatever the price
    return units * Fraction(rules.tick) * half_ticks / 2
