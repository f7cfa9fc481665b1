"""Random sequences of what people do beside Freqtrade, until its books are wrong: ``make campaign-hands``.

A real Freqtrade trades through a live micro on the simulated exchange, and people reach in: entries, exits,
cancels and deletions in FreqUI, /reload_config, a flattening, orders from the command line, orders at the
exchange itself, stops that trigger. After each action Freqtrade's wallet and open trades
must be what micro and the exchange say; at the end of a run Freqtrade's database, micro's journal and
the exchange's ledger must agree. A run that fails leaves its folder, and makes the exit code 1. The
moments depend on the machine: a seed repeats the actions, not the market that they meet.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import traceback
from collections import defaultdict
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kit"))

from hands_audit import audit
from hands_kit import Hands
from hands_plays import play

say = sys.stdout.write


def main() -> int:
    """Play the sequences that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=500, help="sequences")
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--actions", type=int, default=8, help="in each sequence")
    parser.add_argument("--together", type=int, default=25, help="sequences on one system")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    took_s: defaultdict[str, list[float]] = defaultdict(list)
    failures, slowest_s, turns = 0, 0.0, 0
    last = given.first + given.runs
    for first in range(given.first, last, given.together):
        folder = Path(tempfile.mkdtemp(prefix=f"hands-{first}-"))
        wrong: list[str] = []
        seed = first
        try:
            with Hands(folder, first) as hands:
                hands.agree()
                for seed in range(first, min(first + given.together, last)):
                    wrong = play(hands, seed, given.actions, took_s)
                    if wrong:
                        break
                slowest_s = max(slowest_s, hands.slowest_s)
                turns = max(turns, hands.most_turns)
                wrong += [] if wrong else audit(hands)
        except Exception:  # noqa: BLE001 - a campaign goes on, and says what it met
            wrong.append(traceback.format_exc())
        if wrong:
            failures += 1
            say(f"seeds {first} to {seed}:\n" + "".join(f"  {text}\n" for text in wrong))
            say(f"  folder: {folder}\n")
        else:
            shutil.rmtree(folder)
        say(
            f"to seed {seed}: {failures} failed; agreed after {turns} loops, {slowest_s:.2f} s at most\n"
        )
        sys.stdout.flush()
    for name, each_s in sorted(took_s.items()):
        say(f"{name:26} {len(each_s):5} {median(each_s):6.2f} s, {max(each_s):.2f} s at most\n")
    say(
        f"{given.runs} sequences, {failures} failed; agreed after {turns} loops, {slowest_s:.2f} s at most\n"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
