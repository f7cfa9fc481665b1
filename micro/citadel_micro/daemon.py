"""Composition: the parts of a run of micro, the order in which they start, and how it ends."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from citadel_micro.adapters.orders import check_venues, orders_of
from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.marketdata import kernel
from citadel_micro.core.model.events import OperatorCommand, Started
from citadel_micro.preflight.boot import clear_to_trade, read_keys
from citadel_micro.preflight.first_run import limits_in_effect
from citadel_micro.preflight.run_account import account_of, check_account, claim
from citadel_micro.shell import logs
from citadel_micro.shell.alerts.start import started_watch
from citadel_micro.shell.bridge.bound import bind_uplink
from citadel_micro.shell.bridge.scope import Scope
from citadel_micro.shell.clock import STEP_NS, Clock, goes_on_at, mark
from citadel_micro.shell.engine_config import engine_config_of, feeds_of
from citadel_micro.shell.follower import Follower
from citadel_micro.shell.instruments.run_rules import (
    changed_steps,
    load_rules,
    refresher_of,
    settled,
)
from citadel_micro.shell.journal.account_mark import folder_secret, mark_of
from citadel_micro.shell.journal.run_folder import RunFolder
from citadel_micro.shell.marketdata.aggregator import Aggregator
from citadel_micro.shell.networks import with_hosts
from citadel_micro.shell.ops.control import ControlServer
from citadel_micro.shell.ops.health import Vitals
from citadel_micro.shell.ops.kill_switch import KillSwitch
from citadel_micro.shell.ops.machine import check_symbols
from citadel_micro.shell.ops.watchdog_server import FIRST_WITHIN_S, WatchdogServer, in_command
from citadel_micro.shell.order_adapter import AdapterSetup
from citadel_micro.shell.quick_loop import BusyPoll, quicken
from citadel_micro.shell.runner import Runner
from citadel_micro.shell.stats import Stats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.model.commands import Note, RequestSnapshot
    from citadel_micro.core.model.events import FeedStatus, MarketEvent, StepsChanged
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.shell.alerts.watch import AlertWatch
    from citadel_micro.shell.bridge.uplink import Uplink
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.instruments.refresher import Refresher
    from citadel_micro.shell.journal.journal import Journal
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.marketdata.context import SinkEvent
    from citadel_micro.shell.ops.http import HttpServer
    from citadel_micro.shell.order_adapter import OrderAdapter, OrderAdapters
    from citadel_micro.shell.page.page import Page

log: Final = structlog.get_logger("micro")

PROOF_SLACK_S: Final = 2.0
"""Beyond the engine's own limit on waiting for confirmations."""


