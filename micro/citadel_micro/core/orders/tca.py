"""Cost of a parent order against its arrival price, from the parent alone.

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
    from citadel_micro.core.orders.orders import Parent


def shortfall(parent: Parent) -> Shortfall | None:
    """Cost of a parent so far, or of one that has ended.

    None for one without a target or without a two-sided market at its arrival. Where no later mid is
    known, the one before it is used, so that its move counts in the next part.
    """
    rules = parent.instrument
    arrival = parent.arrival_mid2_ticks
    if rules is None or not arrival or not parent.target:
        return None
    unit = worth(rules, arrival) / arrival  # quote units of a lot at a price of half a tick
    traded: list[Traded] = []
    unpriced: dict[str, Decimal] = {}
    for child in parent.children:
        for fill in child.fills:
            charged = in_quote(rules, fill.fee, fill.fee_currency, fill.price_ticks)
            if charged is None:
                before = unpriced.get(fill.fee_currency, Decimal(0))
                unpriced[fill.fee_currency] = before + fill.fee
            price: Fraction | int = 2 * fill.price_ticks
            quantity: Fraction | int = fill.quantity_lots
            if fill.exact is not None:
                price = 2 * Fraction(fill.exact.price) / Fraction(rules.tick)
                quantity = Fraction(fill.exact.quantity) / Fraction(rules.lot)
            traded.append(
                Traded(
                    price=price,
                    quantity=quantity,
                    mid=fill.mid_half_ticks or child.mid_half_ticks or None,
                    fee=(charged or 0) / unit,
                )
            )
    parts = costs(
        traded,
        sign=parent.sign,
        arrival=arrival,
        target=parent.target,
        release=parent.release_mid2_ticks or None,
        final=parent.final_mid2_ticks or None,
    )
    return parts.shortfall(tuple(unpriced.items()))


def in_quote(rules: Instrument, fee: Decimal, currency: str, price_ticks: int) -> Fraction | None:
    """A fill's fee in quote units; None in a third currency."""
    inverse = rules.kind == "inverse"
    return fee_in_quote(
        fee,
        currency,
        base=rules.settle if inverse else rules.base,
        quote=rules.quote if inverse else rules.settle,
        price=rules.price(price_ticks),
    )


def worth(rules: Instrument, half_ticks: int) -> Fraction:
    """Value of a lot at a price, in quote units."""
    units = Fraction(rules.lot) * Fraction(rules.contract_size)
    if rules.kind == "inverse":
        return units  # a contract is a fixed amount of quote, whatever the price
    return units * Fraction(rules.tick) * half_ticks / 2
