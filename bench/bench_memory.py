"""Memory and start of `citadel micro` on paper, with one symbol of a simulator.

Memory is what the process has resident, and of that what is anonymous: not pages of files, which programs share.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from processes import port, simulator, start, wait_for


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


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="from ready to the look")
    given = parser.parse_args()
    found = []
    for _ in range(given.rounds):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=".")))
            found.append(run(stack, folder, given.seconds))
    for what in found[0]:
        print(f"{what}: {statistics.median(each[what] for each in found):.1f}")


if __name__ == "__main__":
    main()
