"""Our orders by both ids: ours, made before sending, and the venue's, known from its answer.

Both are journaled, because after a restart the venue's is more reliable: some venues rename an
order when it is canceled, and trades carry only the venue's. An order is dropped some time after it
is closed and all its fills were reported.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.client_ids import ClientIds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.core.model.commands import PlaceOrder
    from citadel_micro.core.model.exact_fill import ExactFill
    from citadel_micro.shell.venue.venue_clock import VenueClock

ORDER: Final = "order/"
"""Prefix of the key of each order in the journal."""
KEPT_NS: Final = 900_000_000_000
"""A closed order is kept for this long: the last reports on it are durable by then."""
_NONE: Final = Fraction(0)
_TEXTS: Final = ("symbol", "venue_order_id", "side")
_NUMBERS: Final = ("price_ticks", "quantity_lots", "expires_ns", "placed_ns")


@dataclass(slots=True)
class OurOrder:
    """One of ours."""

    client_id: str
    symbol: str
    """Unified."""
    side: str
    price_ticks: int
    quantity_lots: int
    expires_ns: int
    """Engine time after which the venue may not accept it; 0 where that is not known."""
    placed_ns: int
    """Engine time; 0 where that is not known."""
    venue_order_id: str = ""
    """Empty until the venue has acknowledged it: then it has the order, whatever it says later."""
    accepted: bool = False
    """The acknowledgement was reported."""
    ended_as: tuple[str, int] | None = None
    """Its last reported end: status and final total."""
    rejected_ns: int = 0
    """The venue's time of its reject, where that is its end; 0 where it is not known."""
    trade_ids: dict[str, None] = field(default_factory=dict)
    """Of the reported fills; empty again after a restart, and reported again then."""
    filled_lots: int = 0
    """Their sum."""
    parts: Fraction = _NONE
    """What they are beyond whole lots, in lots."""
    their_id: str = ""
    """Our name in the venue's form, where that is another one."""
    absent_since_ns: int = 0
    """Engine time since which no query has found it though the venue has had it; 0 while one does."""
    venue_placed_ns: int = 0
    """The venue's time of its placing, by the offset of then; 0 where that is not known."""

    def placed_at_ns(self, clock: VenueClock) -> int:
        """The venue's time of its placing, at the latest now; 0 where that is not known.

        Not by the offset of now: a clock may have been set since, or this machine suspended, and a search
        that begins after the placing shows an order that has filled as one that never came.
        """
        if not self.placed_ns:
            return 0
        return min(self.venue_placed_ns or self.placed_ns + clock.offset_ns, clock.venue_ns())

    def expired_at_ns(self) -> int:
        """The venue's time after which it may not accept it, in the same way; 0 where not known."""
        if not self.venue_placed_ns or not self.expires_ns:
            return 0
        return self.venue_placed_ns + self.expires_ns - self.placed_ns

    def count(self, lots: int, exact: ExactFill | None) -> None:
        """Count a fill that is reported: its whole lots, and what it was exactly where they are not all."""
        if exact is not None:
            self.parts += exact.beyond(lots)
            whole = math.floor(self.parts)
            self.parts -= whole
            lots += whole
        self.filled_lots += lots

    def row(self) -> dict[str, object]:
        """Plain data for the journal."""
        return {
            "symbol": self.symbol,
            "venue_order_id": self.venue_order_id,
            "side": self.side,
            "price_ticks": self.price_ticks,
            "quantity_lots": self.quantity_lots,
            "expires_ns": self.expires_ns,
            "placed_ns": self.placed_ns,
            **({"their_id": self.their_id} if self.their_id else {}),
            **({"venue_placed_ns": self.venue_placed_ns} if self.venue_placed_ns else {}),
        }


