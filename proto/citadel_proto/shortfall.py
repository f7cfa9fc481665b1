"""What an order cost against its arrival price: one definition, used wherever a cost is reported.

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
the arrival mid: where no later mid is known, delay and impact count as spread, with the same
sum. Numbers are exact fractions; each part is rounded once, to a millionth of a basis point, and
the total is the sum of the rounded parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_BPS: Final = 10_000
_MICRO: Final = Decimal("0.000001")
_MILLION: Final = 1_000_000


class Traded(NamedTuple):
    """One fill. Prices and quantities are in any units, the same for all fills of an order."""

    price: Fraction | int
    quantity: Fraction | int
    mid: Fraction | int | None = None
    """At the time of the fill; None where it is not known."""
    fee: Fraction | int = 0
    """In units of price times quantity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Signed basis points of the target's worth at arrival; positive is a cost."""

    delay: Decimal
    spread: Decimal
    impact: Decimal
    fees: Decimal
    opportunity: Decimal
    unpriced_fees: tuple[tuple[str, Decimal], ...] = ()
    """(currency, amount) charged in a third currency, for which there is no price here."""

    @property
    def prices(self) -> Decimal:
        """What the prices of the fills cost, without fees and without the unfilled rest."""
        return self.delay + self.spread + self.impact

    @property
    def total(self) -> Decimal:
        """The sum of the parts, exactly."""
        return self.prices + self.fees + self.opportunity

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """The same parts in units of price times quantity, exactly; those of several orders add up."""

    worth: Fraction
    """Of the target at arrival."""
    delay: Fraction
    spread: Fraction
    impact: Fraction
    fees: Fraction
    opportunity: Fraction

    def __add__(self, other: Costs) -> Costs:
        """Both orders as one."""
        return Costs(
            worth=self.worth + other.worth,
            delay=self.delay + other.delay,
            spread=self.spread + other.spread,
            impact=self.impact + other.impact,
            fees=self.fees + other.fees,
            opportunity=self.opportunity + other.opportunity,
        )

    def shortfall(self, unpriced_fees: tuple[tuple[str, Decimal], ...] = ()) -> Shortfall:
        """In basis points of the worth."""
        return Shortfall(
            delay=_bps(self.delay / self.worth),
            spread=_bps(self.spread / self.worth),
            impact=_bps(self.impact / self.worth),
            fees=_bps(self.fees / self.worth),
            opportunity=_bps(self.opportunity / self.worth),
            unpriced_fees=unpriced_fees,
        )


def costs(
    fills: Iterable[Traded],
    *,
    sign: int,
    arrival: Fraction | int,
    target: Fraction | int | None = None,
    release: Fraction | int | None = None,
    final: Fraction | int | None = None,
) -> Costs:
    """The parts of one order.

    Where no later mid is known, the one before it is used, so that its move counts in the next part.

    Args:
        fills: the fills of the order.
        sign: 1 to buy, -1 to sell.
        arrival: mid when the order arrived.
        target: quantity requested; None for the filled quantity, where the rest was given up
            on purpose.
        release: mid when the first child was sent.
        final: mid at the end.
    """
    start = arrival if release is None else release
    end = start if final is None else final
    filled = impact = spread = fees = Fraction(0)
    for fill in fills:
        mid = start if fill.mid is None else fill.mid
        filled += fill.quantity
        impact += fill.quantity * (mid - start)
        spread += fill.quantity * (fill.price - mid)
        fees += fill.fee
    wanted = filled if target is None else Fraction(target)
    return Costs(
        worth=wanted * arrival,
        delay=sign * filled * (start - arrival),
        spread=sign * spread,
        impact=sign * impact,
        fees=fees,
        opportunity=sign * (wanted - filled) * (end - arrival),
    )


def fee_in_quote(
    fee: Decimal, currency: str, *, base: str, quote: str, price: Decimal
) -> Fraction | None:
    """A fee in quote units; one in base at the fill's own price. None for other currencies."""
    if currency == quote:
        return Fraction(fee)
    if currency == base:
        return Fraction(fee) * Fraction(price)
    return None


def _bps(share: Fraction) -> Decimal:
    return Decimal(round(share * _BPS * _MILLION)) * _MICRO
