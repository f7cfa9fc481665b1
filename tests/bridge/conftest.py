"""A micro that one can read: real sockets, no trading. And connectors that close themselves."""

# ruff: noqa: ANN401 - builders take the fields of messages by name

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from citadel_bridge.channels import Inbox, Publisher
from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_proto import topics
from citadel_proto.codec import decode_signal
from citadel_proto.messages import (
    Answer,
    Balance,
    BookSnapshot,
    Cancel,
    ExecutionReport,
    MacroHeartbeat,
    MicroHeartbeat,
    Query,
    Signal,
    SignalChannel,
)
from citadel_proto.packed_levels import pack_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def until(condition: Callable[[], object], timeout: float = 60.0, what: str = "") -> None:
    """Poll until something holds; fails with what was waited for."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout:g} s: {what or condition}")
        time.sleep(0.002)


@dataclass
class Journal:
    """What a FakeMicro remembers across its restarts: the idempotency that real micro persists."""

    orders: dict[str, ExecutionReport] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    """Every signal acted on, in order; a repeated id here is a double execution."""


class FakeMicro:
    """Acknowledges signals, answers queries, beats. One publisher, one receive thread.

    Args:
        market: address to bind.
        journal: what survives a restart.
        acknowledge: False leaves signals unanswered (and unexecuted).
        beat: seconds between heartbeats.
    """

    def __init__(
        self,
        market: str = "tcp://127.0.0.1:0",
        *,
        journal: Journal | None = None,
        instance: str = "micro-1",
        acknowledge: bool = True,
        beat: float = 0.05,
        wall_offset_ns: int = 0,
        schema: int = 1,
        serves: tuple[tuple[str, str], ...] = (),
        keys: Any = None,
        context: Any = None,
    ) -> None:
        self.journal = journal or Journal()
        self.instance = instance
        self.acknowledge = acknowledge
        self.hears_signals = True
        self.wall_offset_ns = wall_offset_ns
        self.schema = schema
        self.serves = serves
        self.beat = beat
        self.received: list[SignalChannel] = []
        self.macros: dict[str, int] = {}
        self.balances: tuple[Balance, ...] = ()
        self.counts_reports = False
        """Whether its heartbeats say how many reports it has published; from one thread only."""
        self.context = context or zmq.Context()
        self.publisher = Publisher(self.context, market, stamp={"instance": instance}, keys=keys)
        self.address = self.publisher.address
        self.inbox = Inbox(decode_signal, self._on_message)
        self._reader: SubscriberThread | None = None
        self._stop = threading.Event()
        self._beating = threading.Thread(target=self._beats, daemon=True)

    def follow(self, *signals: str | Endpoint) -> FakeMicro:
        """Connect to the signals of one or more macros, and begin to beat."""
        ends = [Endpoint(end) if isinstance(end, str) else end for end in signals]
        self._reader = SubscriberThread(self.context, ends, [topics.ALL], self.inbox)
        self._reader.start()
        self._beating.start()
        return self

    def close(self) -> None:
        """Vanish as a killed process does: no goodbye."""
        self._stop.set()
        if self._beating.is_alive():
            self._beating.join()
        if self._reader is not None:
            self._reader.close()
        self.publisher.close()
        if not self.context.closed:
            self.context.destroy(linger=0)

    def of(self, kind: type) -> list[Any]:
        """Messages of one kind received, re-publications included."""
        return [message for message in self.received if type(message) is kind]

    def report(self, signal_id: str, **changes: Any) -> ExecutionReport:
        """Change an order's state, with the next revision, without publishing it."""
        old = self.journal.orders[signal_id]
        values = {name: getattr(old, name) for name in old.__struct_fields__}
        values |= {"revision": old.revision + 1, "updated_ns": time.time_ns()} | changes
        report = ExecutionReport(**values)
        self.journal.orders[signal_id] = report
        return report

    def publish_report(self, signal_id: str, **changes: Any) -> ExecutionReport:
        """Change an order's state and publish it."""
        report = self.report(signal_id, **changes)
        self.publisher.publish(report)
        return report

    def book(self, symbol: str = "BTC/USDT", price: float = 100.0, **changes: Any) -> BookSnapshot:
        """A book of two levels a side."""
        values: dict[str, Any] = {
            "venue": "paper",
            "symbol": symbol,
            "state": "LIVE",
            "exchange_ns": time.time_ns(),
            "recv_ns": time.time_ns(),
            "venue_seq": 1,
            "bids": pack_levels([(price - 1, 1.0), (price - 2, 2.0)]),
            "asks": pack_levels([(price + 1, 3.0), (price + 2, 4.0)]),
            "microprice": price,
            "imbalance": -0.4,
            "spread": 2.0,
            "signed_flow": 0.0,
            "flow_window_ms": 1000,
            "published_ns": time.time_ns(),
            "instance": self.instance,
            "seq": 0,
        }
        return BookSnapshot(**values | changes)

    def send_beat(self) -> None:
        """Publish one heartbeat."""
        seen = tuple(self.macros.items())
        self.publisher.publish(
            MicroHeartbeat(
                instance=self.instance,
                seq=0,
                state="active",
                started_ns=1,
                wall_ns=time.time_ns() + self.wall_offset_ns,
                mono_ns=time.monotonic_ns(),
                macro_instance_seen=seen[-1][0] if seen else "",
                macros_seen=seen,
                schema=self.schema,
                serves=self.serves,
                reports=self.publisher.reports if self.counts_reports else None,
            )
        )

    def beat_by_hand(self) -> None:
        """Send no more heartbeats but those that are asked for."""
        self._stop.set()
        self._beating.join()

    def _beats(self) -> None:
        while not self._stop.wait(self.beat):
            self.send_beat()

    def _on_message(self, _topic: bytes, message: SignalChannel) -> None:
        if isinstance(message, Signal):
            pair = (message.venue, message.symbol)
            if not self.hears_signals or (self.serves and pair not in self.serves):
                return
        self.received.append(message)
        match message:
            case MacroHeartbeat():
                self.macros[message.instance] = message.seq
            case Signal() if self.acknowledge:
                self._on_signal(message)
            case Cancel() if message.signal_id in self.journal.orders:
                self.publish_report(message.signal_id, status="canceled")
            case Query():
                self._on_query(message)
            case _:
                pass

    def _on_signal(self, signal: Signal) -> None:
        known = self.journal.orders.get(signal.signal_id)
        if known is None:
            known = accepted(signal, self.instance)
            self.journal.orders[signal.signal_id] = known
            self.journal.executed.append(signal.signal_id)
        self.publisher.publish(known)

    def _on_query(self, query: Query) -> None:
        orders = self.journal.orders
        match query.kind:
            case "order":
                reports = tuple(filter(None, [orders.get(query.signal_id)]))
            case "orders":
                reports = tuple(o for o in orders.values() if o.updated_ns >= query.since_ns)
            case _:
                reports = ()
        self.publisher.publish(
            Answer(
                query_id=query.query_id,
                kind=query.kind,
                found=bool(reports) or query.kind != "order",
                reports=reports,
                balances=self.balances if query.kind == "balances" else (),
                limits={"max_order": "1"} if query.kind == "limits" else {},
                instance=self.instance,
                seq=0,
                answered_ns=time.time_ns(),
            ),
            query.reply_to,
        )


