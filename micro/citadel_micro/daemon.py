"""Composition: which parts make a run of micro, in which order they start, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
import zmq

from citadel_bridge.auth import KeyStore
from citadel_bridge.sockets import Endpoint
from citadel_bridge.zap import ZapGuard
from citadel_micro.adapters.orders import ORDER_ADAPTERS
from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.marketdata import kernel
from citadel_micro.core.model.config import EngineConfig, ReferenceConfig
from citadel_micro.core.model.config import VenueConfig as EngineVenue
from citadel_micro.core.model.events import OperatorCommand, Started
from citadel_micro.shell import logs
from citadel_micro.shell.bridge.uplink import Uplink, UplinkConfig
from citadel_micro.shell.clock import STEP_NS, Clock, goes_on_at, mark
from citadel_micro.shell.instruments.run_rules import load_rules, refresher_of, settled
from citadel_micro.shell.journal.account_mark import folder_secret, mark_of
from citadel_micro.shell.journal.run_folder import RunFolder
from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig
from citadel_micro.shell.marketdata.generic import integrity_of
from citadel_micro.shell.ops.control import ControlServer
from citadel_micro.shell.ops.health import Vitals
from citadel_micro.shell.ops.http import HttpServer
from citadel_micro.shell.ops.machine import check_symbols
from citadel_micro.shell.order_adapter import AdapterSetup
from citadel_micro.shell.runner import Runner
from citadel_micro.shell.stats import Stats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_bridge.channels import Context
    from citadel_micro.core.model.abilities import VenueAbilities
    from citadel_micro.core.model.commands import Note, RequestSnapshot
    from citadel_micro.core.model.events import FeedStatus, MarketEvent
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.journal.journal import Journal
    from citadel_micro.shell.marketdata.context import SinkEvent
    from citadel_micro.shell.order_adapter import OrderAdapter, OrderAdapters

log: Final = structlog.get_logger("micro")

MS_NS: Final = 1_000_000
TICK_NS: Final = 100 * MS_NS
"""Housekeeping of the engine, unless books are published more often."""
FREEZE_AFTER_S: Final = 5.0
"""By then everything long-lived exists; a collection need not walk it again."""
PROOF_SLACK_S: Final = 2.0
"""Beyond the engine's own bound on waiting for proof."""


