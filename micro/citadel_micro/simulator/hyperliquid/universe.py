"""The perpetuals of the simulated Hyperliquid: their steps, and numbers as the venue writes them.

Prices have five significant digits, or are whole numbers, and at most 6 less ``szDecimals`` decimals
(page "Tick and lot size"). The exchange's tick is what that makes of the price at which the market begins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from citadel_micro.sim.exchange.rules import SymbolRules
from citadel_micro.sim.flow_symbols import E8, KNOWN_SYMBOLS, FlowSymbol, SymbolSpec, e8_text

if TYPE_CHECKING:
    from collections.abc import Mapping

QUOTE: Final = "USDC"
MOST_DECIMALS: Final = 6
SIGNIFICANT: Final = 5
LEAST_NOTIONAL_E8: Final = 10 * E8
MAX_LEVERAGE: Final = 125
"""Of the exchange's brackets; the venue itself lists 3 to 50."""
SZ_DECIMALS: Final[Mapping[str, int]] = {
    "BTC": 5, "ETH": 4, "SOL": 2, "XRP": 0, "DOGE": 0, "ADA": 0, "BNB": 3, "LTC": 2, "LINK": 1,
    "AVAX": 2,
}  # fmt: skip
_MOST_DIGITS: Final = 40


def flow_symbol(name: str, *, deep_levels: int) -> FlowSymbol:
    """Return a symbol of the synthetic market as a perpetual in USDC. ``name``: as in ``BTC/USDT``."""
    known = KNOWN_SYMBOLS[name]
    base = known.spec.base
    decimals = SZ_DECIMALS[base]
    whole = Decimal(str(known.flow.anchor)).adjusted()
    places = min(max(SIGNIFICANT - 1 - whole, 0), MOST_DECIMALS - decimals)
    spec = SymbolSpec(
        base=base,
        quote=QUOTE,
        tick_e8=10 ** (8 - places),
        lot_e8=10 ** (8 - decimals),
        min_notional_e8=LEAST_NOTIONAL_E8,
    )
    return FlowSymbol(spec=spec, flow=replace(known.flow, deep_levels=deep_levels))


def rules_of(spec: SymbolSpec) -> SymbolRules:
    """Return what orders are judged by: limits of 80 % around the price, 1,000 open orders."""
    return replace(
        SymbolRules.linear(spec),
        bid_up_e8=E8 * 9 // 5,
        bid_down_e8=E8 // 5,
        ask_up_e8=E8 * 9 // 5,
        ask_down_e8=E8 // 5,
        max_orders=1_000,
    )


def wire(value_e8: int) -> str:
    """Write a number as the venue's answers have it: one decimal at least, no more than needed."""
    text = e8_text(value_e8).rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def canonical(text: str) -> str | None:
    """Return a number as the venue signs it, without zeros at the end; None for what is none."""
    if len(text) > _MOST_DIGITS:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite() or value < 0:
        return None
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def e8_of(text: str) -> int | None:
    """Return a number in 1e-8; None where it is finer."""
    scaled = Decimal(text) * E8
    return int(scaled) if scaled == int(scaled) else None


def on_grid(text: str, decimals: int) -> bool:
    """Whether the venue takes this price of a perpetual with so many decimals of size."""
    value = Decimal(text)
    exponent = value.normalize().as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= 0:
        return True
    digits = len(value.normalize().as_tuple().digits)
    return digits <= SIGNIFICANT and -exponent <= MOST_DECIMALS - decimals


@dataclass(frozen=True, slots=True)
class Perp:
    """One perpetual: its number in orders, its name in streams, and its symbol at the exchange."""

    number: int
    coin: str
    spec: SymbolSpec

    @property
    def symbol(self) -> str:
        """Return the exchange's name of it."""
        return self.spec.symbol

    @property
    def decimals(self) -> int:
        """Return ``szDecimals``."""
        return SZ_DECIMALS[self.coin]


class Universe:
    """All perpetuals, in the order of their numbers."""

    def __init__(self, specs: Mapping[str, SymbolSpec]) -> None:
        """List the symbols of a market."""
        self.perps = tuple(
            Perp(number, spec.base, spec) for number, spec in enumerate(specs.values())
        )
        self.by_coin = {each.coin: each for each in self.perps}
        self.by_symbol = {each.symbol: each for each in self.perps}

    def numbered(self, number: object) -> Perp | None:
        """Return the perpetual of a number."""
        if isinstance(number, int) and 0 <= number < len(self.perps):
            return self.perps[number]
        return None
