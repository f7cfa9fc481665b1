"""Keys on disk, plaintext on this machine only, and who is let in."""

from __future__ import annotations

import stat
import time
from typing import TYPE_CHECKING

import pytest
import zmq

from citadel_bridge.auth import ROLES, ClientKeys, KeyStore, is_local
from citadel_bridge.channels import Publisher
from citadel_bridge.config import ConnectorConfig
from citadel_bridge.connector import HybridConnector
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint, publisher_socket
from citadel_bridge.zap import ZapGuard
from citadel_proto.errors import BadInput, Refused
from citadel_proto.messages import RiskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.bridge.conftest import FakeMicro

    from citadel_bridge.channels import Context
    from citadel_bridge.config import NewSignal


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    store = KeyStore(tmp_path / "keys")
    store.make()
    return store


# --- files --------------------------------------------------------------------------------------


def test_keys_are_made_once_and_secret(keys: KeyStore) -> None:
    before = {path.name: path.read_bytes() for path in keys.folder.iterdir()}
    assert len(before) == 2 * len(ROLES)
    assert keys.make() == []
    assert {path.name: path.read_bytes() for path in keys.folder.iterdir()} == before
    for path in keys.folder.glob("*.secret"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len({keys.public(role) for role in ROLES}) == len(ROLES)


def test_only_what_is_absent_is_made(keys: KeyStore) -> None:
    macro = keys.public("macro")
    for kind in ("secret", "public"):
        (keys.folder / f"cli.{kind}").unlink()
    assert keys.make() == ["cli"]
    assert keys.public("macro") == macro


def test_a_public_key_is_made_again_from_its_secret(keys: KeyStore) -> None:
    public = keys.public("macro")
    (keys.folder / "macro.public").unlink()
    assert keys.make() == []
    assert keys.public("macro") == public


def test_a_lost_secret_is_not_replaced_silently(keys: KeyStore) -> None:
    (keys.folder / "macro.secret").unlink()
    with pytest.raises(BadInput, match=r"without macro\.secret"):
        keys.make()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_secret_that_others_can_read_is_refused_with_the_cure(keys: KeyStore, mode: int) -> None:
    path = keys.folder / "macro.secret"
    path.chmod(mode)
    with pytest.raises(BadInput, match=f"chmod 600 {path}"):
        keys.pair("macro")


def test_an_absent_key_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="citadel keys make"):
        KeyStore(tmp_path).pair("macro")


def test_a_file_that_is_no_key_is_refused(keys: KeyStore) -> None:
    (keys.folder / "micro.public").write_text("short")
    with pytest.raises(BadInput, match="not a key"):
        keys.public("micro")
    secret = keys.folder / "macro.secret"
    secret.write_bytes((keys.folder / "cli.secret").read_bytes())
    with pytest.raises(BadInput, match="not that of"):
        keys.pair("macro")


def test_a_secret_does_not_show_in_a_log(keys: KeyStore) -> None:
    pair = keys.pair("macro")
    assert pair.secret.decode() not in repr(pair)
    assert pair.secret.decode() not in repr(keys.server("macro"))


# --- where plaintext may go ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("tcp://127.0.0.1:5555", True),
        ("tcp://127.9.9.9:5555", True),
        ("tcp://localhost:5555", True),
        ("tcp://[::1]:5555", True),
        ("ipc:///tmp/x", True),
        ("inproc://x", True),
        ("tcp://0.0.0.0:5555", False),
        ("tcp://*:5555", False),
        ("tcp://eth0:5555", False),
        ("tcp://192.168.1.7:5555", False),
        ("tcp://127.0.0.1.example.org:5555", False),
        ("tcp://[::]:5555", False),
        ("tcp://[", False),
        ("", False),
    ],
)
def test_what_is_local(endpoint: str, local: bool) -> None:
    assert is_local(endpoint) == local


def test_binding_another_address_in_plaintext_is_refused() -> None:
    context: Context = zmq.Context()
    with pytest.raises(Refused, match="citadel keys make"):
        publisher_socket(context, "tcp://0.0.0.0:0")
    context.term()


# --- who is let in ------------------------------------------------------------------------------


