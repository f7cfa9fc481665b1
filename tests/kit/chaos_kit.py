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
from typing import TYPE_CHECKING, Any, Final, Literal

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.approval import Approved, not_sent
from citadel_micro.core.model.commands import (
    AmendOrder,
    CancelOrder,
    Note,
    Persist,
    PlaceOrder,
    PublishReport,
    PublishRisk,
    QueryOrder,
    QueryVenue,
    RequestSnapshot,
)
from citadel_micro.core.model.config import EngineConfig, VenueConfig
from citadel_micro.core.model.events import (
    CancelReceived,
    DepthUpdate,
    FeedStatus,
    MacroBeat,
    OperatorCommand,
    QueryReceived,
    QuoteTick,
    SignalReceived,
    Started,
    TimerFired,
    TradeTick,
    VenueStatus,
)
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.orders.order_states import PARENT_TERMINAL, ParentState
from citadel_micro.shell.journal import records
from citadel_micro.sim.faults import Faults, scenario
from citadel_micro.sim.paper import PaperConfig, PaperVenue
from citadel_micro.sim.paper_link import LinkConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.events import Event, MarketEvent, Side
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.sim.queue_model import QueueModel
    from citadel_proto.messages import QueryKind

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
START: Final = 1_700_000_000 * SECOND
VENUE: Final = "binance-spot"
MOST_TIMERS: Final = 300
"""Wakeups in one second of virtual time: ten are housekeeping; a loop that spins makes 1,000."""
NO_BOUND: Final = 1 << 62


STOPPED: Final = ("HALTED", "KILLED", "POSITION_BUSY", "FREE_BALANCE")
"""What may keep a triggered stop from its end although venue and market are fair: the operator, a
flattening or an order in doubt, a balance that was spent elsewhere."""
Action = Literal["pause", "halt", "kill", "reset", "cancel_all", "flatten"]


def _instrument(symbol: str, tick: str, lot: str, **changes: object) -> Instrument:
    base, _, quote = symbol.partition(":")[0].partition("/")
    values: dict[str, Any] = {
        "venue": VENUE,
        "symbol": symbol,
        "venue_symbol": f"{base}{quote}",
        "base": base,
        "quote": quote,
        "settle": quote,
        "kind": "spot",
        "tick": Decimal(tick),
        "lot": Decimal(lot),
        "min_lots": 1,
        "min_notional": Decimal(5),
        "contract_size": Decimal(1),
        "maker_fee": Decimal("0.001"),
        "taker_fee": Decimal("0.001"),
        "fee_side": "received",
    }
    return Instrument(**{**values, **changes})


INSTRUMENTS: Final = {
    (each.venue, each.symbol): each
    for each in (
        _instrument("BTC/USDT", "0.1", "0.001"),
        _instrument("ETH/USDT", "0.01", "0.01", fee_side="quote", min_lots=2),
        _instrument("BTC/USDT:USDT", "0.1", "0.001", kind="linear", fee_side="quote"),
    )
}
_MIDS: Final = {"BTC/USDT": 600_000, "ETH/USDT": 300_000, "BTC/USDT:USDT": 600_000}


