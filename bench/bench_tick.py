"""How soon an order leaves after the frame that it is about, at the wire, against peers and floors.

    python bench/bench_tick.py [--rounds 5] [--frames 40]

A frame of a book is written to a client's socket; the time ends when the kernel has received the packet
that completes its order (``tick_relay.py``). All clients run at the same time, each a process of its own,
and are measured in turns: some frames with 5 ms between an order's end and the next frame, where caches
have gone cold, and some back to back. Micro is whole, its journal synced before each order unless the
line says otherwise; ccxt.pro keeps no journal and checks no risk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from processes import start, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE: Final = Path(__file__).parent
GAPS: Final = (0.005, 0.0)
LEAD_IN: Final = 3
"""Frames of each turn that are not counted: the client has been idle before."""
CONNECT_S: Final = 90.0
ORDER_LIMITS: Final = {10.0: 280, 60.0: 1_150}
"""Seconds and orders: a little below what USD-M takes of one account, whose limits the simulator keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table."""

    text: str
    client: str
    mode: str = "-"
    move: bool = False
    """The best bid moves in each frame."""


LINES: Final = (
    Line(text="C echo", client="c"),
    Line(text="echo in Python, same loop and websocket library", client="echo"),
    Line(text="ours, spot, websocket", client="ours-binance-spot", mode="sync ws"),
    Line(
        text="ours, spot, websocket, journal not synced",
        client="ours-binance-spot",
        mode="nosync ws",
    ),
    Line(text="ours, spot, websocket, busy_poll", client="ours-binance-spot", mode="sync ws busy"),
    Line(
        text="ours, spot, websocket, busy_poll, not synced",
        client="ours-binance-spot",
        mode="nosync ws busy",
    ),
    Line(
        text="ours, spot, websocket, polling without rehearsals, not synced",
        client="ours-binance-spot",
        mode="nosync ws spin",
    ),
    Line(text="ours, spot, REST", client="ours-binance-spot", mode="sync rest"),
    Line(text="ours, spot, REST, not synced", client="ours-binance-spot", mode="nosync rest"),
    Line(text="ccxt.pro, spot, REST", client="ccxt-spot", mode="rest"),
    Line(text="ccxt.pro, spot, websocket", client="ccxt-spot", mode="ws"),
    Line(text="ours, USD-M, websocket", client="ours-binance-usdm", mode="sync ws"),
    Line(text="ours, USD-M, websocket, not synced", client="ours-binance-usdm", mode="nosync ws"),
    Line(
        text="ours, USD-M, reprice of a resting order",
        client="ours-binance-usdm",
        mode="sync ws reprice",
        move=True,
    ),
    Line(
        text="ours, USD-M, reprice, not synced",
        client="ours-binance-usdm",
        mode="nosync ws reprice",
        move=True,
    ),
    Line(text="ours, USD-M, REST", client="ours-binance-usdm", mode="sync rest"),
    Line(text="ccxt.pro, USD-M, REST", client="ccxt-swap", mode="rest"),
)
RATIOS: Final = (  # what, and the lines whose medians are divided
    ("ccxt.pro REST / ours REST, spot", "ccxt.pro, spot, REST", "ours, spot, REST"),
    (
        "ccxt.pro REST / ours REST, spot, not synced",
        "ccxt.pro, spot, REST",
        "ours, spot, REST, not synced",
    ),
    ("ccxt.pro REST / ours REST, USD-M", "ccxt.pro, USD-M, REST", "ours, USD-M, REST"),
    ("ccxt.pro REST / ours websocket, spot", "ccxt.pro, spot, REST", "ours, spot, websocket"),
    (
        "ccxt.pro REST / ours websocket, spot, not synced",
        "ccxt.pro, spot, REST",
        "ours, spot, websocket, journal not synced",
    ),
    ("ccxt.pro / ours, websocket, spot", "ccxt.pro, spot, websocket", "ours, spot, websocket"),
    (
        "ours websocket / echo",
        "ours, spot, websocket",
        "echo in Python, same loop and websocket library",
    ),
    (
        "ours websocket, not synced / echo",
        "ours, spot, websocket, journal not synced",
        "echo in Python, same loop and websocket library",
    ),
    ("ours websocket / C echo", "ours, spot, websocket", "C echo"),
)


class Relay:
    """The relay's process."""

    def __init__(
        self, stack: ExitStack, upstream: Sequence[object], clients: Sequence[str]
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "tick_relay.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(self._end)
        rows = [
            {"name": name, "usdm": "usdm" in name or "swap" in name, "echo": name in {"c", "echo"}}
            for name in clients
        ]
        self.ports: dict[str, int] = self.ask({"upstream": upstream, "clients": rows})

    def ask(self, order: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """One order and its answer."""
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101 - as above
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the relay has ended")
        return json.loads(line)

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait()


def start_clients(stack: ExitStack, folder: Path, relay: Relay) -> None:
    """All clients of the relay, and wait until each is ready to trade."""
    processes = {}
    for name, port in relay.ports.items():
        own = folder / name
        own.mkdir()
        log = folder / f"{name}.log"
        kind, _, rest = name.partition("-")
        if kind == "c":
            out = stack.enter_context(log.open("w"))
            process = subprocess.Popen(
                [str(folder / "tick_echo"), str(port)], stdout=out, stderr=out
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        elif kind == "echo":
            process = start(stack, log, str(HERE / "tick_echo.py"), str(port))
        elif kind == "ours":
            process = start(stack, log, str(HERE / "tick_ours.py"), str(own), str(port), rest)
        else:
            process = start(stack, log, str(HERE / "tick_ccxt.py"), str(port), rest)
        processes[name] = process
    deadline = time.monotonic() + CONNECT_S
    while len(found := relay.ask({"do": "connected"})) < len(relay.ports):
        ended = [name for name, each in processes.items() if each.poll() is not None]
        if ended or time.monotonic() > deadline:
            missing = ended or sorted(set(relay.ports) - set(found))
            logs = "".join((folder / f"{each}.log").read_text()[-3000:] for each in missing)
            raise SystemExit(f"{logs}\nnot ready: {', '.join(missing)}")
        time.sleep(0.2)


class Pace:
    """Keeps the orders of each account below the venue's limits; waits between turns, never within one."""

    def __init__(self) -> None:
        self._turns: dict[str, list[tuple[float, int]]] = {}

    def wait(self, client: str, count: int) -> None:
        """Wait until so many more orders are within the limits, and count them."""
        turns = self._turns.setdefault(client, [])
        while any(
            count + sum(orders for at, orders in turns if time.monotonic() - at < seconds) > most
            for seconds, most in ORDER_LIMITS.items()
        ):
            time.sleep(0.1)

    def count(self, client: str, count: int) -> None:
        """So many orders have left by now."""
        self._turns.setdefault(client, []).append((time.monotonic(), count))


def measure(
    relay: Relay, lines: Sequence[Line], rounds: int, frames: int
) -> tuple[dict[tuple[str, float], list[float]], dict[str, int]]:
    """(text, gap) -> times in µs, and by text how many orders did not come."""
    times: dict[tuple[str, float], list[float]] = {}
    missed: dict[str, int] = {}
    pace = Pace()
    for _ in range(rounds):
        for line in lines:
            for gap_s in GAPS:
                order = {
                    "do": "run",
                    "name": line.client,
                    "count": frames + LEAD_IN,
                    "gap_s": gap_s,
                    "mode": line.mode,
                    "move": line.move,
                }
                if "spot" not in line.client:
                    pace.wait(line.client, frames + LEAD_IN)
                found = relay.ask(order)
                pace.count(line.client, frames + LEAD_IN)
                own = times.setdefault((line.text, gap_s), [])
                own += [each / 1000 for each in found["times"][LEAD_IN:]]
                missed[line.text] = missed.get(line.text, 0) + found["missed"]
            relay.ask({**order, "mode": "stop", "count": 0, "move": False})
    return times, missed


def show(
    times: dict[tuple[str, float], list[float]], missed: dict[str, int], lines: Sequence[Line]
) -> None:
    """Two tables in Markdown: times, ratios of medians."""
    print("| frame -> order bytes, µs | 5 ms gaps p50 | p99 | back to back p50 | p99 | missed |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for line in lines:
        cells = []
        for gap_s in GAPS:
            own = sorted(times[line.text, gap_s])
            if not own:
                cells += ["-", "-"]
                continue
            p99 = own[min(len(own) - 1, int(len(own) * 0.99))]
            cells += [f"{statistics.median(own):.0f}", f"{p99:.0f}"]
        print(f"| {line.text} | {' | '.join(cells)} | {missed[line.text]} |")
    print("\n| ratio of medians | 5 ms gaps | back to back |")
    print("| --- | ---: | ---: |")
    for text, slow, fast in RATIOS:
        cells = []
        for gap_s in GAPS:
            both = times.get((slow, gap_s)), times.get((fast, gap_s))
            if both[0] and both[1]:
                cells.append(f"{statistics.median(both[0]) / statistics.median(both[1]):.1f}x")
        if len(cells) == len(GAPS):
            print(f"| {text} | {' | '.join(cells)} |")


def main() -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=40, help="of each turn")
    parser.add_argument(
        "--only", default="", help="lines whose text contains one of these, by semicolons"
    )
    parser.add_argument("--logs", type=Path, help="keep the processes' logs in this new folder")
    options, _ = parser.parse_known_args()
    words = [word for word in options.only.split(";") if word]
    lines = [line for line in LINES if not words or any(word in line.text for word in words)]
    compiler = shutil.which("cc")
    if compiler is None:
        print("no C compiler: the C echo is left out", file=sys.stderr)
        lines = [line for line in lines if line.client != "c"]
    load = os.getloadavg()[0]
    clients = list(dict.fromkeys(line.client for line in lines))
    with ExitStack() as stack:
        if options.logs is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-tick-")))
        else:
            folder = options.logs
            folder.mkdir()
        if compiler is not None:
            source = str(HERE / "tick_echo.c")
            subprocess.run([compiler, "-O2", "-o", str(folder / "tick_echo"), source], check=True)
        ready = folder / "sim.json"
        accounts = [f"--account={name}" for name in clients if name not in {"c", "echo"}]
        process = start(
            stack,
            folder / "sim.log",
            *("-m", "citadel_bridge.cli", "sim", "--port", "0", "--symbols", "BTC/USDT"),
            *("--ready-file", str(ready), "--order-limit", "1000000"),
            *("--weight-limit", "1000000", "--futures", *accounts),
        )
        rest = wait_for(ready, process)["rest"]
        host, _, port = rest.removeprefix("http://").partition(":")
        relay = Relay(stack, (host, int(port)), clients)
        start_clients(stack, folder, relay)
        times, missed = measure(relay, lines, options.rounds, options.frames)
        for log in sorted(folder.glob("ours*.log")):
            print(log.read_text()[-1500:], file=sys.stderr, end="")
    show(times, missed, lines)
    print(f"\n1-minute load average {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    return 0


if __name__ == "__main__":
    sys.exit(main())
