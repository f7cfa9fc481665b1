"""A revoked key is without effect within a second, whatever its holder sends or leaves unread."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zmq

from citadel_bridge.auth import KeyStore
from citadel_bridge.channels import Publisher
from citadel_bridge.key_ring import revoke, rotate
from citadel_bridge.readers import Link
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import HIGH_WATER, Endpoint, subscriber_socket
from citadel_bridge.zap import ZapGuard
from citadel_proto.messages import RiskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citadel_bridge.channels import Context

    Until = Callable[..., None]

FOREVER_NS = 10**18
"""Nothing is silent for so long."""


class Heard:
    """Frames that were taken."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def feed(self, frame: bytes) -> None:
        self.frames.append(frame)

    def flush(self) -> None:
        pass


class Talker:
    """A publisher with a role's keys, and those of its clients on its list."""

    def __init__(self, store: KeyStore, role: str, address: str = "tcp://127.0.0.1:0") -> None:
        self.context: Context = zmq.Context()
        keys = store.server(role)
        self.guard = ZapGuard(self.context, keys.allow, keys.renew)
        self.publisher = Publisher(self.context, address, stamp={"instance": "x"}, keys=keys)
        self.publisher.watched_by(self.guard)
        self.guard.start()

    def say(self, scope: str = "before") -> int:
        return self.publisher.publish(RiskState(scope=scope, state="ACTIVE", instance="", seq=0))

    def close(self) -> None:
        self.publisher.close()
        self.guard.close()
        self.context.destroy(linger=0)


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    made = KeyStore(tmp_path / "keys")
    made.make()
    return made


@pytest.fixture
def context() -> Iterator[Context]:
    made: Context = zmq.Context()
    yield made
    made.destroy(linger=0)


# --- of a publisher: nothing that it has sent or sends is taken ----------------------------------


def test_what_a_revoked_publisher_has_queued_is_never_taken(
    store: KeyStore, context: Context, until: Until
) -> None:
    talker, heard = Talker(store, "macro"), Heard()
    link = Link(
        context, Endpoint(talker.publisher.address, store.client("micro", "macro")), [b""], 0
    )
    try:
        until(lambda: talker.say() and link.take(heard, 1))
        for _ in range(2_000):
            talker.say()
        until(lambda: link.take(heard, 1), what="the queue begins to fill")
        link.remake_if_silent(FOREVER_NS, time.monotonic_ns())
        taken = len(heard.frames)
        until(lambda: link.take(heard, 1), what="it is still listened to")
        assert len(heard.frames) == taken + 1

        revoke(store, "macro")
        taken = len(heard.frames)
        link.remake_if_silent(FOREVER_NS, time.monotonic_ns())
        talker.say("after")
        until(lambda: not link.socket.poll(50) or not link.take(heard, 10_000))
        assert len(heard.frames) == taken
    finally:
        link.close()
        talker.close()


