"""Macros and a micro over bad networks, killed and started again, under clocks that are set: one seed a story.

``played(seed)`` says what broke, if anything. What must hold:

- a signal's effect happens at most once, and never after its expiry;
- every fill reaches macro, and at rest both sides say the same of every order;
- what macro concludes by itself (never received, withdrawn) never traded;
- no order is sent for a silent macro, and its entries are canceled.

Several threads of a macro wait for answers at once, and it is closed while they wait; reports are lost on their way, the last
of a topic too, and in half of the stories macro asks by itself for none; one macro may be at a socket file beside micro.

Processes, sockets and the network are real; time is compressed: heartbeats every 50 ms, leases of a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import time
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import structlog
from bridge_bots import Bot, Told, Wall
from bridge_crowds import at_once, beats_from_now, closed_amid, lose_reports, lose_the_last
from bridged_rig import BridgedRig
from engine_kit import SYMBOL, VENUE
from faulty_relay import BOTH, TOWARDS_CLIENT, TOWARDS_SERVER, FaultyRelay
from lossy_packets import LossyWay

from citadel_bridge.conclusions import LOCAL
from citadel_bridge.config import NewSignal
from citadel_bridge.errors import ClockSkew, MicroUnavailable
from citadel_proto.errors import BadInput
from citadel_proto.messages import TERMINAL_STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from faulty_relay import Way

    from citadel_proto.messages import Signal

    Network = Callable[[int, Random], Way]

MOST_DELAY_S: Final = 0.5
LATE_NS: Final = 300_000_000
"""Beside the longest delay so far: a clock that is half a second slow cannot be told from a way that takes so
long. What remains is what heartbeats of a busy machine are late by."""
AGREE_S: Final = 90.0
REST_S: Final = 180.0
"""Long: on a machine that is starved, reconnecting alone takes tens of seconds."""
_LOT: Final = Decimal("0.001")
_PORTS: Final = itertools.count()
BESIDE_SHARE: Final = 0.3
OWN_SHARE: Final = 0.12
STEPS_S: Final = (0.0, 0.2, -0.2, 0.8, -0.8, 5.0, -5.0, 60.0, -60.0)


class Story:
    """One seed."""

    def __init__(self, seed: int, folder: Path, seconds: float, network: Network) -> None:
        self.seed = seed
        self.network = network
        self.seconds = seconds
        self.folder = folder
        self.chance = Random(seed)
        self.wall = Wall()
        self.told = Told()
        self.bots: list[Bot] = []
        self.relays: list[Way] = []
        self.delays_ns = 0
        self.own = Random(seed + 5)
        """For what the stories of before did not have."""
        self.audit = self.own.choice((0.1, 600.0))

    async def play(self) -> list[str]:
        """Everything that broke."""
        chance = self.chance
        market = _free_port()
        ports = [_free_port() for _ in range(chance.choice((1, 1, 2, 3)))]
        async with AsyncExitStack() as stack:
            way = self.network
            to_macros = [await stack.enter_async_context(way(port, chance)) for port in ports]
            to_micro = [await stack.enter_async_context(way(market, chance)) for _ in ports]
            self.relays = [*to_macros, *to_micro]
            signals = [f"tcp://127.0.0.1:{port}" for port in ports]
            reached = [relay.address for relay in to_macros]
            if self.own.random() < BESIDE_SHARE:
                signals[-1] = reached[-1] = f"ipc://{self.folder}/signals"
                self.told.count("macro at a socket file")
            self.micro = BridgedRig(
                market,
                tuple(reached),
                Random(self.seed + 1),
                self.wall,
                self.told.signals.get,
            )
            stack.push_async_callback(self.micro.kill)
            self.bots = [
                Bot(f"m{number}", self.folder, at, relay.address, self.audit)
                for number, (at, relay) in enumerate(zip(signals, to_micro, strict=True))
            ]
            for bot in self.bots:
                stack.callback(bot.vanish)
            self.micro.up()
            for bot in self.bots:
                await asyncio.to_thread(bot.up)
            end = time.monotonic() + self.seconds
            while time.monotonic() < end and not self.micro.broken:
                await self._something()
                await asyncio.sleep(chance.random() * 0.08)
            return await self._rest()

    # what happens

    async def _something(self) -> None:
        chance = self.chance
        draw = chance.random()
        bot = chance.choice(self.bots)
        if self.own.random() < OWN_SHARE:
            await self.own.choice((at_once, at_once, closed_amid, lose_reports))(self, bot)
        elif draw < 0.55:
            await self.submit(bot)
        elif draw < 0.68:
            await self._cancel(bot)
        elif draw < 0.86:
            await self._network()
        elif draw < 0.91:
            await self._hold_up(bot)
        elif draw < 0.94:
            await self._kill_micro()
        elif draw < 0.97:
            self.told.count("macro killed")
            await self.submit(bot, 20.0)
            await asyncio.to_thread(bot.vanish)
            await asyncio.sleep(chance.choice((0.1, 0.5, 2.5)))
            await asyncio.to_thread(bot.up)
        else:
            self.wall.shift_ns = int(chance.choice(STEPS_S) * 1e9)
            self.told.count("clock set")

    async def _hold_up(self, bot: Bot) -> None:
        """Signals wait on their way until they have expired, and arrive then, or never."""
        self.told.count("held up")
        self._heal()
        relay = self.relays[self.bots.index(bot)]
        relay.stalled = frozenset({TOWARDS_CLIENT})
        await self.submit(bot, 0.3)
        await self.submit(bot, 3.0)
        await asyncio.sleep(0.3 + self.chance.random())
        await (relay.reset() if self.chance.random() < 0.2 else asyncio.sleep(0))
        relay.heal()

    def new_signal(self, bot: Bot, ttl: float = 0.0) -> NewSignal:
        """An order of a bot, which is known from now on: micro may act before its sender hears."""
        chance = self.chance
        rests = chance.random() < 0.7
        lots = chance.randint(1, 20)
        ttl = ttl or chance.choice((0.2, 0.5, 1.0, 3.0, 20.0))
        new = NewSignal(
            venue=VENUE,
            symbol=SYMBOL,
            side="buy",
            quantity=str(_LOT * lots),
            limit_price="59000" if rests else "60500",
            algo="limit" if chance.random() < 0.7 else "chase_limit",
            ttl=ttl,
            signal_id=bot.next_id(),
        )
        self.told.signals[new.signal_id] = (2**62, new.algo == "limit")
        self.told.lots[new.signal_id] = lots
        return new

    def was_sent(self, bot: Bot, signal: Signal) -> None:
        """It is in the intent log."""
        self.told.signals[signal.signal_id] = (signal.expires_ns, signal.algo == "limit")
        bot.sent.append(signal.signal_id)
        self.told.count("sent")

    async def submit(self, bot: Bot, ttl: float = 0.0) -> None:
        """Send an order and wait for its acknowledgement."""
        connector = bot.connector
        if connector is None:
            return
        new = self.new_signal(bot, ttl)
        try:
            sent = await asyncio.to_thread(connector.submit, new)
        except (MicroUnavailable, ClockSkew):
            if connector.intents.get(new.signal_id) is None:
                self.told.count("not sent")
                return
            raise
        self.was_sent(bot, sent.signal)
        self.told.count("acknowledged" if sent.report is not None else "open")

    async def _cancel(self, bot: Bot) -> None:
        if bot.sent and bot.connector is not None:
            name = self.chance.choice(bot.sent[-5:])
            self.told.count("cancel")
            await asyncio.to_thread(bot.connector.cancel, name, "chaos", 0.0)

    async def _network(self) -> None:
        chance = self.chance
        relay = chance.choice(self.relays)
        whats = ("cut", "reset", "stall", "half", "delay", "partition", *["heal"] * 6)
        if isinstance(relay, LossyWay):
            whats += ("loss",) * 6
        what = chance.choice(whats)
        self.told.count(what)
        if what == "cut":
            await relay.cut()
        elif what == "reset":
            await relay.reset()
        elif what == "stall":
            relay.stalled = BOTH
        elif what == "half":
            relay.stalled = frozenset({chance.choice((TOWARDS_SERVER, TOWARDS_CLIENT))})
        elif what == "delay":
            relay.delay_s = chance.random() * MOST_DELAY_S / 2
            relay.jitter_s = MOST_DELAY_S - relay.delay_s
            self.delays_ns = int(MOST_DELAY_S * 1e9)
        elif what == "loss" and isinstance(relay, LossyWay):
            relay.worsen()
        elif what == "partition":
            for each in self.relays:
                await each.cut()
            await asyncio.sleep(chance.random())
            self._heal()
        elif chance.random() < 0.5:
            self._heal()
        else:
            relay.heal()

    async def _kill_micro(self) -> None:
        self.told.count("micro killed")
        micro, chance = self.micro, self.chance
        if chance.random() < 0.5:
            micro.drop_after = chance.randint(0, 3)
            for _ in range(20):
                if micro.crashed:
                    break
                await asyncio.sleep(0.01)
        await micro.kill()
        await asyncio.sleep(chance.random() * 0.5)
        micro.up()

    def _heal(self) -> None:
        for relay in self.relays:
            relay.heal()

    # at rest

    async def _rest(self) -> list[str]:
        """Heal everything, wait until both sides agree, close every order, and compare."""
        if self.micro.broken:
            return self.micro.broken
        self._heal()
        self.wall.shift_ns = 0
        self.micro.fills = False
        await until_or(lambda: not self._differing(), AGREE_S)
        await until_or(self._connected, AGREE_S)
        await lose_the_last(self)
        late = beats_from_now(self)
        await until_or(lambda: late() or not self._differing(), AGREE_S)
        differing = self._differing()
        if differing:
            return [*self.micro.broken, *(f"not agreed: {each}" for each in differing)]
        deadline = time.monotonic() + REST_S
        left: list[str] = ["?"]
        while left and time.monotonic() < deadline and not self.micro.broken:
            left = [each for bot in self.bots for each in await asyncio.to_thread(_unsettled, bot)]
            await asyncio.sleep(0.05)
        broken = list(self.micro.broken)
        for each in left:
            parent = self.micro.engine.order_store.known.get(each.split()[0])
            broken.append(f"not settled after {REST_S:g} s: {each}; micro: {parent}")
        if not broken:
            for bot in self.bots:
                broken += await asyncio.to_thread(self._compare, bot)
        if self.micro.late_ns > LATE_NS + self.delays_ns:
            broken.append(f"acted {self.micro.late_ns / 1e9:.3f} s after an expiry")
        return broken

    def _connected(self) -> bool:
        """Whether each macro would send an order now."""
        connectors = [bot.connector for bot in self.bots]
        return all(each is not None and each.ready and each.micro_alive() for each in connectors)

    def _differing(self) -> list[str]:
        """Orders of which macro does not know what micro knows; nobody asks for anything here."""
        found = []
        known = self.micro.engine.order_store.known
        for bot in self.bots:
            for name in bot.sent:
                parent = known.get(name)
                if parent is None or bot.connector is None:
                    continue
                report = bot.connector.report(name)
                if report is None:
                    if not parent.terminal:
                        found.append(f"{name} is open, and macro has not heard of it")
                elif Decimal(report.filled) != parent.filled * _LOT or parent.terminal != (
                    report.status in TERMINAL_STATUSES
                ):
                    found.append(f"{name}: micro {parent.state} {parent.filled}, macro {report}")
        return found

    def _compare(self, bot: Bot) -> list[str]:
        broken = []
        connector = bot.connector
        assert connector is not None
        connector.check()
        known = self.micro.engine.order_store.known
        for name in bot.sent:
            report = connector.report(name)
            filled, lots = self.micro.venue.filled_of(name), self.told.lots[name]
            if filled > lots:
                broken.append(f"{name}: {filled} of {lots} lots filled")
            if report is None and name not in self.micro.acted:
                continue  # settled as never received, which only the intent log remembers
            if report is None or report.status not in TERMINAL_STATUSES:
                broken.append(f"{name}: macro knows {report and report.status}")
                continue
            if Decimal(report.filled) != filled * _LOT:
                broken.append(f"{name}: filled {filled} lots, macro knows {report.filled}")
            if sum((Decimal(each.quantity) for each in report.fills), Decimal(0)) != filled * _LOT:
                broken.append(f"{name}: macro does not have every fill of {filled} lots")
            parent = known.get(name)
            if name in bot.concluded and name in self.micro.acted:
                broken.append(f"{name}: concluded by macro, and an order was sent for it")
            if report.instance != LOCAL and (parent is None or parent.filled != filled):
                broken.append(f"{name}: micro knows {parent}")
            if any(order.place.parent_id == name for order in self.micro.venue.open_orders()):
                broken.append(f"{name}: an order of it is open at the exchange")
        return broken


def _unsettled(bot: Bot) -> list[str]:
    """Cancel what is open; what is not closed yet on macro's side."""
    connector = bot.connector
    if connector is None:
        return [bot.name]
    connector.check()
    left = []
    for name in bot.sent:
        report = connector.report(name)
        intent = connector.intents.get(name)
        if report is None and connector.micro_alive():
            try:
                report = connector.query_order(name, 0.5)
                if report is None and intent is not None and intent.state == "done":
                    continue  # concluded by a run of macro that is gone
            except (MicroUnavailable, BadInput):
                report = None
        if report is None or report.status not in TERMINAL_STATUSES:
            connector.cancel(name, "the story ends", 0.05)
            state = intent.state if intent is not None else "not in the log"
            left.append(f"{name} is {report.status if report else 'unknown'}, {state}")
    unfinished = [each.signal.signal_id for each in connector.intents.unfinished()]
    return left or [f"{name} in the intent log" for name in unfinished]


async def until_or(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds, or for so long."""
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)


def _free_port() -> int:
    """One below those that connections are given, and another in each process that plays."""
    while True:
        port = 10_000 + os.getpid() % 500 * 40 + next(_PORTS) % 40
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def quiet() -> None:
    """Keep what both sides log from a process that only plays."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def played(
    seed: int, seconds: float = 4.0, network: Network = FaultyRelay
) -> tuple[int, list[str], dict[str, int]]:
    """Play one story; the seed, what broke, and what happened."""
    with TemporaryDirectory() as folder:
        story = Story(seed, Path(folder), seconds, network)
        try:
            broken = asyncio.run(story.play())
        except Exception as error:  # noqa: BLE001 - a bug of any kind is what it looks for
            broken = [repr(error)]
        late_ms = max(0, story.micro.late_ns // 1_000_000)
        return (
            seed,
            broken,
            story.told.counts | {"acted": len(story.micro.acted), "late ms": late_ms},
        )
