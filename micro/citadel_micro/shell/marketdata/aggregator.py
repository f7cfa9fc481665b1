"""The Aggregator: the feeds of all venues, with one sink for every event.

The sink is called on the event loop, from inside the websocket's callback, in order of receipt; for a
slow one superseded book updates are conflated (``event_queue``). A sink that raises is a bug of
ours: its exception is passed to ``on_fault`` with the traceback, and the connections stay up.
"""

from __future__ import annotations

import asyncio
import difflib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from citadel_micro.core.model.events import FeedStatus
from citadel_micro.shell.marketdata.backoff import Pacer
from citadel_micro.shell.marketdata.connection import Connection
from citadel_micro.shell.marketdata.context import VenueContext
from citadel_micro.shell.marketdata.event_queue import EventQueue
from citadel_micro.shell.marketdata.generic import GENERIC, integrity_of, is_generic
from citadel_micro.shell.marketdata.naming import nearest
from citadel_micro.shell.marketdata.snapshots import SnapshotFetcher
from citadel_micro.shell.marketdata.spec import CHANNELS, Channel, venue_spec
from citadel_micro.shell.marketdata.trade_filter import TradeNews
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from citadel_micro.core.model.events import MarketEvent
    from citadel_micro.shell.marketdata.context import SinkEvent, Tap
    from citadel_micro.shell.marketdata.generic import LiveFeed
    from citadel_micro.shell.marketdata.health import ConnectionHealth
    from citadel_micro.shell.marketdata.spec import VenueSpec

    Sink = Callable[[MarketEvent | SinkEvent, int], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedConfig:
    """What to receive from one venue.

    Args:
        venue: venue id.
        symbols: unified symbol to venue symbol; an empty venue symbol is derived by rule.
        websocket_url: instead of the venue's own, for a simulator or a proxy. Without a path it
            gets the venue's.
        rest_url: the same for HTTP.
        channels: which of depth, quote and trade.
        quiet_s: a symbol without depth for this long on a live connection is resubscribed.
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
        outlet: EventQueue,
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
        if spec.snapshot is not None and not spec.own_snapshots and "depth" in config.channels:
            self.snapshots = SnapshotFetcher(
                spec,
                config.rest_url or spec.rest_url,
                decoder=spec.decoder(symbols),
                emit=outlet.emit,
                clock=clock,
                rng=rng,
                symbols=len(natives),
                tap=tap,
            )
        shared = VenueContext(
            spec=spec,
            url=_address(config.websocket_url, spec.websocket_url),
            rest_url=config.rest_url or spec.rest_url,
            given_url=bool(config.websocket_url),
            symbols=symbols,
            channels=tuple(config.channels),
            outlet=outlet,
            clock=clock,
            rng=rng,
            connects=Pacer(spec.limits.connects_per_s),
            want_snapshot=self.snapshots.request if self.snapshots is not None else None,
            want_poll=(
                self.snapshots.poll
                if self.snapshots is not None and spec.poll is not None
                else None
            ),
            drop_snapshot=self.snapshots.forget if self.snapshots is not None else _nothing,
            quiet_s=config.quiet_s,
            news=TradeNews(unmarked=spec.unmarked_history),
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
        self.shared = shared
        self.by_symbol = {
            symbol: connection for connection in self.connections for symbol in connection.symbols
        }
        for connection in self.connections:
            outlet.add(connection, [(spec.venue, symbol) for symbol in connection.symbols])

    def add(self, symbol: str, native: str) -> Connection:
        """A connection of its own for one more symbol."""
        native = native or self.spec.native(symbol)
        self.shared.symbols[native] = symbol
        taken = {each.number for each in self.connections}
        number = next(free for free in range(len(taken) + 1) if free not in taken)
        connection = Connection(self.shared, number, {symbol: native})
        self.connections.append(connection)
        self.by_symbol[symbol] = connection
        self.shared.outlet.add(connection, [(self.spec.venue, symbol)])
        return connection

    def remove(self, symbol: str) -> None:
        """Forget the connection of a symbol that was added."""
        connection = self.by_symbol.pop(symbol)
        connection.silence()
        self.connections.remove(connection)
        self.shared.outlet.remove(connection, [(self.spec.venue, symbol)])


def _address(given: str, venues: str) -> str:
    """The given address with the venue's path if it has none; the venue's if none is given."""
    if not given:
        return venues
    if urlsplit(given).path in ("", "/"):
        return given.rstrip("/") + urlsplit(venues).path
    return given


def _nothing(_native: str) -> None:
    """Streams that bring their own snapshots have none to cancel."""


class Aggregator:
    """Keeps the feeds of all configured venues up and passes every event to ``sink``.

    Args:
        feeds: one configuration a venue.
        sink: called with (event, receive time in ns) for DepthUpdate, QuoteTick, TradeTick and
            FeedStatus.
        clock: engine time, ns.
        seed: of the jitter of retries.
        on_fault: called with the exception of a sink.
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
        self._clock = clock
        self._rng = random.Random(seed)
        self._tap = tap
        self._venues: dict[str, _Venue] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._generic: dict[str, LiveFeed] = {}
        self._followed: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._dropped: set[tuple[str, str]] = set()
        # Unknown venues, and those that have closed, are refused before anything starts.
        for feed in self._feeds:
            if not is_generic(feed.venue) and venue_spec(feed.venue).capture_only:
                raise BadInput(
                    f"{feed.venue} is read from captures only: "
                    f"{venue_spec(feed.venue).capture_only}",
                    where="venue",
                )
        integrities = {feed.venue: integrity_of(feed.venue) for feed in self._feeds}
        self._outlet = EventQueue(sink, clock, integrities, on_fault)

    async def start(self) -> None:
        """Start to connect; returns at once."""
        self._spawn(self._outlet.watch(), "feed load")
        for feed in self._feeds:
            if is_generic(feed.venue):
                self._start_generic(feed)
                continue
            venue = _Venue(feed, self._outlet, self._clock, self._rng, self._tap)
            self._venues[feed.venue] = venue
            for connection in venue.connections:
                self._spawn(connection.run(), f"feed {feed.venue} {connection.number}")

    def _start_generic(self, feed: FeedConfig) -> None:
        """A venue without a spec, through ccxt.pro."""
        generic = GENERIC.get().feed(
            feed.venue,
            list(feed.symbols),
            emit=self._outlet.emit,
            clock=self._clock,
            rng=self._rng,
            channels=feed.channels,
            quiet_s=feed.quiet_s,
            ws_url=feed.websocket_url,
            rest_url=feed.rest_url,
        )
        self._generic[feed.venue] = generic
        self._outlet.add(generic, [(feed.venue, symbol) for symbol in feed.symbols])
        self._spawn(generic.run(), f"feed {feed.venue}")

    def follow(self, venue: str, symbol: str, native: str = "") -> None:
        """Follow one more symbol, on a connection of its own, until ``drop``; repeating changes nothing.

        ``native`` is its venue symbol, by default derived by rule.
        """
        key = (venue, symbol)
        if key in self._followed:
            return
        self._dropped.discard(key)
        connection = self._venues[venue].add(symbol, native)
        self._followed[key] = self._spawn(connection.run(), f"feed {venue} {connection.number}")

    def drop(self, venue: str, symbol: str, reason: str) -> None:
        """End what ``follow`` began; its last event is a FeedStatus that says why."""
        task = self._followed.pop((venue, symbol), None)
        if task is not None:
            self._dropped.add((venue, symbol))
            self._venues[venue].remove(symbol)
            task.cancel()
        self._outlet.emit(
            FeedStatus(venue=venue, symbol=symbol, up=False, reason=reason, followed=False),
            self._clock(),
        )

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)
        return task

    async def close(self) -> list[ConnectionHealth]:
        """Disconnect everything and leave no task behind.

        Returns what every connection had received by its end.
        """
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for venue in self._venues.values():
            if venue.snapshots is not None:
                await venue.snapshots.close()
        ended = self.health()
        self._outlet.close()
        self._venues.clear()
        self._generic.clear()
        return ended

    def request_snapshot(self, venue: str, symbol: str, reason: str, *, mute: bool = False) -> None:
        """Execute a RequestSnapshot: fetch over HTTP, or resubscribe where that brings one.

        With ``mute`` it is resubscribed in any case.

        Raises BadInput for a venue or symbol that is not subscribed, with the nearest names.
        """
        generic = self._generic.get(venue)
        if generic is not None and symbol in generic.symbols:
            generic.resync(symbol, reason)
            return
        if (venue, symbol) in self._dropped:
            return  # requested before the engine had it
        received = self._venues.get(venue)
        connection = received.by_symbol.get(symbol) if received is not None else None
        if connection is None:
            known = list(received.by_symbol) if received is not None else list(self._venues)
            near = (
                nearest(symbol, known)
                if received is not None
                else difflib.get_close_matches(venue, known)
            )
            raise BadInput(
                f"no feed of {symbol} on {venue}",
                allowed=", ".join(near or known[:10]) or "nothing is subscribed",
            )
        connection.resync(symbol, reason, mute=mute)

    def health(self) -> list[ConnectionHealth]:
        """State of every connection."""
        sources: list[Connection | LiveFeed] = [
            each for venue in self._venues.values() for each in venue.connections
        ]
        sources += self._generic.values()
        return [
            replace(source.health(), load=self._outlet.health(source.load)) for source in sources
        ]

    def health_of(self, venue: str, symbol: str) -> ConnectionHealth | None:
        """State of the connection that serves this book; None where there is none."""
        received = self._venues.get(venue)
        source = self._generic.get(venue) if received is None else received.by_symbol.get(symbol)
        if source is None:
            return None
        return replace(source.health(), load=self._outlet.health(source.load))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task in self._tasks:
            self._tasks.remove(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, Exception):
                raise error
            self._outlet.fault(error)
