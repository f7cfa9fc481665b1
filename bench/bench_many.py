"""Many macros and micros: processor time and memory of each side, and what CURVE and tapes cost.

Each micro here is a process that keeps books and publishes them as micro does, without a venue or orders; each macro is
a process with a connector. Time is processor time of the whole process, so other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq

from citadel_bridge.auth import KeyStore
from citadel_bridge.channels import Inbox, Publisher
from citadel_bridge.config import ConnectorConfig
from citadel_bridge.connector import HybridConnector
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_bridge.zap import ZapGuard
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.bridge import wire
from citadel_micro.shell.journal.verify import verify
from citadel_proto import tape, topics
from citadel_proto.codec import decode_signal
from citadel_proto.messages import MicroHeartbeat

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

VENUE = "binance-spot"
LEVELS = 20
WARM_S = 2.0
PAGE = 1_000_000


@dataclass(frozen=True)
class Load:
    """How much of everything there is."""

    micros: int
    macros: int
    symbols: int
    """Of all micros together."""
    per_s: float
    """Books of each symbol a second."""
    keys: str = ""
    own: int = 0
    """Symbols that each macro has named as its own; 0: it takes the books of all."""
    turns: int = 1
    """In how many portions the books of all symbols are published; 1, as the engine does when they are due."""


def used() -> tuple[float, float]:
    """Processor time of this process in s, and its memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return time.process_time(), pages * resource.getpagesize() / PAGE


