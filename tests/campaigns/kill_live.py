"""Kill -9 of a live micro at every boundary between writing and sending: ``make campaign-kills``.

Each story is one micro that is killed several times at a living simulator and then ends in order;
its book must be the exchange's, and every journal must replay. Prints every story that fails and
keeps its folder; exits with 1 if there was one. A seed repeats signals and boundaries, not moments.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kit"))

from kill_markets import MARKETS
from kill_story import Story

FAULTS: Final = (
    "answer-lost=0.03",
    "unknown-executed=0.03",
    "unknown-lost=0.03",
    "answer-delayed=0.05,for=0.7",
    "answer-first=0.2",
    "event-duplicated=0.2",
    "event-lost=0.05",
    "event-reordered=0.2",
    "new-delayed=0.1,for=2",
    "query-lag=0.1",
    "cancel-unknown=0.05",
    "fill-wins=0.1",
    "session-cut=0.01",
)
"""Of every second story."""


def main() -> int:
    """Play the stories that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=500, help="of all stories together")
    parser.add_argument("--each", type=int, default=10, help="kills of one story")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--market", choices=MARKETS, default="spot")
    given = parser.parse_args()
    say = sys.stdout.write
    counts: dict[str, int] = {}
    failures, seed, began = 0, given.first, time.monotonic()
    while counts.get("kill", 0) < given.kills:
        folder = Path(tempfile.mkdtemp(prefix="citadel-kills-"))
        market = MARKETS[given.market]
        faults = (*FAULTS, *market.faults) if seed % 2 else ()
        kills = min(given.each, given.kills - counts.get("kill", 0))
        story = Story(folder, seed, kills, faults, market)
        try:
            story.play()
        except Exception:  # noqa: BLE001 - whatever it is, it is the finding
            failures += 1
            say(
                f"--market {given.market} --first {seed} --kills {given.each}: {folder}\n{traceback.format_exc()}\n"
            )
        else:
            shutil.rmtree(folder)
        for name, count in story.counts.items():
            counts[name] = counts.get(name, 0) + count
        counts.setdefault("kill", 0)
        seed += 1
        say(f"{counts} in {time.monotonic() - began:.0f} s, {failures} failures\n")
        sys.stdout.flush()
        if not story.counts.get("kill"):
            break  # it does not even start
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
