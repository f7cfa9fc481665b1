"""Several macros on one micro: real connectors and a real engine; one is killed, the others go on."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from engine_kit import SECOND, SYMBOL, VENUE, config
from engine_micro import EngineMicro, open_config

from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_proto.messages import MacroHeartbeat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Until = Callable[..., None]
    Connect = Callable[..., HybridConnector]

MANY = 20
EACH = 5
CHILD = """
import sys, time
from pathlib import Path
from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector
connector = HybridConnector(ConnectorConfig(
    signals=sys.argv[1], market=(sys.argv[2],), state_path=Path(sys.argv[3]), strategy="third",
    heartbeat=0.1, ack_timeout=60.0, ready_timeout=60.0, dead_after=30.0))
connector.start()
connector.wait_ready()
sent = connector.submit(NewSignal(
    venue=sys.argv[4], symbol=sys.argv[5], side="buy", quantity="0.1", limit_price="59000",
    algo="limit", ttl=600.0))
print(sent.signal_id, connector.instance, flush=True)
time.sleep(600)
"""


def entry(**changes: str) -> NewSignal:
    """An order that rests below the market."""
    values = {"venue": VENUE, "symbol": SYMBOL, "quantity": "0.1", "limit_price": "59000"}
    return NewSignal(side="buy", algo="limit", ttl=600.0, **values | changes)  # type: ignore[arg-type]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    with ExitStack() as stack:

        def make(micro: EngineMicro, name: str) -> HybridConnector:
            made = HybridConnector(
                ConnectorConfig(
                    signals="tcp://127.0.0.1:0",
                    market=(micro.address,),
                    state_path=tmp_path / name,
                    strategy=name,
                    heartbeat=0.1,
                    dead_after=30.0,
                    ack_timeout=60.0,
                    ready_timeout=60.0,
                )
            )
            stack.callback(made.close)
            micro.follow(made.address)
            made.start()
            assert made.wait_ready()
            return made

        yield make


def test_a_killed_macros_entries_end_and_the_others_go_on(
    connect: Connect, until: Until, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Engine time is driven: a second only after both living macros were heard in it."""
    limits = paper_defaults(
        lease_required=True,
        depth_participation_bps=10_000.0,
        stale_ns=600 * SECOND,
        signal_ttl_ns=600 * SECOND,
    )
    with EngineMicro(config(limits=limits, heartbeat_ns=SECOND // 10)) as micro:
        living = [connect(micro, name) for name in ("first", "second")]
        signals = f"tcp://127.0.0.1:{free_port()}"
        micro.follow(signals)
        words = [signals, micro.address, str(tmp_path / "third"), VENUE, SYMBOL]
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, *words], stdout=subprocess.PIPE, text=True
        ) as child:
            try:
                assert child.stdout is not None
                doomed, _ = child.stdout.readline().split()
                sent = [bot.submit(entry()) for bot in living]
            finally:
                child.kill()
        parents = micro.engine.order_store.known
        until(lambda: all(parents[each.signal_id].state.name == "WORKING" for each in sent))
        seconds = 0  # of it; the machine may have let more pass
        while not parents[doomed].terminal:
            before = {bot.instance: micro.macros[bot.instance] for bot in living}
            until(lambda seen=before: all(micro.macros[name] > seq for name, seq in seen.items()))
            with micro.lock:
                micro.run(SECOND)
            seconds += 1
            assert seconds < 20, parents[doomed]
        ended = parents[doomed]
        leases = micro.engine.view.leases
        silent_ns = leases.age_ns(ended.signal.owner, ended.signal.epoch, ended.done_ns)
        assert silent_ns is not None
        assert silent_ns > limits.lease_hard_ns
        assert not any(parents[each.signal_id].terminal for each in sent)
        more = [bot.submit(entry()).report for bot in living]
        assert all(report is not None and report.status != "rejected" for report in more), more
        assert all(len(bot.query_orders(timeout=60.0, mine=True)) == 2 for bot in living)


@pytest.mark.campaign
def test_twenty_macros_each_have_their_own_orders(connect: Connect, until: Until) -> None:
    with EngineMicro(open_config()) as micro:
        bots = [connect(micro, f"bot-{number}") for number in range(MANY)]

        def work(bot: HybridConnector) -> set[str]:
            sent = [bot.submit(entry()) for _ in range(EACH)]
            assert all(each.report is not None for each in sent)
            return {each.signal_id for each in sent}

        with ThreadPoolExecutor(MANY) as pool:
            sent = list(pool.map(work, bots))
        assert len(set().union(*sent)) == MANY * EACH
        for bot, own in zip(bots, sent, strict=True):
            found = bot.query_orders(timeout=60.0, mine=True)
            assert {report.signal_id for report in found} == own
            assert {report.owner for report in found} == {bot.owner}
        beats = {each.owner for each in micro.received if isinstance(each, MacroHeartbeat)}
        assert {bot.owner for bot in bots} <= beats
        until(lambda: not any(bot.intents.pending() for bot in bots))
