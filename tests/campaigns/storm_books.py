"""Freqtrade and a live micro in a storm of faults and kills, until three books disagree: ``make storm``.

Each run is the demo's, with faults of the exchange drawn from the seed and several kill -9 of micro.
At its end Freqtrade's database, micro's journals and the exchange's ledger must agree to the last unit,
and every journal must replay byte for byte. A run that fails leaves its folder, and makes the exit
code 1. The times of kills depend on the machine: a seed repeats the faults, not the moments.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from citadel_bridge.exit_codes import Exit
from citadel_micro.demo.run import DemoRun
from citadel_micro.shell.journal.journal import SUFFIX
from citadel_micro.shell.journal.verify import verify_journal
from citadel_proto.errors import PeerUnavailable

RULES: Final = (
    "answer-lost=0.02",
    "answer-delayed=0.03,for=0.4",
    "answer-first=0.1,for=0.2",
    "cancel-unknown=0.02",
    "event-delayed=0.03,for=0.7",
    "event-duplicated=0.05",
    "event-first=0.1,for=0.05",
    "event-lost=0.03",
    "event-reordered=0.05",
    "fill-wins=0.05",
    "half-replace=0.05",
    "http-503-executed=0.02",
    "http-503-lost=0.02",
    "mute=0.002,for=0",
    "overloaded=0.01",
    "query-lag=0.05,for=1.5",
    "request-lost=0.02",
    "server-shutdown=0.002",
    "session-cut=0.004",
    "stream-terminated=0.003",
    "too-many-orders=0.01",
    "unknown-executed=0.02",
    "unknown-lost=0.02",
)
"""None lies, and none trades for another client: neither could end in equal books."""
DOWN_S: Final = 1.0
FIRST_KILL_S: Final = 12.0
BETWEEN_S: Final = (8.0, 18.0)
FLAT_S: Final = 60.0
"""Longest wait for the last trade to be closed."""
FRAME_S: Final = 0.25
GOOD_ENDS: Final = {"freqtrade": (Exit.OK, Exit.INTERRUPTED), "micro": (Exit.OK,)}

say = sys.stdout.write


class Storm:
    """One run.

    Args:
        folder: run folder.
        seed: of the market, of the faults, and of the pauses between kills.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.rules = [rule for rule in RULES if self.rng.random() < 0.5]
        self.run = DemoRun(folder, seed=seed, machine_learning=False)
        self.run.venue.faults.clear()  # those of the story; here they come by chance
        self.run.state.incidents.restarted = True  # and micro is killed by us
        for rule in self.rules:
            self.run.sim.argv = [*self.run.sim.argv, "--fault", rule]
        self.kills = 0
        self.hits: Counter[str] = Counter()
        self.codes: dict[str, int] = {}

    def play(self, seconds: float) -> list[str]:
        """Trade for so long, then close everything; what did not hold at the end, in words."""
        run = self.run
        try:
            run.start(lambda _text: None)
            with run.watching():
                self._trade(seconds)
                run.stop_entries()
                until = time.monotonic() + FLAT_S
                while not run.flat and time.monotonic() < until:
                    self._look()
            if run.venue.door is not None:
                self.hits.update(hit["name"] for hit in run.venue.door.hits())
            self.codes = run.stop()
        except PeerUnavailable as error:
            return [str(error)]
        finally:
            run.stop()
        return self._wrong()

    def _trade(self, seconds: float) -> None:
        began = time.monotonic()
        kill_at = began + FIRST_KILL_S
        while time.monotonic() < began + seconds:
            self._look()
            if time.monotonic() > kill_at and self.run.state.working():
                self.run.micro.kill()
                time.sleep(DOWN_S)
                self.run.micro.start()
                self.kills += 1
                kill_at = time.monotonic() + self.rng.uniform(*BETWEEN_S)

    def _look(self) -> None:
        self.run.step(lambda _text: None)
        time.sleep(FRAME_S)

    def _wrong(self) -> list[str]:
        found, third = self.run.audit(), self.run.third_book()
        differences = list(found.differences)
        if third is not None:
            differences += third.differences
            self.hits["fills"] = third.fills
        self.hits["orders"] = found.orders
        differences += [
            f"{name} ended with {self.codes[name]}"
            for name, good in GOOD_ENDS.items()
            if self.codes[name] not in good
        ]
        if not self.run.flat:
            differences.append("not every trade was closed")
        for path in sorted(self.run.journal.glob(f"*{SUFFIX}")):
            said: list[str] = []
            if verify_journal(path, said.append) != Exit.OK:
                differences.append(f"{path.name} does not replay: {' '.join(said)[:500]}")
        return differences


def main() -> int:
    """Play the runs that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10, help="seeds")
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--seconds", type=float, default=60.0, help="of trading in each run")
    given = parser.parse_args()
    totals: Counter[str] = Counter()
    failures = 0
    for seed in range(given.first, given.first + given.runs):
        folder = Path(tempfile.mkdtemp(prefix=f"storm-{seed}-"))
        storm = Storm(folder, seed)
        wrong = storm.play(given.seconds)
        totals.update(storm.hits)
        totals["kills"] += storm.kills
        counts = ", ".join(f"{name} {count}" for name, count in sorted(storm.hits.items()))
        say(f"seed {seed}: {storm.kills} kills, {counts}\n")
        if wrong:
            failures += 1
            say("".join(f"  {text}\n" for text in wrong) + f"  run folder: {folder}\n")
        else:
            shutil.rmtree(folder)
        sys.stdout.flush()
    counts = ", ".join(f"{name} {count}" for name, count in sorted(totals.items()))
    say(f"{given.runs} runs, {failures} failed; {counts}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
