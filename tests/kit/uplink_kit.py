"""A micro whose two channels, engine and journal are the real ones; its market and venue are fed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

import zmq
from engine_kit import SYMBOL, VENUE, config, rules

from citadel_bridge.channels import Publisher
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_bridge.zap import ZapGuard
from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
from citadel_micro.core.model.events import (
    DepthUpdate,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    Started,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.shell.bridge.uplink import Uplink, UplinkConfig
from citadel_micro.shell.clock import Clock
from citadel_micro.shell.journal.run_folder import RunFolder
from citadel_micro.shell.runner import Runner
from citadel_micro.shell.stats import Stats
from citadel_proto import topics
from citadel_proto.codec import decode_market
from citadel_proto.errors import DecodeError
from citadel_proto.messages import ExecutionReport, MacroHeartbeat, MicroHeartbeat, Signal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from citadel_bridge.auth import ServerKeys
    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.order_adapter import OrderAdapter
    from citadel_proto.messages import MarketChannel, SignalChannel

SECOND = 1_000_000_000
MONO = time.monotonic_ns()


class Wall:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.shift_ns = 0

    def __call__(self) -> int:
        return time.time_ns() + self.shift_ns


class Patient:
    """A venue that takes orders, fills none, and withdraws them when asked."""

    def __init__(self, post: Callable[[Event], None]) -> None:
        self.sent: list[object] = []
        self._post = post

    def submit(self, command: object, now_ns: int) -> None:
        self.sent.append(command)
        order = command.order if isinstance(command, Approved) else command
        event: Event
        if isinstance(order, PlaceOrder):
            event = OrderAccepted(
                venue=VENUE,
                symbol=SYMBOL,
                client_id=order.client_id,
                venue_order_id=str(len(self.sent)),
                exchange_ns=now_ns,
            )
        elif isinstance(order, AmendOrder):
            event = OrderAmended(
                venue=VENUE,
                symbol=SYMBOL,
                client_id=order.client_id,
                price_ticks=order.price_ticks,
                quantity_lots=order.quantity_lots,
                exchange_ns=now_ns,
            )
        elif isinstance(order, CancelOrder):
            event = OrderDone(
                venue=VENUE,
                symbol=SYMBOL,
                client_id=order.client_id,
                status="canceled",
                cumulative_lots=0,
                reason="",
                exchange_ns=now_ns,
            )
        else:
            return
        asyncio.get_running_loop().call_soon(self._post, event)


class Micro:
    """Use inside a running loop. ``address`` is a macro's; more can be given."""

    def __init__(
        self,
        folder: Path,
        addresses: tuple[str | Endpoint, ...],
        *,
        operators: tuple[Endpoint, ...] = (),
        wall: Callable[[], int] | None = None,
        not_before_ns: int = 0,
        mode: str = "paper",
        market: str = "tcp://127.0.0.1:0",
        lane: Path | None = None,
        **limits: Any,  # noqa: ANN401 - fields by name
    ) -> None:
        self.wall = wall or Wall()
        self.clock = Clock(not_before_ns=not_before_ns, wall=self.wall)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.stats = Stats()
        self.folder = RunFolder(folder, instance="micro")
        settings = config(**limits)
        instruments = {(VENUE, SYMBOL): rules()}
        self.engine = Engine(settings, instruments)
        self.journal = self.folder.create(settings, instruments, self.clock.now(), fsync=False)
        self.uplink = Uplink(
            asyncio.get_running_loop(),
            self.context,
            UplinkConfig(
                instance="micro-1",
                mode=mode,
                market=market,
                signals=tuple(
                    each if isinstance(each, Endpoint) else Endpoint(each) for each in addresses
                ),
                operators=operators,
                lane=lane,
            ),
            clock=self.clock,
            stats=self.stats,
        )
        self.venue = Patient(self.post)
        self.runner = Runner(
            self.engine,
            journal=self.journal,
            clock=self.clock,
            venues=cast("dict[str, OrderAdapter]", {VENUE: self.venue}),
            uplink=self.uplink,
            resync=lambda _command: None,
            note=lambda _note: None,
            stats=self.stats,
        )
        self.seq = 0
        self.heard: list[MarketChannel] = []
        self.undecodable = 0
        post = self.runner.post
        post(Started(state=self.folder.state, damaged=self.folder.damaged))
        self.uplink.start(self.runner)
        self.reader = SubscriberThread(
            self.context, [Endpoint(self.uplink.market_address)], [topics.ALL], self
        )
        self.reader.start()
        post(VenueStatus(venue=VENUE, up=True, reason=""))
        self.balances()
        self.book()

    # what its subscribers hear

    def feed(self, frame: bytes) -> None:
        try:
            self.heard.append(decode_market(topics.split(frame)[1]))
        except DecodeError:
            self.undecodable += 1

    def flush(self) -> None:
        pass

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    def report(self, signal_id: str) -> ExecutionReport | None:
        found = [each for each in self.of(ExecutionReport) if each.signal_id == signal_id]
        return max(found, key=lambda each: each.revision, default=None)

    def beats(self) -> list[MicroHeartbeat]:
        return self.of(MicroHeartbeat)

    # what happens to it

    def post(self, event: Event) -> None:
        self.runner.post(event)

    def balances(self) -> None:
        from decimal import Decimal  # noqa: PLC0415

        self.post(
            VenueSnapshot(
                venue=VENUE,
                open_orders=(),
                balances=(
                    ("USDT", Decimal(10_000_000), Decimal(0)),
                    ("BTC", Decimal(100), Decimal(0)),
                ),
                exchange_ns=self.clock.now(),
            )
        )

    def book(self) -> None:
        self.seq += 1
        bids = [(60_000.0 - n * 0.1, 5.0) for n in range(20)]
        asks = [(60_000.1 + n * 0.1, 5.0) for n in range(20)]
        now = self.clock.now()
        self.post(
            DepthUpdate(VENUE, SYMBOL, True, self.seq, self.seq, -1, None, bids, asks, now, now)
        )

    async def until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come"
            assert not self.runner.failed
            self.book()
            await asyncio.sleep(0.02)

    def close(self) -> None:
        self.runner.close()
        self.uplink.close()
        self.journal.close()
        self.reader.close()
        self.folder.close()
        self.context.term()


