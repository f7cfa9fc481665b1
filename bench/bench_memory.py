"""Memory and start of `citadel micro` on paper, with one symbol of a simulator; memory of a deep book with digits.

Memory is what the process has resident, and of that what is anonymous: not pages of files, which programs share.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from processes import port, simulator, start, wait_for

from citadel_micro.core.marketdata.kernel import Book

BOOKS = 300
LEVELS = 1_000


def resident(pid: int) -> tuple[float, float]:
    """Resident memory of a process in MB, and of it what is anonymous."""
    rows = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    found = {row[0]: int(row[1]) / 1e3 for row in rows if row[0] in {"VmRSS:", "RssAnon:"}}
    return found["VmRSS:"], found["RssAnon:"]


def run(stack: ExitStack, folder: Path, seconds: float) -> dict[str, float]:
    """Start one, and look at it when it has frozen what it made at its start."""
    exchange = simulator(stack, folder, "BTC/USDT")
    ready = folder / "micro.json"
    words = (
        *("--mode", "paper", "--run-dir", str(folder / "micro"), "--symbols", "BTC/USDT"),
        *("--rest-url", exchange["rest"], "--ws-url", exchange["ws"], "--http", "off"),
        *("--signals", f"tcp://127.0.0.1:{port()}", "--market", f"tcp://127.0.0.1:{port()}"),
        *("--commands", f"tcp://127.0.0.1:{port()}", "--ready-file", str(ready)),
    )
    began = time.monotonic()
    log = folder / "micro.log"
    process = start(stack, log, "-m", "citadel_bridge.cli", "micro", *words)
    wait_for(ready, process)
    took = time.monotonic() - began
    time.sleep(seconds)
    whole, anonymous = resident(process.pid)
    return {"MB": whole, "anonymous MB": anonymous, "ready after s": took}


def book_kib() -> float:
    """What a book of 1,000 bids and 1,000 asks, with their digits, adds to what is resident."""
    sides = [
        [(f"{60_000 + sign * at / 10:.1f}", f"{at / 7:.8f}") for at in range(1, LEVELS + 1)]
        for sign in (-1, 1)
    ]
    bids, asks = ([(float(price), float(size)) for price, size in side] for side in sides)
    books = [Book(keep_text=True) for _ in range(BOOKS)]
    _, before = resident(os.getpid())
    for book in books:
        book.replace(bids, asks, (sides[0], sides[1]))
        book.checksum("colon", 25)
    _, after = resident(os.getpid())
    return (after - before) * 1000 / BOOKS


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="from ready to the look")
    given = parser.parse_args()
    print("| measure | median |")
    print("| --- | ---: |")
    print(f"| a book of {2 * LEVELS:,} levels with digits | {book_kib():.0f} KiB |")
    found = []
    for _ in range(given.rounds):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=".")))
            found.append(run(stack, folder, given.seconds))
    for what in found[0]:
        value = statistics.median(each[what] for each in found)
        print(f"| micro: {what} | {value:.1f} |")


if __name__ == "__main__":
    main()
