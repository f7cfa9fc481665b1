"""Composes feed, streams and REST into one server, and moves the market with the clock."""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import time
from typing import TYPE_CHECKING, Self

from aiohttp import WSCloseCode, web

from citadel_micro.sim.exchange.exchange import Exchange
from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
from citadel_micro.sim.flow_reference import DAY_MINUTES
from citadel_micro.sim.flow_replay import ReplayFeed
from citadel_micro.simulator import markets
from citadel_micro.simulator.binance_spot.app import BinanceSpot
from citadel_micro.simulator.binance_usdm.app import BinanceUsdm
from citadel_micro.simulator.capture import load_recording
from citadel_micro.simulator.control import Control
from citadel_micro.simulator.private.app import Membership
from citadel_micro.simulator.rest import Rest
from citadel_micro.simulator.sockets import Sockets
from citadel_micro.simulator.streams import Streams
from citadel_micro.simulator.venue_makers import MAKERS, check_names
from citadel_micro.simulator.venues import VenueParts, VenueSide, make_market
from citadel_micro.simulator.weights import RequestWeights
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from citadel_micro.sim.flow_feed import Feed
    from citadel_micro.simulator.config import SimulatorConfig

log = logging.getLogger(__name__)

_LONGEST_SLEEP_S = 0.02
_SHORTEST_SLEEP_S = 0.004  # bounds the cost of a busy market
_CATCH_UP_NS = 500_000_000  # market time run at once, so that requests are answered in between
_BEHIND_NS = 100_000_000  # a market that is further behind than this has to catch up


class Clock:
    """Wall time that never goes back: the wall at the start plus the monotonic clock."""

    def __init__(self) -> None:
        """Anchor to the wall now."""
        self._offset = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """Return ns since 1970 UTC."""
        return time.monotonic_ns() + self._offset


def make_feed(config: SimulatorConfig, now_ns: int) -> Feed:
    """Return the market that the configuration describes, at ``now_ns``.

    Raises:
        BadInput: for symbols that are not simulated and captures that cannot be replayed.
    """
    if config.replay is not None:
        recording = load_recording(config.replay)
        return ReplayFeed(
            recording,
            now_ns,
            loop=config.replay_loop,
            seed=config.seed,
            history_minutes=config.history_days * DAY_MINUTES,
        )
    return markets.open_market(config, markets.chosen_symbols(config), now_ns, last_day=True)


def make_futures(config: SimulatorConfig, spot: Exchange) -> tuple[Feed, FuturesExchange]:
    """Return the futures market: the same symbols around the same prices, with orders of its own.

    Its index price is the middle of ``spot``'s book.
    """
    feed = markets.open_market(config, markets.chosen_symbols(config), spot.now_ns, "futures")
    exchange = FuturesExchange(
        feed, index=spot.middle_e8, funding_ns=config.funding_s * 1_000_000_000
    )
    return feed, exchange