class Macro:
    """A bare publisher of signals with a clock of its own."""

    def __init__(
        self,
        name: str = "macro-1",
        owner: str = "",
        epoch: int = 1,
        keys: ServerKeys | None = None,
    ) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.guard = None if keys is None else ZapGuard(self.context, keys.allow)
        self.publisher = Publisher(self.context, "tcp://127.0.0.1:0", stamp={}, keys=keys)
        if self.guard is not None:
            self.guard.start()
        self.address = self.publisher.address
        self.name, self.owner, self.epoch = name, owner, epoch
        self.wall = Wall()
        self.count = 0

    def send(self, message: SignalChannel) -> None:
        self.publisher.publish(message)

    def beat(self, **changes: Any) -> None:  # noqa: ANN401 - fields by name
        values: dict[str, Any] = {
            "instance": self.name,
            "epoch": self.epoch,
            "seq": 0,
            "state": "running",
            "wall_ns": self.wall(),
            "mono_ns": time.monotonic_ns(),
            "owner": self.owner,
        }
        self.send(MacroHeartbeat(**values | changes))

    def signal(self, **changes: Any) -> Signal:  # noqa: ANN401 - fields by name
        """An order, not sent yet."""
        self.count += 1
        now = self.wall()
        values: dict[str, Any] = {
            "signal_id": f"{self.name}-{self.count}",
            "strategy": "test",
            "venue": VENUE,
            "symbol": SYMBOL,
            "side": "buy",
            "quantity": "0.01",
            "algo": "chase_limit",
            "created_ns": now,
            "expires_ns": now + 5 * SECOND,
            "epoch": self.epoch,
            "seq": 0,
            "owner": self.owner,
        }
        return Signal(**values | changes)

    async def watch(self, micro: Micro, seconds: float) -> None:
        """Go on beating."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.beat()
            micro.book()
            await asyncio.sleep(0.1)

    def close(self) -> None:
        self.publisher.close()
        if self.guard is not None:
            self.guard.close()
        self.context.term()
