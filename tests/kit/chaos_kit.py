"""The real engine against the real paper venue in virtual time, with everything going wrong.

One seed is one run: random markets, orders, cancels, faults of the venue's lines, feed outages,
lost leases, operators and crashes. ``ChaosRun.play`` runs it, drains it and checks, on the way and
at the end, what must always hold. Nothing in here is scripted but the drain.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Final

from chaos_checks import (
    check_end,
    check_order,
    check_parents,
    check_rates,
    check_report,
    check_stops,
    check_time_limit,
    check_truth,
)
from chaos_draws import draw_config, draw_operation, draw_query, draw_signal, operator
from chaos_market import INSTRUMENTS, MS, SECOND, START, VENUE, Market
from ladder_kit import ladder

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.approval import Approved, not_sent
from citadel_micro.core.model.commands import (
    CancelOrder,
    Note,
    Persist,
    PublishReport,
    PublishRisk,
    QueryOrder,
    QueryVenue,
    RequestSnapshot,
)
from citadel_micro.core.model.config import EngineConfig
from citadel_micro.core.model.events import (
    CancelReceived,
    DepthUpdate,
    FeedStatus,
    MacroBeat,
    QuoteTick,
    SignalReceived,
    Started,
    TimerFired,
    TradeTick,
    VenueStatus,
)
from citadel_micro.shell.journal import records
from citadel_micro.sim.faults import Faults, scenario
from citadel_micro.sim.paper import PaperVenue
from citadel_micro.sim.paper_config import PaperConfig
from citadel_micro.sim.paper_link import LinkConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.events import Event, MarketEvent
    from citadel_micro.sim.queue_model import QueueModel

MOST_TIMERS: Final = 300
"""Wakeups in one second of virtual time: ten are housekeeping; a loop that spins makes 1,000."""
NO_BOUND: Final = 1 << 62


@dataclass(slots=True)
class Life:
    """One engine from its Started to its end: what went in and what came out, as bytes."""

    config: EngineConfig
    rows: list[tuple[int, bytes, list[bytes]]] = field(default_factory=list)


class ChaosRun:
    """See the module.

    Args:
        seed: of everything that is random.
        faults: name of a scenario of ``sim.faults``.
        crashes: whether the process may die, at any command.
        journal: whether to keep each life's events and commands.
        seconds: of virtual time before the drain.
        every: most orders name one of the algorithms that are not drawn otherwise.
    """

    def __init__(
        self,
        seed: int,
        faults: str = "everything",
        *,
        crashes: bool = True,
        journal: bool = False,
        seconds: int = 40,
        every: bool = False,
    ) -> None:
        self.every = every
        self.chance = Random(f"{seed}-{faults}")
        self.faults = scenario(faults)
        self.seed = seed
        self.crashes = crashes
        self.seconds = seconds
        self.now = START
        self.lives: list[Life] = []
        self.durable: dict[str, object] = {}
        self.reports: dict[str, PublishReport] = {}
        self.signals: list[SignalReceived] = []
        self.notes: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.markets = {key: Market(each, self.chance) for key, each in INSTRUMENTS.items()}
        self._journal = journal
        self._digest = hashlib.blake2b(digest_size=16)
        self._snapshots: list[tuple[int, tuple[str, str]]] = []
        self._trades = 0
        self._crash_in = -1
        self._silent_until = 0
        self._next_beat = START
        self._timers: tuple[int, int] = (0, 0)
        self._requests: list[int] = []
        self._unsent: list[Event] = []
        self._config = draw_config(self.chance, every=self.every)
        self._latency_ns = self.chance.choice((1, 1, 1, 100, 1_000)) * MS
        self._operate_below = self.chance.choice((0.0915, 0.095, 0.110))
        self._seed_balances: dict[str, Decimal] = {
            "USDT": Decimal(self.chance.choice((20_000, 2_000_000))),
            "BTC": Decimal(self.chance.choice((0, 1, 10))),
            "ETH": Decimal(self.chance.choice((0, 50))),
        }
        self.paper = self._new_paper()
        self._saved = self.paper.to_state()
        """As the shell has stored it; kept up to date while a crash is near."""
        self.engine = self._new_engine()
        self._act([Started(state={}, damaged="")])
        for market in self.markets.values():
            self._act([market.snapshot(self.now)])

    # what is drawn once

    def _new_paper(self) -> PaperVenue:
        rules = {symbol: each for (_, symbol), each in INSTRUMENTS.items()}
        link = LinkConfig(faults=self.faults, latency_mean_ns=self._latency_ns)
        models: tuple[QueueModel, ...] = ("pessimistic", "expected", "optimistic")
        model = self.chance.choice(models)
        config = PaperConfig(
            seed=self.seed, queue_model=model, balances=self._seed_balances, link=link
        )
        return PaperVenue(VENUE, rules, config)

    def _new_engine(self) -> Engine:
        config = replace(self._config, run_id=f"r{len(self.lives)}")
        self.lives.append(Life(config))
        return Engine(config, INSTRUMENTS)

    # the run

    def play(self) -> ChaosRun:
        """Run, drain, check. Raises AssertionError for whatever does not hold."""
        with ladder():
            self._play()
        return self

    def _play(self) -> None:
        end = START + self.seconds * SECOND
        while self.now < end:
            self._something()
            self._advance(self.now + self.chance.choice((1, 5, 20, 60, 150)) * MS)
        self._drain()
        check_end(self.engine, self.paper, self.reports)
        check_rates(self._config.venues[VENUE], self._requests)

    @property
    def digest(self) -> str:
        """Hash of every command of the run."""
        return self._digest.hexdigest()

    def _something(self) -> None:
        chance = self.chance
        for market in self.markets.values():
            if self.now >= market.silent_until:
                self._market(market)
        draw = chance.random()
        if draw < 0.07:
            self._act([self._new_signal()])
        elif draw < 0.075 and self.signals:
            self._act([chance.choice(self.signals)])  # again, as it was
        elif draw < 0.085 and self.signals:
            signal_id = chance.choice(self.signals[-8:]).signal_id
            self._act([CancelReceived(signal_id=signal_id, reason="chaos")])
        elif draw < 0.086:
            early = f"s{len(self.signals)}"
            self._act([CancelReceived(signal_id=early, reason="before its signal")])
        elif draw < 0.090:
            self._break_feed(chance.choice(list(self.markets.values())))
        elif draw < 0.0915:
            self._silent_until = self.now + chance.choice((6, 20)) * SECOND
        elif draw < self._operate_below:
            self._act([draw_operation(chance, self.engine.risk.breakers.trips)])
        elif 0.110 < draw < 0.112:
            self._act([VenueStatus(venue=VENUE, up=False, reason="chaos")])
            self._advance(self.now + chance.choice((50, 2_000)) * MS)
            self._act([VenueStatus(venue=VENUE, up=True, reason="")])
        elif 0.112 < draw < 0.114:
            self._act([draw_query(chance)])
        elif 0.114 < draw < 0.120 and self.crashes and self._crash_in < 0:
            self._crash_in = chance.randint(1, 8)
            self._saved = self.paper.to_state()

    def _market(self, market: Market) -> None:
        chance = self.chance
        if not market.up:
            return
        draw = chance.random()
        if draw < 0.65:
            self._act([market.depth(self.now, lose=chance.random() < 0.004)])
        elif draw < 0.75:
            self._act([market.quote(self.now)])
        else:
            self._trades += 1
            self._act([market.trade(self.now, self._trades)])

    def _break_feed(self, market: Market) -> None:
        chance = self.chance
        symbol = market.instrument.symbol
        if chance.random() < 0.5:
            market.silent_until = self.now + chance.choice((1, 2, 5, 9)) * SECOND
            return
        self._act([FeedStatus(venue=VENUE, symbol=symbol, up=False, reason="chaos")])
        market.up = False
        self._advance(self.now + chance.choice((100, 1_000, 5_000)) * MS)
        self._feed_up(market)

    def _feed_up(self, market: Market) -> None:
        market.up = True
        symbol = market.instrument.symbol
        self._act([FeedStatus(venue=VENUE, symbol=symbol, up=True, reason="")])

    def _new_signal(self) -> SignalReceived:
        market = self.chance.choice(list(self.markets.values()))
        held = self.engine.portfolio.quantity(VENUE, market.instrument.symbol)
        number = len(self.signals)
        signal = draw_signal(self.chance, market, held, self.now, number, every=self.every)
        self.signals.append(signal)
        return signal

    # time

    def _advance(self, until: int) -> None:
        """Let everything happen that falls due up to a time, in order."""
        while True:
            timer, paper = self.engine.next_timer(), self.paper.next_timer()
            feed = self._snapshots[0][0] if self._snapshots else NO_BOUND
            beat = max(self._next_beat, self._silent_until)
            due = min(each for each in (timer, paper, feed, beat, until) if each is not None)
            self.now = max(self.now, due)
            if paper is not None and paper <= self.now:
                reports = self.paper.due(self.now)
                if self._crash_in >= 0:
                    self._saved = self.paper.to_state()
                if reports:
                    self._act(reports)
            elif feed <= self.now:
                market = self.markets[self._snapshots.pop(0)[1]]
                if market.up:
                    self._act([market.snapshot(self.now)])
            elif timer is not None and timer <= self.now:
                self._count_timer()
                self._act([TimerFired()])
            elif beat <= self.now:
                self._next_beat = self.now + SECOND
                self._act([MacroBeat(instance="m", strategy="chaos", epoch=1, seq=1, skew_ns=0)])
            elif until <= self.now:
                return

    def _count_timer(self) -> None:
        second, count = self._timers
        if self.now // SECOND == second:
            self._timers = second, count + 1
            assert count < MOST_TIMERS, f"the engine spins at {self.now - START}"
        else:
            self._timers = self.now // SECOND, 1

    # the process

    def _act(self, events: Sequence[Event]) -> None:
        """Handle events that arrive together as the runner does: all durable, then all done."""
        engine = self.engine
        life = self.lives[-1]
        batch: list[Command] = []
        for event in events:
            data = records.encode(event) if self._journal else b""
            commands = engine.handle(event, self.now)
            if isinstance(event, DepthUpdate | QuoteTick | TradeTick):
                self._tap(event)
            name = type(event).__name__
            self.counts[name] = self.counts.get(name, 0) + 1
            if commands:
                self._check(event, commands)
            if self._journal:
                written = [records.encode(command) for command in commands]
                life.rows.append((self.now, data, written))
                for row in written:
                    self._digest.update(row)
            batch += commands
        # Most events come to nothing; a crash at one of them is nothing new.
        if self._crash_in >= 0 and any(isinstance(each, Persist) for each in batch):
            self._crash_in -= 1
            if self._crash_in < 0:
                self._crash(batch)
                return
        for command in batch:
            if isinstance(command, Persist):
                self._store(command)
        for command in batch:
            self._carry_out(command)
        if self._unsent:
            unsent, self._unsent = self._unsent, []
            self._act(unsent)

    def _tap(self, event: MarketEvent) -> None:
        market = self.engine.markets[event.venue, event.symbol]
        self.paper.on_market(event, market, self.now)

    def _store(self, command: Persist) -> None:
        if command.value is None:
            self.durable.pop(command.key, None)
        else:
            self.durable[command.key] = command.value

    def _carry_out(self, command: Command) -> None:
        name = type(command).__name__
        self.counts[name] = self.counts.get(name, 0) + 1
        if isinstance(command, Approved):
            self._requests.append(self.now)
            gate = self.engine.risk
            if not gate.still_valid(command):
                self._unsent.append(not_sent(command.order))
                return
            self.paper.submit(gate.open(command), self.now)
        elif isinstance(command, CancelOrder | QueryOrder | QueryVenue):
            self._requests.append(self.now)
            self.paper.submit(command, self.now)
        elif isinstance(command, PublishReport):
            self._told(command)
        elif isinstance(command, RequestSnapshot):
            late = self.now + self.chance.choice((10, 300)) * MS
            self._snapshots.append((late, (command.venue, command.symbol)))
            self._snapshots.sort()
        elif isinstance(command, Note):
            self.notes[command.event] = self.notes.get(command.event, 0) + 1

    def _crash(self, batch: list[Command]) -> None:
        """Die while writing (a prefix is durable, nothing was sent) or while sending."""
        chance = self.chance
        cut = chance.randint(0, len(batch))
        if chance.random() < 0.5:
            for command in batch[:cut]:
                if isinstance(command, Persist):
                    self._store(command)
        else:
            for command in batch:
                if isinstance(command, Persist):
                    self._store(command)
            for command in batch[:cut]:
                self._carry_out(command)
        state = self._saved if chance.random() < 0.5 else self.paper.to_state()
        self.now += chance.choice((1, 200, 3_000, 20_000)) * MS
        self.counts["crash"] = self.counts.get("crash", 0) + 1
        self._snapshots.clear()
        self._requests.clear()
        self._unsent.clear()
        kept = records.decode_plain(records.encode_plain(state))
        assert isinstance(kept, dict)
        self.paper = self._new_paper()
        self.paper.restore(kept)
        self.engine = self._new_engine()
        started = records.decode_event(records.encode(Started(state=self.durable, damaged="")))
        self._act([started])
        for market in self.markets.values():
            market.silent_until = 0
            if market.up:
                self._act([market.snapshot(self.now)])

    # checks on the way

    def _check(self, event: Event, commands: Sequence[Command]) -> None:
        tripped = any(isinstance(command, PublishRisk) for command in commands)
        for command in commands:
            if isinstance(command, Approved):
                limits = self._config.limits
                check_order(self.engine, limits, self.now, command, tripped=tripped)
        check_parents(self.engine, event)
        check_truth(self.engine, self.paper)

    def _told(self, report: PublishReport) -> None:
        last = self.reports.get(report.signal_id)
        if last is not None:
            check_report(last, report)
        self.reports[report.signal_id] = report

    # the end

    def _drain(self) -> None:
        """A fair venue, a calm market, everything withdrawn: all must end."""
        self._crash_in = -1
        self._silent_until = 0
        self.paper._link._config = LinkConfig(faults=Faults())
        self.paper._config = replace(self.paper._config, link=self.paper._link._config)
        for market in self.markets.values():
            market.silent_until = 0
            if not market.up:
                self._feed_up(market)
        self._calm(35)
        check_stops(self.engine, self.now)
        self._act([operator("cancel_all")])  # a flattening goes on until it is told otherwise
        for parent in tuple(self.engine.order_store.active.values()):
            check_time_limit(parent, self.now, self.seconds)
            cancel = CancelReceived(signal_id=parent.id, reason="drain")
            self._act([cancel])
        self._calm(70)

    def _calm(self, seconds: int) -> None:
        end = self.now + seconds * SECOND
        while self.now < end:
            for market in self.markets.values():
                market.silent_until = 0
                self._act([market.depth(self.now, lose=False)])
            self._advance(self.now + 500 * MS)


def recompute(run: ChaosRun) -> None:
    """Feed every life's events to a new engine: the same commands, byte for byte."""
    with ladder():
        for life in run.lives:
            engine = Engine(life.config, INSTRUMENTS)
            for now_ns, data, written in life.rows:
                commands = engine.handle(records.decode_event(data), now_ns)
                assert [records.encode(command) for command in commands] == written, data
