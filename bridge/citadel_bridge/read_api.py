"""What macro may read of micro at any time, from any thread, without waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_proto.messages import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_bridge.book_view import BookView
    from citadel_bridge.micro_state import Mirror, Peer
    from citadel_proto.messages import (
        Balance,
        ConsolidatedBook,
        ExecutionReport,
        FeedState,
        Position,
        RiskState,
        Trade,
    )

_S: Final = 1_000_000_000


class MicroView:
    """Reads of a mirror; ``HybridConnector`` is one that also writes to micro.

    Args:
        mirror: kept current by somebody else.
        dead_after: seconds of silence after which a micro counts as gone.
    """

    def __init__(self, mirror: Mirror, dead_after: float) -> None:
        self.mirror = mirror
        self.wake = mirror.wake
        """Set on every new report; clear it before you look."""
        self._dead_after_ns = int(dead_after * _S)

    def report(self, signal_id: str) -> ExecutionReport | None:
        """Newest report seen in this run, or None."""
        return self.mirror.reports.get(signal_id)

    def reports(self) -> list[ExecutionReport]:
        """Newest report of every order seen in this run, micro's own orders included."""
        return list(self.mirror.reports.copy().values())

    def book(self, venue: str, symbol: str) -> BookView | None:
        """Newest book, with its age and integrity; None before the first."""
        return self.mirror.books.get((venue, symbol))

    def consolidated(self, symbol: str) -> ConsolidatedBook | None:
        """Newest book over all venues that have this unified symbol; None before the first."""
        return self.mirror.consolidated.get(symbol)

    def trades(self, venue: str, symbol: str) -> tuple[Trade, ...]:
        """Latest public trades, oldest first."""
        return tuple(self.mirror.trades.get((venue, symbol), ()))

    def balances(self, venue: str) -> Mapping[str, Balance]:
        """Newest balances per currency; never older than the fills reported."""
        return self.mirror.balances.get(venue, {})

    def positions(self) -> Mapping[tuple[str, str], Position]:
        """Newest position per (venue, symbol) seen."""
        return self.mirror.positions

    def risk(self) -> Mapping[str, RiskState]:
        """State of every risk scope that has been published."""
        return self.mirror.risk

    def feeds(self) -> Mapping[tuple[str, str], FeedState]:
        """State of every book subscription."""
        return self.mirror.feeds

    def venues(self) -> set[str]:
        """Ids of the venues of which anything has been heard."""
        mirror = self.mirror
        keys = (*mirror.books.copy(), *mirror.feeds.copy(), *mirror.positions.copy())
        return {venue for venue, _symbol in keys} | set(mirror.balances.copy())

    def peers(self) -> list[Peer]:
        """Micros that are alive, the latest heard first."""
        return self.mirror.alive(self._dead_after_ns)

    def micro_alive(self) -> bool:
        """Whether a micro of our schema has been heard within ``dead_after``."""
        return any(peer.schema == SCHEMA_VERSION for peer in self.peers())

    def micro_state(self) -> str:
        """State of the micro heard last, ``absent`` if none is alive."""
        peers = self.peers()
        return peers[0].state if peers else "absent"

    def micro(self) -> Peer | None:
        """The micro heard last, or None if none is alive."""
        peers = self.peers()
        return peers[0] if peers else None

    @property
    def skew_ns(self) -> int:
        """Micro's wall clock minus ours; the smallest, where there are several micros.

        Each judges the clock of who sends to it by itself, so one that is off stops no orders to
        the others.
        """
        return min((peer.meter.skew_ns for peer in self.peers()), key=abs, default=0)

    def skew_of(self, instance: str) -> int:
        """Wall clock of one micro minus ours, in ns; 0 while it is not known."""
        peer = self.mirror.peers.get(instance)
        return 0 if peer is None else peer.meter.skew_ns
