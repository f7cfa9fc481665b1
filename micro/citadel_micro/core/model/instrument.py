"""One tradable instrument of one venue: tick, lot, minimums, fees, and all rounding.

At the order boundary prices are integer ticks and quantities integer lots. This is the only module
that converts decimals and floats to them and back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from typing import Literal

from citadel_proto.errors import BadInput

Kind = Literal["spot", "linear", "inverse"]
Rounding = Literal["floor", "ceil", "nearest"]

# The default 28 digits would round 0.99999999999999999999999999999 up to a whole lot before any
# floor is taken: more than was requested.
_EXACT = Context(prec=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """Exact trading rules of one symbol on one venue.

    ``tick`` is in price units; ``lot`` in units of the venue's own books and orders: coins, or
    contracts. ``contract_size`` is the value of one of these units: coins (1 for spot), of inverse
    contracts quote currency. Outside of the core an order is an *amount*, in coins (of inverse
    contracts quote currency). ``min_notional`` is in quote currency. Fees are fractions of notional
    (0.001 = 10 bps). ``fee_side`` says which currency the venue takes its fee in: ``received``
    (Binance spot: base on buys, quote on sells) or ``quote`` (perpetuals: the settle currency).
    """

    venue: str
    symbol: str
    venue_symbol: str
    base: str
    quote: str
    settle: str
    kind: Kind
    tick: Decimal
    lot: Decimal
    min_lots: int
    min_notional: Decimal
    contract_size: Decimal
    maker_fee: Decimal
    taker_fee: Decimal
    fee_side: Literal["received", "quote"]
    reduce_only_exempt_min_notional: bool = False
    """The venue accepts reduce-only orders below ``min_notional``."""
    price_decimals: int = field(init=False)
    quantity_decimals: int = field(init=False)
    tick_float: float = field(init=False)
    lot_float: float = field(init=False)
    half_tick_lot: Decimal = field(init=False, repr=False, compare=False)
    """One lot at a price of half a tick, in price times quantity units."""
    least_worth: Fraction = field(init=False, repr=False, compare=False)
    """``min_notional`` over what one lot at one tick is worth; 0 where there is no such minimum."""
    least_ratio: tuple[int, int] = field(init=False, repr=False, compare=False)
    """Its numerator and denominator."""

    def __post_init__(self) -> None:
        """Reject rules that cannot be traded on; derive the rounding constants."""
        for name in ("tick", "lot", "contract_size"):
            value: Decimal = getattr(self, name)
            if not value.is_finite() or value <= 0:
                msg = f"{self.venue} {self.symbol}: {name} is {value}, must be greater than 0"
                raise BadInput(msg)
        if self.min_lots < 1:
            msg = f"{self.venue} {self.symbol}: min_lots is {self.min_lots}, must be at least 1"
            raise BadInput(msg)
        set_ = object.__setattr__
        set_(self, "price_decimals", _decimals(self.tick))
        set_(self, "quantity_decimals", _decimals(self.lot))
        set_(self, "tick_float", float(self.tick))
        set_(self, "lot_float", float(self.lot))
        set_(self, "half_tick_lot", self.tick * self.lot / 2)
        least = Fraction(0)
        if self.min_notional > 0 and self.kind != "inverse":
            unit = Fraction(self.tick) * Fraction(self.lot) * Fraction(self.contract_size)
            least = Fraction(self.min_notional) / unit
        set_(self, "least_worth", least)
        set_(self, "least_ratio", least.as_integer_ratio())

    # prices

    def ticks(self, price: Decimal, rounding: Rounding) -> int:
        """Price in quote units to integer ticks. Raises BadInput for NaN and infinities."""
        return _units(price, self.tick, rounding, f"{self.symbol} price")

    def ticks_of_float(self, price: float) -> int:
        """A book price, which lies on the grid except for binary representation, to ticks."""
        if not math.isfinite(price):
            msg = f"{self.symbol}: price {price} is not a number to trade on"
            raise BadInput(msg)
        return round(price / self.tick_float)

    def price(self, ticks: int) -> Decimal:
        """Ticks to the exact price in quote units."""
        return self.tick * ticks

    def price_float(self, ticks: int) -> float:
        """Ticks to the float a book holds for that price (the nearest to the decimal text)."""
        return float(self.tick * ticks)

    # quantities

    def lots(self, quantity: Decimal, rounding: Rounding = "floor") -> int:
        """Quantity in the venue's units to integer lots. Raises BadInput for NaN and infinities."""
        return _units(quantity, self.lot, rounding, f"{self.symbol} quantity")

    def lots_of_float(self, size: float) -> int:
        """A displayed size, on the grid except for binary representation, to lots."""
        if not math.isfinite(size):
            msg = f"{self.symbol}: size {size} is not a number to trade on"
            raise BadInput(msg)
        return round(size / self.lot_float)

    def quantity(self, lots: int) -> Decimal:
        """Lots to the exact quantity in the venue's units."""
        return self.lot * lots

    def amount(self, lots: int) -> Decimal:
        """Lots in the unit of signals and reports: coins, of inverse contracts quote currency."""
        return self.lot * lots * self.contract_size

    def units(self, amount: Decimal) -> Decimal:
        """An amount, in the unit of signals, in the venue's units. It must be finite."""
        return amount if self.contract_size == 1 else _EXACT.divide(amount, self.contract_size)

    # money

    def notional(self, ticks: int, lots: int) -> Decimal:
        """Absolute value of an order in quote units (settle units for linear perpetuals).

        For inverse contracts the notional is in the settle (base) currency:
        quantity / price, the contract size being in quote units.
        """
        if self.kind == "inverse":
            return self.lot * lots * self.contract_size / (self.tick * ticks)
        return self.tick * ticks * self.lot * lots * self.contract_size

    def min_lots_at(self, ticks: int, *, reduce_only: bool = False) -> int:
        """Smallest placeable quantity at this price: the larger of min_lots and min_notional."""
        if reduce_only and self.reduce_only_exempt_min_notional:
            return self.min_lots
        (above, below), smallest = self.least_ratio, self.min_lots
        if not above or ticks <= 0:
            return smallest
        lots = -(-above // (below * ticks))
        return max(smallest, lots)


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    if not isinstance(exponent, int):
        msg = f"step {step} is not finite"
        raise BadInput(msg)
    return max(0, -exponent)


def _units(value: Decimal, step: Decimal, rounding: Rounding, what: str) -> int:
    if not value.is_finite():
        msg = f"{what} is {value}; it must be a finite number"
        raise BadInput(msg)
    try:
        whole, rest = _EXACT.divmod(value, step)
    except InvalidOperation:
        msg = f"{what} is {value}; nothing of that size is traded in steps of {step}"
        raise BadInput(msg) from None
    units = int(whole)
    if rest == 0:
        return units
    # ``divmod`` truncates towards zero and its rest has the sign of the value.
    below = units if rest > 0 else units - 1
    if rounding == "floor":
        return below
    if rounding == "ceil":
        return below + 1
    half = 2 * rest if rest > 0 else 2 * (rest + step)
    return below + 1 if half > step or (half == step and below % 2) else below
