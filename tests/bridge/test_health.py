"""The probe of macro's side: both directions of heartbeats, or the reason why not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
import zmq

from citadel_bridge.auth import ClientKeys, KeyStore
from citadel_bridge.channels import Publisher
from citadel_bridge.exit_codes import Exit
from citadel_bridge.health import heartbeats_cross
from citadel_bridge.sockets import Endpoint
from citadel_bridge.zap import ZapGuard
from citadel_proto.errors import PeerUnavailable
from citadel_proto.messages import MicroHeartbeat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.bridge.conftest import Pair

    Until = Callable[..., None]


def probe(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "citadel_bridge.health", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )


def test_a_live_pair_is_well(pair: Pair) -> None:
    beat = heartbeats_cross(Endpoint(pair.micro.address), seconds=60)
    assert pair.connector.instance in dict(beat.macros_seen)


def test_a_macro_that_has_died_is_noticed_though_micro_still_names_it(
    pair: Pair, until: Until
) -> None:
    until(lambda: pair.connector.instance in pair.micro.macros)
    pair.connector.close()
    with pytest.raises(PeerUnavailable, match=f"names: {pair.connector.instance}"):
        heartbeats_cross(Endpoint(pair.micro.address), seconds=0.5)


def test_another_macro_is_not_ours(pair: Pair) -> None:
    with pytest.raises(PeerUnavailable, match="receives no macro named cli-"):
        heartbeats_cross(Endpoint(pair.micro.address), macro="cli-", seconds=0.5)


def test_a_dead_micro_is_noticed(pair: Pair) -> None:
    address = pair.micro.address
    pair.micro.close()
    with pytest.raises(PeerUnavailable, match="no heartbeat of micro"):
        heartbeats_cross(Endpoint(address), seconds=0.3)


def test_as_a_program_it_ends_with_an_exit_code(pair: Pair) -> None:
    well = probe(pair.micro.address, "--seconds", "60")
    assert (well.returncode, well.stderr) == (Exit.OK, "")
    assert pair.connector.instance in well.stdout

    pair.connector.close()
    sick = probe(pair.micro.address, "--seconds", "0.5")
    assert sick.returncode == Exit.UNAVAILABLE
    assert "receives no macro" in sick.stderr

    wrong = probe(pair.micro.address, "--role", "king")
    assert wrong.returncode == Exit.BAD_INPUT
    assert "macro, micro" in wrong.stderr


def beat_of_a_micro(count: int) -> MicroHeartbeat:
    return MicroHeartbeat(
        instance="micro",
        seq=0,
        state="active",
        started_ns=1,
        wall_ns=time.time_ns(),
        mono_ns=time.monotonic_ns(),
        macros_seen=(("macro-1", count),),
    )


@pytest.fixture
def guarded_micro(tmp_path: Path) -> Iterator[tuple[KeyStore, str]]:
    """The market channel of a micro that admits known keys only, and beats; keys and address."""
    store = KeyStore(tmp_path / "keys")
    store.make()
    keys = store.server("micro")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    guard = ZapGuard(context, keys.allow)
    guard.start()
    publisher = Publisher(context, "tcp://127.0.0.1:0", stamp={"instance": "micro"}, keys=keys)
    stop = threading.Event()

    def beats() -> None:
        count = 0
        while not stop.wait(0.05):
            count += 1
            publisher.publish(beat_of_a_micro(count))

    beating = threading.Thread(target=beats)
    beating.start()
    yield store, publisher.address
    stop.set()
    beating.join()
    publisher.close()
    guard.close()
    context.term()


def test_over_curve_a_key_on_the_list_gets_an_answer(guarded_micro: tuple[KeyStore, str]) -> None:
    store, address = guarded_micro
    well = probe(address, "--keys", str(store.folder), "--role", "macro", "--seconds", "60")
    assert well.returncode == Exit.OK, well.stderr
    assert "macro-1" in well.stdout


def test_over_curve_a_strange_key_and_plaintext_hear_nothing(
    guarded_micro: tuple[KeyStore, str], tmp_path: Path
) -> None:
    store, address = guarded_micro
    stranger = KeyStore(tmp_path / "stranger")
    stranger.make()
    not_on_the_list = ClientKeys(stranger.pair("macro"), store.public("micro"))
    for keys in (not_on_the_list, None):
        with pytest.raises(PeerUnavailable, match="no heartbeat of micro"):
            heartbeats_cross(Endpoint(address, keys), seconds=0.5)
