"""An order as a journal tells it: what it asked for, where its children stood, and what they got."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from citadel_micro.core.model.commands import PublishReport
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.offline.tca.market_past import Best

MS: Final = 1_000_000
HORIZONS_NS: Final = (100 * MS, 1_000 * MS, 5_000 * MS, 30_000 * MS, 300_000 * MS)
"""After a fill: 100 ms, 1, 5, 30 and 300 s."""
MOST_POINTS: Final = 4_000
"""Of one order's picture; a longer one is drawn from its beginning."""


class Point(NamedTuple):
    """A moment of an order's picture, in ticks; 0: there is none."""

    at_ns: int
    bid: int
    ask: int


class Standing(NamedTuple):
    """From then on a child stands at this price; 0: it has ended."""

    at_ns: int
    child_id: str
    ticks: int


@dataclass(slots=True, kw_only=True)
class Fill:
    """One fill of one child, with the market around it."""

    child_id: str
    trade_id: str
    price_ticks: int
    lots: int
    fee: Decimal
    fee_currency: str
    liquidity: Literal["maker", "taker"]
    at_ns: int
    """When it happened, in the engine's time."""
    before: Best | None
    """The market just before it, not when its report came: what the fill itself did is no part of it."""
    later: dict[int, Best | None] = field(default_factory=dict)
    """The market that long after it; a time that the journal does not reach is missing."""


@dataclass(slots=True, kw_only=True)
class Instead:
    """What another way with the same order would have got; prices in ticks."""

    lots: int = 0
    value: int = 0
    """Sum of ticks times lots."""
    taken: int = 0
    """Lots of it that would have paid the taker's fee."""
    why_not: str = ""
    """It cannot be said, and why."""


@dataclass(slots=True, kw_only=True)
class Order:
    """One parent order."""

    run: str
    instrument: Instrument
    report: PublishReport
    """The last one."""
    target: int
    """Lots."""
    arrived_ns: int
    arrival: Best | None = None
    released_ns: int = 0
    """When its first child was sent; 0: none was."""
    release: Best | None = None
    ended: Best | None = None
    fills: list[Fill] = field(default_factory=list)
    standing: list[Standing] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    crossed: Instead = field(default_factory=Instead)
    """Taken at arrival, down the book of that moment."""
    rested: Instead = field(default_factory=Instead)
    """Left at the touch of the arrival until the order ended, and the rest taken then."""
    alone: Instead = field(default_factory=Instead)
    """As Freqtrade alone would have worked it (``other_ways.FreqtradeAlone``)."""

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self.report.side == "buy" else -1

    @property
    def filled(self) -> int:
        """Lots."""
        return sum(fill.lots for fill in self.fills)
