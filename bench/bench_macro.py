"""How soon a fill is in Freqtrade's database, with real processes and Freqtrade's own throttle.

Simulator, micro (paper) and Freqtrade run as they do for a user, at ``process_throttle_secs`` 5,
Freqtrade's default: once with the worker waiting for micro's reports, once with the sleep of stock
Freqtrade. The fill's time is micro's (the report that ended the order); the database is watched from
outside, every 2 ms.

How soon a signal is received and acknowledged, seen from Freqtrade's ``create_order``, is measured
in the same runs; ``bench_ack.py`` has the stages of it, ``bench_bridge.py`` the channel alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import zmq
from processes import port, simulator, start, wait_for

from citadel_bridge.channels import Inbox
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_proto import topics
from citadel_proto.codec import decode_market
from citadel_proto.messages import TERMINAL_STATUSES, ExecutionReport, MarketChannel

PAIRS = "BTC/USDT,ETH/USDT,SOL/USDT,XRP/USDT,DOGE/USDT,ADA/USDT"
TARGETS_MS = {"received": 1.0, "acknowledged": 2.0, "in the database": 100.0}
POLL_S = 0.002


def trading(config: str, timings: str) -> int:
    """``citadel macro trade`` with ``create_order`` timed: the process that is measured."""
    from citadel_macro.launcher import run  # noqa: PLC0415 - in the child only
    from citadel_macro.micro_client import MicroLink  # noqa: PLC0415

    submit = MicroLink.submit

    def timed(self: MicroLink, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
        begun = time.perf_counter_ns()
        sent, report = submit(self, *args, **kwargs)
        if report is not None:
            row = {
                "received": (report.created_ns - sent.created_ns) / 1e6,
                "acknowledged": (time.perf_counter_ns() - begun) / 1e6,
            }
            with Path(timings).open("a") as out:
                out.write(json.dumps(row) + "\n")
        return sent, report

    MicroLink.submit = timed  # type: ignore[method-assign]
    return run(["trade", "-c", config])


def phase(folder: Path, seconds: float, *, wake_up: bool) -> dict[str, list[float]]:
    """Run the whole system for ``seconds`` and return milliseconds by what was measured."""
    folder.mkdir()
    signals, market = f"tcp://127.0.0.1:{port()}", f"tcp://127.0.0.1:{port()}"
    ended: dict[str, int] = {}
    booked: dict[str, int] = {}
    timings = folder / "timings.jsonl"

    def on_message(_topic: bytes, message: MarketChannel) -> None:
        if isinstance(message, ExecutionReport) and message.status in TERMINAL_STATUSES:
            ended.setdefault(message.signal_id, message.updated_ns)

    with ExitStack() as stack:
        sim = simulator(stack, folder, PAIRS)
        up = folder / "micro.json"
        words = (
            *("micro", "--mode", "paper", "--run-dir", str(folder / "micro"), "--symbols", PAIRS),
            *("--rest-url", sim["rest"], "--ws-url", sim["ws"], "--http", "off"),
            *("--signals", signals, "--market", market, "--ready-file", str(up)),
            *("--commands", f"tcp://127.0.0.1:{port()}"),
        )
        wait_for(up, start(stack, folder / "micro.log", "-m", "citadel_bridge.cli", *words))
        made = folder / "config.json"
        asked = (
            *("macro", "demo-config", "--sim", sim["rest"], "--signals", signals),
            *("--market", market, "--user-dir", str(folder / "user"), "--out", str(made)),
        )
        subprocess.run([sys.executable, "-m", "citadel_bridge.cli", *asked], check=True)
        config = json.loads(made.read_text())
        config["internals"] = {"process_throttle_secs": 5}
        config["citadel"]["wake_up"] = wake_up
        made.write_text(json.dumps(config))
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        reader = SubscriberThread(
            context, [Endpoint(market)], [topics.REPORTS], Inbox(decode_market, on_message)
        )
        reader.start()
        stack.callback(context.term)
        stack.callback(reader.close)
        freqtrade = start(stack, folder / "macro.log", __file__, "--trade", str(made), str(timings))
        database = folder / "user" / "trades.sqlite"
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and freqtrade.poll() is None:
            time.sleep(POLL_S)
            if database.exists():
                watch(database, booked)
    rows = [json.loads(line) for line in timings.read_text().splitlines()]
    return {
        "received": [row["received"] for row in rows],
        "acknowledged": [row["acknowledged"] for row in rows],
        "in the database": [
            (booked[name] - moment) / 1e6 for name, moment in ended.items() if name in booked
        ],
    }


def watch(database: Path, booked: dict[str, int]) -> None:
    """Note when an order is first seen to have ended in Freqtrade's database."""
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=1) as db:
            rows = db.execute("SELECT order_id FROM orders WHERE ft_is_open = 0").fetchall()
    except sqlite3.OperationalError:
        return  # the tables are not made yet
    now = time.time_ns()
    for (order_id,) in rows:
        booked.setdefault(order_id, now)


def show(name: str, values: list[float], target: float | None) -> None:
    """One line: median, 90th percentile, count."""
    if not values:
        print(f"| {name} | nothing was measured | | | |")
        return
    ranked = sorted(values)
    high = ranked[min(len(ranked) - 1, int(len(ranked) * 0.9))]
    wanted = "" if target is None else f"{target:g}"
    print(f"| {name} | {statistics.median(ranked):.2f} | {high:.2f} | {len(ranked)} | {wanted} |")


def main() -> int:
    """Print both sides."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=75, help="length of each of the two runs")
    parser.add_argument("--trade", nargs=2, metavar=("CONFIG", "TIMINGS"), help=argparse.SUPPRESS)
    options, _ = parser.parse_known_args()
    if options.trade:
        return trading(*options.trade)
    with tempfile.TemporaryDirectory(prefix="bench-macro-") as name:
        woken = phase(Path(name) / "woken", options.seconds, wake_up=True)
        stock = phase(Path(name) / "stock", options.seconds, wake_up=False)
    print(f"\n{os.cpu_count()} cores, 4 processes, process_throttle_secs 5\n")
    print("| from Freqtrade to micro and back | p50, ms | p90, ms | n | wanted p50, ms |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for what in ("received", "acknowledged"):
        show(f"a signal from create_order {what}", woken[what] + stock[what], TARGETS_MS[what])
    show(
        "the end of an order in Freqtrade's database, woken",
        woken["in the database"],
        TARGETS_MS["in the database"],
    )
    show("the same with the stock sleep", stock["in the database"], None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
