"""A micro that runs at a simulator, its command line, and a bare publisher in that one's place."""

from __future__ import annotations

import json
import time
import urllib.request
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import zmq
from process_kit import SYMBOL, Bench, citadel, until

from citadel_bridge.channels import Inbox
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_micro.shell.ops.control import OVERVIEW, RISK, Request, ask
from citadel_proto import topics
from citadel_proto.codec import decode_market, encode
from citadel_proto.messages import ExecutionReport, MacroHeartbeat, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

S = 1_000_000_000


class Stand:
    """A micro that is up, and how to reach it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.ready = bench.up()

    def signal(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        """(exit code, report, standard error) of ``citadel signal``."""
        done = citadel(*self.bench.signal(*arguments))
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    def account(self) -> dict[str, Any]:
        """What no refused request may change. A trip that resets by itself may come of a busy machine."""
        risk, found = (ask(self.bench.run_dir, Request(each)) for each in (RISK, OVERVIEW))
        return {
            "limits": risk["fingerprint"],
            "trips": [trip for trip in found["trips"] if trip["reset"] == "manual"],
            "open": found["open_parents"],
            "balances": found["account"]["balances"],
        }

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels."""
        with urllib.request.urlopen(self.ready["http"] + "/metrics", timeout=20) as response:  # noqa: S310 - loopback
            lines = response.read().decode().splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith((name + "{", name + " "))
        )

    @contextmanager
    def macro(self) -> Iterator[Macro]:
        """A bare publisher in the place of the command line."""
        with closing(Macro(self.bench)) as made:
            yield made


class Macro:
    """Sends what it is told to, byte for byte, and keeps the reports that come back."""

    def __init__(self, bench: Bench) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.publisher = self.context.socket(zmq.XPUB)
        until(self._bound(bench.commands))
        self.reports: list[ExecutionReport] = []
        self.heard = 0
        inbox = Inbox(decode_market, self._on_message)
        self.reader = SubscriberThread(
            self.context, [Endpoint(bench.market)], [topics.ALL], inbox, name="macro"
        )
        self.reader.start()
        # Both ways are open: what is sent before that is lost, and so is what comes back.
        until(lambda: self.publisher.poll(100))
        until(lambda: self.heard)

    def _bound(self, address: str) -> Callable[[], bool]:
        def bind() -> bool:
            try:
                self.publisher.bind(address)
            except zmq.ZMQError:
                return False  # the one before is still closing
            return True

        return bind

    def _on_message(self, _topic: bytes, message: object) -> None:
        self.heard += 1
        if isinstance(message, ExecutionReport):
            self.reports.append(message)

    def send(self, message: Signal | MacroHeartbeat) -> None:
        self.publisher.send(topics.join(topics.topic_of(message), encode(message)))

    def of(self, signal_id: str) -> list[ExecutionReport]:
        return [report for report in self.reports if report.signal_id == signal_id]

    def close(self) -> None:
        self.reader.close()
        self.context.destroy(linger=0)


def order(signal_id: str, **changes: Any) -> Signal:  # noqa: ANN401 - fields by name
    now = time.time_ns()
    values: dict[str, Any] = {
        "signal_id": signal_id,
        "strategy": "test",
        "venue": "binance-spot",
        "symbol": SYMBOL,
        "side": "buy",
        "quantity": "0.01",
        "kind": "order",
        "order_type": "limit",
        "limit_price": None,
        "stop_price": None,
        "time_in_force": "GTC",
        "reduce_only": False,
        "leverage": "1",
        "algo": "marketable_limit",
        "params": {},
        "confidence": None,
        "model_id": "",
        "tag": "",
        "candle_ns": 0,
        "created_ns": now,
        "expires_ns": now + 10 * S,
        "epoch": now,
        "seq": 1,
    }
    return Signal(**values | changes)
