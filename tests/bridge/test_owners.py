"""Several bots on one micro: a real engine, real connectors, real sockets."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import SYMBOL, VENUE, signal
from engine_micro import EngineMicro

from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector
from citadel_bridge.errors import MicroUnavailable
from citadel_bridge.intents import IntentLog
from citadel_micro.core.engine import owners as owners_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from citadel_proto.messages import ExecutionReport

    Connect = Callable[..., HybridConnector]

OTHERS = 5_000
"""Ended orders of three strategies that stand between a bot and its oldest working one."""


@pytest.fixture
def micro() -> Iterator[EngineMicro]:
    with EngineMicro() as running:
        yield running


@pytest.fixture
def connect(micro: EngineMicro) -> Iterator[Connect]:
    with ExitStack() as stack:

        def make(path: Path | None, **changes: Any) -> HybridConnector:  # noqa: ANN401
            values: dict[str, Any] = {
                "signals": "tcp://127.0.0.1:0",
                "market": (micro.address,),
                "state_path": path,
                "strategy": "same",
                "heartbeat": 0.1,
                "ack_timeout": 20.0,
                "dead_after": 20.0,
                "ready_timeout": 60.0,
            }
            made = HybridConnector(ConnectorConfig(**values | changes))
            stack.callback(made.close)
            micro.follow(made.address, operator=changes.get("role") == "cli")
            made.start()
            return made

        yield make


def buy(**changes: Any) -> NewSignal:  # noqa: ANN401 - fields by name
    values: dict[str, Any] = {
        "venue": VENUE,
        "symbol": SYMBOL,
        "side": "buy",
        "quantity": "0.1",
        "limit_price": "59000",
        "algo": "limit",
        "ttl": 60.0,
    }
    return NewSignal(**values | changes)


def settled(read: Callable[[], ExecutionReport | None], status: str) -> ExecutionReport:
    deadline = time.monotonic() + 60
    while True:
        report = read()
        if report is not None and report.status == status:
            return report
        assert time.monotonic() < deadline, report
        time.sleep(0.01)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_owner_is_made_once_and_stays_with_the_file(tmp_path: Path) -> None:
    names = []
    for path in (tmp_path / "a", tmp_path / "a", tmp_path / "b", None):
        log = IntentLog(path)
        names.append(log.owner)
        log.close()
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert all(name.startswith("o") and name.isalnum() and len(name) < 64 for name in names)


def test_two_bots_of_one_strategy_leave_each_others_orders_alone(
    connect: Connect, tmp_path: Path
) -> None:
    first, second = connect(tmp_path / "a"), connect(tmp_path / "b")
    sent = first.submit(buy())
    assert sent.signal.owner == first.owner != second.owner
    report = settled(lambda: first.report(sent.signal_id), "working")
    assert report.owner == first.owner
    answer = second.cancel(sent.signal_id, "not mine", 0.5)
    assert answer is None or answer.status == "working"
    assert [r.signal_id for r in first.query_orders(mine=True, working=True)] == [sent.signal_id]
    assert second.query_orders(mine=True) == ()
    assert [r.signal_id for r in second.query_orders()] == [sent.signal_id]
    first.cancel(sent.signal_id, "mine", 2.0)
    assert settled(lambda: first.report(sent.signal_id), "canceled").reason == "mine"


def test_the_command_line_cancels_anybodys_order(connect: Connect, tmp_path: Path) -> None:
    bot, cli = connect(tmp_path / "a"), connect(None, role="cli")
    sent = bot.submit(buy())
    settled(lambda: bot.report(sent.signal_id), "working")
    assert cli.query_order(sent.signal_id) is not None
    report = cli.cancel(sent.signal_id, "by hand", 2.0)
    assert report is not None
    assert (report.status, report.reason_code) == ("canceled", "CANCELED_BY_OPERATOR")


def test_a_copy_of_the_log_is_refused_by_name_until_the_first_is_gone(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first says goodbye; that a thread is kept waiting must not look like its end.
    monkeypatch.setattr(owners_module, "ALIVE_NS", 600 * 1_000_000_000)
    first = connect(tmp_path / "a")
    sent = first.submit(buy())
    settled(lambda: first.report(sent.signal_id), "working")
    first.intents.checkpoint()
    shutil.copy(tmp_path / "a", tmp_path / "copy")
    copy = connect(tmp_path / "copy", ready_timeout=0.5)
    until(lambda: any(peer.refuses_us for peer in copy.peers()))
    assert copy.owner == first.owner
    for _ in range(3):
        with pytest.raises(MicroUnavailable, match=first.instance):
            copy.submit(buy())
        with pytest.raises(MicroUnavailable, match=first.instance):
            copy.query_orders(mine=True)
    copy.cancel(sent.signal_id, "as if it were mine", 0.3)
    assert first.submit(buy()).report is not None
    settled(lambda: first.report(sent.signal_id), "working")
    first.close()
    until(lambda: copy.ready and not any(peer.refuses_us for peer in copy.peers()))
    # What it repeated of its cancel meanwhile may have ended the order, for now it speaks for it.
    assert copy.submit(buy()).report is not None


CHILD = """
import sys, time
from pathlib import Path
from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector
connector = HybridConnector(ConnectorConfig(
    signals=sys.argv[1], market=(sys.argv[2],), state_path=Path(sys.argv[3]), strategy="same",
    ack_timeout=60.0, ready_timeout=60.0, dead_after=60.0))
