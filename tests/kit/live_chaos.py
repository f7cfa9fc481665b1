"""The engine and a live adapter against the simulated exchange, with everything going wrong.

One seed is one run in virtual time: random orders, cancels and operators, every fault knob of the
simulator, a network that fails, and a process that is killed at any boundary between writing and
sending. ``LiveRun.play`` runs it, drains it, and checks what must hold against the exchange's own
records.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final, Literal

from live_books import ShownBooks
from live_draws import MARK, RARE, draw_config, draw_rules, draw_signal
from live_life import Disk, Killed, Life
from live_records import ACCOUNT, Records
from virtual_loop import VirtualLoop, run_virtual
from virtual_others import MARKETS
from virtual_wire import Network, wired

from citadel_micro.core.model.commands import PublishReport
from citadel_micro.core.model.events import (
    CancelReceived,
    FeedStatus,
    OperatorCommand,
    SignalReceived,
)
from citadel_micro.core.orders.order_states import PARENT_TERMINAL, ParentState
from citadel_micro.shell.marketdata.generic import integrity_of
from citadel_micro.sim.exchange.accounts import FeePlan
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.accounts import AccountConfig

if TYPE_CHECKING:
    from virtual_others import Market
    from virtual_venue import VirtualVenue

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.model.commands import (
        AmendOrder,
        PlaceOrder,
        Publication,
        RequestSnapshot,
    )
    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.keys.api_key import KeyKind

SYMBOLS: Final = ("BTC/USDT", "ADA/USDT")


class LiveRun:
    """See the module.

    Args:
        seed: of everything that is random.
        rules: of faults, as the simulator's ``--fault``; None for those that the seed draws.
        kills: whether the process is killed.
        lies: whether the exchange lies.
        seconds: of virtual time before the drain.
        market: which of the exchange's.
    """

    def __init__(
        self,
        seed: int,
        *,
        market: Market = "spot",
        rules: tuple[str, ...] | None = None,
        kills: bool = True,
        lies: bool = False,
        seconds: int = 15,
    ) -> None:
        self.seed = seed
        self.market = market
        self._kind_of_venue = MARKETS[market]
        self.name = self._kind_of_venue.name
        self.margined = self._kind_of_venue.margined
        self._integrity = integrity_of(self.name)
        self.chance = Random(f"live {seed}")
        self.kills = kills
        self.lies = lies
        self.seconds = seconds
        self.rules = (
            draw_rules(seed, market, margined=self.margined, lies=lies) if rules is None else rules
        )
        self.disk = Disk()
        self.counts: dict[str, int] = {}
        self.places: dict[str, PlaceOrder] = {}
        self.reports: dict[str, PublishReport] = {}
        self.signals: list[SignalReceived] = []
        self.lives: list[Life] = []
        self._kill_in = -1
        self._draining = False
        self._digest = hashlib.blake2b(digest_size=16)
        self.loop: VirtualLoop
        self.venue: VirtualVenue
        self.books: ShownBooks
        self.records: Records

    # the run

    def play(self) -> LiveRun:
        """Run, drain, check. Raises AssertionError for whatever does not hold."""
        self.loop = VirtualLoop()
        with wired(self.loop, lambda: self._network, self.seed):
            run_virtual(self.loop, self._play())
        self._check_faults()
        return self

    @property
    def _patience_s(self) -> int:
        """How long everything may take to end: after a refused key micro waits up to 15 minutes."""
        stopped = any(rule.startswith(tuple(RARE)) for rule in self.rules)
        return 3_000 if stopped else 240

    @property
    def digest(self) -> str:
        """Hash of every order that was sent, and when."""
        return self._digest.hexdigest()

    @property
    def life(self) -> Life:
        """The newest."""
        return self.lives[-1]

    @property
    def engine(self) -> Engine:
        """Of the newest."""
        return self.life.engine

    async def _play(self) -> None:
        chance = self.chance
        fees = FeePlan(asset=chance.choice(("received", "received", "quote", "bnb")))
        balances = {
            "USDT": chance.choice((3_000, 1_000_000)) * E8,
            "BTC": chance.choice((0, 3)) * E8,
            "ADA": 50_000 * E8,
            "BNB": 10 * E8,
        }
        account = AccountConfig(name=ACCOUNT, balances=balances, fees=fees)
        listed = chance.choice((SYMBOLS, SYMBOLS[:1], SYMBOLS[1:]))
        self.venue = self._kind_of_venue(self.loop, self.seed, listed, account)
        self.symbols = self.venue.symbols
        self.books = ShownBooks(self.venue, self._integrity)
        self.records = Records(self.venue, MARK)
        self.venue.faults.extend(self.rules)
        self._latency_s = chance.choice((0.001, 0.02, 0.2))
        self._wall_ns = chance.choice((0, 0, -700_000_000, 3_000_000_000))
        kinds = self.venue.key_kinds
        self._kind: KeyKind = kinds[chance.choice((0, 1)) % len(kinds)]
        self._config = draw_config(chance, self._kind_of_venue, self._integrity)
        self._boot()
        mover = self.loop.create_task(self._move())
        try:
            end_s = self.loop.time() + self.seconds
            while self.loop.time() < end_s:
                self._something()
                self._check_truth()
                await asyncio.sleep(chance.choice((0.01, 0.05, 0.1, 0.4)))
            await self._drain()
            self._check_end()
        finally:
            mover.cancel()
            if self.life.alive:
                self.life.die()
                await asyncio.sleep(0)

    def _boot(self) -> None:
        self._network = Network(self.loop, self.venue, self.chance, self._latency_s)
        life = Life(
            self.loop,
            self._network,
            self.disk,
            config=replace(self._config, run_id=f"r{len(self.lives)}"),
            instruments=self.venue.instruments,
            kind=self._kind,
            wall_ns=self._wall_ns,
            host=self,
        )
        self.lives.append(life)
        self.books.forget()
        try:
            life.start()
        except Killed:
            self._later()

    def _later(self) -> None:
        """It was killed: somebody starts it again."""
        self._count("kill")
        self._kill_in = -1
        self.loop.call_later(self.chance.choice((0.01, 0.5, 3.0, 15.0)), self._boot)

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    # the market

    async def _move(self) -> None:
        while True:
            self.venue.tick()
            for symbol in self.symbols:
                self._post(self.books.change(symbol, self.life.clock.now()))
            await asyncio.sleep(1.0 if self._draining else 0.2)

    def resync(self, command: RequestSnapshot) -> None:
        """The engine wants a snapshot."""
        self.books.snapshots[command.symbol] = None

    # what happens

    def _post(self, event: Event) -> None:
        life = self.life
        with suppress(Killed):  # ``on_boundary`` has said what follows
            life.post(event)

    def on_boundary(self, name: str) -> bool:
        """Whether the process is killed here."""
        del name
        if self._kill_in < 0:
            return False
        self._kill_in -= 1
        if self._kill_in >= 0:
            return False
        self._later()
        return True

    def _something(self) -> None:
        chance = self.chance
        draw = chance.random()
        if not self.life.alive:
            return
        if draw < 0.30:
            self._post(self._new_signal())
        elif draw < 0.36 and self.signals:
            signal_id = chance.choice(self.signals[-8:]).signal_id
            self._post(CancelReceived(signal_id=signal_id, reason="chaos"))
        elif draw < 0.37 and self.signals:
            self._post(chance.choice(self.signals))
        elif draw < 0.39:
            self._break_network()
        elif draw < 0.42:
            self._operate()
        elif draw < 0.45 and self.kills:
            if chance.random() < 0.3:
                self.life.die(flush=chance.randint(0, 50))
                self._later()
            elif self._kill_in < 0:
                self._kill_in = chance.randint(0, 12)
        elif draw < 0.455:
            self._post(
                FeedStatus(
                    venue=self.name, symbol=chance.choice(self.symbols), up=False, reason="x"
                )
            )
            for symbol in self.symbols:
                self._post(FeedStatus(venue=self.name, symbol=symbol, up=True, reason=""))
                self.books.snapshots[symbol] = None

    def _break_network(self) -> None:
        chance, network = self.chance, self.life.network
        connections = list(network.connections)
        if chance.random() < 0.3:
            network.down = True
            self.loop.call_later(chance.choice((0.3, 2.0, 8.0)), setattr, network, "down", False)
            for each in connections:
                each.cut()
        elif connections:
            connection = chance.choice(connections)
            (connection.cut if chance.random() < 0.6 else connection.go_dead)()

    def _operate(self) -> None:
        chance = self.chance
        trips = self.engine.risk.breakers.trips
        if trips:
            self._operator("reset", trip_id=chance.choice(trips).trip_id)
        elif chance.random() < 0.2:
            self._operator(chance.choice(("pause", "halt", "cancel_all", "flatten")))

    def _operator(
        self,
        action: Literal["pause", "halt", "reset", "cancel_all", "flatten"],
        *,
        trip_id: str = "",
    ) -> None:
        command = OperatorCommand(action=action, scope="", trip_id=trip_id, reason="chaos")
        self._post(command)

    def _new_signal(self) -> SignalReceived:
        now = self.life.clock.now()
        signal = draw_signal(self.chance, self.venue, now, len(self.signals))
        self.signals.append(signal)
        return signal

    # checks on the way

    def look(self, life: Life, order: PlaceOrder) -> None:
        """An order is on its way to the adapter."""
        self._count("place")
        self._digest.update(f"{self.loop.mono_ns()} {order}\n".encode())
        assert order.client_id not in self.places, f"sent twice: {order.client_id}"
        self.places[order.client_id] = order
        self.records.sent(order.client_id)
        assert life.adapter.stream.current is not None, f"blind: {order.client_id}"
        assert not life.engine.reconciling, order.client_id
        assert life.engine.markets[self.name, order.symbol].state == "LIVE"
        parent = life.engine.order_store.known[order.parent_id]
        assert parent.filled + parent.reserved <= parent.target, parent

    def look_at_amend(self, life: Life, order: AmendOrder) -> None:
        """A change of an order is on its way to the adapter."""
        self._count("amend")
        self._digest.update(f"{self.loop.mono_ns()} {order}\n".encode())
        assert order.client_id in self.places, order
        assert life.adapter.stream.current is not None, f"blind: {order.client_id}"
        parent = life.engine.order_store.known[order.parent_id]
        assert parent.filled + parent.reserved <= parent.target, parent

    def publish(self, command: Publication) -> None:
        """Something is told to macro."""
        if not isinstance(command, PublishReport):
            return
        last = self.reports.get(command.signal_id)
        if last is not None:
            assert command.revision >= last.revision, (last, command)
            assert command.filled >= last.filled, (last, command)
            ids = [fill.trade_id for fill in command.fills]
            assert set(ids) >= {fill.trade_id for fill in last.fills}
            assert len(ids) == len(set(ids)), command
        self.reports[command.signal_id] = command

    def _check_truth(self) -> None:
        """What the exchange holds and has filled of a parent is never more than was asked."""
        self._check_faults()
        totals: dict[str, int] = {}
        names: dict[str, None] = {}
        for order in self.records.ours():
            assert order.client_id not in names, f"two orders: {order.client_id}"
            names[order.client_id] = None
            client_id = self.records.name(order)
            sent = self.places[client_id]
            lots = order.lots if order.open else order.filled_lots
            totals[sent.parent_id] = totals.get(sent.parent_id, 0) + lots
            if self.life.alive and not self.engine.reconciling and not self.lies:
                found = self.engine.order_store.children.get(client_id)
                assert found is not None or not order.open, f"orphan: {order}"
                assert found is None or not (order.open and found[1].terminal), (order, found[1])
        if self.lies:
            return
        for parent_id, lots in totals.items():
            target = self._target(parent_id)
            assert lots <= target, f"overfill: {parent_id} {lots} of {target}"

    def _target(self, parent_id: str) -> int:
        signal = next((each for each in self.signals if each.signal_id == parent_id), None)
        if signal is None:  # a flattening of the operator's
            known = self.engine.order_store.known.get(parent_id)
            return 1 << 62 if known is None else known.target
        return int(signal.quantity / self.venue.instruments[signal.symbol].amount(1))

    def _check_faults(self) -> None:
        escaped = [error for error in self.loop.faults if not isinstance(error, Killed)]
        if escaped:
            raise AssertionError(f"escaped: {escaped[0]!r}") from escaped[0]
        for life in self.lives:
            assert not life.journal.faults, life.journal.faults[0]

    # the end

    async def _drain(self) -> None:
        """A fair exchange, a network that works, everything withdrawn: all must end."""
        self._draining = True
        self._kill_in = -1
        self.venue.faults.clear()
        self.venue.forgive()
        for _ in range(60):
            if self.life.alive:
                break
            await asyncio.sleep(0.5)
        self.life.network.down = False
        await asyncio.sleep(6)  # a symbol that was halted is open again
        for symbol in self.symbols:
            self.venue.feed.pause(self.venue.listed(symbol), paused=True)
        for signal in self.signals:
            if signal.signal_id in self.engine.order_store.active:
                self._post(CancelReceived(signal_id=signal.signal_id, reason="drain"))
        self._operator("cancel_all")
        for _ in range(self._patience_s):
            await asyncio.sleep(1)
            self._check_faults()
            if not self.engine.order_store.active and not self.engine.reconciling:
                break
        if self.chance.random() < 0.2:
            await asyncio.sleep(60)  # what is late comes now
        for _ in range(60):
            if not self.records.wrong_balances(self.engine) and not self.records.wrong_positions(
                self.engine
            ):
                break
            await asyncio.sleep(1)

    def _check_end(self) -> None:
        self._check_truth()
        engine = self.engine
        assert not engine.reconciling
        active = engine.order_store.active
        assert active == {}, f"never ended: {active}"
        ours = self.records.ours()
        assert [order for order in ours if order.open] == [], "orphans"
        self.records.check_fills(engine, self.reports, self.counts)
        for parent in engine.order_store.known.values():
            assert parent.state in PARENT_TERMINAL, parent
            assert self.lies or parent.state is not ParentState.ANOMALY, parent
            assert parent.fills_complete, parent
        wrong = self.records.wrong_balances(self.engine)
        assert not wrong, wrong
        if not self.lies:
            codes = [trip.code for trip in engine.risk.breakers.trips]
            assert "VENUE_ANOMALY" not in codes, engine.risk.breakers.trips
            sold = any(map(self.records.others_sold, self.symbols))
            assert sold or "POSITION_MISMATCH" not in codes, engine.risk.breakers.trips