class Micro:
    """One run: the public data of venues, and order adapters as the mode says.

    ``start`` brings it up, ``wait`` returns when it has ended by itself, ``stop`` ends it in order,
    and ``close`` frees everything in any case. All from one running loop.

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
        self._orders = orders or orders_of(config.mode)
        check_venues(config, self._orders)
        self.config = with_hosts(config)
        self._reread = reread
        self.stats = Stats()
        self._loop = asyncio.get_running_loop()
        self._parts = AsyncExitStack()
        """What has to be closed, in the order in which it was started."""
        self._http: HttpServer | None = None
        self._page: Page | None = None
        self._uplink: Uplink | None = None
        self._journal: Journal | None = None
        self._runner: Runner | None = None
        self._feeds: Aggregator | None = None
        self._adapters: dict[str, OrderAdapter] = {}
        self._vitals: Vitals | None = None
        self._control: ControlServer | None = None
        self._alerts: AlertWatch | None = None
        self._refresher: Refresher | None = None
        self.kill_switch = KillSwitch(self._loop, config.run_dir)

    # access for a demo or a test

    @property
    def vitals(self) -> Vitals:
        """The parts that health and metrics read; only after ``start``."""
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
        """The runner; only after ``start``."""
        assert self._runner is not None  # noqa: S101 - the order of calls is ours
        return self._runner

    @property
    def engine(self) -> Engine:
        """The engine; only after ``start``."""
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

    # lifetime

    async def start(self) -> None:
        """Bring everything up.

        Raises:
            PeerUnavailable: a port or the run folder is in use, or the venue does not answer.
            BadInput, Refused: the configuration is invalid.
        """
        config = self.config
        check_symbols(
            {name: section.most_symbols for name, section in config.venues.items()}
            | {name: len(lent.symbols) for name, lent in config.reference.items()}
        )
        keys = read_keys(config)
        parts = self._parts
        folder = RunFolder(config.run_dir, instance=config.instance)
        parts.callback(folder.close)
        check_account(folder.path, keys, used=folder.newest is not None)
        post = WatchdogServer(config.run_dir, folder.run_id, self._loop.time)
        await post.start()
        parts.push_async_callback(post.close)
        clock = Clock(not_before_ns=goes_on_at(config.run_dir, folder.last_ns))
        mark(config.run_dir, clock)
        behind_ns = -clock.drift_ns()
        if behind_ns >= STEP_NS:
            log.warning(
                "the run before ended later than this machine's clock shows: its time goes on, and "
                "signals are judged by the clocks that macro and this machine have now",
                behind_s=behind_ns / 1e9,
            )
        await self._serve()
        uplink = self._uplink = bind_uplink(
            self._loop, config, clock, folder.run_id, stats=self.stats, parts=parts
        )
        rules = await load_rules(config, folder.instruments)
        if config.bridge.shard:
            uplink.scope = Scope(rules)
        instruments = settled(
            rules,
            folder,
            {venue: self._orders.saved_symbols(rows) for venue, rows in folder.venues.items()},
        )
        await clear_to_trade(self._orders, config, keys, rules, clock.wall, old=folder.instruments)
        claim(folder.path, keys)
        secret = folder_secret(folder.path)
        engine_config = engine_config_of(
            config,
            folder.run_id,
            {name: self._orders.abilities(name) for name in config.venues},
            {name: mark_of(secret, name, self._account(keys.get(name))) for name in config.venues},
            limits_in_effect(config),
            instruments=instruments,
        )
        engine = Engine(engine_config, instruments)
        journal = self._journal = folder.create(
            engine_config,
            instruments,
            clock.now(),
            fsync=config.journal.fsync,
            compress=config.journal.compress,
            part_octets=round(config.journal.part_mb * 1e6),
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
        self._make_adapters(instruments, keys, folder, post)
        if folder.damaged:
            log.error("journal is damaged", what=folder.damaged)
        if any(self._watched(name) for name in engine_config.limits.dms_venues):
            await post.wait_for_first(FIRST_WITHIN_S)
        self._begin(runner, folder, changed_steps(instruments, rules))
        for adapter in self._adapters.values():
            adapter.start()
        post.in_command = partial(in_command, runner, tuple(self._adapters))
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
            resumed=bool(folder.state),
            execution={name: self._orders.abilities(name).execution for name in config.venues},
            watchdogs=post.watchdogs,
            kill=self.kill_switch.pull,
        )
        uplink.start(runner)
        await self._operate(self._vitals)
        # It reads stored lists: before the books.
        refresher = self._refresher = refresher_of(config, instruments, runner.post, self._note)
        feeds = self._feeds = self._aggregator(instruments, runner)
        uplink.set_feed_health(feeds.health_of)
        self._vitals.connections = feeds.health
        await self._feeds.start()
        parts.push_async_callback(self._feeds.close)
        follower = Follower(engine, feeds, {n: v.on_demand_most for n, v in config.venues.items()})
        uplink.on_pairs = follower.on_pairs
        follower.start()
        parts.callback(follower.close)
        refresher.start()
        parts.push_async_callback(refresher.close)
        self._alerts = started_watch(config.alerts, self._vitals, parts)
        self._vitals.state = "running"
        parts.callback(self._quickened(engine, instruments, clock).close)
        log.info(
            "micro is up",
            mode=config.mode,
            run=folder.run_id,
            journal=str(journal.path),
            signals=[*config.bridge.macros, *config.bridge.command_lines],
            market=uplink.market_address,
            http=self.http_url,
            symbols=[f"{venue}:{symbol}" for (venue, symbol), _ in engine.followed()],
            kernel="compiled" if kernel.COMPILED else "python",
        )

    def _quickened(
        self, engine: Engine, instruments: Mapping[tuple[str, str], Instrument], clock: Clock
    ) -> BusyPoll:
        if not self.config.busy_poll:
            return quicken(self._loop, busy_poll=False)
        from citadel_micro.shell.rehearsal import Rehearsals  # noqa: PLC0415 - on request

        rehearsals = Rehearsals(engine.config, instruments, self._adapters, clock.now, self.uplink)
        return quicken(self._loop, busy_poll=True, meanwhile=rehearsals.turn)

    def _begin(self, runner: Runner, folder: RunFolder, changed: list[StepsChanged]) -> None:
        runner.post_many((Started(state=folder.state, damaged=folder.damaged), *changed))
        self.kill_switch.start(runner)
        self._parts.callback(self.kill_switch.close)

    def _watched(self, venue: str) -> bool:
        """Whether a watchdog stands for the timer that a venue does not have."""
        return venue in self.config.venues and not self._orders.abilities(venue).dead_man_timer

    async def wait(self) -> bool:
        """Return when the engine has stopped: True if confirmed. Raises the error that ended the run."""
        return await asyncio.shield(self.runner.stopped)

    async def stop(self, reason: str) -> bool:
        """Cancel all working orders and wait for the confirmations, for a limited time.

        Returns:
            Whether the venue has confirmed that no order works any more.
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
        """Free everything, newest first. Safe to repeat, or after half a start.

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

    def _make_adapters(
        self,
        instruments: Mapping[tuple[str, str], Instrument],
        keys: Mapping[str, ApiKey],
        folder: RunFolder,
        post: WatchdogServer,
    ) -> None:
        for name in self.config.venues:
            its = {symbol: rules for (of, symbol), rules in instruments.items() if of == name}
            self._adapters[name] = self._orders.make(
                AdapterSetup(
                    venue=name,
                    instruments=its,
                    config=self.config,
                    loop=self._loop,
                    clock=self.runner.clock,
                    account=self.journal,
                    key=keys.get(name),
                    mark=self.engine.config.venues[name].mark,
                    watched=partial(post.armed, name),
                    yields=partial(post.canceling, name),
                )
            )
        for name, adapter in self._adapters.items():
            can = self._orders.abilities(name)
            it = {"amends": can.amends, "dead_man_timer": can.dead_man_timer}
            log.info("orders", venue=name, execution=can.execution, **it)
            adapter.restore(folder.venues.get(name, {}))
            adapter.attach(self.runner)
            self._parts.push_async_callback(adapter.released)  # the last of the two
            self._parts.callback(adapter.close)

    async def _serve(self) -> None:
        """Listen for health, metrics and the page, before there is a run."""
        http = self.config.http
        if http.enabled:
            from citadel_micro.shell.ops.http import HttpServer  # noqa: PLC0415 - an HTTP server
            from citadel_micro.shell.page.page import page_of  # noqa: PLC0415 - and its metrics

            page = self._page = page_of(http, self.config.run_dir)
            mount = None if page is None else page.mount
            self._http = HttpServer(http.host, http.port, mount=mount)
            await self._http.start()
            self._parts.push_async_callback(self._http.close)

    async def _operate(self, vitals: Vitals) -> None:
        """Show the run, and take commands."""
        if self._http is not None:
            self._http.vitals = vitals
        self._control = ControlServer(
            self.config.run_dir, vitals, self._limits if self._reread else None
        )
        await self._control.start()
        self._parts.push_async_callback(self._control.close)
        if self._page is not None:
            self._page.attach(vitals, self._control.answer, self.http_url)
            self._parts.callback(self._page.close)

    def _account(self, key: ApiKey | None) -> str:
        return self._orders.account if key is None else account_of(key)

    def _limits(self) -> RiskLimits:
        fresh = None if self._reread is None else self._reread()
        return limits_in_effect(self.config, fresh)

    def _aggregator(
        self, instruments: dict[tuple[str, str], Instrument], runner: Runner
    ) -> Aggregator:
        post = runner.post

        def sink(event: MarketEvent | SinkEvent, _recv_ns: int) -> None:
            # Control messages stay inside the feed.
            post(cast("MarketEvent | FeedStatus", event))

        return Aggregator(
            feeds_of(self.config, instruments), sink, runner.clock.now, on_fault=runner.halt
        )

    def _resync(self, command: RequestSnapshot) -> None:
        if self._feeds is not None:
            self._feeds.request_snapshot(
                command.venue, command.symbol, command.reason, mute=command.mute
            )

    def _note(self, command: Note) -> None:
        if self._refresher is not None:
            self._refresher.note(command)
        if self._alerts is not None:
            self._alerts.note(command)
        (logs.note if self._control is None else self._control.note)(command)

    def _on_loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception that escaped one of our callbacks is a fault: halt. Others' just break."""
        error = context.get("exception")
        log.error("event loop", message=str(context.get("message")), error=repr(error))
        if "handle" in context and isinstance(error, Exception) and self._runner is not None:
            self._runner.halt(error)
