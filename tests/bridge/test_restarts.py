"""Restarts and crashes of either side: nothing is lost, nothing is executed twice."""

from __future__ import annotations

import signal as signals
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from citadel_bridge.config import ConnectorConfig
from citadel_bridge.connector import HybridConnector
from citadel_bridge.intents import IntentLog
from citadel_proto.messages import (
    Signal,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bridge.conftest import FakeMicro, Pair

    from citadel_bridge.config import NewSignal

    Buy = Callable[..., NewSignal]
    MakePair = Callable[..., Pair]
    MakeMicro = Callable[..., FakeMicro]
    Until = Callable[..., None]


# --- restarts -----------------------------------------------------------------------------------


def test_a_restart_of_micro_is_taken_up(pair: Pair, buy: Buy, until: Until) -> None:
    connector = pair.connector
    before = connector.submit(buy())
    pair.micro.report(before.signal_id, filled="0.3")  # happens while nobody listens
    pair.restart_micro("micro-2")
    until(lambda: connector.report(before.signal_id).filled == "0.3")  # type: ignore[union-attr]
    after = connector.submit(buy())
    until(lambda: connector.report(after.signal_id))
    assert pair.micro.journal.executed == [before.signal_id, after.signal_id]


def test_a_signal_sent_into_a_restart_arrives_once(
    make_pair: MakePair, buy: Buy, until: Until
) -> None:
    pair = make_pair(ack_timeout=0.1)
    connector = pair.connector
    pair.micro.close()  # killed; its last heartbeat is still fresh
    sent = connector.submit(buy())
    assert sent.report is None
    pair.restart_micro("micro-2")
    until(lambda: connector.report(sent.signal_id))
    assert pair.micro.journal.executed == [sent.signal_id]


def test_a_restart_of_macro_publishes_what_was_not_acknowledged(
    make_micro: MakeMicro, tmp_path: Path, buy: Buy, until: Until
) -> None:
    micro = make_micro(acknowledge=False)
    config = ConnectorConfig(
        signals="tcp://127.0.0.1:0", market=(micro.address,), state_path=tmp_path / "i.sqlite"
    )
    first = HybridConnector(config)
    first.start()
    address = first.address
    micro.follow(address)
    assert first.wait_ready(60)
    kept, short = first.submit(buy()), first.submit(buy(ttl=0.4))
    first.close()
    time.sleep(0.3)
    micro.received.clear()
    micro.acknowledge = True
    second = HybridConnector(_at(config, address))
    assert second.epoch > first.epoch
    second.start()
    try:
        until(lambda: second.report(kept.signal_id))
        assert micro.journal.executed == [kept.signal_id]
        assert all(s.signal_id != short.signal_id for s in micro.of(Signal))
        orphans = second.intents.orphans(known=[])
        assert [o.signal.signal_id for o in orphans] == [kept.signal_id, short.signal_id]
    finally:
        second.close()


def _at(config: ConnectorConfig, address: str) -> ConnectorConfig:
    return ConnectorConfig(signals=address, market=config.market, state_path=config.state_path)


def test_a_slow_joiner_gets_the_first_signal(
    make_micro: MakeMicro, tmp_path: Path, buy: Buy
) -> None:
    """Micro connects after the first submit was called: it waits, bounded, for both directions."""
    micro = make_micro()
    connector = HybridConnector(
        ConnectorConfig(
            signals="tcp://127.0.0.1:0",
            market=(micro.address,),
            state_path=tmp_path / "i.sqlite",
            ready_timeout=20.0,
            ack_timeout=20.0,
            resend_first=20.0,  # the first one, and no repetition
            resend_max=20.0,
        )
    )
    connector.start()
    try:
        micro.follow(connector.address)
        sent = connector.submit(buy())
        assert sent.report is not None
        assert len(micro.of(Signal)) == 1
    finally:
        connector.close()


CHILD = """
    import os, sys, signal
    from pathlib import Path
    from citadel_bridge.config import ConnectorConfig, NewSignal
    from citadel_bridge.connector import HybridConnector
    from citadel_proto.messages import Signal

    market, signals, state, where = sys.argv[1:]
    connector = HybridConnector(
        ConnectorConfig(
            signals=signals, market=(market,), state_path=Path(state), ack_timeout=20.0
        )
    )
    connector.start()
    assert connector.wait_ready(60)

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    publish = connector.publisher.publish

    def dying(message):
        die() if type(message) is Signal else publish(message)

    if where == "before publish":
        connector.publisher.publish = dying
    sent = connector.submit(
        NewSignal(venue="paper", symbol="BTC/USDT", side="buy", quantity="1", ttl=60, signal_id="x")
    )
    assert sent.report is not None
    die()  # published and acknowledged; the caller's database never heard of it
"""


@pytest.mark.parametrize("where", ["before publish", "before commit"])
def test_killed_at_the_worst_moment_nothing_is_lost_and_nothing_is_done_twice(
    where: str,
    make_micro: MakeMicro,
    tmp_path: Path,
    until: Until,
    free_port: Callable[[], int],
) -> None:
    signals_at = f"tcp://127.0.0.1:{free_port()}"
    state = tmp_path / "i.sqlite"
    micro = make_micro().follow(signals_at)
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), micro.address, signals_at, state, where],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signals.SIGKILL, ended.stderr
    assert micro.journal.executed == ([] if where == "before publish" else ["x"])
    connector = HybridConnector(
        ConnectorConfig(signals=signals_at, market=(micro.address,), state_path=state)
    )
    connector.start()
    try:
        # The caller's database is empty, so this is how it learns of the order.
        assert [o.signal.signal_id for o in connector.intents.orphans(known=[])] == ["x"]
        until(lambda: connector.report("x"))
        assert micro.journal.executed == ["x"]
        assert connector.report("x").quantity == "1"  # type: ignore[union-attr]
    finally:
        connector.close()


def test_an_intent_is_on_record_before_it_is_on_the_wire(
    pair: Pair, buy: Buy, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_record: list[bool] = []
    publish = pair.connector.publisher.publish

    def checking(message: object) -> int:
        if isinstance(message, Signal):
            on_record.append(pair.connector.intents.get(message.signal_id) is not None)
        return publish(message)  # type: ignore[arg-type]

    monkeypatch.setattr(pair.connector.publisher, "publish", checking)
    pair.connector.submit(buy())
    assert on_record
    assert all(on_record)


@pytest.mark.parametrize("mode", ["overlapped", "before_publish"])
def test_an_intent_reaches_the_disk_itself(
    mode: str, make_pair: MakePair, buy: Buy, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    pair = make_pair(sync_intents=mode)
    publish, sync = pair.connector.publisher.publish, IntentLog.sync

    def noting_sync(log: IntentLog) -> None:
        events.append("sync")
        sync(log)

    def noting_publish(message: object) -> int:
        if isinstance(message, Signal):
            events.append("publish")
        return publish(message)  # type: ignore[arg-type]

    monkeypatch.setattr(IntentLog, "sync", noting_sync)
    monkeypatch.setattr(pair.connector.publisher, "publish", noting_publish)
    pair.connector.submit(buy())
    until(lambda: "sync" in events and "publish" in events)
    if mode == "before_publish":
        assert events[:2] == ["sync", "publish"]