def accepted(signal: Signal, instance: str = "micro-1", **changes: Any) -> ExecutionReport:
    """First report on a signal."""
    values: dict[str, Any] = {
        "signal_id": signal.signal_id,
        "revision": 1,
        "venue": signal.venue,
        "symbol": signal.symbol,
        "side": signal.side,
        "kind": signal.kind,
        "order_type": signal.order_type,
        "status": "working",
        "quantity": signal.quantity,
        "filled": "0",
        "average": None,
        "limit_price": signal.limit_price,
        "stop_price": signal.stop_price,
        "triggered": False,
        "reason_code": "",
        "reason": "",
        "permitted": None,
        "fills": (),
        "balances": (),
        "position": None,
        "strategy": signal.strategy,
        "tag": signal.tag,
        "algo": signal.algo,
        "arrival_mid": 100.0,
        "reprices": 0,
        "own": False,
        "created_ns": signal.created_ns,
        "updated_ns": time.time_ns(),
        "instance": instance,
        "seq": 0,
    }
    return ExecutionReport(**values | changes)


def buy(**changes: Any) -> NewSignal:
    """A plain buy signal."""
    values: dict[str, Any] = {
        "venue": "paper",
        "symbol": "BTC/USDT",
        "side": "buy",
        "quantity": "0.5",
        "ttl": 30.0,
    }
    return NewSignal(**values | changes)


@dataclass
class Pair:
    """A connector and a FakeMicro that may be restarted."""

    connector: HybridConnector
    micro: FakeMicro

    def restart_micro(self, instance: str, **options: Any) -> FakeMicro:
        """Kill micro and start it again at its address with its journal."""
        address = self.micro.address
        self.micro.close()
        self.micro = FakeMicro(
            address, journal=self.micro.journal, instance=instance, **options
        ).follow(self.connector.address)
        return self.micro


@pytest.fixture
def make_pair(tmp_path: Path) -> Iterator[Callable[..., Pair]]:
    """Build pairs on ephemeral ports; ``micro=`` for FakeMicro's options, the rest configures."""
    pairs: list[Pair] = []

    def make(*, micro: dict[str, Any] | None = None, ready: bool = True, **settings: Any) -> Pair:
        fake = FakeMicro(**(micro or {}))
        values: dict[str, Any] = {
            "signals": "tcp://127.0.0.1:0",
            "market": (fake.address,),
            "state_path": tmp_path / f"intents-{len(pairs)}.sqlite",
            "strategy": "Sample",
            "heartbeat": 0.1,
            # Tests of these limits say shorter ones; the others must not depend on when a thread runs.
            "ack_timeout": 20.0,
            "dead_after": 20.0,
            "audit": 0.3,
        }
        connector = HybridConnector(ConnectorConfig(**values | settings))
        pair = Pair(connector, fake)
        pairs.append(pair)
        connector.start()
        fake.follow(connector.address)
        if ready:
            assert connector.wait_ready(60)
            until(connector.micro_alive, what="a heartbeat of micro")
        return pair

    yield make
    for pair in pairs:
        pair.connector.close()
        pair.micro.close()


@pytest.fixture
def pair(make_pair: Callable[..., Pair]) -> Pair:
    """One connected pair. What is late is not sent twice, so that tests can count."""
    return make_pair(resend_first=20.0, resend_max=20.0)


@pytest.fixture(name="until")
def _until() -> Callable[..., None]:
    """Poll until something holds: ``until(condition, timeout=60, what="")``."""
    return until


@pytest.fixture(name="buy")
def _buy() -> Callable[..., NewSignal]:
    """Make a plain buy signal, with changes."""
    return buy


@pytest.fixture
def make_micro() -> Iterator[Callable[..., FakeMicro]]:
    """Make FakeMicros that are closed at the end."""
    made: list[FakeMicro] = []

    def make(market: str = "tcp://127.0.0.1:0", **options: Any) -> FakeMicro:
        made.append(FakeMicro(market, **options))
        return made[-1]

    yield make
    for micro in made:
        micro.close()