def micro(pipe: Connection, number: int, load: Load) -> None:
    """Publish the books of one share of the symbols, and heartbeats."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    server = KeyStore(Path(load.keys)).server("micro") if load.keys else None
    guard = None if server is None else ZapGuard(context, server.allow)
    if guard is not None:
        guard.start()
    name = f"micro-{number}-run"
    publisher = Publisher(context, "tcp://127.0.0.1:0", stamp={"instance": name}, keys=server)
    pipe.send(publisher.address)
    macros = pipe.recv()
    keys = KeyStore(Path(load.keys)).client("micro", "macro") if load.keys else None
    seen: dict[str, int] = {}

    def on_message(_topic: bytes, message: Any) -> None:  # noqa: ANN401 - a heartbeat
        seen[message.instance] = message.seq

    ends = [Endpoint(address, keys) for address in macros]
    inbox = Inbox(decode_signal, on_message)
    reader = SubscriberThread(context, ends, [topics.exactly(topics.HEARTBEAT)], inbox)
    reader.start()
    books = [book(f"C{n}/USDT") for n in range(number, load.symbols, load.micros)]
    serves = tuple((VENUE, each.symbol) for each in books)
    pause = 1 / load.per_s
    due, beat_due, turn = time.monotonic(), 0.0, 0
    while not pipe.poll(0):
        now = time.monotonic()
        if now >= beat_due:
            beat_due = now + 1
            publisher.publish(
                MicroHeartbeat(
                    instance=name,
                    seq=0,
                    state="active",
                    started_ns=1,
                    wall_ns=time.time_ns(),
                    mono_ns=time.monotonic_ns(),
                    macros_seen=tuple(seen.items()),
                    serves=serves,
                )
            )
        now_ns = time.time_ns()
        for market in books[turn :: load.turns]:
            publisher.publish(wire.book_of(market, LEVELS, name, 0, now_ns))
        turn = (turn + 1) % load.turns
        due += pause / load.turns
        time.sleep(max(0.0, due - time.monotonic()))
    if pipe.recv() == "mark":
        pipe.send(None)
    reader.close()
    publisher.close()
    if guard is not None:
        guard.close()
    context.destroy(linger=0)


def measured_micro(pipe: Connection, number: int, load: Load) -> None:
    """The same, and what it used between two words from the pipe."""
    inner, outer = multiprocessing.Pipe()
    import threading  # noqa: PLC0415 - of this process only

    worker = threading.Thread(target=micro, args=(inner, number, load))
    worker.start()
    pipe.send(outer.recv())
    outer.send(pipe.recv())
    measure(pipe)
    outer.send("end")
    worker.join()


def measure(pipe: Connection) -> None:
    """Answer two words with what this process used between them."""
    pipe.recv()
    before, _ = used()
    pipe.recv()
    after, memory = used()
    pipe.send((after - before, memory))


def macro(pipe: Connection, number: int, load: Load) -> None:
    """One connector to all micros."""
    pipe.send("up")
    markets = pipe.recv()
    connector = HybridConnector(
        ConnectorConfig(
            signals="tcp://127.0.0.1:0",
            market=markets,
            strategy=f"bot-{number}",
            keys=Path(load.keys) if load.keys else None,
        )
    )
    if load.own:
        first = number * load.own
        connector.pairs = tuple(
            (VENUE, f"C{n % load.symbols}/USDT") for n in range(first, first + load.own)
        )
    connector.start()
    pipe.send(connector.address)
    measure(pipe)
    pipe.send(
        (connector.inbox.received, connector.mirror.sequences.missing, len(connector.peers()))
    )
    connector.close()


def book(symbol: str) -> MarketBook:
    """A live book of 50 levels a side."""
    market = MarketBook(VENUE, symbol, "range_bridge_spot")
    bids = [(100.0 - n * 0.1, 1.0 + n) for n in range(50)]
    asks = [(100.1 + n * 0.1, 2.0 + n) for n in range(50)]
    now = time.time_ns()
    market.on_depth(DepthUpdate(VENUE, symbol, True, 1, 1, -1, None, bids, asks, now, now))  # noqa: FBT003 - a whole book
    return market


def run(load: Load, seconds: float) -> dict[str, float]:
    """Play it, and give the means of each side."""
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:

        def start(what: Callable[..., None], number: int) -> Connection:
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=what, args=(theirs, number, load))
            process.start()
            stack.callback(process.join)
            return ours

        micros = [start(measured_micro, n) for n in range(load.micros)]
        macros = [start(macro, n) for n in range(load.macros)]
        addresses = tuple(each.recv() for each in micros)
        for each in macros:
            each.recv()
            each.send(addresses)
        signals = [each.recv() for each in macros]
        for each in micros:
            each.send(signals)
        time.sleep(WARM_S)
        for each in (*micros, *macros):
            each.send("begin")
        began = time.monotonic()
        time.sleep(seconds)
        for each in (*micros, *macros):
            each.send("end")
        took = time.monotonic() - began
        of_micros = [each.recv() for each in micros]
        of_macros = [each.recv() for each in macros]
        counts = [each.recv() for each in macros]
    return {
        "micro %": 100 * statistics.mean(cpu for cpu, _ in of_micros) / took,
        "micro MB": statistics.mean(memory for _, memory in of_micros),
        "macro %": 100 * statistics.mean(cpu for cpu, _ in of_macros) / took,
        "macro MB": statistics.mean(memory for _, memory in of_macros),
        "received/s": statistics.mean(count for count, _, _ in counts) / (took + WARM_S),
        "missing": sum(missing for _, missing, _ in counts),
        "micros heard": min(heard for _, _, heard in counts),
    }


def rates(count: int = 300_000) -> dict[str, float]:
    """A second of processor time: records written to a tape and read from it, events of a journal recomputed."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "kit"))
    from journal_kit import Journaled  # noqa: PLC0415 - see above

    frame = b"x" * 200
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "a.tape"
        writer = tape.TapeWriter.create(path, tape.TapeHeader(created_ns=0))
        start = time.process_time()
        for n in range(count):
            writer.append(tape.EVENT, n, frame)
        writer.close()
        written = count / (time.process_time() - start)
        start = time.process_time()
        with tape.TapeReader.open(path) as reader:
            read = sum(1 for _ in reader.records()) / (time.process_time() - start)
        rig = Journaled(Path(folder) / "journal")
        rig.venue.partial_share = 0.0
        chance = random.Random(1)
        for number in range(100_000):
            rig.now += 10_000_000
            rig.trade(60_000.0 + chance.randint(-5, 5) / 10, 0.01)
            if number % 10 == 0:
                rig.book(60_000.0, 60_000.1)
        rig.journal.sync()
        rig.journal.close()
        start = time.process_time()
        found = verify(rig.journal.path)
        replayed = found.events / (time.process_time() - start)
    return {"tape write": written, "tape read": read, "replay": replayed}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="measured of each load")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        keys = Path(folder) / "keys"
        KeyStore(keys).make()
        loads = {
            "1 micro, 1 macro, 200 symbols at 10 Hz": Load(1, 1, 200, 10.0),
            "the same, a tenth of the books every 10 ms": Load(1, 1, 200, 10.0, turns=10),
            "the same at once, with CURVE": Load(1, 1, 200, 10.0, str(keys)),
            "5 micros, 1 macro, 1,000 symbols at 1 Hz": Load(5, 1, 1_000, 1.0),
            "5 micros, 20 macros, 1,000 symbols at 1 Hz": Load(5, 20, 1_000, 1.0),
            "the same, each macro with 50 pairs of its own": Load(5, 20, 1_000, 1.0, own=50),
        }
        for number, (name, load) in enumerate(loads.items()):
            found = run(load, given.seconds)
            if not number:
                print(f"| load | {' | '.join(found)} |")
                print(f"| --- |{' ---: |' * len(found)}")
            print(
                f"| {name} | {' | '.join(f'{value:.1f}' for value in found.values())} |", flush=True
            )
    print("\n| what | thousand a second of processor time |")
    print("| --- | ---: |")
    for what, value in rates().items():
        print(f"| {what} | {value / 1e3:.0f} |")


if __name__ == "__main__":
    main()
