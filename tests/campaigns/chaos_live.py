"""Look for seeds at which live trading breaks its promises: ``make campaign-live``.

Prints every seed that fails, with what did not hold, the smallest run of it that still fails, and
how to play that again; exits with 1 if there was one. The promises are those of
``tests/kit/live_chaos.py``.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kit"))

from live_plays import Play, played
from virtual_others import MARKETS

MOST_FAILURES: Final = 20
SAY_AFTER: Final = 500
LIES_EVERY: Final = 10
"""Of so many seeds one is of an exchange that lies."""


def main() -> int:
    """Play the runs that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000, help="seeds")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seconds", type=int, default=15, help="of virtual time in a run")
    parser.add_argument("--no-kills", action="store_true", help="the process lives on")
    parser.add_argument("--lies", choices=("some", "always", "never"), default="some")
    parser.add_argument(
        "--market", choices=(*MARKETS, "all"), default="all", help="all: turn by turn"
    )
    parser.add_argument("--fault", action="append", help="only these rules; none for no fault")
    given = parser.parse_args()
    rules = None if given.fault is None else tuple(r for r in given.fault if r != "none")
    markets = [each for each in MARKETS if given.market in {each, "all"}]
    todo = [
        Play(
            seed=seed,
            market=markets[seed % len(markets)],
            rules=rules,
            kills=not given.no_kills,
            lies=given.lies == "always"
            or (given.lies == "some" and seed % LIES_EVERY == LIES_EVERY - 1),
            seconds=given.seconds,
        )
        for seed in range(given.first, given.first + given.runs)
    ]
    say = sys.stdout.write
    began = time.monotonic()
    counts: dict[str, int] = {}
    failures = 0
    with ProcessPoolExecutor(given.jobs) as pool:
        for number, (found, play, what) in enumerate(pool.map(played, todo, chunksize=4), 1):
            if number % SAY_AFTER == 0:
                say(f"{number} runs in {time.monotonic() - began:.0f} s, {failures} failures\n")
                sys.stdout.flush()
            for key, count in found.items():
                counts[key] = counts.get(key, 0) + count
            if what:
                failures += 1
                say(f"seed {play.seed}: {what}\n")
                sys.stdout.flush()
                if failures >= MOST_FAILURES:
                    say(f"{failures} failures: giving up\n")
                    pool.shutdown(cancel_futures=True)
                    return 1
    say(f"{len(todo)} runs in {time.monotonic() - began:.0f} s, {failures} failures\n")
    for name in ("place", "amend", "order", "fill", "kill"):
        say(f"  {name}: {counts.get(name, 0)}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
