"""Many symbols in one process: processor time a frame, against a bare reader of the same websockets.

A server plays made-up books of 1,000 symbols in Bybit's format over ten connections, first all snapshots, then six
changed levels a frame, at a steady rate. In turns it plays to a process with our Aggregator and books, every check on,
and to one with the same websocket library and event loop that takes each frame's bytes and drops them. What
is counted is the processor time of the whole process to its last frame, without what every stream costs once, a
snapshot and its first change.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from typing import Any

from bench_socket import against
from crowd_server import Crowd, serve

VENUE = "bybit-linear"
PATH = "/v5/public/linear"
RATES = (2_000, 20_000)
SCRIPTS = {"stoic-citadel": "socket_ours.py", "bare": "crowd_bare.py"}
AIM = 1.25


def main() -> int:
    """Measure in turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--symbols", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    args = parser.parse_args()
    print("| wanted | reader | a second | us/frame, processor, median | times bare | aim |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for rate in RATES:
        crowd = Crowd(symbols=args.symbols, per_s=rate, frames=int(rate * args.seconds))
        if not _measure(crowd, args.rounds, args.seconds):
            return 1
    return 0


def _measure(crowd: Crowd, rounds: int, seconds: float) -> bool:
    """Print a row each; False when no round counts."""
    frames = crowd.symbols + crowd.frames
    first = 2 * crowd.symbols
    job = {"venue": VENUE, "natives": crowd.natives, "first": first, "frames": frames, "path": PATH}
    spent: dict[str, list[float]] = {name: [] for name in SCRIPTS}
    rates: dict[str, list[float]] = {name: [] for name in SCRIPTS}
    for number in range(rounds):
        order = list(SCRIPTS.items())
        results: dict[str, dict[str, Any]] = {}
        for name, script in order if number % 2 else order[::-1]:
            results[name] = against(
                serve, crowd, job, python=sys.executable, script=script, seconds=seconds
            )
        failed = [f"{name}: {each['error']}" for name, each in results.items() if "error" in each]
        if failed:
            print(f"note: {crowd.per_s} a second: a round does not count: {'; '.join(failed)}")
            continue
        for name, result in results.items():
            spent[name].append(result["cpu_s"] / (frames - first) * 1e6)
            rates[name].append((frames - first) / result["seconds"])
    if not spent["bare"]:
        print(f"note: {crowd.per_s} a second: no round counts")
        return False
    for name, each in spent.items():
        times = statistics.median(a / b for a, b in zip(each, spent["bare"], strict=True))
        aim = f"{AIM:g}x" if name != "bare" and crowd.per_s == max(RATES) else ""
        print(
            f"| {crowd.per_s:,} a second | {name} | {statistics.median(rates[name]):,.0f} "
            f"| {statistics.median(each):.1f} | {times:.2f}x | {aim} |"
        )
    return True


if __name__ == "__main__":
    sys.exit(main())
