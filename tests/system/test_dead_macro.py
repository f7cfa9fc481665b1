"""A macro that dies leaves no entry behind, by whichever algorithm, with micro's own defaults."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from process_kit import SYMBOL, Bench, citadel, health, mid, until

from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Callable

MACRO = """
import sys, time
from pathlib import Path
from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector

address, market, price, state = sys.argv[1:]
connector = HybridConnector(
    ConnectorConfig(
        signals=address, market=(market,), strategy="mine", state_path=Path(state),
        ready_timeout=20.0, ack_timeout=5.0,
    )
)
connector.start()
assert connector.wait_ready()
for algo, params in (
    ("limit", {}),
    ("chase_limit", {"time_limit_ms": 600_000}),
    ("marketable_limit", {"time_limit_ms": 0}),
):
    sent = connector.submit(
        NewSignal(
            venue="binance-spot", symbol="BTC/USDT", side="buy", quantity="0.01",
            limit_price=price, algo=algo, params=params, ttl=630.0,
        )
    )
    assert sent.report is not None and sent.report.status != "rejected", sent
print("sent", flush=True)
time.sleep(600)
"""


@pytest.mark.campaign
def test_a_killed_macros_entries_end_and_orders_by_hand_go_on(
    bench: Bench, free_port: Callable[[], int]
) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    bench.micro = bench.program("micro", bench.run_dir, bench.market, "--signals", address)
    ready = bench.up()
    low = f"{mid(bench) * 0.95:.2f}"
    hand = citadel(
        *bench.signal("buy", SYMBOL, "0.01", "--algo", "limit", "--limit-price", low),
        *("--ttl", "10m", "--no-wait"),
    )
    assert hand.returncode == 0, hand.stderr
    macro = subprocess.Popen(
        [sys.executable, "-c", MACRO, address, bench.market, low, str(bench.folder / "i.sqlite")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if macro.stdout is None:
            raise InvariantError("its output was asked for")
        assert macro.stdout.readline() == "sent\n"
        assert open_parents(ready) == 4
        assert not silence(ready)
    finally:
        macro.send_signal(signal.SIGKILL)
        macro.communicate(timeout=60)
    until(lambda: any("3 open orders" in each for each in silence(ready)))
    until(lambda: open_parents(ready) == 1)
    until(lambda: not silence(ready))
    assert bench.micro.end(signal.SIGTERM) == 0


def open_parents(ready: dict[str, Any]) -> int:
    return int(health(ready)["open_parents"])


def silence(ready: dict[str, Any]) -> list[str]:
    """What health says about macros that are not heard; a slow machine may give it more to say."""
    return [str(each) for each in health(ready)["reasons"] if "silent" in each]