class SimulatorServer:
    """A running simulator: ``async with SimulatorServer(SimulatorConfig()) as server: …``.

    After the start ``rest_url`` (``http://host:port``) and ``ws_url`` (``ws://host:port``) are
    known. ``ended`` is set when a replay that does not loop has ended. ``control_token`` gives access to
    the operator's interface (``control.py``).
    """

    def __init__(self, config: SimulatorConfig) -> None:
        """Keep the configuration; nothing is opened before ``start``."""
        self.config = config
        self.ended = asyncio.Event()
        self.rest_url = ""
        self.ws_url = ""
        self._runner: web.AppRunner | None = None
        self._mover: asyncio.Task[None] | None = None
        self._sockets: Sockets | None = None
        self._feed: Feed | None = None
        self._spot: BinanceSpot | None = None
        self._usdm: BinanceUsdm | None = None
        self.venues: dict[str, VenueSide] = {}
        """Those of ``config.venues``, by name; empty before the start."""
        self.control_token = secrets.token_hex(16)

    @property
    def spot(self) -> BinanceSpot:
        """Return the private side: its exchange, keys and faults; only after the start."""
        if self._spot is None:
            msg = "the simulator has not been started"
            raise RuntimeError(msg)
        return self._spot

    @property
    def usdm(self) -> BinanceUsdm:
        """Return the futures market, where ``config.futures`` asked for it; only after the start."""
        if self._usdm is None:
            msg = "the simulator has not been started, or without futures"
            raise RuntimeError(msg)
        return self._usdm

    @property
    def feed(self) -> Feed:
        """Return the market being served; only after the start."""
        if self._feed is None:
            msg = "the simulator has not been started"
            raise RuntimeError(msg)
        return self._feed

    async def start(self) -> None:
        """Open the market, then the port; one that is taken is noticed before days of history are made.

        Raises:
            BadInput: see ``make_feed``.
            PeerUnavailable: when the port is in use or the address is not this machine's.
        """
        check_names(self.config.venues)
        await self._require_port()
        clock = Clock()
        feed = make_feed(self.config, clock.now_ns())
        config = self.config
        exchange = Exchange(feed)
        streams = Streams(feed, drop_depth=config.faults.drop_depth, seed=config.seed)
        weights = RequestWeights(config.weight_limit)

        def catch_up() -> None:
            target = min(clock.now_ns(), exchange.now_ns + _CATCH_UP_NS)
            streams.publish(exchange.advance(target))
            spot.settle()
            if usdm is not None:
                usdm.market.publish(usdm.exchange.advance(target))
                usdm.settle()
            for side in venues.values():
                side.advance(target)
                side.settle()

        members = Membership.of(config)
        spot = BinanceSpot(
            exchange,
            config,
            members,
            weights,
            clock_ns=clock.now_ns,
            catch_up=catch_up,
            publish=streams.publish,
        )
        usdm: BinanceUsdm | None = None
        if config.futures:
            usdm = BinanceUsdm(
                *make_futures(config, exchange),
                config,
                members,
                clock_ns=clock.now_ns,
                catch_up=catch_up,
            )
        parts = VenueParts(
            market=lambda name: make_market(config, name, exchange.now_ns),
            config=config,
            members=members,
            clock_ns=clock.now_ns,
            catch_up=catch_up,
        )
        venues = {name: MAKERS[name](parts) for name in config.venues}
        rest = Rest(
            feed,
            exchange,
            weights,
            (config.orders_10s, config.orders_day),
            lambda: spot.service.server_time_ns(("", ""), "time"),
        )
        sockets = Sockets(streams, config, lambda: clock.now_ns() // 1_000_000)
        app = web.Application()
        app.add_routes(
            [
                # First: theirs may lie below ``/ws`` too, as OKX's do.
                *(route for side in venues.values() for route in side.routes()),
                web.get("/ws", sockets.plain),
                web.get("/ws/{streams:.*}", sockets.plain),
                web.get("/stream", sockets.combined),
                *spot.routes(rest),
                *Control(spot, self.control_token, usdm, venues).routes(),
                *([] if usdm is None else usdm.routes()),
                *rest.routes(),
                *rest.last_routes(),
            ],
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        host, port = self.config.host, self.config.port
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise self._cannot_listen(error) from error
        bound_port = int(runner.addresses[0][1])
        shown = f"[{host}]" if ":" in host else host
        self.rest_url = f"http://{shown}:{bound_port}"
        self.ws_url = f"ws://{shown}:{bound_port}"
        self._runner, self._sockets, self._feed = runner, sockets, feed
        self._spot, self._usdm, self.venues = spot, usdm, venues
        self._mover = asyncio.create_task(self._move(clock, exchange, streams, catch_up))

    async def _require_port(self) -> None:
        """Bind it and let it go: nothing is answered there before the market is open."""
        loop, host, port = asyncio.get_running_loop(), self.config.host, self.config.port
        try:
            server = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
        except OSError as error:
            raise self._cannot_listen(error) from error
        server.close()
        await server.wait_closed()

    def _cannot_listen(self, error: OSError) -> PeerUnavailable:
        host, port = self.config.host, self.config.port
        if error.errno == errno.EADDRINUSE:
            msg = f"port {port} on {host} is in use; choose another with --port, or 0 for any"
        else:
            msg = f"cannot listen on {host} port {port}: {error.strerror or error}"
        return PeerUnavailable(msg)

    async def stop(self) -> None:
        """Close every connection and the port. Stopping twice is harmless.

        Raises whatever ended the market before its time.
        """
        mover, self._mover = self._mover, None
        if mover is not None:
            mover.cancel()
            await asyncio.gather(mover, return_exceptions=True)
        if self._sockets is not None:
            private = [] if self._spot is None else [*self._spot.streams.clients]
            if self._usdm is not None:
                private += [*self._usdm.streams.clients, *self._usdm.sockets.clients]
            for side in self.venues.values():
                private += [*side.clients]
            for client in (*self._sockets.clients, *private):
                client.close(WSCloseCode.GOING_AWAY, b"the simulator stops")
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        if mover is not None and not mover.cancelled():
            error = mover.exception()
            if error is not None:
                raise error

    async def wait(self) -> None:
        """Wait for the end of the market: a replay that is over, or an error, which is raised."""
        if self._mover is not None:
            await asyncio.shield(self._mover)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    async def _move(
        self, clock: Clock, exchange: Exchange, streams: Streams, catch_up: Callable[[], None]
    ) -> None:
        feed = self.feed
        while not feed.ended:
            catch_up()
            streams.tick(exchange.now_ns)
            next_ns = exchange.next_ns()
            if self._usdm is not None:
                self._usdm.tick()
                next_ns = min(next_ns, self._usdm.exchange.next_ns())
            for side in self.venues.values():
                side.tick()
                next_ns = min(next_ns, side.next_ns())
            now = clock.now_ns()
            if exchange.now_ns + _BEHIND_NS < now:
                await asyncio.sleep(0)
                continue
            wait = (next_ns - now) / 1e9
            await asyncio.sleep(min(max(wait, _SHORTEST_SLEEP_S), _LONGEST_SLEEP_S))
        log.info("the recording is over")
        self.ended.set()
