"""A short way to write a decoder, for a venue that need not be read in microseconds.

``SimpleDecoder`` parses each message into plain data, turns any error in a message into a
``VenueViolation``, and rejects invalid levels. docs/howto/add-a-venue.md has a complete venue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.marketdata.decode import DECODE_ERRORS, violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from citadel_micro.shell.marketdata.decode import FeedEvent, Symbols

LARGEST = 1e18
"""No price or size of any instrument comes near it."""


class SimpleDecoder:
    """See the module. A subclass sets ``venue`` and writes ``read``."""

    venue = ""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self.channels: dict[Any, str] = {}
        """For venues that number their channels: the venue's symbol of each number."""

    def read(self, message: Any, recv_ns: int) -> Sequence[FeedEvent]:  # noqa: ANN401 - any JSON
        """Events of one message. May raise anything for an invalid one."""
        raise NotImplementedError

    def frame(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of one websocket message. Raises VenueViolation only."""
        try:
            return self.read(msgspec.json.decode(data), recv_ns)
        except (*DECODE_ERRORS, TypeError, AttributeError) as error:
            raise violation(self.venue, data, f"{type(error).__name__}: {error}") from None

    def rest(self, symbol: str, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:  # noqa: ARG002
        """The stream brings its own snapshots, unless a subclass says otherwise."""
        raise violation(self.venue, data, "no HTTP snapshot is expected")

    def book(
        self,
        native: str,
        bids: Iterable[Sequence[Any]],
        asks: Iterable[Sequence[Any]],
        recv_ns: int,
        *,
        snapshot: bool,
        seq: int = -1,
        prev: int = -1,
        at_ns: int = 0,
    ) -> DepthUpdate:
        """A change of a book, or with ``snapshot`` the whole book.

        Args:
            native: the venue's symbol.
            bids: rows of price and size, as numbers or text; further entries are ignored. Size 0
                removes the level.
            asks: the same.
            recv_ns: as ``read`` got it.
            snapshot: the levels are the whole book.
            seq: the venue's number of this update; -1 for none.
            prev: its number of the update before; -1 for none.
            at_ns: the venue's time, ns since the Unix epoch; 0 for none.
        """
        symbol = self.symbols[native]
        levels = (_levels(bids), _levels(asks))
        return DepthUpdate(
            self.venue, symbol, snapshot, seq, seq, prev, None, *levels, at_ns, recv_ns
        )


def _levels(rows: Iterable[Sequence[Any]]) -> list[tuple[float, float]]:
    levels = [(float(row[0]), float(row[1])) for row in rows]
    for price, size in levels:
        if not (0.0 < price <= LARGEST and 0.0 <= size <= LARGEST):
            raise ValueError(f"{price} x {size} is not a valid level")
    return levels
