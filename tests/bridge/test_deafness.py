"""What breaks a connection for good is noticed by silence, and nothing of it ends the process."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from socket import create_connection
from typing import TYPE_CHECKING

import pytest
import zmq

from citadel_bridge.auth import KeyStore
from citadel_bridge.readers import Link
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import MAX_MESSAGE, Endpoint, publisher_socket
from citadel_bridge.zap import ZapGuard

if TYPE_CHECKING:
    import socket as sockets
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from citadel_bridge.channels import Context

SLOW = """
import sys, time, zmq
from citadel_bridge.sockets import Endpoint, subscriber_socket

context = zmq.Context()
socket = subscriber_socket(context, [Endpoint(sys.argv[1])], [b""], high_water=50)
print("up", flush=True)
time.sleep(float(sys.argv[2]))
last, end = b"", time.monotonic() + float(sys.argv[3])
while last != b"last" and time.monotonic() < end:
    if socket.poll(100):
        last = socket.recv()
print(last.decode(), flush=True)
"""


@contextlib.contextmanager
def slow_reader(
    address: str, seconds: float, *, then_s: float = 100.0
) -> Iterator[subprocess.Popen[str]]:
    """A process whose queue fills while it is busy with something else, and that then reads."""
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, address, str(seconds), str(then_s)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            time.sleep(0.5)
            yield process
        finally:
            process.kill()  # nothing, when it has ended


def publisher(
    context: Context, address: str = "tcp://127.0.0.1:0"
) -> tuple[zmq.Socket[bytes], str]:
    deadline = time.monotonic() + 60
    while True:
        try:
            return publisher_socket(context, address, high_water=0)
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def ended(process: subprocess.Popen[str], socket: zmq.Socket[bytes]) -> str:
    """The reader's last words; it is told the last one until it ends."""
    stop = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < stop:
        socket.send(b"last")
        time.sleep(0.2)
    assert process.returncode != -signal.SIGABRT, "libzmq aborted"
    return process.communicate()[0].strip()


@pytest.mark.parametrize("size", [100, MAX_MESSAGE + 1])
def test_a_full_queue_for_longer_than_any_patience_aborts_nothing(size: int) -> None:
    context: Context = zmq.Context()
    socket, address = publisher(context)
    deaf = size > MAX_MESSAGE  # as a bare socket is; but alive
    try:
        with slow_reader(address, 7.0, then_s=2.0 if deaf else 100.0) as process:
            for _ in range(30_000):
                socket.send(b"x" * 100)
            socket.send(b"y" * size)
            if deaf:
                process.communicate(timeout=100)
                assert process.returncode == 0
            else:
                assert ended(process, socket) == "last"
    finally:
        context.destroy(linger=0)


def test_a_publisher_that_dies_before_a_full_queue_and_comes_back_aborts_nothing() -> None:
    context: Context = zmq.Context()
    socket, address = publisher(context)
    try:
        with slow_reader(address, 3.0) as process:
            for _ in range(30_000):
                socket.send(b"x" * 100)
            socket.close(linger=0)
            time.sleep(0.5)
            socket, _ = publisher(context, address)
            assert ended(process, socket) == "last"
    finally:
        context.destroy(linger=0)


def test_a_publisher_sends_no_pings() -> None:
    """One that a reader finds in its full queue, on a connection that has ended, aborts the reader.

    libzmq (4.3.5) notes an error on a connection whose queue is full and reads on when there is room;
    to answer a ping then, it writes, which it asserts never to do after an error.
    """
    context: Context = zmq.Context()
    made, address = publisher(context)
    try:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        with create_connection((host, int(port)), 60) as bare:
            bare.sendall(
                b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
            )
            command(bare, b"\x05READY\x0bSocket-Type\0\0\0\x03SUB")
            heard = b""
            while b"READY" not in heard:  # only then may a subscription be sent
                more = bare.recv(65_536)
                assert more, "the handshake failed"
                heard += more
            command(bare, b"\x09SUBSCRIBE")
            end = time.monotonic() + 2.5  # pings were sent every second
            bare.settimeout(0.1)
            while time.monotonic() < end:
                made.send(b"still here")
                with contextlib.suppress(TimeoutError):
                    heard += bare.recv(65_536)
    finally:
        context.destroy(linger=0)
    assert b"still here" in heard
    assert b"PING" not in heard


def command(bare: sockets.socket, body: bytes) -> None:
    bare.sendall(bytes((4, len(body))) + body)


class Heard:
    """A sink that knows whom it heard last."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def feed(self, frame: bytes) -> None:
        self.frames.append(frame)

    def flush(self) -> None:
        pass


def test_one_oversized_frame_does_not_close_an_address_for_good(
    until: Callable[..., None],
) -> None:
    context: Context = zmq.Context()
    broken, broken_at = publisher(context)
    well, well_at = publisher(context)
    sink = Heard()
    reader = SubscriberThread(context, [Endpoint(broken_at), Endpoint(well_at)], [b""], sink)
    reader.start()

    def both() -> bool:
        broken.send(b"broken")
        well.send(b"well")
        reader.remake_silent(1_000_000_000)
        time.sleep(0.02)
        return {b"broken", b"well"} <= set(sink.frames)

    try:
        until(both)
        broken.send(b"z" * (MAX_MESSAGE + 1))
        time.sleep(0.1)
        sink.frames.clear()
        until(both)
        assert reader.links[0].remade >= 1
        assert reader.links[1].remade == 0, "the other one is left alone"
        assert reader.failure is None
    finally:
        reader.close()
        context.destroy(linger=0)


def test_an_address_where_somebody_without_keys_once_was_is_connected_again(
    tmp_path: Path, until: Callable[..., None]
) -> None:
    store = KeyStore(tmp_path / "keys")
    store.make()
    context: Context = zmq.Context()
    keyless, address = publisher(context)
    sink = Heard()
    reader = SubscriberThread(
        context, [Endpoint(address, store.client("micro", "macro"))], [b""], sink
    )
    reader.start()
    try:
        time.sleep(1.0)
        keyless.close(linger=0)
        keys = store.server("macro")
        guard = ZapGuard(context, keys.allow)
        guard.start()
        deadline = time.monotonic() + 60
        while True:
            try:
                socket, _ = publisher_socket(context, address, keys)
                break
            except Exception:  # noqa: BLE001 - the one before is still closing
                assert time.monotonic() < deadline
                time.sleep(0.05)

        def heard() -> bool:
            socket.send(b"keys")
            reader.remake_silent(500_000_000)
            time.sleep(0.02)
            return b"keys" in sink.frames

        until(heard)
        guard.close()
    finally:
        reader.close()
        context.destroy(linger=0)


def test_pauses_between_attempts_grow_and_end() -> None:
    context: Context = zmq.Context()
    link = Link(context, Endpoint("tcp://127.0.0.1:9"), [b""], 10)
    second = 1_000_000_000
    start = time.monotonic_ns()
    remade = [
        tenth / 10
        for tenth in range(1_000)
        if link.remake_if_silent(second, start + tenth * second // 10)
    ]
    pauses = [round(b - a, 1) for a, b in itertools.pairwise(remade)]
    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert set(pauses[4:]) == {15.0}
    context.destroy(linger=0)
