"""How fast three backtesters work one order on the same USD-M capture: ours, hftbacktest, nautilus_trader.

``make race`` gives the two others an environment of their own. Depth and trades are played, every frame of them;
best quotes are left out, which not all three take. The order is a buy that rests far below the market to the
end, so that each frame updates a book and could fill it. Ours reads the raw capture, and again the prepared one,
once more with a journal (which keeps nothing here), so that its engine is handed every frame, as the others' loop and
strategy are, and not only those that an order or a timer may depend on. The others are given their own objects in
memory, whose making is timed apart. The time is each process's own, of all its threads; the three take turns, and
medians are printed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import citadel_micro.adapters  # noqa: F401 - tells which venues there are
from citadel_micro.core.model.events import DepthUpdate, TradeTick
from citadel_micro.offline.work import WorkOrder, work
from citadel_micro.shell.capture.offline import capture_events
from citadel_micro.shell.instruments.capture import instruments_for_capture

if TYPE_CHECKING:
    from collections.abc import Callable

HERE: Final = Path(__file__).resolve().parent
CAPTURE: Final = "captures/binance-usdm-btcusdt-20240808.jsonl.gz"
VENUE: Final = "binance-usdm"
SYMBOL: Final = "BTC/USDT:USDT"
OTHERS: Final = {"hftbacktest": "race_hftbacktest.py", "nautilus_trader": "race_nautilus.py"}
PRICE: Final = Decimal(61_000)
QUANTITY: Final = Decimal(2)


def main() -> int:
    """Play all rounds and print a markdown table; 1 when one that is installed fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for what the three read")
    parser.add_argument("--python", type=Path, required=True, help="that has the others")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    shared = Path(os.environ.get("CITADEL_SHARED") or HERE.parents[1] / "shared")
    if not (shared / CAPTURE).is_file():
        print(f"not measured: no {CAPTURE}; set CITADEL_SHARED", file=sys.stderr)
        return 0
    args.folder.mkdir(parents=True, exist_ok=True)
    capture, events = args.folder / "race.jsonl.gz", args.folder / "race.json"
    frames = prepare(shared / CAPTURE, capture, events)
    players: dict[str, Callable[[], dict[str, Any]]] = {
        "ours, raw frames": lambda: ours(capture, None),
        "ours, prepared": lambda: ours(capture, args.folder / "prepared"),
        "ours, every frame to the engine": lambda: ours(
            capture, args.folder / "prepared", journal=True
        ),
    }
    for name, script in OTHERS.items():
        if has(args.python, name):
            players[name] = partial(other, args.python, script, events)
        else:
            print(f"{name} is not installed for {args.python}, so it is not measured")
    players["ours, prepared"]()  # the first run prepares
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in players}
    for _ in range(args.rounds):
        for name, play in players.items():
            found[name].append(play())
    print(f"{frames:,} frames of depth and trades, medians of {args.rounds} rounds")
    print(
        "| | frames/s | making its input, s | ours prepared / it "
        "| ours prepared / it, its preparation counted | the order |"
    )
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    base = [each["seconds"] for each in found["ours, prepared"]]
    for name, rounds in found.items():
        rate = statistics.median(frames / each["seconds"] for each in rounds)
        made = statistics.median(each["made"] for each in rounds)
        alone, whole = (
            statistics.median(
                (each["seconds"] + each["made"] * counted) / own
                for each, own in zip(rounds, base, strict=True)
            )
            for counted in (0, 1)
        )
        last = rounds[-1]
        print(
            f"| {last.get('name', name)} | {rate:,.0f} | {made:.2f} | {alone:.2f}x | {whole:.2f}x "
            f"| {last['order']} |"
        )
    return 0


def prepare(source: Path, capture: Path, events: Path) -> int:
    """Write the capture without its best quotes, and its events for the others; the number of frames."""
    with gzip.open(source, "rt") as lines, gzip.open(capture, "wt", compresslevel=1) as kept:
        kept.writelines(line for line in lines if "@bookTicker" not in line)
    instrument, _ = instruments_for_capture(capture, VENUE, SYMBOL, None)
    rows: list[tuple[object, ...]] = []
    for recv_ns, found in capture_events(capture, VENUE, SYMBOL):
        for event in found:
            if isinstance(event, DepthUpdate):
                rows.append((recv_ns, event.snapshot, list(event.bids), list(event.asks)))
            elif isinstance(event, TradeTick):
                rows.append((recv_ns, event.side, event.price, event.size))
    events.write_text(
        json.dumps(
            {
                "tick": str(instrument.tick),
                "lot": str(instrument.lot),
                "price": str(PRICE),
                "quantity": str(QUANTITY),
                "frames": rows,
            }
        )
    )
    return len(rows)


class KeepsNothing:
    """A run with a journal is given every frame, one by one."""

    def event(self, now_ns: int, event: object) -> None:
        """Keep nothing."""

    def command(self, now_ns: int, command: object) -> None:
        """Keep nothing."""


def ours(capture: Path, cache: Path | None, *, journal: bool = False) -> dict[str, Any]:
    """One round of ours."""
    began = [0.0]

    def on_ready() -> None:
        began[0] = time.process_time()

    order = WorkOrder(
        capture=capture,
        venue=VENUE,
        symbol=SYMBOL,
        side="buy",
        quantity=QUANTITY,
        algo="limit",
        limit_price=PRICE,
        cache=cache,
    )
    opened = (lambda *_: KeepsNothing()) if journal else None
    worked = work(order, opened, on_ready)
    seconds = time.process_time() - began[0]
    return {"seconds": seconds, "made": 0.0, "order": f"{worked.outcome['filled']} filled"}


def has(python: Path, package: str) -> bool:
    """Whether an interpreter has a package."""
    command = [str(python), "-c", f"import {package}"]
    return not subprocess.run(command, capture_output=True, check=False, timeout=60).returncode


def other(python: Path, script: str, events: Path) -> dict[str, Any]:
    """One round of another, in its own process."""
    command = [str(python), str(HERE / script), str(events)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise SystemExit(f"{script} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    sys.exit(main())
