"""Execution's view of one instrument on one venue: its book, its rules, our orders on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.marketdata.plain_events import quick_states
from citadel_micro.core.model.steps import OURS
from citadel_micro.core.orders.held_stops import HeldStops
from citadel_micro.core.orders.open_orders import OpenOrders, PendingChanges

if TYPE_CHECKING:
    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.marketdata.order_flow import FlowFeatures
    from citadel_micro.core.model.config import VenueConfig
    from citadel_micro.core.model.events import Side
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.orders import Parent


@quick_states(HeldStops)
class InstrumentState:
    """State of one instrument: its market and our parents on it."""

    __slots__ = (
        "_open",
        "_touch",
        "_touch_of",
        "asked_ns",
        "crossed_since_ns",
        "dirty",
        "features",
        "followed",
        "held",
        "instrument",
        "key",
        "market",
        "parents",
        "pending_changes",
        "shown_proof_ns",
        "stale_cancel_ns",
        "steps",
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
        open_orders: OpenOrders[InstrumentState] | None = None,
    ) -> None:
        self.key = (instrument.venue, instrument.symbol)
        self.instrument = instrument
        self.market = market
        self.features = features
        """Order flow of the book, where it is published."""
        self.venue = venue
        self.followed = self.key[1] not in venue.on_demand
        """Its feed is meant to be up."""
        if not self.followed:
            market.on_demand = True
            market.reason = "it is not followed: no macro has asked for it"
        self.stale_cancel_ns = stale_cancel_ns
        self.parents: list[Parent] = []
        """Open and not held, in the order of their arrival; changed by ``admit`` and ``release`` alone."""
        self._open = OpenOrders[InstrumentState]() if open_orders is None else open_orders
        self.pending_changes = PendingChanges(self._open)
        """Whatever changes what is pending here notes it."""
        self.held = HeldStops(market)
        """Stops waiting for their trigger."""
        self.steps = OURS
        """In which the venue takes prices and quantities."""
        self.dirty = False
        """The book has changed since it was last published."""
        self.crossed_since_ns = 0
        self.asked_ns = 0
        """When a snapshot was last requested; 0 when never."""
        self._touch = (0, 0)
        self._touch_of: object = None
        self.shown_proof_ns = 0
        """The book's proof when it was last published."""

    def admit(self, parent: Parent) -> None:
        """A parent is open from now on."""
        if parent not in self.parents:
            self.parents.append(parent)
            self._open.busy[self.key] = self
            parent.belong(self.pending_changes)

    def release(self, parent: Parent) -> None:
        """It is no longer."""
        if parent in self.parents:
            self.parents.remove(parent)
            self.pending_changes.note()
            if not self.parents:
                del self._open.busy[self.key]

    @property
    def fit(self) -> bool:
        """The book may be used for pricing: LIVE, two-sided, neither crossed nor locked."""
        best = self.market.best()
        return self.market.state == "LIVE" and best is not None and best[0] < best[2]

    def mark(self, now_ns: int, stale_ns: int) -> float | None:
        """Mid for valuation, in price units; None when there is none.

        From a LIVE book, or from one that became STALE at most ``stale_ns`` ago. A book that is
        crossed, has a gap or was never complete values nothing: a loss that it hides
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
        and some send no numbers.
        """
        return self.market.last_seq, self.market.last_recv_ns

    def touch_ticks(self) -> tuple[int, int] | None:
        """Best bid and best ask in ticks; None when one-sided."""
        best = self.market.best()
        if best is None:
            return None
        if best != self._touch_of:  # asked five times for an order that leaves
            ticks = self.instrument.ticks_of_float
            self._touch, self._touch_of = (ticks(best[0]), ticks(best[2])), best
        return self._touch

    def mid_half_ticks(self) -> int:
        """Best bid + best ask in ticks, twice the mid; 0 when the book is not usable."""
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
        """Best price of a side in ticks, without our own resting orders; None when there is no other.

        Where the venue's book does not contain our orders, it is the plain best.
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
