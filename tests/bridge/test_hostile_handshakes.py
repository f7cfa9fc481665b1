"""Handshakes that break off, lie, or repeat what was overheard: nobody gets in, and nothing is left of them."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final, Self

import pytest
import zmq
from effort import examples

from citadel_bridge.auth import KeyStore
from citadel_bridge.channels import Publisher
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_bridge.zap import ZapGuard
from citadel_proto.messages import RiskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citadel_bridge.channels import Context

    Until = Callable[..., None]

HANDSHAKES: Final = examples(200, 2_000)
AT_ONCE: Final = 20
SIGNATURE: Final = b"\xff" + bytes(8) + b"\x7f"


def greeting(mechanism: bytes) -> bytes:
    """Of ZMTP 3.1, as a client."""
    return SIGNATURE + b"\x03\x01" + mechanism.ljust(20, b"\0") + bytes(32)


class Server:
    """A publisher with keys, on an address that anybody can reach."""

    def __init__(self, store: KeyStore) -> None:
        self.store = store
        self.context: Context = zmq.Context()
        self.outside: Context = zmq.Context()
        server = store.server("micro")
        self.guard = ZapGuard(self.context, server.allow, server.renew)
        self.publisher = Publisher(
            self.context, "tcp://127.0.0.1:0", stamp={"instance": "m"}, keys=server
        )
        self.publisher.watched_by(self.guard)
        self.guard.start()
        self.port = int(self.publisher.address.rpartition(":")[2])
        self.got: list[bytes] = []
        self._readers: list[SubscriberThread] = []

    def subscribe(self, port: int) -> None:
        end = Endpoint(f"tcp://127.0.0.1:{port}", self.store.client("macro", "micro"))
        self._readers.append(SubscriberThread(self.outside, [end], [b""], self))
        self._readers[-1].start()

    def leave(self) -> None:
        while self._readers:
            self._readers.pop().close()

    def feed(self, frame: bytes) -> None:
        self.got.append(frame)

    def flush(self) -> None:
        pass

    def say(self, scope: str = "x") -> None:
        self.publisher.publish(RiskState(scope=scope, state="ACTIVE", instance="", seq=0))

    def hears(self) -> bool:
        """Whether its subscriber hears something new, as soon as it does."""
        before = len(self.got)
        self.say()
        return len(self.got) > before

    def close(self) -> None:
        self.leave()
        self.publisher.close()
        self.guard.close()
        self.outside.destroy(linger=0)
        self.context.destroy(linger=0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    store = KeyStore(tmp_path / "keys")
    store.make()
    made = Server(store)
    yield made
    made.close()


def broken(chance: Random) -> bytes:
    """What a client might send that has no key, or does not keep to the protocol."""
    hello = b"\x04\xc8\x05HELLO" + chance.randbytes(194)
    ready = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
    whole = chance.choice(
        (
            chance.randbytes(chance.randint(1, 2_000)),
            greeting(b"NULL") + ready,
            greeting(b"PLAIN") + b"\x04\x08\x05HELLO\x00\x00",
            greeting(b"CURVE") + hello,
            greeting(b"CURVE") + hello + b"\x04\xff\x08INITIATE" + chance.randbytes(246),
            greeting(b"CURVE") + b"\x06" + b"\xff" * 8 + chance.randbytes(100),
            SIGNATURE + b"\x01\x02",
        )
    )
    return whole[: chance.randint(1, len(whole))] if chance.random() < 0.5 else whole


def test_thousands_of_broken_handshakes_leave_nothing(server: Server, until: Until) -> None:
    server.subscribe(server.port)
    until(server.hears)
    open_before = len(os.listdir("/proc/self/fd")) if Path("/proc").is_dir() else 0  # noqa: PTH208 - ten times as fast
    chance = Random(7)
    held: list[socket.socket] = []
    for _ in range(HANDSHAKES):
        stranger = socket.create_connection(("127.0.0.1", server.port))
        with contextlib.suppress(OSError):
            stranger.sendall(broken(chance))
        held.append(stranger)
        if len(held) >= AT_ONCE:
            held.pop(chance.randrange(AT_ONCE)).close()
    for stranger in held:
        stranger.close()
    until(server.hears)
    until(lambda: server.guard.broken > HANDSHAKES // 20)
    assert server.guard.admitted == 1
    if open_before:
        until(lambda: len(os.listdir("/proc/self/fd")) <= open_before + 2)  # noqa: PTH208 - as above


def test_a_handshake_that_was_overheard_admits_nobody(server: Server, until: Until) -> None:
    """The server's half of each handshake is new, and what was said before does not answer it."""
    with Tap(server.port) as tap:
        server.subscribe(tap.port)
        until(server.hears)
        server.leave()
    assert server.guard.admitted == 1
    overheard = b"".join(tap.heard)
    assert b"CURVE" in overheard
    for cut in (len(overheard), len(overheard) - 1):
        with socket.create_connection(("127.0.0.1", server.port)) as again:
            again.sendall(overheard[:cut])
            again.settimeout(0.3)
            said = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                while data := again.recv(4_096):
                    said += data
                    server.say("secret")
            # Its greeting and its WELCOME, in which everything is encrypted, and then nothing.
            assert len(said) < 400
            assert b"secret" not in said
    assert server.guard.admitted == 1


class Tap:
    """Passes one connection on, and keeps what the client says."""

    def __init__(self, to: int) -> None:
        self.heard: list[bytes] = []
        self._far = socket.create_connection(("127.0.0.1", to))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._near: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._threads.append(threading.Thread(target=self._accept, daemon=True))
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, self._near, self._far):
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        for thread in self._threads:
            thread.join(60)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            near, _ = self._listener.accept()
            self._near = near
            back = threading.Thread(target=self._pass, args=(self._far, near, []), daemon=True)
            back.start()
            self._pass(near, self._far, self.heard)
            back.join(60)

    def _pass(self, source: socket.socket, sink: socket.socket, kept: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                kept.append(data)
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
