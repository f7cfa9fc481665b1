"""The real engine and the real paper venue through everything that can go wrong, in virtual time.

What is asserted on the way and at the end is written in ``chaos_kit``. ``make chaos`` runs the
same for as long as one likes.
"""

from __future__ import annotations

import pytest
from chaos_kit import ChaosRun, recompute
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.sim.faults import SCENARIOS

SEEDS = st.integers(0, 2**32)


@pytest.mark.parametrize("faults", list(SCENARIOS))
@given(seed=SEEDS)
@settings(max_examples=examples(3, 40))
def test_nothing_is_lost_doubled_or_left_behind(faults: str, seed: int) -> None:
    ChaosRun(seed, faults).play()


@given(seed=SEEDS)
@settings(max_examples=examples(3, 40))
def test_without_crashes_either(seed: int) -> None:
    ChaosRun(seed, "everything", crashes=False).play()


@given(seed=SEEDS)
@settings(max_examples=examples(3, 20))
def test_a_journal_of_it_gives_the_same_commands(seed: int) -> None:
    recompute(ChaosRun(seed, "everything", journal=True, seconds=25).play())


@pytest.mark.parametrize("seed", [1, 2])
def test_two_runs_are_one(seed: int) -> None:
    first, second = (ChaosRun(seed, journal=True, seconds=25).play() for _ in range(2))
    assert first.digest == second.digest


NAMES = {
    "OrderFilled",
    "OrderAmended",
    "OrderRejected",
    "RequestTimedOut",
    "CancelRejected",
    "OrderState",
    "RequestSnapshot",
    "crash",
    "child_unknown",
    "gap",
    "operator",
    "reconciled",
}
STATUSES = {"filled", "canceled", "expired", "rejected", "done_dust"}


def test_the_chaos_is_one() -> None:
    """Every kind of thing happens within 24 runs; else the rest of this file would say little."""
    missing = NAMES | STATUSES
    for seed in range(24):
        run = ChaosRun(seed, "everything").play()
        for counts in (run.counts, run.notes):
            missing -= {name for name, count in counts.items() if count}
        missing -= {report.status for report in run.reports.values()}
        if not missing:
            break
    assert not missing
