"""The Aggregator: every venue's feed under one roof, one sink for everything that comes.

The sink is called on the event loop, from inside the websocket's callback, in order of receipt. A
sink that raises is a fault of ours: it is handed to ``on_fault`` with the traceback, and the
connections live on.
"""

from __future__ import annotations

import asyncio
import difflib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog

from citadel_micro.shell.feeds.connection import Connection, Shared
from citadel_micro.shell.feeds.generic import GenericFeed, integrity_of, is_generic
from citadel_micro.shell.feeds.health import ConnectionHealth
from citadel_micro.shell.feeds.pace import Pacer
from citadel_micro.shell.feeds.snapshots import SnapshotFetcher
from citadel_micro.shell.feeds.spec import CHANNELS, Channel, venue_spec
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.events import MarketEvent
    from citadel_micro.shell.feeds.connection import SinkEvent, Tap
    from citadel_micro.shell.feeds.spec import VenueSpec

    Sink = Callable[[MarketEvent | SinkEvent, int], object]


FAULT_LOG_NS: Final = 1_000_000_000
"""Faults of the sink are logged at most this often, with how many there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedConfig:
    """What to receive from one venue.

    Args:
        venue: venue id.
        symbols: unified symbol to venue symbol; an empty venue symbol is worked out by rule.
        websocket_url: instead of the venue's own, for a simulator or a proxy. Without a path it
            gets the venue's.
        rest_url: the same for HTTP.
        channels: which of depth, quote and trade.
        quiet_s: a symbol without depth for this long on a live connection is subscribed anew.
    """

    venue: str
    symbols: Mapping[str, str]
    websocket_url: str = ""
    rest_url: str = ""
    channels: Sequence[Channel] = CHANNELS
    quiet_s: float = 60.0


class _Venue:
    """Connections and snapshots of one venue."""

    def __init__(
        self,
        config: FeedConfig,
        emit: Callable[[SinkEvent, int], None],
        clock: Callable[[], int],
        rng: random.Random,
        tap: Tap | None,
    ) -> None:
        spec = venue_spec(config.venue)
        self.spec: VenueSpec = spec
        self.config = config
        natives = {symbol: name or spec.native(symbol) for symbol, name in config.symbols.items()}
        symbols = spec.symbols()
        symbols.update({native: symbol for symbol, native in natives.items()})
        self.snapshots: SnapshotFetcher | None = None
        if spec.snapshot is not None and "depth" in config.channels:
            self.snapshots = SnapshotFetcher(
                spec,
                config.rest_url or spec.rest_url,
                decoder=spec.decoder(symbols),
                emit=emit,
                clock=clock,
                rng=rng,
                tap=tap,
            )
        shared = Shared(
            spec=spec,
            url=_address(config.websocket_url, spec.websocket_url),
            rest_url=config.rest_url or spec.rest_url,
            given_url=bool(config.websocket_url),
            symbols=symbols,
            channels=tuple(config.channels),
            emit=emit,
            clock=clock,
            rng=rng,
            connects=Pacer(spec.limits.connects_per_s),
            want_snapshot=self.snapshots.request if self.snapshots is not None else None,
            drop_snapshot=self.snapshots.forget if self.snapshots is not None else _nothing,
            quiet_s=config.quiet_s,
            tap=tap,
        )
        size = spec.limits.symbols_per_connection
        names = list(natives)
        self.connections = [
            Connection(
                shared,
                number,
                {symbol: natives[symbol] for symbol in names[start : start + size]},
            )
            for number, start in enumerate(range(0, len(names), size))
        ]
        self.by_symbol = {
            symbol: connection for connection in self.connections for symbol in connection.symbols
        }


def _address(given: str, venues: str) -> str:
    """The given address with the venue's path if it has none; the venue's if none is given."""
    if not given:
        return venues
    if urlsplit(given).path in ("", "/"):
        return given.rstrip("/") + urlsplit(venues).path
    return given


def _nothing(_native: str) -> None:
    """Streams that bring their own snapshots have none to drop."""


class Aggregator:
    """Keeps the feeds of all configured venues up and gives every event to ``sink``.

    Args:
        feeds: one configuration a venue.
        sink: called with (event, receive time in ns) for DepthUpdate, QuoteTick, TradeTick and
            FeedStatus.
        clock: engine time, ns.
        seed: of the jitter of retries.
        on_fault: called with what a sink raised.
        tap: called with all raw traffic, for captures.
    """

    def __init__(
        self,
        feeds: Sequence[FeedConfig],
        sink: Sink,
        clock: Callable[[], int],
        *,
        seed: int = 0,
        on_fault: Callable[[Exception], None] | None = None,
        tap: Tap | None = None,
    ) -> None:
        self._feeds = tuple(feeds)
        self._sink = sink
        self._clock = clock
        self._rng = random.Random(seed)
        self._on_fault = on_fault
        self._tap = tap
        self._venues: dict[str, _Venue] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._faults = 0
        self._fault_logged_ns = 0
        self._log = structlog.get_logger("feeds")
        self._generic: dict[str, GenericFeed] = {}
        for feed in self._feeds:
            integrity_of(feed.venue)  # unknown venues are refused before anything starts

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        for feed in self._feeds:
            if is_generic(feed.venue):
                self._start_generic(feed)
                continue
            venue = _Venue(feed, self._emit, self._clock, self._rng, self._tap)
            self._venues[feed.venue] = venue
            for connection in venue.connections:
                name = f"feed {feed.venue} {connection.number}"
                task = asyncio.get_running_loop().create_task(connection.run(), name=name)
                task.add_done_callback(self._ended)
                self._tasks.append(task)

    def _start_generic(self, feed: FeedConfig) -> None:
        """A venue without a spec, through ccxt.pro."""
        generic = GenericFeed(
            feed.venue,
            list(feed.symbols),
            emit=self._emit,
            clock=self._clock,
            rng=self._rng,
            channels=feed.channels,
            quiet_s=feed.quiet_s,
            ws_url=feed.websocket_url,
            rest_url=feed.rest_url,
        )
        self._generic[feed.venue] = generic
        task = asyncio.get_running_loop().create_task(generic.run(), name=f"feed {feed.venue}")
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    async def close(self) -> None:
        """Disconnect everything and leave no task behind."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for venue in self._venues.values():
            if venue.snapshots is not None:
                await venue.snapshots.close()
        self._venues.clear()
        self._generic.clear()

    def request_snapshot(self, venue: str, symbol: str, reason: str) -> None:
        """Carry out a RequestSnapshot: fetch over HTTP, or subscribe anew where that brings one.

        Raises BadInput for a venue or symbol that is not received, with the nearest names.
        """
        generic = self._generic.get(venue)
        if generic is not None and symbol in generic.symbols:
            generic.resync(symbol, reason)
            return
        received = self._venues.get(venue)
        connection = received.by_symbol.get(symbol) if received is not None else None
        if connection is None:
            known = list(received.by_symbol) if received is not None else list(self._venues)
            near = difflib.get_close_matches(symbol if received is not None else venue, known)
            raise BadInput(
                f"no feed of {symbol} on {venue}",
                allowed=", ".join(near or known[:10]) or "nothing is received",
            )
        connection.resync(symbol, reason)

    def health(self) -> list[ConnectionHealth]:
        """State of every connection."""
        return [
            ConnectionHealth(
                venue=venue.spec.venue,
                number=connection.number,
                up=connection.up,
                symbols=connection.symbols,
                frames=counts.frames,
                octets=counts.octets,
                violations=counts.violations,
                connects=counts.connects,
                failures=counts.failures,
                resubscribed=counts.resubscribed,
                last_frame_ns=counts.last_frame_ns,
            )
            for venue in self._venues.values()
            for connection in venue.connections
            for counts in (connection.counts,)
        ] + [generic.health() for generic in self._generic.values()]

    def _emit(self, event: SinkEvent, recv_ns: int) -> None:
        try:
            self._sink(event, recv_ns)
        except Exception as error:  # noqa: BLE001 - the owner decides; sockets outlive its bugs
            self._fault(error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, Exception):
                raise error
            self._fault(error)

    def _fault(self, error: Exception) -> None:
        # A sink that fails at every event must not cost a traceback at every event.
        self._faults += 1
        now_ns = self._clock()
        if now_ns - self._fault_logged_ns >= FAULT_LOG_NS:
            self._fault_logged_ns = now_ns
            self._log.error("fault", error=repr(error), so_far=self._faults, exc_info=error)
        if self._on_fault is not None:
            self._on_fault(error)
