"""Keys are allowed, revoked and rotated while both sides run, and nobody else can do it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
import zmq

from citadel_bridge.auth import ALLOW, REVOKED, KeyStore, require_keys
from citadel_bridge.channels import Publisher
from citadel_bridge.cli import main
from citadel_bridge.exit_codes import Exit
from citadel_bridge.key_ring import problems, rotate, rows
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint, connect, disconnect
from citadel_bridge.zap import ZapGuard
from citadel_proto.errors import BadInput, Refused
from citadel_proto.messages import RiskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from citadel_bridge.channels import Context

    Until = Callable[..., None]


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    made = KeyStore(tmp_path / "keys")
    made.make()
    return made


def keys(store: KeyStore, *words: str) -> int:
    return main(["keys", words[0], str(store.folder), *words[1:]])


# --- who can change it --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_that_others_can_write_is_refused(store: KeyStore, mode: int) -> None:
    store.folder.chmod(mode)
    for use in (
        lambda: store.server("micro"),
        lambda: store.client("macro", "micro"),
        lambda: store.pair("cli"),
    ):
        with pytest.raises(BadInput, match=f"chmod go-w {store.folder}"):
            use()
    assert keys(store, "check") == Exit.DIFFERENCE
    assert keys(store, "revoke", "recorder") == Exit.BAD_INPUT
    assert not (store.folder / REVOKED).exists()


@pytest.mark.parametrize("name", ["recorder.public", f"{ALLOW}/grafana.public", REVOKED, ALLOW])
def test_a_list_that_others_can_write_is_refused(store: KeyStore, name: str) -> None:
    assert keys(store, "allow", "grafana", another()) == 0
    assert keys(store, "allow", "old", another()) == 0
    assert keys(store, "revoke", "old") == 0
    store.server("micro")
    (store.folder / name).chmod(0o666 if name != ALLOW else 0o777)
    with pytest.raises(BadInput, match="others can write it"):
        store.server("micro")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused_by_those_who_are_not_root(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(store.folder / "macro.public", 12_345, -1)
    store.server("micro")  # root may read what it likes
    monkeypatch.setattr(os, "geteuid", lambda: 12_346)
    with pytest.raises(BadInput, match="belongs to another user"):
        store.server("micro")


def test_a_unix_socket_is_in_a_folder_of_its_own(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    address = f"ipc://{shared}/signals.sock"
    require_keys(address, None)
    shared.chmod(0o777)
    with pytest.raises(Refused, match="everybody can put a socket"):
        require_keys(address, None)
    shared.chmod(0o1777)  # as /tmp is: nobody can replace another's file
    require_keys(address, None)
    require_keys("ipc://@abstract", None)
    require_keys(f"ipc://{tmp_path}/none/x", None)  # binding says that it is not there


# --- allow, revoke, rotate ----------------------------------------------------------------------


def another() -> str:
    """A public key that does not begin as an option does."""
    while True:
        key = zmq.curve_keypair()[0].decode()
        if not key.startswith("-"):
            return key


def test_who_may_what_is_shown_without_secrets(
    store: KeyStore, capsys: pytest.CaptureFixture[str]
) -> None:
    (store.folder / "macro.secret").unlink()
    key = another()
    assert keys(store, "allow", "grafana", key) == 0
    assert keys(store, "revoke", "cli") == 0
    capsys.readouterr()
    assert keys(store, "show") == 0
    shown = capsys.readouterr().out
    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert list(lines) == ["macro", "micro", "cli", "recorder", "grafana"]
    assert "public" in lines["macro"]
    assert "trade" in lines["macro"]
    assert "REVOKED cli 20" in lines["cli"]
    assert key in lines["grafana"]
    assert "observe" in lines["grafana"]
    for path in store.folder.glob("*.secret"):
        assert path.read_text().strip() not in shown


def test_an_allowed_key_is_on_every_list_until_it_is_revoked(store: KeyStore) -> None:
    key = another().encode()
    file = store.folder / "theirs.public"
    file.write_bytes(key + b"\n")
    assert keys(store, "allow", "grafana", str(file)) == 0
    assert keys(store, "allow", "grafana", key.decode()) == 0  # again
    assert all(key in store.server(role).allow for role in ("micro", "macro", "cli"))
    assert keys(store, "revoke", "grafana") == 0
    assert all(key not in store.server(role).allow for role in ("micro", "macro", "cli"))
    assert keys(store, "allow", "grafana", key.decode()) == Exit.BAD_INPUT  # for good
    assert keys(store, "revoke", "grafana") == Exit.BAD_INPUT
    assert stat.S_IMODE((store.folder / REVOKED).stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("name", "key"),
    [("macro", ""), ("../x", ""), ("", ""), ("a b", ""), ("x", "short"), ("x", "é" * 40)],
)
def test_what_cannot_be_allowed(store: KeyStore, name: str, key: str) -> None:
    assert keys(store, "allow", name, key or another()) == Exit.BAD_INPUT
    assert not (store.folder / ALLOW).exists()


def test_another_key_does_not_take_a_name(store: KeyStore) -> None:
    assert keys(store, "allow", "grafana", another()) == 0
    assert keys(store, "allow", "grafana", another()) == Exit.BAD_INPUT


def test_a_revoked_role_cannot_be_used_until_it_is_rotated(store: KeyStore) -> None:
    assert keys(store, "revoke", "macro") == 0
    with pytest.raises(BadInput, match="citadel keys rotate"):
        store.pair("macro")
    with pytest.raises(BadInput, match="revoked"):
        store.client("micro", "macro")
    assert any("revoked" in text for text in problems(store))
    assert keys(store, "make") == 0  # changes nothing
    assert keys(store, "rotate", "macro") == 0
    assert store.pair("macro").public in store.server("micro").allow
    assert problems(store) == []
    assert keys(store, "check") == 0


def test_a_rotated_key_stays_allowed_until_it_is_revoked(
    store: KeyStore, capsys: pytest.CaptureFixture[str]
) -> None:
    old = store.pair("macro")
    assert keys(store, "rotate", "macro") == 0
    new = store.pair("macro")
    assert new != old
    assert {old.public, new.public} <= store.server("micro").allow
    command = capsys.readouterr().out.splitlines()[-1].removeprefix("then: citadel ").split()
    assert main(command) == 0
    allowed = store.server("micro").allow
    assert old.public not in allowed
    assert new.public in allowed

    assert keys(store, "rotate", "macro", "--now") == 0
    assert new.public not in store.server("micro").allow
    assert store.pair("macro").public in store.server("micro").allow
    assert not any(row.name.startswith("macro-") for row in rows(store))


def test_a_pair_is_rotated_where_its_secret_is(store: KeyStore) -> None:
    (store.folder / "macro.secret").unlink()
    for role in ("macro", "nobody"):
        with pytest.raises(BadInput, match="no pair of"):
            rotate(store, role)


def test_no_keys_are_listed_of_a_folder_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keys(KeyStore(tmp_path / "kyes"), "show") == Exit.BAD_INPUT
    printed = capsys.readouterr()
    assert (printed.out, "kyes" in printed.err) == ("", True)


def test_a_check_says_what_is_missing(tmp_path: Path) -> None:
    assert problems(KeyStore(tmp_path / "none")) == [
        f"{tmp_path}/none: no such folder; citadel keys make {tmp_path}/none"
    ]
    store = KeyStore(tmp_path / "micro")
    store.make(["micro"])
    found = problems(store)
    assert "macro.public is not here, so micro cannot connect to it" in found
    (store.folder / "micro.secret").chmod(0o640)
    assert any("chmod 600" in text for text in problems(store))


# --- while both sides run -----------------------------------------------------------------------


class Running:
    """A publisher with keys, and subscribers that read for ever."""

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
        self.readers: list[SubscriberThread] = []

    def subscribe(self, role: str) -> list[bytes]:
        got: list[bytes] = []

        class Sink:
            def feed(self, frame: bytes) -> None:
                got.append(frame)

            def flush(self) -> None:
                pass

        end = Endpoint(self.publisher.address, self.store.client(role, "micro"))
        self.readers.append(SubscriberThread(self.outside, [end], [b""], Sink()))
        self.readers[-1].start()
        return got

    def say(self, scope: str = "x") -> int:
        return self.publisher.publish(RiskState(scope=scope, state="ACTIVE", instance="", seq=0))

    def close(self) -> None:
        for reader in self.readers:
            reader.close()
        self.publisher.close()
        self.guard.close()
        self.outside.destroy(linger=0)
        self.context.destroy(linger=0)


@pytest.fixture
def running(store: KeyStore) -> Iterator[Running]:
    made = Running(store)
    yield made
    made.close()


def hears_more(running: Running, until: Until, *got: list[bytes]) -> None:
    """Each of them hears something new."""
    before = [len(each) for each in got]

    def heard() -> bool:
        running.say()
        return all(len(each) > count for each, count in zip(got, before, strict=True))

    until(heard)


def test_a_revoked_subscriber_is_cut_and_the_others_come_back(
    running: Running, until: Until
) -> None:
    good, bad = running.subscribe("macro"), running.subscribe("recorder")
    hears_more(running, until, good, bad)
    key = running.store.public("recorder")
    assert keys(running.store, "revoke", "recorder") == 0
    until(lambda: key not in running.guard.allow)
    hears_more(running, until, good)
    until(lambda: running.guard.refused > 0, what="it tries again, and is refused")

    def told() -> bool:
        running.say("after the revocation")
        return any(b"after the revocation" in frame for frame in good)

    until(told)
    hears_more(running, until, good)
    assert not any(b"after the revocation" in frame for frame in bad)


def test_a_key_that_is_allowed_later_is_admitted_without_a_restart(
    running: Running, until: Until, tmp_path: Path
) -> None:
    stranger = KeyStore(tmp_path / "theirs")
    stranger.make(["recorder"])
    (stranger.folder / "micro.public").write_bytes(running.store.public("micro"))
    assert keys(running.store, "allow", "grafana", str(stranger.folder / "recorder.public")) == 0
    own, running.store = running.store, stranger
    hears_more(running, until, running.subscribe("recorder"))
    running.store = own
    assert running.guard.refused == 0


def test_a_list_that_becomes_unreadable_changes_nothing(
    running: Running, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    good = running.subscribe("macro")
    hears_more(running, until, good)
    allowed = running.guard.allow
    running.store.folder.chmod(0o777)
    until(lambda: "stays as it was" in caplog.text)
    running.store.folder.chmod(0o755)
    assert running.guard.allow == allowed
    assert keys(running.store, "revoke", "recorder") == 0
    until(lambda: running.guard.allow < allowed)
    hears_more(running, until, good)


def test_a_connection_is_made_again_by_the_rotated_keys(store: KeyStore, until: Until) -> None:
    """The server's pair is another one; a client that connects again knows it, and has a new one too."""
    first = Running(store)
    context: Context = zmq.Context()
    end = Endpoint(first.publisher.address, store.client("macro", "micro"))
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.SUBSCRIBE, b"")
    connect(socket, end)
    until(lambda: first.say() and socket.poll(20))
    first.close()
    assert keys(store, "rotate", "micro", "--now") == 0
    assert keys(store, "rotate", "macro", "--now") == 0
    second = Running(store)
    try:
        moved = Endpoint(second.publisher.address, end.keys)
        disconnect(socket, end)
        connect(socket, moved)
        while socket.poll(0):
            socket.recv()
        until(lambda: second.say() and socket.poll(20))
        assert second.guard.admitted == 1
    finally:
        socket.close(linger=0)
        context.destroy(linger=0)
        second.close()


@pytest.mark.parametrize("text", ["", "nonsense", "127.0.0.1:5556", "http://127.0.0.1:5556"])
def test_what_is_no_address_is_not_taken_for_another_machines(text: str) -> None:
    with pytest.raises(BadInput, match="is no address of a channel") as caught:
        require_keys(text, None)
    assert "tcp://127.0.0.1:PORT" in str(caught.value.allowed)
