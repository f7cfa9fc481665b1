"""The symbols of the synthetic market: trading rules of the kind Binance spot publishes.

Prices, sizes and cash are integers of 1e-8 (Binance writes eight decimals everywhere), so that
every text that leaves the simulator is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

from citadel_proto.errors import BadInput

E8 = 100_000_000


def e8_text(value: int) -> str:
    """Write an integer of 1e-8 units with eight decimals, as Binance does: ``61837.63000000``."""
    if value < 0:
        return f"-{-value // E8}.{-value % E8:08d}"
    return f"{value // E8}.{value % E8:08d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolSpec:
    """Trading rules of one symbol.

    ``tick_e8`` and ``lot_e8`` are the price and size steps in 1e-8 of quote and base units;
    ``min_notional_e8`` is in 1e-8 quote units.
    """

    base: str
    quote: str
    tick_e8: int
    lot_e8: int
    min_notional_e8: int

    @property
    def symbol(self) -> str:
        """Return the unified name, ``BTC/USDT``."""
        return f"{self.base}/{self.quote}"

    @property
    def venue_symbol(self) -> str:
        """Return Binance's name, ``BTCUSDT``."""
        return f"{self.base}{self.quote}"

    def price_text(self, ticks: int) -> str:
        """Write a price of integer ticks."""
        return e8_text(ticks * self.tick_e8)

    def size_text(self, lots: int) -> str:
        """Write a size of integer lots."""
        return e8_text(lots * self.lot_e8)

    def quote_text(self, tick_lots: int) -> str:
        """Write a sum of ``ticks * lots`` products in quote units, cut to eight decimals."""
        return e8_text(tick_lots * self.tick_e8 * self.lot_e8 // E8)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowParams:
    """How one symbol's order flow is drawn. Rates are per second at normal activity.

    ``anchor`` is the price (quote units) around which the reference wanders; ``daily_vol`` is the
    standard deviation of a day's log return; ``common_share`` the part of its variance shared
    with the other symbols. ``transient_vol`` is the standard deviation of the mean-reverting
    component of the log price: the market's only deliberate predictability (0 turns it off).
    ``gap_bps`` scales the distance of new limit orders from the reference. ``clip_quote`` and
    ``touch_quote`` are the median notional of a trade and of a limit order near the touch;
    ``minute_quote`` is the notional traded in a minute at normal activity, used for the candles
    of the past and measured from the live flow. ``deep_levels`` more levels a side lie behind those
    that the flow keeps busy, and stay until the price comes there.
    """

    anchor: float
    daily_vol: float
    common_share: float = 0.6
    transient_vol: float = 0.0008
    gap_bps: float
    clip_quote: float
    touch_quote: float
    minute_quote: float
    limit_rate: float = 28.0
    cancel_rate: float = 20.0
    market_rate: float = 0.7
    informed_rate: float = 6.0
    deep_levels: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSymbol:
    """A symbol the synthetic market knows: its rules and its flow."""

    spec: SymbolSpec
    flow: FlowParams


def _known(
    base: str, steps: tuple[float, float], anchor: float, vol: float, flow: tuple[float, ...]
) -> FlowSymbol:
    """Make one row of the table: (tick, lot), price, daily volatility, (gap, clip, minute)."""
    tick, lot = steps
    gap, clip, minute_quote = flow
    return FlowSymbol(
        spec=SymbolSpec(
            base=base,
            quote="USDT",
            tick_e8=round(tick * E8),
            lot_e8=round(lot * E8),
            min_notional_e8=5 * E8,
        ),
        flow=FlowParams(
            anchor=anchor,
            daily_vol=vol,
            gap_bps=gap,
            clip_quote=clip,
            touch_quote=clip * 12,
            minute_quote=minute_quote,
        ),
    )


# Ticks, lots and minimum notionals as Binance spot publishes them; price levels and volatilities
# of the order of 2025. Gaps are chosen so that the spread comes out at one to a few ticks.
KNOWN_SYMBOLS: dict[str, FlowSymbol] = {
    item.spec.symbol: item
    for item in (
        _known("BTC", (0.01, 0.00001), 96_000.0, 0.024, (0.15, 900.0, 3.7e6)),
        _known("ETH", (0.01, 0.0001), 3_400.0, 0.032, (0.25, 700.0, 2.6e6)),
        _known("SOL", (0.01, 0.001), 185.0, 0.040, (0.55, 450.0, 1.4e6)),
        _known("XRP", (0.0001, 0.1), 2.20, 0.040, (0.60, 350.0, 1.1e6)),
        _known("DOGE", (0.00001, 1.0), 0.2400, 0.045, (0.60, 300.0, 1.2e6)),
        _known("ADA", (0.0001, 0.1), 0.8200, 0.042, (1.20, 300.0, 0.71e6)),
        _known("BNB", (0.01, 0.001), 690.0, 0.028, (0.35, 500.0, 1.7e6)),
        _known("LTC", (0.01, 0.001), 108.0, 0.036, (0.90, 250.0, 0.71e6)),
        _known("LINK", (0.01, 0.01), 19.0, 0.042, (5.0, 250.0, 0.15e6)),
        _known("AVAX", (0.01, 0.01), 33.0, 0.044, (3.0, 250.0, 0.33e6)),
    )
}

DEFAULT_SYMBOLS: tuple[str, ...] = (
    "BTC/USDT",
    "ETH/USDT",
    "SOL/USDT",
    "XRP/USDT",
    "DOGE/USDT",
    "ADA/USDT",
)


def choose_symbols(names: tuple[str, ...]) -> tuple[FlowSymbol, ...]:
    """Look the names up.

    Raises:
        BadInput: for no name, a name twice, or one that the synthetic market does not know.
    """
    known_names = ", ".join(KNOWN_SYMBOLS)
    if not names:
        what = "no symbol given"
        raise BadInput(what, where="symbols", allowed=known_names)
    chosen: list[FlowSymbol] = []
    for name in names:
        known = KNOWN_SYMBOLS.get(name)
        if known is None:
            what = f"symbol {name!r} is not simulated"
            raise BadInput(what, where="symbols", allowed=known_names)
        if known in chosen:
            what = f"symbol {name!r} is given twice"
            raise BadInput(what, where="symbols", mend="name each symbol once")
        chosen.append(known)
    return tuple(chosen)
