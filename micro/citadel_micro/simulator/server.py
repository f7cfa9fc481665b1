"""Composes feed, streams and REST into one server, and moves the market with the clock."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from typing import TYPE_CHECKING, Self

from aiohttp import WSCloseCode, web

from citadel_micro.sim.flow import SyntheticMarket
from citadel_micro.sim.flow_feed import Feed, SyntheticFeed
from citadel_micro.sim.flow_reference import DAY_MINUTES, MINUTE_NS
from citadel_micro.sim.flow_replay import ReplayFeed
from citadel_micro.sim.flow_symbols import choose_symbols
from citadel_micro.simulator.capture import load_recording
from citadel_micro.simulator.rest import Rest
from citadel_micro.simulator.sockets import Sockets
from citadel_micro.simulator.streams import Streams
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from types import TracebackType

    from citadel_micro.simulator.config import SimulatorConfig

log = logging.getLogger(__name__)

_LONGEST_SLEEP_S = 0.02
_SHORTEST_SLEEP_S = 0.004  # bounds the cost of a busy market
_CATCH_UP_NS = 500_000_000  # market time run at once, so that requests are answered in between


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
    history = config.history_days * DAY_MINUTES
    if config.replay is not None:
        recording = load_recording(config.replay)
        return ReplayFeed(
            recording,
            now_ns,
            loop=config.replay_loop,
            seed=config.seed,
            history_minutes=history,
        )
    symbols = choose_symbols(config.symbols)
    start_ns = (now_ns // MINUTE_NS - config.warm_minutes) * MINUTE_NS
    feed = SyntheticFeed(SyntheticMarket(symbols, config.seed, start_ns), symbols, history)
    feed.advance(now_ns)
    for store in feed.candles.values():
        # The last day is asked for by every ticker: draw it before anyone waits for it.
        store.span(store.now - DAY_MINUTES + 1, store.now + 1)
    return feed


class SimulatorServer:
    """A running simulator: ``async with SimulatorServer(SimulatorConfig()) as server: …``.

    After the start ``rest_url`` (``http://host:port``) and ``ws_url`` (``ws://host:port``) are
    known. ``ended`` is set when a replay that does not loop is over.
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

    @property
    def feed(self) -> Feed:
        """Return the market being served; only after the start."""
        if self._feed is None:
            msg = "the simulator has not been started"
            raise RuntimeError(msg)
        return self._feed

    async def start(self) -> None:
        """Open the market, then the port.

        Raises:
            BadInput: see ``make_feed``.
            PeerUnavailable: when the port is taken or the address is not this machine's.
        """
        clock = Clock()
        feed = make_feed(self.config, clock.now_ns())
        streams = Streams(
            feed,
            drop_depth=self.config.faults.drop_depth,
            seed=self.config.seed,
        )
        sockets = Sockets(streams, self.config, lambda: clock.now_ns() // 1_000_000)
        app = web.Application()
        app.add_routes(
            [
                web.get("/ws", sockets.plain),
                web.get("/ws/{streams:.*}", sockets.plain),
                web.get("/stream", sockets.combined),
                *Rest(feed).routes(),
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
            if error.errno == errno.EADDRINUSE:
                msg = f"port {port} on {host} is taken; choose another with --port, or 0 for any"
            else:
                msg = f"cannot listen on {host} port {port}: {error.strerror or error}"
            raise PeerUnavailable(msg) from error
        bound_port = int(runner.addresses[0][1])
        shown = f"[{host}]" if ":" in host else host
        self.rest_url = f"http://{shown}:{bound_port}"
        self.ws_url = f"ws://{shown}:{bound_port}"
        self._runner, self._sockets, self._feed = runner, sockets, feed
        self._mover = asyncio.create_task(self._move(clock, feed, streams))

    async def stop(self) -> None:
        """Close every connection and the port. Stopping twice is harmless.

        Raises whatever ended the market before its time.
        """
        mover, self._mover = self._mover, None
        if mover is not None:
            mover.cancel()
            await asyncio.gather(mover, return_exceptions=True)
        if self._sockets is not None:
            for client in list(self._sockets.clients):
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

    async def _move(self, clock: Clock, feed: Feed, streams: Streams) -> None:
        while not feed.ended:
            now = clock.now_ns()
            target = min(now, feed.now_ns + _CATCH_UP_NS)
            streams.publish(feed.advance(target))
            streams.tick(target)
            if target < now:
                await asyncio.sleep(0)
                continue
            wait = (feed.next_ns() - now) / 1e9
            await asyncio.sleep(min(max(wait, _SHORTEST_SLEEP_S), _LONGEST_SLEEP_S))
        log.info("the recording is over")
        self.ended.set()
