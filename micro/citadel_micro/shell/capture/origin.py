"""Whether a capture is of the venue that it is read as: venues' messages look alike.

An address in the capture is conclusive. Else a capture is of a venue if something in it is a market event
there, and if its symbols are written as that venue writes them. Two markets of one venue with the same
format (Bybit's spot and linear contracts, Binance's USD-M and its own copies) are told apart only by address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from citadel_micro.shell.marketdata.decode import Control
from citadel_micro.shell.marketdata.spec import venue_ids, venue_spec
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.shell.marketdata.decode import FeedEvent
    from citadel_micro.shell.marketdata.spec import VenueSpec


def venues_at(url: str) -> list[str]:
    """Ids of the venues that use this address, by its host and, where shared, its path."""
    try:
        at = urlsplit(url)
    except ValueError:  # such as an unclosed [
        return []
    hosts = [
        (name, urlsplit(known))
        for name in venue_ids()
        for known in (venue_spec(name).websocket_url, venue_spec(name).rest_url)
        if known
    ]
    found = [(name, known) for name, known in hosts if known.hostname == at.hostname]
    exact = [name for name, known in found if _path(known.path) == _path(at.path)]
    return exact or sorted({name for name, _ in found})


def _path(path: str) -> str:
    return path.rstrip("/")


class Origin:
    """Collects evidence of a capture's origin."""

    def __init__(self, spec: VenueSpec, where: str) -> None:
        self._spec = spec
        self._where = where
        self._named = False
        self._symbols: set[str] = set()
        self.settled = False
        """It is certainly of this venue."""
        self.understood = False
        """Something in it is a market event of this venue."""
        self.first_error = ""

    def address(self, url: str) -> None:
        """An address in the capture. Raises BadInput if it is another venue's."""
        if self._named:
            return
        venues = venues_at(url)
        if venues and self._spec.venue not in venues:
            raise BadInput(
                f"nothing in it is of {self._spec.venue}: it was captured from {url[:120]}",
                where=self._where,
                mend=f"give --venue {' or '.join(venues)}",
            )
        self._named = venues == [self._spec.venue]

    def take(self, events: Iterable[FeedEvent]) -> None:
        """The events of a line."""
        for event in events:
            if not isinstance(event, Control):
                self.understood = True
                if not self._named and event.symbol not in self._symbols:
                    self._symbols.add(event.symbol)
                    self.settled = self.settled or self._plausible(event.symbol)
        self.settled = self.settled or (self._named and self.understood)

    def judge(self) -> None:
        """At the end of a capture. Raises BadInput if it is not of this venue."""
        if not self.understood:
            raise BadInput(
                f"nothing in it is of {self._spec.venue}"
                + (f"; first error at {self.first_error}" if self.first_error else ""),
                where=self._where,
                mend="give the venue that it was captured from with --venue",
            )
        if not self.settled:
            shown = ", ".join(sorted(self._symbols)[:3])
            raise BadInput(
                f"nothing in it is of {self._spec.venue}, which has no symbols such as {shown}",
                where=self._where,
                mend="give the venue that it was captured from with --venue",
            )

    def _plausible(self, symbol: str) -> bool:
        """Names that a venue's rule could not split stay as they are: letters without a slash."""
        native = self._spec.native(symbol)
        return ("/" in symbol or not symbol.isalnum()) and self._spec.unify(native) == symbol
