"""Static orders on recorded traffic under the three queue models, moment by moment."""

from __future__ import annotations

import os
from collections import Counter
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from frame_kit import CAPTURES

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.commands import PlaceOrder
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, QuoteTick, TradeTick
from citadel_micro.shell.capture.offline import capture_events, capture_life
from citadel_micro.shell.instruments.capture import instruments_for_capture
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_micro.sim.paper import PaperVenue
from citadel_micro.sim.paper_config import PaperConfig
from citadel_micro.sim.paper_link import LinkConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from citadel_micro.core.model.events import Side
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.sim.queue_model import QueueModel

MODELS: Final[tuple[QueueModel, ...]] = ("pessimistic", "expected", "optimistic")
RICH: Final = Decimal(10) ** 18
OFFSETS: Final = (0, -3, 1, -1, 3, 8)
"""Ticks from the own best price towards the other side."""
SIZES: Final = (Decimal("0.1"), Decimal(1), Decimal(20))
"""Shares of the size that the own best price shows."""


MORE: Final = {
    "binance-spot": "binance-spot-btcusdt-20240808",
    "binance-usdm": "binance-usdm-btcusdt-20240808",
}


class Static(NamedTuple):
    """One order, the same at three venues that differ in their queue model."""

    side: Side
    price_ticks: int
    lots: int
    venues: tuple[PaperVenue, ...]

    def filled(self) -> tuple[int, ...]:
        """Lots filled under each of ``MODELS``."""
        return tuple(venue.orders["o"].filled_lots for venue in self.venues)


def shared() -> list[tuple[Path, str]]:
    """The captures at hand, each with its venue."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("CITADEL_SHARED") or root.parent / "shared") / "captures"
    names = [(name, venue) for venue, found in CAPTURES.items() for name in found]
    names += [(name, venue) for venue, name in MORE.items()]
    paths = [(folder / f"{name}.jsonl.gz", venue) for name, venue in sorted(names)]
    return [(path, venue) for path, venue in paths if path.exists()]


def busiest(path: Path, venue: str, count: int) -> list[str]:
    """Symbols of a capture that have a book, most traded first."""
    trades: Counter[str] = Counter()
    books: set[str] = set()
    for _, events in capture_events(path, venue):
        for event in events:
            if isinstance(event, TradeTick):
                trades[event.symbol] += 1
            elif isinstance(event, DepthUpdate):
                books.add(event.symbol)
    return sorted(books, key=lambda symbol: (-trades[symbol], symbol))[:count]


def wanted_orders() -> list[tuple[Side, int, Decimal]]:
    """Every side, offset and size."""
    sides: tuple[Side, ...] = ("buy", "sell")
    return list(product(sides, OFFSETS, SIZES))


def play(
    path: Path, venue: str, symbol: str, *, starts: int, most_events: int = 1 << 62
) -> Iterator[tuple[int, Sequence[Static]]]:
    """Orders of every side, size and offset, placed at ``starts`` moments; yields after each event.

    Yields:
        (event number, orders so far).
    """
    instrument, _ = instruments_for_capture(path, venue, symbol, None)
    market = MarketBook(venue, symbol, venue_spec(venue).integrity)
    life = [
        (recv_ns, event)
        for recv_ns, events in capture_life(path, venue, symbol)
        if not hasattr(events, "recv_ns")
        for event in ((events,) if isinstance(events, FeedStatus) else events)
    ][:most_events]
    every = max(1, len(life) // (starts + 1))
    wanted = wanted_orders()
    step = max(1, len(wanted) // 12)
    statics: list[Static] = []
    turn = 0
    for number, (now_ns, event) in enumerate(life):
        if isinstance(event, FeedStatus):
            market.on_status(event)
            continue
        if isinstance(event, DepthUpdate):
            market.on_depth(event)
        elif isinstance(event, QuoteTick):
            market.on_quote(event)
        elif isinstance(event, TradeTick):
            market.on_trade(event)
        for static in statics:
            for paper in static.venues:
                paper.on_market(event, market, now_ns)
        if number >= every * (turn + 1) and turn < starts and market.state == "LIVE":
            for want in wanted[turn % step :: step]:
                static = place(instrument, market, want, now_ns)
                for paper in static.venues:
                    paper.on_market(event, market, now_ns)
                if all("o" in paper.orders for paper in static.venues):
                    statics.append(static)
            turn += 1
        yield number, statics


def place(
    instrument: Instrument, market: MarketBook, want: tuple[Side, int, Decimal], now_ns: int
) -> Static:
    """The order at three venues; it arrives at the next event."""
    side, offset, share = want
    best = market.best()
    assert best is not None
    near, size = (best[0], best[1]) if side == "buy" else (best[2], best[3])
    price = instrument.ticks_of_float(near) + (offset if side == "buy" else -offset)
    lots = int(size / instrument.lot_float * float(share))
    lots = max(
        lots,
        instrument.min_lots,
        1,
        int(instrument.min_notional / instrument.notional(price, 1)) + 1,
    )
    order = PlaceOrder(
        venue=instrument.venue,
        symbol=instrument.symbol,
        client_id="o",
        parent_id="p",
        side=side,
        price_ticks=price,
        quantity_lots=lots,
        post_only=False,
        time_in_force="GTC",
        reduce_only=False,
        expires_ns=1 << 62,
    )
    balances = dict.fromkeys((instrument.base, instrument.quote, instrument.settle), RICH)
    link = LinkConfig(latency_floor_ns=0, latency_mean_ns=0)
    venues = tuple(
        PaperVenue(
            instrument.venue,
            {instrument.symbol: instrument},
            PaperConfig(queue_model=model, balances=balances, link=link),
        )
        for model in MODELS
    )
    for paper in venues:
        paper.submit(order, now_ns)
    return Static(side, price, lots, venues)
