"""What a parent order cost against its arrival price, from the parent alone.

Implementation shortfall compares the real portfolio with one that traded the whole target at once,
for free, at the mid when the order arrived (Perold, "The implementation shortfall", Journal of
Portfolio Management, 1988). It is split as in Kissell, "The expanded implementation shortfall"
(2006), with the fill's own mid between price and release. For the side's sign s, target Q, fills
(p, q), F the sum of q, and mids m at arrival (0), release of the first child (1), fill (f) and the
end (N):

===========  ==============================  ====================================================
part         s times                         what it is
===========  ==============================  ====================================================
delay        F (m1 - m0)                     the market's move before anything was sent
impact       sum of q (mf - m1)              its move from then to each fill, ours and others'
spread       sum of q (p - mf)               paid for crossing; negative when earned by resting
opportunity  (Q - F) (mN - m0)               the move missed by what was not filled
fees         (not signed)                    as charged
===========  ==============================  ====================================================

All in basis points of Q m0; positive is a cost. The first four telescope to the difference from
the arrival mid. Mids are whole half ticks, so the parts are exact fractions; each is rounded once,
to a millionth of a basis point, and the total is the sum of the rounded parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.orders import ChildFill, Parent

_BPS: Final = 10_000
_MICRO: Final = Decimal("0.000001")
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Signed basis points of the target's worth at arrival; positive is a cost."""

    delay: Decimal
    spread: Decimal
    impact: Decimal
    fees: Decimal
    opportunity: Decimal
    unpriced_fees: tuple[tuple[str, Decimal], ...]
    """(currency, amount) charged in a third currency, which no price here converts."""

    @property
    def total(self) -> Decimal:
        """The sum of the parts, exactly."""
        return self.delay + self.spread + self.impact + self.fees + self.opportunity

    @property
    def total_bps(self) -> float:
        """The total as a float that prints the same digits."""
        return float(self.total)

    def parts_bps(self) -> dict[str, float]:
        """Part -> basis points; as decimal text they add up to the total exactly."""
        return {
            "delay": float(self.delay),
            "spread": float(self.spread),
            "impact": float(self.impact),
            "fees": float(self.fees),
            "opportunity": float(self.opportunity),
        }


def shortfall(parent: Parent) -> Shortfall | None:
    """Cost of a parent so far, or of one that has ended.

    None for one that has no target or saw no two-sided market at its arrival. Where no mid was
    known later, the one before it is used, so that its move counts in the next part.
    """
    rules = parent.instrument
    arrival = parent.arrival_half_ticks
    if rules is None or not arrival or not parent.target:
        return None
    sign = parent.sign
    release = parent.release_half_ticks or arrival
    final = parent.final_half_ticks or release
    filled = impact = spread = 0
    fees = Fraction(0)
    unpriced: dict[str, Decimal] = {}
    for child in parent.children:
        for fill in child.fills:
            lots = fill.quantity_lots
            mid = fill.mid_half_ticks or child.mid_half_ticks or release
            filled += lots
            impact += lots * (mid - release)
            spread += lots * (2 * fill.price_ticks - mid)
            charged = _in_settle(rules, fill)
            if charged is None:
                before = unpriced.get(fill.fee_currency, Decimal(0))
                unpriced[fill.fee_currency] = before + fill.fee
            else:
                fees += charged
    worth = parent.target * arrival
    return Shortfall(
        delay=_bps(Fraction(sign * filled * (release - arrival), worth)),
        spread=_bps(Fraction(sign * spread, worth)),
        impact=_bps(Fraction(sign * impact, worth)),
        fees=_bps(fees / _worth(rules, parent.target, arrival)),
        opportunity=_bps(Fraction(sign * (parent.target - filled) * (final - arrival), worth)),
        unpriced_fees=tuple(unpriced.items()),
    )


def _in_settle(rules: Instrument, fill: ChildFill) -> Fraction | None:
    """A fee in quote units; a fee in base at the fill's own price. None for other currencies."""
    fee = Fraction(fill.fee)
    if rules.kind == "inverse":
        price = Fraction(rules.price(fill.price_ticks))
        return fee * price if fill.fee_currency == rules.settle else None
    if fill.fee_currency == rules.settle:
        return fee
    if fill.fee_currency == rules.base:
        return fee * Fraction(rules.price(fill.price_ticks))
    return None


def _worth(rules: Instrument, lots: int, half_ticks: int) -> Fraction:
    """A quantity at a price, in quote units."""
    units = Fraction(rules.lot) * Fraction(rules.contract_size) * lots
    if rules.kind == "inverse":
        return units  # a contract is a fixed amount of quote, whatever the price
    return units * Fraction(rules.tick) * half_ticks / 2


def _bps(share: Fraction) -> Decimal:
    return Decimal(round(share * _BPS * _MILLION)) * _MICRO