class Market:
    """The true book of one symbol in ticks and lots, and the messages that a venue makes of it."""

    def __init__(self, instrument: Instrument, chance: Random) -> None:
        self.instrument = instrument
        self.chance = chance
        self.mid = _MIDS[instrument.symbol]
        self.seq = 1_000
        self.up = True
        self.silent_until = 0
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._draw(1)

    def depth(self, now_ns: int, *, lose: bool) -> DepthUpdate:
        """The next change; with ``lose`` one before it is lost on the way."""
        chance = self.chance
        before = dict(self.bids), dict(self.asks)
        if chance.random() < 0.4:
            jump = 200 if chance.random() < 0.01 else 8
            self.mid += chance.randint(-jump, jump)
        self._draw(chance.choice((1, 1, 1, 2, 5)), locked=chance.random() < 0.01)
        self.seq += 2 if lose else 1
        sides = []
        for old, new in zip(before, (self.bids, self.asks), strict=True):
            rows = {ticks: 0 for ticks in old if ticks not in new}
            rows.update((ticks, lots) for ticks, lots in new.items() if old.get(ticks) != lots)
            sides.append(self._levels(rows))
        return self._update(now_ns, sides[0], sides[1], snapshot=False)

    def snapshot(self, now_ns: int) -> DepthUpdate:
        """The whole book as it is."""
        return self._update(now_ns, self._levels(self.bids), self._levels(self.asks), snapshot=True)

    def quote(self, now_ns: int) -> QuoteTick:
        """Best prices on their own channel, ahead of the depth."""
        bid, ask = max(self.bids), min(self.asks)
        lot, price = self.instrument.lot_float, self.instrument.price_float
        sizes = [self.chance.randint(1, 40) * lot for _ in range(2)]
        seq = self.seq + 1
        symbol = self.instrument.symbol
        return QuoteTick(
            VENUE, symbol, seq, price(bid), sizes[0], price(ask), sizes[1], now_ns, now_ns
        )

    def trade(self, now_ns: int, number: int) -> TradeTick:
        """A trade at the touch, or through it."""
        chance = self.chance
        side: Side = chance.choice(("buy", "sell"))
        through = chance.choice((0, 0, 0, 1, 4))
        ticks = min(self.asks) + through if side == "buy" else max(self.bids) - through
        size = chance.randint(1, 300) * self.instrument.lot_float
        price = self.instrument.price_float(ticks)
        symbol = self.instrument.symbol
        return TradeTick(VENUE, symbol, f"m{number}", price, size, side, now_ns, now_ns)

    def _draw(self, spread: int, *, locked: bool = False) -> None:
        chance = self.chance
        bid = self.mid
        ask = bid if locked else bid + spread
        self.bids = {bid - n: chance.randint(1, 400) for n in range(6)}
        self.asks = {ask + n: chance.randint(1, 400) for n in range(6)}

    def _levels(self, rows: dict[int, int]) -> list[tuple[float, float]]:
        price, lot = self.instrument.price_float, self.instrument.lot_float
        return [(price(ticks), lots * lot) for ticks, lots in rows.items()]

    def _update(
        self,
        now_ns: int,
        bids: list[tuple[float, float]],
        asks: list[tuple[float, float]],
        *,
        snapshot: bool,
    ) -> DepthUpdate:
        symbol, seq = self.instrument.symbol, self.seq
        return DepthUpdate(VENUE, symbol, snapshot, seq, seq, -1, None, bids, asks, now_ns, now_ns)


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
    """

    def __init__(
        self,
        seed: int,
        faults: str = "everything",
        *,
        crashes: bool = True,
        journal: bool = False,
        seconds: int = 40,
    ) -> None:
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
        self._config = self._draw_config()
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

    def _draw_config(self) -> EngineConfig:
        chance = self.chance
        venue = VenueConfig(
            shows_own_orders=False,
            amend_native=chance.random() < 0.5,
            messages_per_second=chance.choice((5, 20, 100)),
            message_burst=chance.choice((10, 50)),
            mark="chaos0",
        )
        loose = chance.random() < 0.8
        limits = paper_defaults(
            lease_required=chance.random() < 0.7,
            max_open_orders=1_000,
            depth_participation_bps=chance.choice((10.0, 1_000.0, 10_000.0, 10_000.0)),
            max_order_notional=Decimal(10_000_000 if loose else chance.choice((9_000, 300))),
            max_position_notional=Decimal(10_000_000 if loose else 15_000),
            max_gross_exposure=Decimal(50_000_000 if loose else 40_000),
            max_net_exposure=Decimal(50_000_000 if loose else 40_000),
            max_venue_exposure={"*": Decimal(50_000_000 if loose else 40_000)},
            max_daily_loss=Decimal(chance.choice((20, 1_000_000, 1_000_000))),
            max_rolling_loss=Decimal(1_000_000),
            max_drawdown=Decimal(chance.choice((50, 1_000_000, 1_000_000))),
        )
        return EngineConfig(
            run_id="r0",
            instance="chaos",
            venues={VENUE: venue},
            limits=limits,
            book_publish_interval_ns=chance.choice((0, 200 * MS)),
            quarantine_ns=chance.choice((5 * SECOND, 60 * SECOND)),
            audit_ns=5 * SECOND,
        )

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
        end = START + self.seconds * SECOND
        while self.now < end:
            self._something()
            self._advance(self.now + self.chance.choice((1, 5, 20, 60, 150)) * MS)
        self._drain()
        self._check_end()
        return self

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
            self._act([self._draw_signal()])
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
            self._operate()
        elif 0.110 < draw < 0.112:
            self._act([VenueStatus(venue=VENUE, up=False, reason="chaos")])
            self._advance(self.now + chance.choice((50, 2_000)) * MS)
            self._act([VenueStatus(venue=VENUE, up=True, reason="")])
        elif 0.112 < draw < 0.114:
            self._query()
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

    def _operate(self) -> None:
        chance = self.chance
        trips = self.engine.risk.breakers.trips
        if trips and chance.random() < 0.7:
            trip = chance.choice(trips)
            self._operator("reset", trip_id=trip.trip_id)
            return
        action: Action = chance.choice(("pause", "halt", "cancel_all", "flatten", "flatten"))
        if chance.random() < 0.03:
            action = "kill"
        scope = chance.choice(("", f"venue:{VENUE}", f"symbol:{VENUE}:BTC/USDT", "strategy:chaos"))
        through = action == "flatten" and chance.random() < 0.4
        self._operator(action, scope=scope, through_halt=through)

    def _operator(
        self, action: Action, *, scope: str = "", trip_id: str = "", through_halt: bool = False
    ) -> None:
        command = OperatorCommand(
            action=action, scope=scope, trip_id=trip_id, reason="chaos", through_halt=through_halt
        )
        self._act([command])

    def _query(self) -> None:
        kinds: tuple[QueryKind, ...] = ("order", "orders", "balances", "positions", "limits")
        kind = self.chance.choice(kinds)
        signal_id = f"s{self.chance.randint(0, 5)}"
        query = QueryReceived(
            query_id="q",
            kind=kind,
            reply_to="chaos",
            signal_id=signal_id,
            venue="",
            symbol="",
            since_ns=0,
        )
        self._act([query])

    def _draw_signal(self) -> SignalReceived:
        chance = self.chance
        market = chance.choice(list(self.markets.values()))
        rules = market.instrument
        held = self.engine.portfolio.quantity(VENUE, rules.symbol)
        side: Side = chance.choice(("buy", "sell"))
        algo = chance.choice(("chase_limit",) * 4 + ("limit", "marketable_limit", "stop", "stop"))
        lots = chance.choice(
            (2, chance.randint(1, 50), chance.randint(10, 100), chance.randint(50, 500))
        )
        price: int | None = None
        stop: int | None = None
        params: dict[str, object] = {}
        if algo == "limit" or chance.random() < 0.3:
            price = market.mid + chance.randint(-60, 60)
        if algo == "chase_limit":
            params = {
                "urgency": chance.choice(("passive", "normal", "high", "cross")),
                "on_timeout": chance.choice(("cancel", "rest", "cross_ioc")),
                "on_cap": chance.choice(("rest", "cancel", "cross")),
                "time_limit_ms": chance.choice((500, 3_000, 15_000)),
                "allow_taker": chance.random() < 0.5,
                "post_only": chance.random() < 0.7,
                "min_dwell_ms": chance.choice((0, 250)),
                "max_chase_bps": chance.choice((0.0, 1.0, 50.0, 50.0)),
                "improve_ticks": chance.choice((1, 3)),
                "retreat_ticks": chance.choice((1, 3)),
                "max_reprices": chance.choice((2, 200)),
            }
        elif algo == "limit":
            params = {
                "time_limit_ms": chance.choice((0, 4_000)),
                "post_only": chance.random() < 0.5,
            }
        elif algo == "marketable_limit":
            params = {"time_limit_ms": chance.choice((2_000, 10_000))}
        else:
            price = None
            side = "sell" if held > 0 else "buy" if held < 0 else side
            stop = market.mid + chance.randint(-40, 40)
            params = {"after": chance.choice(("ioc", "chase"))}
        created = self.now - chance.choice((0,) * 12 + (5 * MS, 400 * MS, 30 * SECOND))
        signal = SignalReceived(
            signal_id=f"s{len(self.signals)}",
            strategy=chance.choice(("chaos", "other")),
            venue=VENUE,
            symbol=rules.symbol,
            side=side,
            quantity=rules.quantity(lots) + (rules.lot / 3 if chance.random() < 0.02 else 0),
            kind="stop" if algo == "stop" else "order",
            order_type=chance.choice(("limit",) * 8 + ("market",)),
            limit_price=None if price is None else rules.price(price),
            stop_price=None if stop is None else rules.price(stop),
            time_in_force=chance.choice(("GTC",) * 8 + ("IOC", "PO")),
            reduce_only=chance.random() < 0.12,
            leverage=Decimal(1),
            algo=algo,
            params=tuple(sorted(params.items())),  # type: ignore[arg-type]
            confidence=None,
            model_id="",
            tag="",
            candle_ns=0,
            created_ns=created,
            expires_ns=created + chance.choice((10, 60)) * SECOND,
            epoch=1,
            seq=len(self.signals),
        )
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
                self._check_order(command, tripped=tripped)
        for parent in self.engine.order_store.active.values():
            assert parent.state is not ParentState.ANOMALY, (event, parent)
            assert parent.filled + parent.reserved <= parent.target, (event, parent)
            assert len(parent.live) <= 1, (event, parent)
            self._check_halt(parent)
        self._check_truth()

    def _check_halt(self, parent: Parent) -> None:
        """Under a halt nothing is left to rest, but for what its venue or its rate keeps waiting."""
        signal = parent.signal
        of = (signal.venue, signal.symbol, signal.strategy)
        state = self.engine.risk.effective_state(*of)
        if state != "KILLED" and (state != "HALTED" or parent.through_halt):
            return
        for child in parent.live:
            waits = child.cancel_after_ns > 0 or self.engine.executor.venue_down
            assert child.state.value not in ("placing", "working", "amending") or waits, parent

    def _check_truth(self) -> None:
        """What the venue holds and has filled of a parent is never more than was asked."""
        children = self.engine.order_store.children
        totals: dict[str, tuple[Parent, int]] = {}
        for client_id, order in self.paper.orders.items():
            found = children.get(client_id)
            if found is None:
                assert not order.open or self.engine.reconciling, client_id
                continue
            parent, child = found
            assert not (order.open and child.terminal), (client_id, child)
            lots = order.quantity_lots if order.open else order.filled_lots
            totals[parent.id] = parent, totals.get(parent.id, (parent, 0))[1] + lots
        for parent, lots in totals.values():
            assert lots <= parent.target, parent

    def _check_order(
        self, approved: Approved[PlaceOrder] | Approved[AmendOrder], *, tripped: bool
    ) -> None:
        engine, order = self.engine, approved.order
        key = (order.venue, order.symbol)
        market, parent = engine.markets[key], engine.order_store.known[order.parent_id]
        rules = INSTRUMENTS[key]
        best = market.best()
        assert not engine.reconciling
        assert market.state == "LIVE"
        assert best is not None
        assert best[0] < best[2]
        limits = self._config.limits
        assert self.now - market.last_recv_ns <= limits.stale_ns
        assert 0 < order.quantity_lots <= parent.target
        least = rules.min_lots_at(order.price_ticks, reduce_only=order.reduce_only)
        assert order.quantity_lots >= least
        if parent.limit_ticks is not None:
            assert parent.sign * order.price_ticks <= parent.sign * parent.limit_ticks
        if order.post_only:
            bid, ask = rules.ticks_of_float(best[0]), rules.ticks_of_float(best[2])
            assert order.price_ticks < ask if order.side == "buy" else order.price_ticks > bid
        if tripped:
            return  # by what came after it in the same call, which also withdraws it
        assert approved.risk_epoch == engine.risk.risk_epoch
        state = engine.risk.effective_state(*key, parent.signal.strategy)
        assert state != "KILLED"
        assert state != "HALTED" or parent.through_halt
        if parent.exits and isinstance(order, PlaceOrder):
            self._check_exits(parent)
        held = engine.portfolio.quantity(*key) * -parent.sign
        filled = parent.live[0].filled if isinstance(order, AmendOrder) else 0
        reduces = (order.quantity_lots - filled) * rules.lot <= held
        if state == "REDUCING" or order.reduce_only:
            assert reduces, (state, held, order)
        if limits.lease_required and not reduces:
            beat = engine.view.leases.last_beat_ns
            assert beat is not None
            assert self.now - beat <= limits.lease_hard_ns

    def _check_exits(self, parent: Parent) -> None:
        """All exits of a side that are out are never more than the position."""
        engine, rules = self.engine, parent.rules
        held = engine.portfolio.quantity(rules.venue, rules.symbol) * -parent.sign
        out = sum(
            other.out
            for other in engine.inst_states[rules.venue, rules.symbol].parents
            if other.exits and other.sign == parent.sign
        )
        assert out * rules.lot <= held, (parent, held, out)

    def _told(self, report: PublishReport) -> None:
        last = self.reports.get(report.signal_id)
        if last is not None:
            assert report.revision >= last.revision, (last, report)
            assert report.filled >= last.filled, (last, report)
            ids = [fill.trade_id for fill in report.fills]
            assert set(ids) >= {fill.trade_id for fill in last.fills}
            assert len(ids) == len(set(ids))
            if report.revision == last.revision:
                assert (report.status, report.filled, report.fills) == (
                    last.status,
                    last.filled,
                    last.fills,
                )
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
        self._check_stops()
        self._operator("cancel_all")  # a flattening goes on until it is told otherwise
        for parent in tuple(self.engine.order_store.active.values()):
            timed = parent.signal.algo in ("chase_limit", "marketable_limit")
            rests = dict(parent.signal.params).get("on_timeout") == "rest"
            in_doubt = any(child.state.value == "quarantined" for child in parent.children)
            if timed and not rests and not parent.own and not in_doubt:
                since = (self.now - max(parent.accepted_ns, START)) / SECOND
                assert since < 35 + self.seconds, parent
                assert self._held_up(parent), parent
            cancel = CancelReceived(signal_id=parent.id, reason="drain")
            self._act([cancel])
        self._calm(70)

    def _check_stops(self) -> None:
        """With a fair venue a triggered stop is done, but for what says why it may not be."""
        for parent in self.engine.order_store.active.values():
            if not parent.triggered or parent.terminal or parent.verdict is not None:
                continue
            market = self.engine.markets[VENUE, parent.signal.symbol]
            if market.crossed or self.now - parent.accepted_ns < 30 * SECOND:
                continue  # the market was left locked, or it has only just triggered
            in_doubt = any(child.state.value == "quarantined" for child in parent.children)
            assert in_doubt or parent.reason_code in STOPPED, (parent.reason_code, parent)

    def _held_up(self, parent: Parent) -> bool:
        """Only its own working time may keep a parent with a time limit alive."""
        limit = dict(parent.signal.params).get("time_limit_ms", 10_000)
        assert isinstance(limit, int)
        return self.now - parent.accepted_ns < limit * MS + 15 * SECOND

    def _calm(self, seconds: int) -> None:
        end = self.now + seconds * SECOND
        while self.now < end:
            for market in self.markets.values():
                market.silent_until = 0
                self._act([market.depth(self.now, lose=False)])
            self._advance(self.now + 500 * MS)

    def _check_end(self) -> None:
        engine, paper = self.engine, self.paper
        assert engine.order_store.active == {}, engine.order_store.active
        assert [order for order in paper.orders.values() if order.open] == []
        fills: dict[str, int] = {}
        held: dict[str, Decimal] = {}
        for order in paper.orders.values():
            rules = INSTRUMENTS[VENUE, order.symbol]
            found = engine.order_store.children.get(order.client_id)
            assert found is not None, order
            parent, child = found
            fills[parent.id] = fills.get(parent.id, 0) + order.filled_lots
            assert child.filled == child.seen_lots == order.filled_lots, (child, order)
            sign = 1 if order.side == "buy" else -1
            for fill in order.fills:
                change = sign * rules.quantity(fill.quantity_lots)
                if rules.kind == "spot" and fill.fee_currency == rules.base:
                    change -= fill.fee
                held[order.symbol] = held.get(order.symbol, Decimal(0)) + change
        for parent in engine.order_store.known.values():
            assert parent.state in PARENT_TERMINAL, parent
            assert parent.state is not ParentState.ANOMALY, parent
            assert parent.fills_complete
            assert parent.filled == fills.get(parent.id, 0), parent
            report = self.reports[parent.id]
            lot = Decimal(1) if parent.instrument is None else parent.instrument.lot
            assert report.filled == lot * parent.filled
            assert sum((fill.quantity for fill in report.fills), Decimal(0)) == report.filled
            assert report.revision == parent.revision
        for venue, symbol in INSTRUMENTS:
            position = engine.portfolio.quantity(venue, symbol)
            assert position == held.get(symbol, Decimal(0)), symbol
            theirs = paper.ledger.positions.get(symbol)
            if theirs is not None:
                assert position == theirs.quantity
        for currency, purse in paper.ledger.purses.items():
            balance = engine.portfolio.balance(VENUE, currency)
            assert balance is not None
            assert (balance.free, balance.used) == (purse.free, purse.used), currency
        self._check_rates()

    def _check_rates(self) -> None:
        venue = self._config.venues[VENUE]
        times = self._requests
        for first in range(0, len(times), 5):
            for last in range(first + venue.message_burst, len(times), 11):
                most = venue.message_burst + (
                    (times[last] - times[first]) * venue.messages_per_second / SECOND
                )
                assert last - first + 1 <= most + 1


def recompute(run: ChaosRun) -> None:
    """Feed every life's events to a new engine: the same commands, byte for byte."""
    for life in run.lives:
        engine = Engine(life.config, INSTRUMENTS)
        for now_ns, data, written in life.rows:
            commands = engine.handle(records.decode_event(data), now_ns)
            assert [records.encode(command) for command in commands] == written, data
