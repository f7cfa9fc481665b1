"""What a subscriber sends is bounded, and so is what waits for one that takes nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zmq
from effort import examples

from citadel_bridge import upstream
from citadel_bridge.channels import Publisher
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_bridge.upstream import MOST_SUBSCRIBERS, Upstream
from citadel_proto.messages import RiskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citadel_bridge.channels import Context

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's count of octets")

FLOOD = """
import random, sys, time, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt(zmq.SNDHWM, 0)
socket.connect(sys.argv[1])
letters = random.Random(1)
for _ in range(200_000):
    socket.setsockopt(zmq.SUBSCRIBE, bytes(letters.choices(b"abcdefghijklmnopqrstuvwxyz", k=200)))
time.sleep(60)
"""


class Heard:
    def __init__(self) -> None:
        self.frames = 0

    def feed(self, frame: bytes) -> None:
        del frame
        self.frames += 1

    def flush(self) -> None:
        pass


@pytest.fixture
def context() -> Iterator[Context]:
    context: Context = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def publisher(context: Context) -> Iterator[Publisher]:
    made = Publisher(context, "tcp://127.0.0.1:0", stamp={"instance": "m"})
    yield made
    made.close()


def risk() -> RiskState:
    return RiskState(scope="x", state="ACTIVE", instance="", seq=0)


def resident_mb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


@pytest.mark.long
@linux_only
def test_a_flood_of_subscriptions_costs_neither_memory_nor_heartbeats(
    context: Context, publisher: Publisher, until: Callable[..., None]
) -> None:
    sink = Heard()
    reader = SubscriberThread(context, [Endpoint(publisher.address)], [b"risk"], sink)
    reader.start()
    until(lambda: publisher.publish(risk()) and sink.frames)
    before = resident_mb()
    flood = subprocess.Popen([sys.executable, "-c", FLOOD, publisher.address])
    try:
        longest, last = 0.0, time.monotonic()
        end = last + examples(3, 30)
        while last < end or (not publisher.upstream.disconnected and last < end + 45):
            time.sleep(0.05)
            publisher.publish(risk())
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert publisher.upstream.disconnected >= 1
        assert longest < 3.0, f"a heartbeat would have been {longest:.1f} s late"
        assert resident_mb() - before < 200
        heard = sink.frames
        until(lambda: publisher.publish(risk()) and sink.frames > heard)
        assert reader.links[0].remade == 0, "the other one stays"
    finally:
        flood.kill()
        flood.wait()
        reader.close()


@linux_only
def test_a_subscriber_of_nine_hundred_topics_is_welcome(
    context: Context, publisher: Publisher, until: Callable[..., None]
) -> None:
    sink = Heard()
    topics = [f"book/binance-spot/COIN{n}/USDT\0".encode() for n in range(900)] + [b"risk"]
    reader = SubscriberThread(context, [Endpoint(publisher.address)], topics, sink)
    reader.start()
    try:
        until(lambda: publisher.publish(risk()) and sink.frames)
        time.sleep(0.6)
        heard = sink.frames
        until(lambda: publisher.publish(risk()) and sink.frames > heard)
        assert publisher.upstream.disconnected == 0
    finally:
        reader.close()


def test_a_topic_longer_than_any_of_ours_is_not_kept(
    context: Context, publisher: Publisher
) -> None:
    """Libzmq keeps a node for each octet, and walks them by recursion: 1 MB overflows its stack."""
    greedy = context.socket(zmq.SUB)
    greedy.setsockopt(zmq.SUBSCRIBE, b"x" * 5_000)
    greedy.setsockopt(zmq.SUBSCRIBE, b"")
    monitor = greedy.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    greedy.connect(publisher.address)
    deadline = time.monotonic() + 60
    while not monitor.poll(20):
        publisher.publish(risk())
        assert time.monotonic() < deadline, "it was not disconnected"
    greedy.disable_monitor()
    monitor.close()
    greedy.close(linger=0)


@linux_only
def test_one_subscriber_too_many_is_not_let_in(until: Callable[..., None]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        guard = Upstream(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        pairs = []
        try:
            for _ in range(MOST_SUBSCRIBERS + 1):
                client = socket.create_connection(server.getsockname())
                pairs.append((client, server.accept()[0]))
                if len(pairs) == MOST_SUBSCRIBERS:
                    until(lambda: sum(map(bool, list(guard._known.values()))) == MOST_SUBSCRIBERS)
            pairs[-1][0].settimeout(60)
            assert pairs[-1][0].recv(1) == b"", "closed"
            assert guard.disconnected == 1
            pairs[0][0].setblocking(False)
            with pytest.raises(BlockingIOError):
                pairs[0][0].recv(1)
        finally:
            guard.close()
            for client, accepted in pairs:
                client.close()
                accepted.close()


@linux_only
def test_one_host_that_takes_every_place_keeps_nobody_else_out(
    monkeypatch: pytest.MonkeyPatch, until: Callable[..., None]
) -> None:
    """It needs no key for that: a connection counts from its first moment."""
    monkeypatch.setattr(upstream, "MOST_SUBSCRIBERS", 8)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        guard = Upstream(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        pairs: list[tuple[socket.socket, socket.socket]] = []

        def connect(host: str) -> socket.socket:
            client = socket.create_connection(server.getsockname(), source_address=(host, 0))
            pairs.append((client, server.accept()[0]))
            client.setblocking(False)
            return client

        def is_cut(client: socket.socket) -> bool:
            try:
                return client.recv(1) == b""
            except BlockingIOError:
                return False

        try:
            first = connect("127.0.0.3")
            until(lambda: any(list(guard._known.values())))
            greedy = [connect("127.0.0.1") for _ in range(12)]
            until(lambda: sum(map(is_cut, greedy)) == 5)
            late = connect("127.0.0.2")
            until(lambda: sum(map(is_cut, greedy)) == 6)
            again = [connect("127.0.0.1") for _ in range(3)]
            until(lambda: all(map(is_cut, again)))
            assert not is_cut(first)
            assert not is_cut(late)
            assert guard.disconnected == 9
        finally:
            guard.close()
            for client, accepted in pairs:
                client.close()
                accepted.close()


@linux_only
def test_a_subscriber_that_takes_nothing_is_disconnected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream, "STUCK_NS", 500_000_000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        guard = Upstream(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        try:
            accepted.setblocking(False)
            time.sleep(1.0)
            assert guard.disconnected == 0, "one with nothing to take is left alone"
            try:
                while True:
                    accepted.send(bytes(65_536))
            except BlockingIOError:
                pass
            deadline = time.monotonic() + 60
            while not guard.disconnected:
                time.sleep(0.02)
                assert time.monotonic() < deadline
        finally:
            guard.close()
            client.close()
            accepted.close()
