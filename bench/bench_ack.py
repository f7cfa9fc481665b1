"""How soon the whole of micro acknowledges an order, and where the time goes.

Simulator and micro (paper) are processes of their own, the connector is in this one. Nothing is left
out: the intent is on the disk before the signal is published, micro's journal before its report is.
Every order waits for its acknowledgement. They come in bursts, as of a strategy that decides on many
pairs at the end of a candle, with pauses of random length between two.

All stages are read from one monotonic clock. What the disk itself takes for one small write is
measured in the same minutes, in the same folder: on a busy machine most of an acknowledgement is
waiting for it, twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processes import port, simulator, start, wait_for

from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector
from citadel_proto.messages import ExecutionReport, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SYMBOLS = "BTC/USDT,ETH/USDT"
WARM_UP = 25
SEED = 1
SETTLE_S = 6.0
"""Until books are live and micro has frozen its garbage collector, once, at 5 s."""
PAUSE_S = (0.005, 0.040)
BURST, REST_S = 25, 2.6
"""Then a rest, because a venue of micro's default settings takes 10 messages a second in the long
run; an order that had to wait for its turn would be acknowledged without having been placed."""
TARGETS_MS = {"received by micro": 1.0, "acknowledged in macro": 2.4}
MODES = {  # when the intent goes to the disk, whether micro never sleeps, and whether there is a lane
    "before_publish": ("before_publish", False, False),
    "before_publish, lane": ("before_publish", False, True),
    "overlapped": ("overlapped", False, False),
    "before_publish, busy_poll": ("before_publish", True, False),
    "before_publish, busy_poll, lane": ("before_publish", True, True),
}
STAGES = (
    ("begun", "recorded", "check, build, record the intent"),
    ("recorded", "synced", "intent to the disk"),
    ("synced", "received", "publish, on the way to micro"),
    ("received", "judged", "micro: decode, journal, engine, risk gate"),
    ("judged", "journaled", "micro: journal to the disk"),
    ("journaled", "heard", "micro: publish the report, on the way back"),
    ("heard", "returned", "wake the caller"),
)
DISK = ("recorded", "synced")
OVERLAPPED = (
    STAGES[0],
    ("recorded", "received", STAGES[2][2]),
    *STAGES[3:],
)
"""Where the intent goes to the disk beside all this."""
Marks = dict[str, dict[str, int]]
"""Per signal and point on the way, nanoseconds of the machine's monotonic clock."""


def micro(marks_file: Path, words: Sequence[str]) -> int:
    """``citadel micro`` with a note of the time at each point: the process that is measured."""
    from citadel_bridge import cli  # noqa: PLC0415 - in the child only
    from citadel_micro.shell.bridge import uplink  # noqa: PLC0415
    from citadel_micro.shell.journal import journal  # noqa: PLC0415

    marks: Marks = {}
    current = ""

    def received(self: uplink.Uplink, way: Any, topic: bytes, message: Any) -> None:  # noqa: ANN401
        nonlocal current
        if isinstance(message, Signal):
            current = message.signal_id
            marks.setdefault(current, {}).setdefault("received", time.monotonic_ns())
        inner_received(self, way, topic, message)
        current = ""

    def synced(self: journal.Journal) -> None:
        own = marks.get(current, {})
        own.setdefault("judged", time.monotonic_ns())
        inner_sync(self)
        own.setdefault("journaled", time.monotonic_ns())

    inner_received = uplink.Uplink._on_message  # noqa: SLF001
    inner_sync = journal.Journal.sync
    uplink.Uplink._on_message = received  # type: ignore[method-assign] # noqa: SLF001
    journal.Journal.sync = synced  # type: ignore[method-assign]
    sys.argv = ["citadel", "micro", *words]
    try:
        return cli.main()
    finally:
        marks_file.write_text(json.dumps(marks))


class Watch:
    """Notes the time at each point of the connector's side."""

    def __init__(self, connector: HybridConnector) -> None:
        self.marks: Marks = {}
        self._connector = connector
        self._current: dict[str, int] = {}
        self._after(connector.intents, "record", "recorded")
        self._after(connector.intents, "sync", "synced")
        on_report = connector.mirror.on_report

        def heard(report: ExecutionReport) -> None:
            self._current.setdefault("heard", time.monotonic_ns())
            on_report(report)

        connector.mirror.on_report = heard

    def _after(self, target: object, name: str, mark: str) -> None:
        inner: Callable[..., object] = getattr(target, name)

        def marked(*args: object, **named: object) -> object:
            result = inner(*args, **named)
            self._current.setdefault(mark, time.monotonic_ns())
            return result

        setattr(target, name, marked)

    def submit(self, new: NewSignal) -> bool:
        """Send one order; False when its acknowledgement did not come in time."""
        own = self._current = {"begun": time.monotonic_ns()}
        sent = self._connector.submit(new)
        own["returned"] = time.monotonic_ns()
        self._current = {}
        self.marks[sent.signal_id] = own
        return sent.report is not None


