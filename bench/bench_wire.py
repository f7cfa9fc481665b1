"""The wire alone: a round trip over our sockets, against blocking pyzmq's with the same frames, in turns.

Each side is a process. A request is a signal, its answer a report of it, encoded and decoded on both sides where they are
ours; the plain side passes on bytes that were made before. No journal, no engine. In "both ours" the thread that waits
reads the socket, in turns with the receive thread; "passed on" is what it takes where the receive thread reads it and
wakes the other, "without a thread" where there is only one, and "by a lane too" where each message goes by a Unix socket
as well and what comes first is taken.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
import zmq
from bench_bridge import report_of

from citadel_bridge.auth import KeyStore
from citadel_bridge.channels import Inbox, Publisher, SubscriberFD
from citadel_bridge.lane import SUPPORTED
from citadel_bridge.lane_ends import LaneEnds, LaneServer
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint, publisher_socket, subscriber_socket
from citadel_bridge.turns import Waiter
from citadel_bridge.zap import ZapGuard
from citadel_proto import topics
from citadel_proto.codec import decode_market, decode_signal, encode
from citadel_proto.messages import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from citadel_proto.messages import ExecutionReport

ROUNDS = 5
TRIPS = 2_000
WARM = 200
PASSED_ON = "both ours, passed on"
ALONE = "both ours, without a thread"
BY_LANE = "both ours, by a lane too"

SIGNAL = Signal(
    signal_id="bench-1",
    strategy="bench",
    venue="binance-spot",
    symbol="BTC/USDT",
    side="buy",
    quantity="0.5",
    limit_price="60000.1",
    params={"time_limit_ms": 60_000},
    created_ns=1_700_000_000_000_000_000,
    expires_ns=1_700_000_010_000_000_000,
    epoch=1,
    seq=1,
    owner="o1234567890",
)
REPORT = report_of(SIGNAL)


class Side:
    """Sockets of one side, and whose keys they have."""

    def __init__(self, role: str, other: str, keys: str) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        store = KeyStore(Path(keys)) if keys else None
        self.server = None if store is None else store.server(role)
        self.client = None if store is None else store.client(role, other)
        if self.server is not None:
            ZapGuard(self.context, self.server.allow).start()

    def plain(
        self, pipe: Connection, frame: bytes
    ) -> tuple[Callable[[], None], Callable[[], bytes]]:
        """Blocking pyzmq: how to send this frame, and how to receive one."""
        out, address = publisher_socket(self.context, "tcp://127.0.0.1:0", self.server)
        pipe.send(address)
        back = subscriber_socket(self.context, [Endpoint(pipe.recv(), self.client)], [topics.ALL])
        return lambda: out.send(frame), back.recv

    def end(self, pipe: Connection) -> Endpoint:
        return Endpoint(pipe.recv(), self.client)


def stay_on(number: int) -> None:
    """Keep this process, and the threads that it starts from now on, to one processor.

    Otherwise a round trip takes one or three times as long, by where the scheduler has put the threads.
    """
    if hasattr(os, "sched_setaffinity"):
        have = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {have[number % len(have)]})


def frame_of(message: Signal | ExecutionReport) -> bytes:
    """The bytes of a message, as they are published."""
    return topics.join(topics.topic_of(message), encode(message))


def micro(pipe: Connection, keys: str, *, ours: bool, lane: str) -> None:
    """Answer each frame, until the pipe is closed."""
    stay_on(1)
    side = Side("micro", "macro", keys)
    if ours:
        uvloop.run(answer(side, pipe, lane))
    send, receive = side.plain(pipe, frame_of(REPORT))
    while True:
        receive()
        send()


async def answer(side: Side, pipe: Connection, lane: str) -> None:
    """As micro does, without an engine."""
    loop = asyncio.get_running_loop()
    lanes = LaneServer(loop, Path(lane)) if lane else None
    publisher = Publisher(
        side.context, "tcp://127.0.0.1:0", stamp={"instance": "bench"}, keys=side.server
    )
    pipe.send(publisher.address)

    def on_message(_topic: bytes, _message: Any) -> None:  # noqa: ANN401 - a signal
        publisher.publish(REPORT)

    inbox = Inbox(decode_signal, on_message)
    reader = SubscriberFD(loop, side.context, [side.end(pipe)], [topics.ALL], inbox)
    if lanes is not None:
        publisher.beside = lanes.send
        reader.links[0].join(lanes.merge.way(inbox.feed))
        lanes.start()
    await asyncio.Event().wait()


def alone(side: Side, pipe: Connection) -> tuple[Callable[[], object], Callable[[], object]]:
    """Macro's side with our publisher and decoder, and no receive thread: how to send, and to receive."""
    got: list[object] = []
    publisher = Publisher(side.context, "tcp://127.0.0.1:0", stamp={"epoch": 1}, keys=side.server)
    pipe.send(publisher.address)
    inbox = Inbox(decode_market, lambda _topic, message: got.append(message))
    socket = subscriber_socket(side.context, [side.end(pipe)], [topics.ALL])

    def receive() -> object:
        while not got:
            inbox.feed(socket.recv())
        return got.pop()

    return lambda: publisher.publish(SIGNAL), receive