def test_a_revoked_publisher_that_sends_without_pause_is_heard_no_more(
    store: KeyStore, context: Context, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    talker, heard, stop = Talker(store, "macro"), Heard(), threading.Event()

    def talk() -> None:
        while not stop.is_set():
            talker.say()

    flood = threading.Thread(target=talk)
    end = Endpoint(talker.publisher.address, store.client("micro", "macro"))
    reader = SubscriberThread(context, [end], [b""], heard)
    try:
        reader.start()
        flood.start()
        until(lambda: len(heard.frames) > 100)
        revoke(store, "macro")

        def cut() -> bool:
            reader.remake_silent(FOREVER_NS)
            return "its key is revoked" in caplog.text

        until(cut)
        taken = len(heard.frames)
        before = talker.publisher.published
        until(lambda: talker.publisher.published > before + 1_000)
        assert len(heard.frames) == taken
    finally:
        stop.set()
        flood.join()
        reader.close()
        talker.close()


def test_a_revoked_publisher_is_heard_again_with_another_key(
    store: KeyStore, context: Context, until: Until
) -> None:
    talker, heard = Talker(store, "macro"), Heard()
    address = talker.publisher.address
    link = Link(context, Endpoint(address, store.client("micro", "macro")), [b""], HIGH_WATER)
    try:
        until(lambda: talker.say() and link.take(heard, 1))
        revoke(store, "macro")
        link.remake_if_silent(FOREVER_NS, time.monotonic_ns())
        for _ in range(3):
            assert link.key_revoked()
            link.remake_if_silent(0, time.monotonic_ns())
        talker.close()
        rotate(store, "macro")
        talker = Talker(store, "macro", address)
        heard.frames.clear()

        def again() -> bool:
            link.remake_if_silent(100_000_000, time.monotonic_ns())
            talker.say("after")
            link.take(heard, 100)
            return bool(heard.frames)

        until(again)
        assert all(b"after" in frame for frame in heard.frames)
    finally:
        link.close()
        talker.close()


# --- of a subscriber: it gets nothing that is published afterwards -------------------------------


def connections_of(port: int) -> int:
    """Established TCP connections of a local port, as the kernel lists them."""
    found = 0
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        found += state == "01" and int(local.rpartition(":")[2], 16) == port
    return found


def test_a_revoked_subscriber_that_reads_nothing_is_cut(
    store: KeyStore, context: Context, until: Until
) -> None:
    """Its queue is full, so that nothing can be sent to it: not even the end of the connection."""
    talker = Talker(store, "micro")
    end = Endpoint(talker.publisher.address, store.client("recorder", "micro"))
    port = int(end.address.rpartition(":")[2])
    socket = subscriber_socket(context, [end], [b""], high_water=10)
    socket.setsockopt(zmq.RECONNECT_IVL, -1)
    try:
        until(lambda: talker.say() and socket.poll(20))
        big = "x" * 200
        for _ in range(60_000):
            talker.say(big)
        assert connections_of(port) == 1
        revoke(store, "recorder")
        until(lambda: talker.say("after") and not connections_of(port))
        while socket.poll(500):
            assert b"after" not in socket.recv()
    finally:
        socket.close(linger=0)
        talker.close()


def test_a_revoked_subscriber_that_subscribes_without_pause_is_cut(
    store: KeyStore, context: Context, until: Until
) -> None:
    talker = Talker(store, "micro")
    end = Endpoint(talker.publisher.address, store.client("recorder", "micro"))
    port = int(end.address.rpartition(":")[2])
    socket, stop = subscriber_socket(context, [end], [b""]), threading.Event()

    def subscribe() -> None:
        number = 0
        while not stop.wait(0.001):
            number += 1
            socket.setsockopt(zmq.SUBSCRIBE, b"%d" % number)

    flood = threading.Thread(target=subscribe)
    try:
        until(lambda: talker.say() and socket.poll(20))
        flood.start()
        revoke(store, "recorder")
        # Nothing is published meanwhile: what a subscriber sends is read by the next ``publish``.
        until(lambda: talker.guard.refused, what="it was cut, and is refused when it comes back")
        until(lambda: not connections_of(port))
    finally:
        stop.set()
        flood.join()
        socket.close(linger=0)
        talker.close()


def test_a_revoked_subscriber_of_a_socket_file_is_cut(
    store: KeyStore, context: Context, until: Until, tmp_path: Path
) -> None:
    talker = Talker(store, "micro", f"ipc://{tmp_path}/market")
    ends = [
        Endpoint(talker.publisher.address, store.client(of, "micro")) for of in ("macro", "cli")
    ]
    good, bad = (subscriber_socket(context, [end], [b""]) for end in ends)
    try:
        until(lambda: talker.say() and good.poll(20) and bad.poll(20))
        revoke(store, "cli")
        until(lambda: talker.guard.refused)

        def came_back() -> bool:
            talker.say("after")
            return bool(good.poll(20)) and b"after" in good.recv()

        until(came_back, what="the other one is disconnected too, and connects again")
        while bad.poll(0):
            assert b"after" not in bad.recv()
    finally:
        good.close(linger=0)
        bad.close(linger=0)
        talker.close()
