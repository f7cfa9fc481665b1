"""Addresses of socket files: one publisher at a time, private, and free again when it has ended."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zmq

from citadel_bridge.auth import KeyStore
from citadel_bridge.channels import Publisher
from citadel_bridge.errors import PortTaken
from citadel_bridge.socket_files import SocketFile
from citadel_bridge.sockets import Endpoint, subscriber_socket
from citadel_proto.errors import BadInput, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citadel_bridge.channels import Context


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, unlike pytest's: a socket's name holds 107 bytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def context() -> Iterator[Context]:
    context: Context = zmq.Context()
    yield context
    context.destroy(linger=0)


def heard_by_who_connects_now(publisher: Publisher, until: Callable[..., None]) -> bool:
    context: Context = zmq.Context()
    reader = subscriber_socket(context, [Endpoint(publisher.address)], [b""])
    frame = os.urandom(8)

    def came() -> int:
        publisher.send_raw(frame)
        return reader.poll(5)

    until(came)
    got = reader.recv()
    context.destroy(linger=0)
    return got == frame


def test_a_second_publisher_of_a_path_is_refused_until_the_first_has_ended(
    folder: Path, context: Context, until: Callable[..., None]
) -> None:
    address = f"ipc://{folder}/market"
    first = Publisher(context, address, stamp={"instance": "m"})
    with pytest.raises(PortTaken, match="another process publishes there already"):
        Publisher(context, address, stamp={"instance": "n"})
    assert heard_by_who_connects_now(first, until)
    first.close()
    second = Publisher(context, address, stamp={"instance": "m"})
    assert heard_by_who_connects_now(second, until)
    second.close()


def test_another_process_that_has_the_path_is_refused_too(folder: Path) -> None:
    held = SocketFile(f"ipc://{folder}/market")
    tries = (
        "from citadel_bridge.socket_files import SocketFile\n"
        "from citadel_bridge.errors import PortTaken\n"
        f"try: SocketFile('ipc://{folder}/market')\n"
        "except PortTaken: print('taken')\n"
        "else: print('free')\n"
    )

    def tried() -> str:
        found = subprocess.run(
            [sys.executable, "-c", tries], capture_output=True, text=True, check=True
        )
        return found.stdout.strip()

    assert tried() == "taken"
    held.close()
    held.close()
    assert tried() == "free"


def test_what_a_killed_process_left_is_no_hindrance(folder: Path, context: Context) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{folder}/market")
    (folder / "market.lock").touch()
    publisher = Publisher(context, f"ipc://{folder}/market", stamp={"instance": "m"})
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(f"{folder}/market")
    publisher.close()


def test_without_keys_the_file_is_its_owners_only(folder: Path, context: Context) -> None:
    before = os.umask(0)
    try:
        plain = Publisher(context, f"ipc://{folder}/plain", stamp={"instance": "m"})
        keys = KeyStore(folder / "keys")
        keys.make()
        open_to_keys = Publisher(
            context, f"ipc://{folder}/curve", stamp={"instance": "m"}, keys=keys.server("micro")
        )
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "plain").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "curve").stat().st_mode) == 0o777
    plain.close()
    open_to_keys.close()


def test_a_path_that_cannot_be_is_refused_with_what_can(folder: Path, context: Context) -> None:
    long = f"ipc://{folder}/{'x' * 110}"
    with pytest.raises(BadInput, match="at most 107 bytes"):
        Publisher(context, long, stamp={"instance": "m"})
    with pytest.raises(BadInput, match="at most 107 bytes"):
        subscriber_socket(context, [Endpoint(long)], [b""])
    with pytest.raises(BadInput, match="a folder that exists and is yours"):
        Publisher(context, f"ipc://{folder}/none/market", stamp={"instance": "m"})
    (folder / "linked.lock").symlink_to(folder / "elsewhere")
    with pytest.raises(BadInput, match=r"linked\.lock"):
        Publisher(context, f"ipc://{folder}/linked", stamp={"instance": "m"})
    folder.chmod(0o777)
    with pytest.raises(Refused, match="everybody can put a socket"):
        Publisher(context, f"ipc://{folder}/market", stamp={"instance": "m"})
    assert not (folder / "market.lock").exists()
    folder.chmod(0o700)


def test_other_addresses_have_no_file(context: Context) -> None:
    for address in ("tcp://127.0.0.1:0", "ipc://@citadel-test", "inproc://x"):
        SocketFile(address).close()
        Publisher(context, address, stamp={"instance": "m"}).close()


@pytest.mark.timeout(60)
def test_a_socket_that_cannot_be_made_private_is_not_left_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise PermissionError("not this file")

    address = f"ipc://{folder / 's'}"
    context: Context = zmq.Context()
    with monkeypatch.context() as here:
        here.setattr(Path, "chmod", refuses)
        with pytest.raises(PermissionError):
            Publisher(context, address, stamp={})
    again = Publisher(context, address, stamp={})
    again.close()
    context.term()  # would wait for one that nobody can close