class Gate:
    """A CURVE publisher with its guard, and clients that try."""

    def __init__(self, keys: KeyStore, allow: tuple[str, ...]) -> None:
        self.keys = keys
        self.context: Context = zmq.Context()
        server = keys.server("micro", allow)
        self.guard = ZapGuard(self.context, server.allow)
        self.publisher = Publisher(
            self.context, "tcp://127.0.0.1:0", stamp={"instance": "m"}, keys=server
        )
        self.publisher.watched_by(self.guard)
        self.guard.start()

    def hears(self, client: ClientKeys | None, until: Callable[..., None], wish: bool) -> bool:
        """Whether a client gets messages; waits for a refusal where one is expected."""
        context: Context = zmq.Context()
        got: list[bytes] = []

        class Sink:
            def feed(self, frame: bytes) -> None:
                got.append(frame)

            def flush(self) -> None:
                pass

        end = Endpoint(self.publisher.address, client)
        readers: list[SubscriberThread] = []
        before = self.guard.refused + self.guard.broken
        again = 0.0

        def decided() -> bool:
            nonlocal again
            if time.monotonic() > again:
                # libzmq does not try again by itself after some failures, and on a busy machine
                # the only one may come to an end that nobody counts.
                again = time.monotonic() + 2.0
                readers.append(SubscriberThread(context, [end], [b""], Sink()))
                readers[-1].start()
            self.publisher.publish(RiskState(scope="x", state="ACTIVE", instance="", seq=0))
            return bool(got) if wish else self.guard.refused + self.guard.broken > before

        until(decided)
        for reader in readers:
            reader.close()
        context.destroy(linger=0)
        return bool(got)

    def close(self) -> None:
        self.publisher.close()
        self.guard.close()
        self.guard.close()
        self.context.destroy(linger=0)


@pytest.fixture
def gate(keys: KeyStore) -> Iterator[Gate]:
    gate = Gate(keys, ("macro", "recorder"))
    yield gate
    gate.close()


def test_a_listed_key_is_let_in(gate: Gate, until: Callable[..., None]) -> None:
    assert gate.hears(gate.keys.client("macro", "micro"), until, wish=True)
    assert gate.guard.admitted == 1
    assert gate.guard.refused == 0


def test_a_key_that_is_not_listed_is_refused_counted_and_logged(
    gate: Gate, until: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """It knows the server's public key, which without a list would be enough."""
    assert not gate.hears(gate.keys.client("cli", "micro"), until, wish=False)
    assert gate.guard.refused >= 1
    assert gate.guard.admitted == 0
    (said,) = [r.getMessage() for r in caplog.records if "allow-list" in r.getMessage()]
    assert gate.keys.public("cli").decode() in said


def test_a_wrong_server_key_fails_and_is_counted(
    gate: Gate, until: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    wrong = ClientKeys(gate.keys.pair("macro"), gate.keys.public("cli"))
    assert not gate.hears(wrong, until, wish=False)
    assert gate.guard.broken >= 1
    assert any("handshake" in record.getMessage() for record in caplog.records)


def test_plaintext_is_not_let_in(gate: Gate, until: Callable[..., None]) -> None:
    assert not gate.hears(None, until, wish=False)
    assert gate.guard.admitted == 0


def test_a_whole_pair_works_over_curve(
    keys: KeyStore,
    make_micro: Callable[..., FakeMicro],
    buy: Callable[..., NewSignal],
    tmp_path: Path,
) -> None:
    context: Context = zmq.Context()
    server = keys.server("micro")
    guard = ZapGuard(context, server.allow)
    micro = make_micro(keys=server, context=context)
    guard.start()
    connector = HybridConnector(
        ConnectorConfig(
            signals="tcp://127.0.0.1:0",
            market=(micro.address,),
            state_path=tmp_path / "i.sqlite",
            keys=keys.folder,
            ready_timeout=20.0,
            ack_timeout=20.0,
        )
    )
    connector.start()
    try:
        micro.follow(Endpoint(connector.address, keys.client("micro", "macro")))
        assert connector.submit(buy()).report is not None
        assert connector._channels.zap is not None
        assert (connector._channels.zap.admitted, connector._channels.zap.refused) == (1, 0)
    finally:
        connector.close()
        guard.close()
