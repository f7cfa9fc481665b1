"""Look for seeds at which the engine and the paper venue break their promises: ``make chaos``.

Prints every seed that fails, with what did not hold, and how to play it again; exits with 1 if
there was one. The promises are those of ``tests/kit/chaos_kit.py``.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kit"))

from chaos_kit import ChaosRun, recompute
from ladder_kit import ladder
from lagging_venue import KINDS
from lagging_venue import play as play_lagging
from plain_oracle import doubting

from citadel_micro.sim.faults import SCENARIOS

RECOMPUTED: Final = 10
"""Of so many runs one is journaled and recomputed, which takes thrice the time."""
MOST_FAILURES: Final = 20
SAY_AFTER: Final = 500
LAGGING: Final = "lagging"
"""Not of the paper venue: an exchange that answers from a replica, of any algorithm and a ladder."""


def play(seed: int, faults: str) -> tuple[dict[str, int], str]:
    """One run: what it counted, and what did not hold (empty if all did).

    Whatever the gate takes for plain, the checks must pass too, and what it counts once be what counting again finds.
    """
    with doubting():
        return _play(seed, faults)


def _play(seed: int, faults: str) -> tuple[dict[str, int], str]:
    journal = seed % RECOMPUTED == 0
    run = None
    try:
        if faults == LAGGING:
            with ladder():
                play_lagging(seed, KINDS[seed % len(KINDS)])
            return {}, ""
        run = ChaosRun(seed, faults, journal=journal, every=seed % 3 == 1).play()
        if journal:
            recompute(run)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        where = traceback.extract_tb(error.__traceback__)[-1]
        name = f"{Path(where.filename).name}:{where.lineno}"
        return {}, f"{type(error).__name__} at {name}: {str(error)[:600]}"
    return run.counts, ""


def main() -> int:
    """Play the runs that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=2_000, help="seeds of each scenario")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument(
        "--faults", default=",".join((*SCENARIOS, LAGGING)), help="scenarios, by comma"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args()
    names = given.faults.split(",")
    todo = [(s, n) for s in range(given.first, given.first + given.runs) for n in names]
    say = sys.stdout.write
    began = time.monotonic()
    counts: dict[str, int] = {}
    failures = played = 0
    with ProcessPoolExecutor(given.jobs) as pool:
        seeds, scenarios = [seed for seed, _ in todo], [name for _, name in todo]
        for (seed, name), (found, what) in zip(
            todo, pool.map(play, seeds, scenarios, chunksize=8), strict=True
        ):
            played += 1
            if played % SAY_AFTER == 0:
                say(f"{played} runs in {time.monotonic() - began:.0f} s, {failures} failures\n")
                sys.stdout.flush()
            for key, count in found.items():
                counts[key] = counts.get(key, 0) + count
            if what:
                failures += 1
                say(f"--first {seed} --runs 1 --faults {name}\n  {what}\n")
                if failures >= MOST_FAILURES:
                    say(f"{failures} failures: giving up\n")
                    pool.shutdown(cancel_futures=True)
                    return 1
    say(f"{len(todo)} runs in {time.monotonic() - began:.0f} s, {failures} failures\n")
    for name in ("SignalReceived", "Approved", "CancelOrder", "OrderFilled", "crash"):
        say(f"  {name}: {counts.get(name, 0)}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
