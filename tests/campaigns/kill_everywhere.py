"""Kill the engine between any two things that it writes or sends, with every algorithm: ``make campaign-crash``.

Each story of ``tests/kit/kill_scripts.py`` is told once undisturbed, and then once for each of its boundaries, killed
there: back at once, soon or late, at exchanges that amend or do not, and killed a second time in its recovery. Time is
virtual. Prints each run that fails and how to repeat it; exits with 1 if there was one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kit"))

from kill_scripts import AMENDS, DOWN_NS, STORIES, told

SECOND_DEATHS: Final = 17
"""The second one is so many boundaries after the first at most."""


class Case(NamedTuple):
    """One run."""

    name: str
    amends: str
    down_ns: int
    die_at: int
    again: int


def play(case: Case) -> tuple[int, str]:
    """How often it died, and what did not hold; empty if all did."""
    try:
        rig = told(
            case.name, case.amends, die_at=case.die_at, again=case.again, down_ns=case.down_ns
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return 0, f"{type(error).__name__}: {str(error)[:300]}"
    return len(rig.deaths), ""


def cases(name: str, amends: str, *, twice: bool, each: bool = False) -> list[Case]:
    """Every boundary of a story, and with a second death each of them once more, or after every one."""
    count = len(told(name, amends).passed)
    rows = product(DOWN_NS, range(count))
    found = [Case(name, amends, down_ns, at, -1) for down_ns, at in rows]
    if twice and each:
        found += [case._replace(again=after) for case in found for after in range(SECOND_DEATHS)]
    elif twice:
        found += [case._replace(again=case.die_at % SECOND_DEATHS) for case in found]
    return found


def main() -> int:
    """Play them all, or those that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--only", default=",".join(STORIES), help="stories, by comma")
    parser.add_argument("--amends", default=",".join(AMENDS), help="exchanges, by comma")
    parser.add_argument("--once", action="store_true", help="without second deaths")
    parser.add_argument("--each", action="store_true", help="every second death, not one of each")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--one", help="one run: STORY/EXCHANGE/DOWN_NS/DIE_AT/AGAIN")
    given = parser.parse_args()
    if given.one:
        name, amends, *numbers = given.one.split("/")
        down_ns, die_at, again = map(int, numbers)
        told(name, amends, die_at=die_at, again=again, down_ns=down_ns)
        return 0
    began = time.monotonic()
    total = Counter[str]()
    with ProcessPoolExecutor(given.jobs) as pool:
        for name, amends in product(given.only.split(","), given.amends.split(",")):
            todo = cases(name, amends, twice=not given.once, each=given.each)
            failures = 0
            for case, (deaths, what) in zip(todo, pool.map(play, todo, chunksize=16), strict=True):
                total["deaths"] += deaths
                if what:
                    failures += 1
                    print(f"--one '{'/'.join(map(str, case))}'\n  {what}")
            total["runs"] += len(todo)
            total["failures"] += failures
            print(
                f"{name}, {amends}: {len(todo)} runs, {failures} failures; "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )
    print(dict(total))
    return 1 if total["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
