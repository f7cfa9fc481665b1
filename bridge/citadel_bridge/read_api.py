"""Reads of micro's state that macro may do at any time, from any thread, without waiting."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_proto.messages import SCHEMA_VERSION, Balance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_bridge.book_view import BookView
    from citadel_bridge.interest import Interest
    from citadel_bridge.micro_state import MicroStateCache, Peer
    from citadel_proto.messages import (
        ConsolidatedBook,
        ExecutionReport,
        FeedState,
        Position,
        RiskState,
        Trade,
    )

_S: Final = 1_000_000_000


class MicroView:
    """Reads of a mirror; ``HybridConnector`` also writes to micro.

    Args:
        mirror: updated by somebody else.
        dead_after: seconds of silence after which a micro counts as disconnected.
        addresses: of micros that are listened to.
    """

    def __init__(self, mirror: MicroStateCache, dead_after: float, addresses: int = 1) -> None:
        self.mirror = mirror
        self.interest: Interest | None = None
        """What is subscribed to; None where that does not change."""
        self._addresses = addresses
        self.wake = mirror.wake
        """Set on every new report; clear it before reading."""
        self._dead_after_ns = int(dead_after * _S)

    def report(self, signal_id: str) -> ExecutionReport | None:
        """Newest report received in this run, or None."""
        return self.mirror.reports.get(signal_id)

    def reports(self) -> list[ExecutionReport]:
        """Newest report of every order received in this run, micro's own orders included."""
        return list(self.mirror.reports.copy().values())

    def own_reports(self) -> tuple[ExecutionReport, ...]:
        """Newest report of every order that micro made itself, received in this run."""
        return tuple(self.mirror.own.values())

    def take_of_others(self) -> list[ExecutionReport]:
        """Closed orders with fills that this process did not send, oldest first; each is given once."""
        waiting = self.mirror.of_others
        return [waiting.popleft() for _ in range(len(waiting))]

    def book(self, venue: str, symbol: str) -> BookView | None:
        """Newest book, with its age and integrity; None before the first.

        A pair that was not named is followed from the first call on.
        """
        if self.interest is not None:
            self.interest.ask(venue, symbol)
        return self.mirror.books.get((venue, symbol))

    def consolidated(self, symbol: str) -> ConsolidatedBook | None:
        """Newest book over all venues that have this unified symbol; None before the first.

        It is followed from the first call on.
        """
        if self.interest is not None:
            self.interest.ask_consolidated(symbol)
        return self.mirror.consolidated.get(symbol)

    def trades(self, venue: str, symbol: str) -> tuple[Trade, ...]:
        """Latest public trades, oldest first; of a pair that was not named, from the first call on."""
        if self.interest is not None:
            self.interest.ask(venue, symbol)
        return tuple(self.mirror.trades.get((venue, symbol), ()))

    def balances(self, venue: str) -> Mapping[str, Balance]:
        """Newest balances per currency; never older than the fills reported.

        The sum, where several micros trade on the venue, each with an account of its own.
        """
        found = {
            micro: its for (of, micro), its in self.mirror.balances.copy().items() if of == venue
        }
        if len(found) > 1:
            heard = self.micros()
            found = {micro: its for micro, its in found.items() if micro in heard} or found
        if len(found) == 1:
            return next(iter(found.values()))
        total: dict[str, Balance] = {}
        for its in found.values():
            for currency, balance in its.items():
                known = total.get(currency)
                total[currency] = balance if known is None else _sum(known, balance)
        return total

    def positions(self) -> Mapping[tuple[str, str], Position]:
        """Newest position per (venue, symbol) received."""
        return self.mirror.positions

    def risk(self) -> Mapping[str, RiskState]:
        """State of every risk scope that has been published.

        Where several micros are connected, each scope's name follows the name of its micro: ``micro-2 global``.
        """
        found = self.mirror.risk.copy()
        if len(found) > 1:
            heard = self.micros()
            found = {micro: its for micro, its in found.items() if micro in heard} or found
        if len(found) == 1:
            return next(iter(found.values()))
        return {
            f"{micro} {scope}": state
            for micro in sorted(found)
            for scope, state in found[micro].items()
        }

    def feeds(self) -> Mapping[tuple[str, str], FeedState]:
        """State of every book subscription."""
        return self.mirror.feeds

    def venues(self) -> set[str]:
        """Ids of the venues of which any message was received."""
        mirror = self.mirror
        keys = (*mirror.books.copy(), *mirror.feeds.copy(), *mirror.positions.copy())
        return {venue for venue, _ in (*keys, *mirror.balances.copy())}

    def peers(self) -> list[Peer]:
        """Connected micros, the latest heartbeat first."""
        return self.mirror.alive(self._dead_after_ns)

    def micros(self) -> dict[str, Peer]:
        """The micros that there are, by name, of each its latest run.

        Those that are connected, and of the others the last ones that were, up to one for each address.
        """
        now_ns = time.monotonic_ns()
        runs = sorted(self.mirror.peers.copy().values(), key=lambda peer: -peer.beat_mono_ns)
        found: dict[str, Peer] = {}
        for peer in runs:
            heard = now_ns - peer.beat_mono_ns <= self._dead_after_ns
            if heard or len(found) < self._addresses:
                found.setdefault(peer.micro, peer)
        return found

    def serving(self, venue: str, symbol: str = "") -> list[Peer]:
        """Connected micros that take orders on a pair, or on any pair of a venue, of each its latest run."""
        alive = self.peers()
        return [
            peer
            for peer in alive
            if peer.takes(venue, symbol) and not any(peer.replaced_by(other) for other in alive)
        ]

    def micro_alive(self) -> bool:
        """Whether a heartbeat of a micro of our schema came within ``dead_after``."""
        return any(peer.schema == SCHEMA_VERSION for peer in self.peers())

    def micro_state(self) -> str:
        """State of the micro with the latest heartbeat, ``absent`` if none is connected."""
        peers = self.peers()
        return peers[0].state if peers else "absent"

    def micro(self) -> Peer | None:
        """The micro with the latest heartbeat, or None if none is connected."""
        peers = self.peers()
        return peers[0] if peers else None

    @property
    def skew_ns(self) -> int:
        """Micro's wall clock minus ours; the smallest, where there are several micros.

        Each micro checks its senders' clocks itself, so one whose clock is off stops no orders to
        the others.
        """
        return min((peer.meter.skew_ns for peer in self.peers()), key=abs, default=0)

    def skew_of(self, instance: str) -> int:
        """Wall clock of one micro minus ours, in ns; 0 while it is not known."""
        peer = self.mirror.peers.get(instance)
        return 0 if peer is None else peer.meter.skew_ns

    def stamp_now_ns(self, instance: str) -> int:
        """What one micro would stamp a report with now; our own time while it is not known.

        Its stamps do not follow a wall clock that is set, and do not go on while its machine is suspended.
        """
        peer = self.mirror.peers.get(instance)
        ahead_ns = 0 if peer is None else peer.meter.skew_ns - peer.drift_ns
        return time.time_ns() + ahead_ns


def _sum(one: Balance, other: Balance) -> Balance:
    """Of one currency in two accounts."""
    return Balance(
        currency=one.currency,
        free=_added(one.free, other.free),
        used=_added(one.used, other.used),
        total=_added(one.total, other.total),
    )


def _added(one: str, other: str) -> str:
    return format(Decimal(one) + Decimal(other), "f")
