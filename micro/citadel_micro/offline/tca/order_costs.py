"""The costs of one order, in exact fractions of its quote currency, and in bps where they are looked at.

Signs are of costs: positive is paid. Of prices they are the order's: a market that moves in its favour
after a fill has moved up for a buy, so a markout below zero is adverse selection.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from citadel_micro.core.orders.tca import in_quote, worth
from citadel_micro.offline.tca.orders import HORIZONS_NS, Order
from citadel_proto.shortfall import Costs, Traded, costs

if TYPE_CHECKING:
    from citadel_micro.offline.tca.market_past import Best
    from citadel_micro.offline.tca.orders import Fill, Instead

NOT_STARTED = "no two-sided market at its arrival"


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """One fill against the market around it, in bps of the mid just before it."""

    value: Fraction
    """What was traded, in quote units at that mid."""
    maker: bool
    effective: Fraction
    """Twice the distance from the mid before it (Huang and Stoll, 1996); negative for what rested."""
    realised: Fraction | None
    """The same from the mid 5 s after it."""
    markouts: dict[int, tuple[Fraction, Fraction]]
    """Horizon -> how far mid and microprice have moved in the order's favour since just before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCosts:
    """What one order cost."""

    order: Order
    parts: Costs | None
    """None for one without a market at its arrival: nothing can be compared."""
    why_not: str
    fills: tuple[Around, ...]
    crossed: Fraction | None
    """Of taking all of it at arrival, in quote units with the taker's fee; None where it cannot be said."""
    rested: Fraction | None
    """Of leaving it at the touch of its arrival, and taking the rest at its end."""
    alone: Fraction | None
    """Of Freqtrade alone."""
    unpriced_fees: tuple[tuple[str, Decimal], ...]


def costs_of(order: Order) -> OrderCosts:
    """Everything about one order."""
    arrival = order.arrival.mid2 if order.arrival is not None else None
    if arrival is None or not order.target:
        return OrderCosts(
            order=order,
            parts=None,
            why_not=NOT_STARTED,
            fills=(),
            crossed=None,
            rested=None,
            alone=None,
            unpriced_fees=(),
        )
    rules = order.instrument
    unit = worth(rules, arrival) / arrival
    traded: list[Traded] = []
    unpriced: dict[str, Decimal] = {}
    for fill in order.fills:
        fee = in_quote(rules, fill.fee, fill.fee_currency, fill.price_ticks)
        if fee is None:
            before = unpriced.get(fill.fee_currency, Decimal(0))
            unpriced[fill.fee_currency] = before + fill.fee
        mid = _mid2(fill.before)
        traded.append(Traded(2 * fill.price_ticks, fill.lots, mid, (fee or 0) / unit))
    parts = costs(
        traded,
        sign=order.sign,
        arrival=arrival,
        target=order.target,
        release=_mid2(order.release),
        final=_mid2(order.ended),
    )
    return OrderCosts(
        order=order,
        parts=_scaled(parts, unit),
        why_not="",
        fills=tuple(each for fill in order.fills if (each := _around(order, fill)) is not None),
        crossed=_instead(order, order.crossed, arrival, unit),
        rested=_instead(order, order.rested, arrival, unit),
        alone=_instead(order, order.alone, arrival, unit),
        unpriced_fees=tuple(unpriced.items()),
    )


def _scaled(parts: Costs, unit: Fraction) -> Costs:
    return Costs(
        **{each.name: getattr(parts, each.name) * unit for each in dataclass_fields(parts)}
    )


def _mid2(best: Best | None) -> int | None:
    return None if best is None else best.mid2


def _around(order: Order, fill: Fill) -> Around | None:
    before = _mid2(fill.before)
    if before is None or fill.before is None:
        return None
    sign = order.sign
    markouts = {}
    for horizon in HORIZONS_NS:
        best = fill.later.get(horizon)
        mid = _mid2(best)
        if best is not None and mid is not None:
            micro = Fraction(best.micro) - Fraction(fill.before.micro)
            markouts[horizon] = (
                _bps(sign * (mid - before), before),
                _bps(sign * micro, before),
            )
    after = _mid2(fill.later.get(HORIZONS_NS[2]))
    return Around(
        value=fill.lots * worth(order.instrument, before),
        maker=fill.liquidity == "maker",
        effective=_bps(2 * sign * (2 * fill.price_ticks - before), before),
        realised=None if after is None else _bps(2 * sign * (2 * fill.price_ticks - after), before),
        markouts=markouts,
    )


def _instead(order: Order, got: Instead, arrival: int, unit: Fraction) -> Fraction | None:
    """Cost of another way, complete or not said at all."""
    if got.why_not or got.lots != order.target:
        return None
    rules = order.instrument
    value = 2 * got.value
    taken = Fraction(got.taken, got.lots) * value
    fees = taken * Fraction(rules.taker_fee) + (value - taken) * Fraction(rules.maker_fee)
    return (order.sign * (value - got.lots * arrival) + fees) * unit


def _bps(part: Fraction | int, of: int) -> Fraction:
    return Fraction(part) * 10_000 / of
