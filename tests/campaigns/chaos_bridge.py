"""Look for seeds at which the bridge breaks its promises: ``make campaign-bridge``.

Each is a story of one to three macros and a micro over networks that cut, stall and delay, both sides killed and
started again, clocks set. Most of it is waiting, so that many run at once. Threads and sockets are real: a seed gives
the same faults, not the same moments. ``--packets`` plays them over IP packets that are lost, doubled, damaged, delayed
and reordered, in a network namespace of its own (Linux, with /dev/net/tun and the right to make one).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kit"))

from bridge_story import played, quiet
from lossy_packets import LossyWay, PacketLink, in_namespace, namespaced, unavailable

SAY_AFTER: Final = 50
MOST_FAILURES: Final = 20


def over_packets(seed: int, seconds: float) -> tuple[int, list[str], dict[str, int]]:
    """Play one story over packets of its own."""
    with PacketLink(Random(seed + 2)) as link:
        seed, broken, found = played(seed, seconds, partial(LossyWay, link))
        return seed, broken, found | {f"packets {what}": n for what, n in link.counts.items()}


def main() -> int:
    """Play the stories that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=1_000, help="seeds")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--jobs", type=int, default=6, help="stories at once")
    parser.add_argument("--seconds", type=float, default=4.0, help="of trouble in each")
    parser.add_argument("--packets", action="store_true", help="lose and reorder IP packets")
    given = parser.parse_args()
    if given.packets and not in_namespace():
        if why := unavailable():
            sys.stderr.write(f"no packets can be lost here: {why}\n")
            return 2
        command = namespaced([sys.executable, *sys.argv])
        os.execvp(command[0], command)  # noqa: S606 - this program again
    say = sys.stdout.write
    began = time.monotonic()
    counts: dict[str, int] = {}
    failures = 0
    seeds = range(given.first, given.first + given.runs)
    play = partial(over_packets if given.packets else played, seconds=given.seconds)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.jobs, spawn, initializer=quiet) as pool:
        for number, (seed, broken, found) in enumerate(pool.map(play, seeds), 1):
            for what, count in found.items():
                counts[what] = counts.get(what, 0) + count
            if broken:
                failures += 1
                say(f"seed {seed}:\n" + "".join(f"  {each}\n" for each in broken))
            if number % SAY_AFTER == 0:
                say(f"{number} stories in {time.monotonic() - began:.0f} s, {failures} failures\n")
            sys.stdout.flush()
            if failures >= MOST_FAILURES:
                say(f"{failures} failures: giving up\n")
                pool.shutdown(cancel_futures=True)
                return 1
    say(f"{given.runs} stories in {time.monotonic() - began:.0f} s, {failures} failures\n")
    for what, count in sorted(counts.items()):
        say(f"  {what}: {count}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