connector.start()
assert connector.wait_ready()
sent = connector.submit(NewSignal(
    venue=sys.argv[4], symbol=sys.argv[5], side="buy", quantity="0.1", limit_price="59000",
    algo="limit", ttl=60.0))
print(sent.signal_id, sent.report is not None, flush=True)
time.sleep(60)
"""


def test_a_killed_bot_that_starts_again_gets_its_orders_back(
    micro: EngineMicro, connect: Connect, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    signals = f"tcp://127.0.0.1:{free_port()}"
    micro.follow(signals)
    words = [signals, micro.address, str(tmp_path / "a"), VENUE, SYMBOL]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, *words], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            signal_id, acknowledged = child.stdout.readline().split()
        finally:
            child.kill()
    assert acknowledged == "True"
    again = connect(tmp_path / "a")
    refusals: list[str] = []
    deadline = time.monotonic() + 60
    while True:
        try:
            found = again.query_orders(mine=True, working=True)
            break
        except MicroUnavailable as error:
            refusals.append(str(error))
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert all("intent log" in each for each in refusals), refusals
    assert [report.signal_id for report in found] == [signal_id]
    report = again.cancel(signal_id, "after the restart", 60.0)
    assert report is not None
    assert report.status == "canceled"
    assert again.submit(buy()).report is not None


@pytest.mark.campaign
def test_an_old_working_order_is_found_behind_thousands_when_all_restart_at_once(
    micro: EngineMicro, connect: Connect, tmp_path: Path
) -> None:
    logs = [tmp_path / name for name in "abc"]
    owners = []
    for path in logs:
        log = IntentLog(path)
        owners.append(log.owner)
        log.close()
    with micro.lock:
        for owner in owners:
            micro.send(_order(micro, f"oldest-{owner}", owner, price=59_000))
        for number in range(OTHERS):
            micro.send(_order(micro, f"n{number}", owners[number % 3], price=1_000_000))
        micro.reports.clear()
    bots = [connect(path, strategy="same") for path in logs]
    found: dict[str, tuple[list[str], int]] = {}

    def restart(bot: HybridConnector) -> None:
        own = partial(bot.query_orders, timeout=60.0, mine=True)
        found[bot.owner] = ([r.signal_id for r in own(working=True)], len(own()))

    threads = [threading.Thread(target=restart, args=(bot,)) for bot in bots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number, owner in enumerate(owners):
        each = OTHERS // 3 + (number < OTHERS % 3)
        assert found[owner] == ([f"oldest-{owner}"], each + 1)
    assert all(bot.submit(buy()).report is not None for bot in bots)


def _order(micro: EngineMicro, name: str, owner: str, *, price: int) -> Any:  # noqa: ANN401
    """An order far from the market, or one that ends at once because its price is absurd."""
    return signal(
        name,
        owner=owner,
        algo="limit",
        quantity=Decimal("0.1"),
        limit_price=Decimal(price),
        created_ns=micro.now,
        expires_ns=micro.now + 600_000_000_000,
    )