def in_turns(
    side: Side, pipe: Connection, *, passed_on: bool, lane: str
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Macro's side as its connector has it: how to send, and to receive."""
    waiter = Waiter()
    publisher = Publisher(side.context, "tcp://127.0.0.1:0", stamp={"epoch": 1}, keys=side.server)
    pipe.send(publisher.address)
    inbox = Inbox(decode_market, lambda _topic, _message: waiter.set())
    lanes = LaneEnds([Path(lane)]) if lane else None
    if lanes is not None:
        publisher.beside = lanes.send
    reader = SubscriberThread(side.context, [side.end(pipe)], [topics.ALL], inbox, lanes=lanes)
    reader.start()

    def send() -> None:
        nonlocal waiter
        waiter = Waiter()
        publisher.publish(SIGNAL)

    def receive() -> None:
        while passed_on and not waiter.done:
            waiter.wait(10)
        reader.wait(waiter, 10)

    return send, receive


def trips(side: Side, pipe: Connection, *, ours: bool, name: str, lane: str) -> Iterator[float]:
    """Endless round trips of macro's side, in seconds each."""
    send: Callable[[], object]
    receive: Callable[[], object]
    if ours and name == ALONE:
        send, receive = alone(side, pipe)
    elif ours:
        send, receive = in_turns(side, pipe, passed_on=name == PASSED_ON, lane=lane)
    else:
        send, receive = side.plain(pipe, frame_of(SIGNAL))
    time.sleep(1.0)  # subscriptions arrive
    while True:
        began = time.perf_counter()
        send()
        receive()
        yield time.perf_counter() - began


def main() -> None:
    """Print a line for each pair of sides."""
    kinds = {
        "blocking pyzmq on both sides": (False, False, False),
        "micro's side ours": (True, False, False),
        "macro's side ours": (False, True, False),
        "both ours": (True, True, False),
        PASSED_ON: (True, True, False),
        ALONE: (True, True, False),
        BY_LANE: (True, True, False),
        "blocking pyzmq, CURVE": (False, False, True),
        "both ours, CURVE": (True, True, True),
    }
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        keys = str(Path(folder) / "keys")
        KeyStore(Path(keys)).make()
        lane = str(Path(folder) / "lane") if SUPPORTED else ""
        pipes: dict[str, Connection] = {}
        for name, (mine, _, curve) in kinds.items():
            pipes[name], there = spawn.Pipe()
            child = spawn.Process(
                target=micro,
                args=(there, keys if curve else ""),
                kwargs={"ours": mine, "lane": lane if name == BY_LANE else ""},
                daemon=True,
            )
            child.start()
            stack.callback(child.terminate)
        stay_on(0)
        running: dict[str, Iterator[float]] = {}
        for name, (_, theirs, curve) in kinds.items():
            side = Side("macro", "micro", keys if curve else "")
            by = lane if name == BY_LANE else ""
            running[name] = trips(side, pipes[name], ours=theirs, name=name, lane=by)
            for _ in range(WARM):
                next(running[name])
        found: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(ROUNDS):
            for name, each in running.items():
                found[name].append(statistics.median(next(each) for _ in range(TRIPS)))
        floors = {False: "blocking pyzmq on both sides", True: "blocking pyzmq, CURVE"}
        print("| round trip | p50, us | times floor |")
        print("| --- | ---: | ---: |")
        for name, (_, _, curve) in kinds.items():
            ratios = [a / b for a, b in zip(found[name], found[floors[curve]], strict=True)]
            middle, ratio = statistics.median(found[name]) * 1e6, statistics.median(ratios)
            print(f"| {name} | {middle:.1f} | {ratio:.2f}x |")
        curve_costs = [
            a / b for a, b in zip(found["both ours, CURVE"], found["both ours"], strict=True)
        ]
        print(f"| CURVE costs ours | | {statistics.median(curve_costs):.2f}x |")


if __name__ == "__main__":
    main()
