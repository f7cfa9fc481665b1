"""Signal latency between two processes on loopback, and what the tape costs.

The receiving process is micro's reader (uvloop, the socket's descriptor) and publisher around an
acknowledgement, without an engine. Both processes read the same monotonic clock.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
import zmq

from citadel_bridge.channels import Inbox, Publisher, SubscriberFD
from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector
from citadel_bridge.sockets import Endpoint
from citadel_proto import tape, topics
from citadel_proto.codec import decode_signal
from citadel_proto.messages import (
    Answer,
    ExecutionReport,
    MicroHeartbeat,
    Query,
    Signal,
    SignalChannel,
)

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

ROUNDS = 500
GAP_S = 0.005
TARGETS_MS = {"received by micro": 1.0, "acknowledged in macro": 2.0}


def echo(pipe: Connection) -> None:
    """Acknowledge every signal, and note when it was received."""
    uvloop.run(_echo(pipe))


async def _echo(pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    publisher = Publisher(context, "tcp://127.0.0.1:0", stamp={"instance": "bench"})
    pipe.send(publisher.address)
    received: dict[str, int] = {}

    def on_message(_topic: bytes, message: SignalChannel) -> None:
        if isinstance(message, Signal):
            received.setdefault(message.signal_id, time.monotonic_ns())
            publisher.publish(report_of(message))
        elif isinstance(message, Query):
            answer = Answer(
                query_id=message.query_id, kind=message.kind, found=True, instance="", seq=0
            )
            publisher.publish(answer, message.reply_to)

    inbox = Inbox(decode_signal, on_message)
    signals = await loop.run_in_executor(None, pipe.recv)
    reader = SubscriberFD(loop, context, [Endpoint(signals)], [topics.ALL], inbox)
    done = loop.run_in_executor(None, pipe.recv)
    while not done.done():
        publisher.publish(
            MicroHeartbeat(
                instance="bench",
                seq=0,
                state="active",
                started_ns=0,
                wall_ns=time.time_ns(),
                mono_ns=time.monotonic_ns(),
            )
        )
        await asyncio.wait([done], timeout=0.5)
    pipe.send(received)
    reader.close()
    publisher.close()
    context.term()


def report_of(signal: Signal) -> ExecutionReport:
    """The first report of an order."""
    return ExecutionReport(
        signal_id=signal.signal_id,
        revision=1,
        venue=signal.venue,
        symbol=signal.symbol,
        side=signal.side,
        kind=signal.kind,
        order_type=signal.order_type,
        status="working",
        quantity=signal.quantity,
        filled="0",
        average=None,
        limit_price=None,
        stop_price=None,
        triggered=False,
        reason_code="",
        reason="",
        permitted=None,
        fills=(),
        balances=(),
        position=None,
        strategy=signal.strategy,
        tag="",
        algo=signal.algo,
        arrival_mid=0.0,
        reprices=0,
        own=False,
        created_ns=0,
        updated_ns=0,
        instance="",
        seq=0,
    )


def latency(**settings: Any) -> dict[str, list[float]]:  # noqa: ANN401 - settings of the connector
    """Milliseconds of each round: until received by the other process, until acknowledged here."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=echo, args=(theirs,))
    child.start()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        connector = HybridConnector(
            ConnectorConfig(
                signals="tcp://127.0.0.1:0",
                market=(ours.recv(),),
                state_path=Path(folder) / "intents.sqlite",
                **settings,
            )
        )
        connector.start()
        ours.send(connector.address)
        if not connector.wait_ready(20):
            raise SystemExit("the echo process did not answer")
        sent: dict[str, int] = {}
        took = []
        for _ in range(ROUNDS):
            new = NewSignal(venue="v", symbol="BTC/USDT", side="buy", quantity="1", ttl=30)
            start = time.monotonic_ns()
            submitted = connector.submit(new)
            took.append((time.monotonic_ns() - start) / 1e6)
            sent[submitted.signal_id] = start
            time.sleep(GAP_S)
        ours.send("stop")
        received: dict[str, int] = ours.recv()
        connector.close()
    child.join()
    return {
        "received by micro": [(received[id_] - start) / 1e6 for id_, start in sent.items()],
        "acknowledged in macro": took,
    }


def tape_rate() -> float:
    """Records of 200 bytes appended a second, written to a file."""
    frame, count = b"x" * 200, 300_000
    with tempfile.TemporaryDirectory(dir=".") as folder:
        writer = tape.TapeWriter.create(Path(folder) / "a.tape", tape.TapeHeader(created_ns=0))
        start = time.perf_counter()
        for n in range(count):
            writer.append(tape.EVENT, n, frame)
        writer.close()
        return count / (time.perf_counter() - start)


def main() -> None:
    """Print the table."""
    print("| what | intents | p50, ms | p99, ms | target p50, ms |")
    print("| --- | --- | ---: | ---: | ---: |")
    for mode in ("overlapped", "before_publish"):
        for name, values in latency(sync_intents=mode).items():
            values.sort()
            p99 = values[len(values) * 99 // 100]
            print(
                f"| create_order -> {name} | {mode} | {statistics.median(values):.3f} | {p99:.3f} | "
                f"{TARGETS_MS[name]:.0f} |"
            )
    rates = sorted(tape_rate() for _ in range(5))
    print("\n| tape, median of 5 | thousand a second |")
    print("| --- | ---: |")
    print(f"| records of 200 bytes | {rates[2] / 1e3:.0f} |")


if __name__ == "__main__":
    main()