class Disk:
    """What one write of an intent's size takes to reach the disk, with nothing else around it."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "disk", os.O_WRONLY | os.O_CREAT, 0o600)
        self.took_ms: list[float] = []

    def measure(self) -> None:
        """One write."""
        begun = time.monotonic_ns()
        os.write(self._file, b"x" * 500)
        os.fdatasync(self._file)
        self.took_ms.append((time.monotonic_ns() - begun) / 1e6)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def run(folder: Path, orders: int, mode: str) -> tuple[Marks, list[float]]:
    """Marks of both sides by signal, and the disk's own times in ms."""
    sync_intents, busy_poll, by_lane = MODES[mode]
    lane = folder / "lane"
    signals, market = f"tcp://127.0.0.1:{port()}", f"tcp://127.0.0.1:{port()}"
    marks_file = folder / "marks.json"
    settings = folder / "micro.toml"
    settings.write_text(
        f"busy_poll = {str(busy_poll).lower()}\n"
        + (f'[bridge]\nlane = "{lane}"\n' if by_lane else "")
    )
    chance = random.Random(SEED)
    lost = 0
    with ExitStack() as stack:
        exchange = simulator(stack, folder, SYMBOLS)
        up = folder / "micro.json"
        words = (
            *("--mode", "paper", "--run-dir", str(folder / "micro"), "--symbols", SYMBOLS),
            *("--rest-url", exchange["rest"], "--ws-url", exchange["ws"], "--http", "off"),
            *("--signals", signals, "--market", market, "--ready-file", str(up)),
            *("--commands", f"tcp://127.0.0.1:{port()}", "--config", str(settings)),
        )
        process = start(stack, folder / "micro.log", __file__, "--micro", str(marks_file), *words)
        wait_for(up, process)
        connector = HybridConnector(
            ConnectorConfig(
                signals=signals,
                market=(market,),
                state_path=folder / "intents.sqlite",
                sync_intents=sync_intents,  # type: ignore[arg-type] # one of the two
                lanes=(lane,) if by_lane else (),
            )
        )
        stack.callback(connector.close)
        disk = Disk(folder)
        stack.callback(disk.close)
        connector.start()
        if not connector.wait_ready(20):
            log = (folder / "micro.log").read_text()[-2000:]
            raise SystemExit(f"{log}\nmicro did not answer")
        time.sleep(SETTLE_S)
        watch = Watch(connector)
        for number in range(WARM_UP + orders):
            if number == WARM_UP:
                watch.marks.clear()
                lost = 0
            side = "buy" if number % 2 == 0 else "sell"
            lost += not watch.submit(
                NewSignal(
                    venue="binance-spot",
                    symbol="BTC/USDT",
                    side=side,  # type: ignore[arg-type] # one of the two
                    quantity="0.0012"
                    if side == "buy"
                    else "0.001",  # fees are paid in what is bought
                    ttl=5,
                    algo="marketable_limit",
                )
            )
            disk.measure()
            time.sleep(chance.uniform(*PAUSE_S) if (number + 1) % BURST else REST_S)
        time.sleep(1)  # the last orders end
        statuses: dict[str, int] = {}
        for report in connector.reports():
            key = f"{report.status} {report.reason_code}".strip()
            statuses[key] = statuses.get(key, 0) + 1
        if connector.lanes is not None:
            print(connector.lanes.status())
    theirs: Marks = json.loads(marks_file.read_text())
    joined = {id_: {**own, **theirs.get(id_, {})} for id_, own in watch.marks.items()}
    print(
        f"\n{mode}: {orders} orders, without an acknowledgement in time: {lost}; "
        f"what became of them: {statuses}\n"
    )
    return joined, disk.took_ms


def spent(marks: Marks, begin: str, end: str) -> list[float]:
    """Milliseconds between two points, of every signal that passed both."""
    return [(own[end] - own[begin]) / 1e6 for own in marks.values() if begin in own and end in own]


def show(mode: str, name: str, values: Sequence[float], aim: str = "") -> None:
    """One row: median, 90th and 99th percentile."""
    if not values:
        print(f"| {mode} | {name} | nothing was measured | | | {aim} |")
        return
    ranked = sorted(values)
    p90, p99 = (ranked[min(len(ranked) - 1, int(len(ranked) * q))] for q in (0.9, 0.99))
    print(
        f"| {mode} | {name} | {statistics.median(ranked):.3f} | {p90:.3f} | {p99:.3f} | {aim} |",
        flush=True,
    )


def table(marks: Marks, disk_ms: Sequence[float], mode: str) -> None:
    """Both totals and all stages."""
    overlapped = MODES[mode][0] == "overlapped"
    print("| intents | stage | p50, ms | p90, ms | p99, ms | aim, p50 |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, end in (("received by micro", "received"), ("acknowledged in macro", "returned")):
        show(mode, f"**submit -> {name}**", spent(marks, "begun", end), f"{TARGETS_MS[name]:g}")
    for begin, end, what in OVERLAPPED if overlapped else STAGES:
        show(mode, what, spent(marks, begin, end))
    waits = [("judged", "journaled")] if overlapped else [DISK, ("judged", "journaled")]
    rest = [
        ((own["returned"] - own["begun"]) - sum(own[end] - own[begin] for begin, end in waits))
        / 1e6
        for own in marks.values()
        if all(point in own for wait in waits for point in wait)
    ]
    show(mode, "all but the waits for the disk", rest)
    show(mode, "the disk: 500 bytes appended and synced", disk_ms)


def main() -> int:
    """Print the tables."""
    if sys.argv[1:2] == ["--micro"]:
        return micro(Path(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=200, help="of each run")
    parser.add_argument("--modes", nargs="*", default=list(MODES), choices=MODES, metavar="MODE")
    options, _ = parser.parse_known_args()
    load = os.getloadavg()[0]
    for mode in options.modes:
        with tempfile.TemporaryDirectory(prefix="bench-ack-") as name:
            marks, disk_ms = run(Path(name), options.orders, mode)
        table(marks, disk_ms, mode)
    print(f"\n1-minute load average {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    return 0


if __name__ == "__main__":
    sys.exit(main())
