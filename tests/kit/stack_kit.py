"""A whole micro on paper, a simulator, and a macro's end of the bridge."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import zmq
from waiting import until

from citadel_bridge.channels import Inbox, Publisher, SubscriberFD
from citadel_bridge.sockets import Endpoint
from citadel_bridge.zap import ZapGuard
from citadel_micro.adapters.paper.orders import PaperAdapter
from citadel_micro.daemon import Micro
from citadel_micro.shell.config.config import MicroConfig, load
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto import topics
from citadel_proto.codec import decode_market
from citadel_proto.messages import (
    TERMINAL_STATUSES,
    ExecutionReport,
    MacroHeartbeat,
    MicroHeartbeat,
    Signal,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from citadel_bridge.auth import KeyStore
    from citadel_micro.shell.order_adapter import OrderAdapters
    from citadel_micro.sim.paper import PaperVenue
    from citadel_proto.messages import MarketChannel, SignalChannel


SYMBOL = "BTC/USDT"


SECOND = 1_000_000_000


class Peer:
    """What a macro is to micro: publishes signals, hears everything, and beats."""

    def __init__(self, keys: KeyStore | None = None, role: str = "macro") -> None:
        self.keys = keys
        self.role = role
        self.context = zmq.Context[Any]()
        self.guard: ZapGuard | None = None
        server = None if keys is None else keys.server(role)
        if server is not None:
            self.guard = ZapGuard(self.context, server.allow)
            self.guard.start()
        self.publisher = Publisher(
            self.context, "tcp://127.0.0.1:0", stamp={"epoch": 1}, keys=server
        )
        self.address = self.publisher.address
        self.heard: list[MarketChannel] = []
        self.inbox = Inbox(decode_market, lambda _topic, message: self.heard.append(message))
        self.reader: SubscriberFD | None = None
        self.numbers = iter(range(1, 1_000))

    def follow(self, address: str) -> None:
        keys = None if self.keys is None else self.keys.client(self.role, "micro")
        loop = asyncio.get_running_loop()
        self.reader = SubscriberFD(
            loop, self.context, [Endpoint(address, keys)], [topics.ALL], self.inbox
        )

    def close(self) -> None:
        if self.reader is not None:
            self.reader.close()
        self.publisher.close()
        if self.guard is not None:
            self.guard.close()
        self.context.destroy(linger=0)

    def send(self, message: SignalChannel) -> None:
        self.publisher.publish(message)

    def signal(self, **changes: Any) -> Signal:  # noqa: ANN401 - fields by name
        now_ns = time.time_ns()
        values: dict[str, Any] = {
            "signal_id": f"s-{next(self.numbers)}",
            "strategy": "Test",
            "venue": "binance-spot",
            "symbol": SYMBOL,
            "side": "buy",
            "quantity": "0.01",
            "algo": "marketable_limit",
            "created_ns": now_ns,
            "expires_ns": now_ns + 30 * SECOND,
            "epoch": 1,
            "seq": 0,
        }
        return Signal(**{**values, **changes})

    def beat(self) -> None:
        self.send(
            MacroHeartbeat(
                instance="macro-1",
                epoch=1,
                seq=0,
                state="running",
                wall_ns=time.time_ns(),
                mono_ns=time.monotonic_ns(),
            )
        )

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    def report(self, signal_id: str) -> ExecutionReport | None:
        """The newest report on a signal."""
        found = [r for r in self.of(ExecutionReport) if r.signal_id == signal_id]
        return max(found, key=lambda r: r.revision, default=None)

    async def ended(self, signal_id: str) -> ExecutionReport:
        def over() -> bool:
            newest = self.report(signal_id)
            return newest is not None and newest.status in TERMINAL_STATUSES

        await until(over)
        report = self.report(signal_id)
        assert report is not None
        return report


def paper(micro: Micro) -> PaperVenue:
    adapter = micro.adapters["binance-spot"]
    assert isinstance(adapter, PaperAdapter)
    return adapter.paper


UNHURRIED = dict.fromkeys(
    (
        *("stale_ms", "mark_stale_ms", "feed_trip_ms", "max_skew_ms"),
        *("lease_soft_ms", "lease_hard_ms", "lease_dead_ms"),
    ),
    120_000,
)
"""Limits of age, for a machine that is busy: a test that is about one sets it."""


class Stack:
    """Simulator, peer, and the means to start micros between them."""

    def __init__(self, simulator: SimulatorServer, peer: Peer, folder: Path) -> None:
        self.simulator = simulator
        self.peer = peer
        self.folder = folder
        self.micros: list[Micro] = []

    def config(self, **changes: Any) -> MicroConfig:  # noqa: ANN401 - tables by name
        tables: dict[str, Any] = {
            "run_dir": self.folder / "run",
            "bridge": {
                "macros": [self.peer.address],
                "command_lines": [],
                "market": "tcp://127.0.0.1:0",
            },
            "http": {"port": 0},
            "venues": {
                "binance-spot": {
                    "symbols": [SYMBOL],
                    "rest_url": self.simulator.rest_url,
                    "ws_url": self.simulator.ws_url,
                    "start_timeout_s": 1.0,
                }
            },
            "journal": {"fsync": False},
            "risk": dict(UNHURRIED),
        }
        for name, value in changes.items():
            both = isinstance(value, dict) and isinstance(tables.get(name), dict)
            tables[name] = {**tables[name], **value} if both else value
        return load(overrides=tables)

    def far(self, micro: Micro) -> Signal:
        """An order that rests for long: 5 % below the market."""
        mid = micro.engine.markets["binance-spot", SYMBOL].mid()
        assert mid is not None
        return self.peer.signal(algo="chase_limit", limit_price=f"{mid * 0.95:.2f}", quantity="0.2")

    async def up(
        self, config: MicroConfig | None = None, orders: OrderAdapters | None = None
    ) -> Micro:
        """Start a micro, and wait until it can trade and both sides hear each other."""
        micro = Micro(config or self.config(), orders=orders)
        self.micros.append(micro)
        await micro.start()
        self.peer.follow(micro.market_address)
        market = micro.engine.markets["binance-spot", SYMBOL]
        await until(lambda: market.state == "LIVE" and not micro.engine.reconciling)
        await until(lambda: self.peer.of(MicroHeartbeat))

        def heard() -> bool:
            self.peer.beat()
            return micro.stats.events.get("MacroBeat", 0) > 0

        await until(heard)
        return micro


@asynccontextmanager
async def stack(folder: Path, keys: KeyStore | None = None) -> AsyncIterator[Stack]:
    config = SimulatorConfig(symbols=(SYMBOL,), history_days=1, warm_minutes=1)
    async with SimulatorServer(config) as simulator:
        made = Stack(simulator, Peer(keys), folder)
        try:
            yield made
        finally:
            for micro in made.micros:
                await micro.close()
            made.peer.close()


def run(folder: Path, body: Callable[[Stack], Awaitable[None]]) -> None:
    async def main() -> None:
        async with stack(folder) as made:
            await body(made)

    asyncio.run(main())