class OrderIds:
    """Finds our orders by either id.

    Args:
        write: writes changed rows by key, None for a removed one; the journal.
        names: in which form the venue accepts our names.
        engine_ids: our names of all orders that the engine knows.
    """

    def __init__(
        self,
        write: Callable[[Mapping[str, object]], None],
        names: ClientIds | None = None,
        engine_ids: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._write = write
        self._names = names or ClientIds()
        self._engine_ids = engine_ids
        self._earlier: dict[str, str] | None = None
        self._by_their_id: dict[str, str] = {}
        self._ours: dict[str, OurOrder] = {}
        self._by_venue: dict[tuple[str, str], OurOrder] = {}
        self._ended: deque[tuple[int, str]] = deque()

    def restore(self, saved: Mapping[str, object]) -> None:
        """Restore what earlier runs wrote. Unreadable rows are skipped."""
        for key, row in saved.items():
            if not key.startswith(ORDER) or not isinstance(row, dict):
                continue
            texts = [row.get(name) for name in _TEXTS]
            numbers = [row.get(name) for name in _NUMBERS]
            if not all(isinstance(value, str) for value in texts):
                continue
            if not all(isinstance(value, int) for value in numbers):
                continue
            if not isinstance(row.get("their_id", ""), str):
                continue
            if not isinstance(row.get("venue_placed_ns", 0), int):
                continue
            order = OurOrder(client_id=key.removeprefix(ORDER), **row)
            self._ours[order.client_id] = order
            if order.their_id:
                self._by_their_id[order.their_id] = order.client_id
            if order.venue_order_id:
                self._by_venue[order.symbol, order.venue_order_id] = order

    def placed(self, command: PlaceOrder, now_ns: int, venue_ns: int = 0) -> OurOrder:
        """One that is about to be sent.

        Args:
            command: as sent.
            now_ns: engine time.
            venue_ns: the venue's; 0 where it is not known.
        """
        order = OurOrder(
            client_id=command.client_id,
            symbol=command.symbol,
            side=command.side,
            price_ticks=command.price_ticks,
            quantity_lots=command.quantity_lots,
            expires_ns=command.expires_ns,
            placed_ns=now_ns,
            venue_placed_ns=venue_ns,
        )
        theirs = self._names.theirs(order.client_id)
        if theirs != order.client_id:
            order.their_id = theirs
            self._by_their_id[theirs] = order.client_id
        self._ours[order.client_id] = order
        self._write({ORDER + order.client_id: order.row()})
        return order

    def theirs(self, client_id: str) -> str:
        """Our name in the venue's form, as it was sent."""
        order = self._ours.get(client_id)
        if order is not None and order.their_id:
            return order.their_id
        return self._names.theirs(client_id)

    def ours(self, their_id: str) -> str:
        """Our name of what the venue calls by its form of it; any other name stays as it is."""
        known = self._by_their_id.get(their_id)
        if known is not None:
            return known
        ours = self._names.ours(their_id)
        if ours != their_id and self._names.digests:
            return self._of_engine(their_id) or ours
        return ours

    def _of_engine(self, their_id: str) -> str | None:
        """Our name of an order of an earlier run, by a digest.

        The engine's row is durable before an order is sent, ours may have been lost with the process.
        """
        if self._earlier is None:
            mark = f"sc{self._names.mark}"
            ids = [each for each in self._engine_ids() if each.startswith(mark)]
            self._earlier = {self._names.theirs(each): each for each in ids}
        return self._earlier.get(their_id)

    def find(self, client_id: str) -> OurOrder | None:
        """By our id."""
        return self._ours.get(client_id)

    def owner(self, symbol: str, venue_order_id: str) -> OurOrder | None:
        """By the venue's id."""
        return self._by_venue.get((symbol, venue_order_id))

    def is_ours(self, symbol: str, client_id: str, venue_order_id: str) -> bool:
        """Whether an order at the venue is this micro's, of this run or an earlier one.

        One that is known here only because the venue has told of it need not be.
        """
        mark = f"sc{self._names.mark}" if self._names.mark else None
        if mark is not None and client_id.startswith(mark):
            return True
        known = (self._ours.get(client_id), self._by_venue.get((symbol, venue_order_id)))
        return any(
            bool(order.placed_ns) or (mark is not None and order.client_id.startswith(mark))
            for order in known
            if order is not None
        )

    def adopt(self, client_id: str, symbol: str) -> OurOrder:
        """By our id; an unknown one is added, with nothing known but its ids."""
        order = self._ours.get(client_id)
        if order is None:
            order = self._ours[client_id] = OurOrder(client_id, symbol, "", 0, 0, 0, 0)
        return order

    def named(self, order: OurOrder, venue_order_id: str) -> None:
        """The venue has given it an id."""
        if order.venue_order_id or not venue_order_id:
            return
        order.venue_order_id = venue_order_id
        self._by_venue[order.symbol, venue_order_id] = order
        if order.placed_ns:
            self._write({ORDER + order.client_id: order.row()})

    def amended(self, order: OurOrder, price_ticks: int, quantity_lots: int) -> None:
        """It has another price or quantity."""
        order.price_ticks, order.quantity_lots = price_ticks, quantity_lots
        if order.placed_ns:
            self._write({ORDER + order.client_id: order.row()})

    def settled(self, order: OurOrder, now_ns: int) -> None:
        """It is closed, and all its fills were reported."""
        self._ended.append((now_ns + KEPT_NS, order.client_id))
        self.forget_old(now_ns)

    def forget_old(self, now_ns: int) -> None:
        """Drop those that are due."""
        gone: dict[str, object] = {}
        while self._ended and self._ended[0][0] <= now_ns:
            _, client_id = self._ended.popleft()
            order = self._ours.pop(client_id, None)
            if order is None:
                continue
            self._by_venue.pop((order.symbol, order.venue_order_id), None)
            self._by_their_id.pop(order.their_id, None)
            if order.placed_ns:
                gone[ORDER + client_id] = None
        if gone:
            self._write(gone)

    def refused(self, client_id: str) -> None:
        """It was certainly rejected: nothing of it need be kept."""
        order = self._ours.get(client_id)
        if order is not None and not order.venue_order_id and not order.filled_lots:
            del self._ours[client_id]
            self._by_their_id.pop(order.their_id, None)
            self._write({ORDER + client_id: None})


def saved_symbols(saved: Mapping[str, object]) -> Iterable[str]:
    """Unified symbols of the orders in what was written, which counts in ticks and lots."""
    return {
        str(row["symbol"])
        for key, row in saved.items()
        if key.startswith(ORDER) and isinstance(row, dict) and "symbol" in row
    }