class Micro:
    """One run: the public data of venues, and order adapters as the mode says.

    ``start`` brings it up, ``wait`` returns when it has ended by itself, ``stop`` ends it in order,
    and ``close`` frees everything whatever has happened. All from one running loop.

    Args:
        config: what to run.
        reread: reads the configuration anew, where it came from; for limits that change meanwhile.
        orders: makes the order adapters; by default those of the configured mode.
    """

    def __init__(
        self,
        config: MicroConfig,
        reread: Callable[[], MicroConfig] | None = None,
        orders: OrderAdapters | None = None,
    ) -> None:
        self.config = config
        self._orders = orders or ORDER_ADAPTERS[config.mode]
        self._reread = reread
        self.stats = Stats()
        self._loop = asyncio.get_running_loop()
        self._parts = AsyncExitStack()
        """What has to be closed, in the order in which it came up."""
        self._http: HttpServer | None = None
        self._uplink: Uplink | None = None
        self._journal: Journal | None = None
        self._runner: Runner | None = None
        self._feeds: Aggregator | None = None
        self._adapters: dict[str, OrderAdapter] = {}
        self._vitals: Vitals | None = None
        self._control: ControlServer | None = None

    # what a demo or a test asks for

    @property
    def vitals(self) -> Vitals:
        """What health and metrics are made of; only after ``start``."""
        assert self._vitals is not None  # noqa: S101 - the order of calls is ours
        return self._vitals

    @property
    def uplink(self) -> Uplink:
        """Both channels; only after ``start``."""
        assert self._uplink is not None  # noqa: S101 - the order of calls is ours
        return self._uplink

    @property
    def adapters(self) -> Mapping[str, OrderAdapter]:
        """Order adapters by venue."""
        return self._adapters

    @property
    def runner(self) -> Runner:
        """The door; only after ``start``."""
        assert self._runner is not None  # noqa: S101 - the order of calls is ours
        return self._runner

    @property
    def engine(self) -> Engine:
        """The judgement; only after ``start``."""
        return self.runner.engine

    @property
    def journal(self) -> Journal:
        """This run's journal; only after ``start``."""
        assert self._journal is not None  # noqa: S101 - the order of calls is ours
        return self._journal

    @property
    def market_address(self) -> str:
        """Where reports and books are published."""
        return self.uplink.market_address

    @property
    def http_url(self) -> str:
        """Where health and metrics are served; empty when they are not."""
        return "" if self._http is None else self._http.url

    def ready(self) -> dict[str, object]:
        """Addresses and names of this run, for a program that started it."""
        return {
            "run": self.vitals.run_id,
            "pid": os.getpid(),
            "market": self.market_address,
            "http": self.http_url,
            "journal": str(self.journal.path.resolve()),
        }

    # life

    async def start(self) -> None:
        """Bring everything up.

        Raises:
            PeerUnavailable: a port or the run folder is taken, or the venue does not answer.
            BadInput, Refused: something configured cannot be.
        """
        config = self.config
        check_symbols(
            {name: len(section.symbols) for name, section in config.venues.items()}
            | {name: len(lent.symbols) for name, lent in config.reference.items()}
        )
        parts = self._parts
        folder = RunFolder(config.run_dir, instance=config.instance)
        parts.callback(folder.close)
        clock = Clock(not_before_ns=goes_on_at(config.run_dir, folder.last_ns))
        mark(config.run_dir, clock)
        behind_ns = -clock.drift_ns()
        if behind_ns >= STEP_NS:
            log.warning(
                "the run before ended later than this machine's clock shows: its time goes on, and "
                "signals are judged by the clocks that macro and this machine have now",
                behind_s=behind_ns / 1e9,
            )
        if config.http.enabled:
            self._http = HttpServer(config.http.host, config.http.port)
            await self._http.start()
            parts.push_async_callback(self._http.close)
        uplink = self._uplink = self._bind(clock, folder.run_id)
        instruments = settled(
            await load_rules(config),
            folder,
            {venue: self._orders.saved_symbols(rows) for venue, rows in folder.venues.items()},
        )
        secret = folder_secret(folder.path)
        engine_config = engine_config_of(
            config,
            folder.run_id,
            {name: self._orders.abilities(name) for name in config.venues},
            {name: mark_of(secret, name, self._orders.account) for name in config.venues},
        )
        engine = Engine(engine_config, instruments)
        journal = self._journal = folder.create(
            engine_config, instruments, clock.now(), fsync=config.journal.fsync
        )
        parts.callback(journal.close)
        runner = self._runner = Runner(
            engine,
            journal=journal,
            clock=clock,
            venues=self._adapters,
            uplink=uplink,
            resync=self._resync,
            note=self._note,
            stats=self.stats,
        )
        parts.callback(runner.close)
        # A second time, and before the journal: nothing may come in once that is closed.
        parts.callback(uplink.close)
        self._loop.set_exception_handler(self._on_loop_error)
        for name in config.venues:
            self._adapters[name] = self._orders.make(
                AdapterSetup(
                    venue=name,
                    instruments={
                        symbol: rules
                        for (venue, symbol), rules in instruments.items()
                        if venue == name
                    },
                    config=config,
                    loop=self._loop,
                    clock=clock,
                    account=journal,
                )
            )
        for name, adapter in self._adapters.items():
            can = self._orders.abilities(name)
            log.info("orders", venue=name, amends=can.amends, dead_man_timer=can.dead_man_timer)
            adapter.restore(folder.venues.get(name, {}))
            adapter.attach(runner)
            parts.callback(adapter.close)
        if folder.damaged:
            log.error("journal is damaged", what=folder.damaged)
        runner.post(Started(state=folder.state, damaged=folder.damaged))
        for adapter in self._adapters.values():
            adapter.start()
        self._vitals = Vitals(
            run_id=folder.run_id,
            instance=config.instance,
            mode=config.mode,
            macro_required=config.bridge.macro_required,
            engine=engine,
            runner=runner,
            uplink=uplink,
            clock=clock,
            stats=self.stats,
        )
        if self._http is not None:
            self._http.vitals = self._vitals
        uplink.start(runner)
        self._control = ControlServer(config.run_dir, self._vitals, self._reread)
        await self._control.start()
        parts.push_async_callback(self._control.close)
        refresher = refresher_of(config, instruments)  # reads stored lists: before the books
        feeds = self._feeds = self._aggregator(instruments, runner)
        uplink.tell_health(feeds.health_of)
        self._vitals.connections = feeds.health
        await self._feeds.start()
        parts.push_async_callback(self._feeds.close)
        refresher.start()
        parts.push_async_callback(refresher.close)
        self._vitals.state = "running"
        self._loop.call_later(FREEZE_AFTER_S, _freeze)
        log.info(
            "micro is up",
            mode=config.mode,
            run=folder.run_id,
            journal=str(journal.path),
            signals=[*config.bridge.macros, *config.bridge.command_lines],
            market=uplink.market_address,
            http=self.http_url,
            symbols=[f"{venue}:{symbol}" for venue, symbol in instruments],
            kernel="compiled" if kernel.COMPILED else "python",
        )

    async def wait(self) -> bool:
        """Return when the engine has stopped: whether with proof. Raises what ended the run."""
        return await asyncio.shield(self.runner.stopped)

    async def stop(self, reason: str) -> bool:
        """Withdraw all working orders and wait for proof, for a bounded time.

        Returns:
            Whether the venue has confirmed that nothing works any more.
        """
        if self._vitals is not None:
            self._vitals.state = "stopping"
        self.runner.post(
            OperatorCommand(action="shutdown", scope="global", trip_id="", reason=reason)
        )
        bound_s = self.engine.config.shutdown_ns / 1e9 + PROOF_SLACK_S
        try:
            return await asyncio.wait_for(asyncio.shield(self.runner.stopped), bound_s)
        except TimeoutError:
            return False

    async def close(self) -> None:
        """Free everything, newest first. Harmless when repeated, or after half a start.

        Raises OSError when the end of the journal could not be written, unless that is already
        what ended the run.
        """
        try:
            await self._parts.aclose()
        except OSError as error:
            if self._runner is None or not self._runner.failed:
                raise
            log.error("the end of the journal is lost", error=str(error))  # noqa: TRY400 - no bug
        self._adapters.clear()

    # parts

    def _bind(self, clock: Clock, run_id: str) -> Uplink:
        bridge = self.config.bridge
        context: Context = zmq.Context()
        self._parts.callback(context.term)
        store = None if bridge.keys is None else KeyStore(bridge.keys)
        server = None if store is None else store.server("micro")
        if server is not None:
            guard = ZapGuard(context, server.allow)
            guard.start()
            self._parts.callback(guard.close)
        signals, operators = (
            tuple(
                Endpoint(address, None if store is None else store.client("micro", role))
                for address in addresses
            )
            for role, addresses in (("macro", bridge.macros), ("cli", bridge.command_lines))
        )
        uplink = Uplink(
            self._loop,
            context,
            UplinkConfig(
                instance=f"{self.config.instance}-{run_id}",
                mode=self.config.mode,
                market=bridge.market,
                market_keys=server,
                signals=signals,
                operators=operators,
                book_levels=bridge.book_levels,
                started_ns=clock.now(),
            ),
            clock=clock,
            stats=self.stats,
        )
        self._parts.callback(uplink.close)
        return uplink

    def _aggregator(
        self, instruments: dict[tuple[str, str], Instrument], runner: Runner
    ) -> Aggregator:
        feeds = [
            FeedConfig(
                venue=name,
                symbols={
                    symbol: each.venue_symbol
                    for (venue, symbol), each in instruments.items()
                    if venue == name
                },
                websocket_url=section.ws_url or "",
                rest_url=section.rest_url or "",
            )
            for name, section in self.config.venues.items()
        ]
        feeds += [
            FeedConfig(
                venue=name,
                symbols=dict.fromkeys(lent.symbols, ""),
                websocket_url=lent.ws_url or "",
                rest_url=lent.rest_url or "",
            )
            for name, lent in self.config.reference.items()
        ]
        post = runner.post

        def sink(event: MarketEvent | SinkEvent, _recv_ns: int) -> None:
            # Control messages stay inside the feed.
            post(cast("MarketEvent | FeedStatus", event))

        return Aggregator(feeds, sink, runner.clock.now, on_fault=runner.halt)

    def _resync(self, command: RequestSnapshot) -> None:
        if self._feeds is not None:
            self._feeds.request_snapshot(
                command.venue, command.symbol, command.reason, mute=command.mute
            )

    def _note(self, command: Note) -> None:
        (logs.note if self._control is None else self._control.note)(command)

    def _on_loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a callback of ours let escape is a fault: halt. Connections of others just break."""
        error = context.get("exception")
        log.error("event loop", message=str(context.get("message")), error=repr(error))
        if "handle" in context and isinstance(error, Exception) and self._runner is not None:
            self._runner.halt(error)


def engine_config_of(
    config: MicroConfig,
    run_id: str,
    abilities: Mapping[str, VenueAbilities],
    marks: Mapping[str, str],
) -> EngineConfig:
    """What the engine is told of a configuration.

    Args:
        config: what to run.
        run_id: of this run.
        abilities: of each venue.
        marks: of the orders on each.

    Raises:
        BadInput: a venue would not take our client order ids.
    """
    for name, its in abilities.items():
        its.check_client_ids(name, f"sc{marks[name]}{run_id}-z-1")
    interval_ns = config.bridge.book_interval_ms * MS_NS
    return EngineConfig(
        run_id=run_id,
        instance=config.instance,
        venues={
            name: EngineVenue.of(its, integrity=integrity_of(name), mark=marks[name])
            for name, its in abilities.items()
        },
        limits=config.limits(),
        algo_defaults=config.algorithms,
        book_publish_interval_ns=interval_ns,
        tick_ns=min(TICK_NS, interval_ns),
        references={
            name: ReferenceConfig(
                integrity=integrity_of(name),
                symbols={symbol: lent.contract_sizes.get(symbol, 1.0) for symbol in lent.symbols},
            )
            for name, lent in config.reference.items()
        },
    )


def _freeze() -> None:
    gc.collect()
    gc.freeze()
