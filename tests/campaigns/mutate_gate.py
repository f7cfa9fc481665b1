"""Every comparison of the gate, of the sizing before it and of its plain orders, before every scene.

Each is turned, or moved to its boundary. Prints the mutants that no scene tells from the gate. One of a
check's own comparison is a check that only the tests of its module prove, or none: write its scene
(``tests/kit/gate_scenes.py``).
Of ``plain_orders`` most that are moved are told by none: there the checks decide.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "kit"))

import plain_admission_scenes
import sizing_scenes
from gate_kit import judge
from gate_mutants import MODULES, PLAIN, SIZING, in_place, mutants
from gate_scenes import DENIALS, KEPT


def found() -> bool:
    """Whether a scene ends otherwise than it must; a crash is one too."""
    try:
        for code, request, view, bounds, lots in DENIALS:
            verdict = judge(request, view(), bounds)
            if verdict.ok or (verdict.code, verdict.permitted_lots) != (code, lots):
                return True
        return not all(judge(request, view(), bounds).ok for request, view, bounds in KEPT)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return True


def main() -> int:
    """Run the campaign; 1 when the gate itself does not pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turned", action="store_true", help="without those moved to a boundary")
    options = parser.parse_args()
    told = {SIZING: sizing_scenes.told, **dict.fromkeys(PLAIN, plain_admission_scenes.told)}
    if found() or any(each() for each in told.values()):
        print("the scenes fail on the gate itself")
        return 1
    every = [
        each for each in mutants((*MODULES, SIZING, *PLAIN)) if not (options.turned and each.moved)
    ]
    left = []
    for mutant in every:
        with in_place(mutant):
            if not told.get(mutant.module, found)():
                left.append(mutant)
                print(f"{mutant.module}: {mutant}", flush=True)
    print(f"{len(every) - len(left)} of {len(every)} mutants are told from the gate by its scenes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
