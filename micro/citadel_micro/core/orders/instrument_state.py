"""One instrument on one venue as execution sees it: its book, its rules, our orders on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.orders.held_stops import HeldStops

if TYPE_CHECKING:
    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.marketdata.order_flow import FlowFeatures
    from citadel_micro.core.model.config import VenueConfig
    from citadel_micro.core.model.events import Side
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.orders import Parent


class InstrumentState:
    """Mutable meeting point of one instrument's market and parents."""

    __slots__ = (
        "asked_ns",
        "crossed_since_ns",
        "dirty",
        "features",
        "held",
        "instrument",
        "key",
        "market",
        "parents",
        "shown_proof_ns",
        "stale_cancel_ns",
        "venue",
    )

    def __init__(
        self,
        instrument: Instrument,
        market: MarketBook,
        venue: VenueConfig,
        *,
        stale_cancel_ns: int,
        features: FlowFeatures | None = None,
    ) -> None:
        self.key = (instrument.venue, instrument.symbol)
        self.instrument = instrument
        self.market = market
        self.features = features
        """Order flow of the book, where it is published."""
        self.venue = venue
        self.stale_cancel_ns = stale_cancel_ns
        self.parents: list[Parent] = []
        """Not ended and not held, in the order of their arrival."""
        self.held = HeldStops(market)
        """Stops that wait for their trigger."""
        self.dirty = False
        """The book has changed since it was last published."""
        self.crossed_since_ns = 0
        self.asked_ns = 0
        """When a snapshot was last asked for; 0 when never."""
        self.shown_proof_ns = 0
        """The book's proof when it was last published."""

    @property
    def fit(self) -> bool:
        """The book may be priced from: LIVE, two-sided, neither crossed nor locked."""
        best = self.market.best()
        return self.market.state == "LIVE" and best is not None and best[0] < best[2]

    def mark(self, now_ns: int, stale_ns: int) -> float | None:
        """Mid by which money may be judged, in price units; None when there is none.

        From a LIVE book, or from one that fell STALE at most ``stale_ns`` ago. A book that is
        crossed, has lost its place or was never complete values nothing: a loss that it hides
        would look like none.
        """
        market = self.market
        if market.crossed:
            return None
        if market.state == "LIVE":
            return market.mid()
        if market.state == "STALE" and now_ns - market.proof_ns <= stale_ns:
            return market.mid()
        return None

    def book_id(self) -> tuple[int, int]:
        """Sequence and receive time of the book's last update: another one is a newer book.

        To be compared for equality only: a venue that restarts counts from the beginning again,
        and some count nothing.
        """
        return self.market.last_seq, self.market.last_recv_ns

    def touch_ticks(self) -> tuple[int, int] | None:
        """Best bid and best ask in ticks; None when one-sided."""
        best = self.market.best()
        if best is None:
            return None
        ticks = self.instrument.ticks_of_float
        return ticks(best[0]), ticks(best[2])

    def mid_half_ticks(self) -> int:
        """Best bid + best ask in ticks, twice the mid; 0 when there is none to go by."""
        touch = self.touch_ticks()
        return 0 if touch is None or touch[0] >= touch[1] else touch[0] + touch[1]

    def own_lots(self, side: Side, price_ticks: int) -> int:
        """Our own resting lots at a price."""
        lots = 0
        for parent in self.parents:
            if parent.signal.side == side:
                for child in parent.live:
                    if child.acknowledged and child.price_ticks == price_ticks:
                        lots += child.quantity_lots - child.filled
        return lots

    def external_best(self, side: Side, best: tuple[float, float, float, float]) -> int | None:
        """Best price of a side in ticks, our own resting orders left out; None when alone.

        Where the venue's book does not hold our orders, it is the plain best.
        """
        buy = side == "buy"
        price, size = (best[0], best[1]) if buy else (best[2], best[3])
        ticks_of = self.instrument.ticks_of_float
        lots_of = self.instrument.lots_of_float
        ticks = ticks_of(price)
        if not self.venue.shows_own_orders:
            return ticks
        book = self.market.book
        while True:
            own = self.own_lots(side, ticks)
            if own == 0 or lots_of(size) > own:
                return ticks
            behind = book.worse(side, price)
            if behind is None:
                return None
            price, size = behind
            ticks = ticks_of(price)
