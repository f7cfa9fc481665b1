"""What each protocol's proof must notice on real traffic, and what nothing could.

One capture and one round of faults a test, and no more of a capture than gives a few of each: the
whole captures are measured for docs/reference/fault-detection.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from effort import chosen

from citadel_micro.shell.capture.fault_table import CAPTURES, LATENESS, ROUNDS, rows
from citadel_micro.shell.capture.faults import FAULTS, delay_snapshot, inject
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from citadel_micro.shell.capture.faults import Fault, Tally

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "fault-detection.md"
LINES = 3_000
SLOW = {"coinbase-advanced.transcoded": 1_200}
"""Lines of those whose whole books take long to compare."""
UNPROVEN = ("coinbase-exchange-2021",)
"""Neither numbers nor checksums."""
CHECKED = tuple(
    name for name, venue in CAPTURES.items() if venue_spec(venue).integrity.startswith("unnumb")
)
"""Checksums and no numbers, or not even those."""
NUMBERED = tuple(name for name in CAPTURES if name not in CHECKED)
BRIDGED = tuple(name for name in NUMBERED if "range_bridge" in venue_spec(CAPTURES[name]).integrity)


ALL = tuple(CAPTURES)
"""Each is in the suite for one of the rounds at least; `make long` plays them all."""


def play(shared_dir: Path, name: str, *faults: Fault) -> dict[Fault, Tally]:
    path = shared_dir / "captures" / f"{name}.jsonl.gz"
    tallies = inject(path, CAPTURES[name], faults=faults, lines=SLOW.get(name, LINES))
    for fault, tally in tallies.items():
        assert tally.injected >= 1, fault
        assert tally.unrecovered == 0, f"{fault}: a snapshot makes it the venue's book again"
        ended = tally.detected + tally.harmless + tally.missed
        assert ended <= tally.injected <= ended + 1, "one may be cut off by the end"
    return tallies


@pytest.mark.parametrize("name", chosen(NUMBERED, suite=NUMBERED[::2]))
def test_numbers_find_every_loss_and_disorder_at_the_next_update(
    shared_dir: Path, name: str
) -> None:
    tallies = play(shared_dir, name, "drop", "duplicate", "reorder", "truncate")
    for fault in ("drop", "reorder"):
        tally = tallies[fault]
        assert tally.detected
        assert (tally.missed, tally.wrong) == (0, 0), fault
        assert max(tally.delays) <= 1, fault
    duplicates = tallies["duplicate"]
    assert duplicates.harmless
    assert (duplicates.missed, duplicates.wrong) == (0, 0)
    assert duplicates.detected == 0, "a duplicate is no reason to fetch anything"
    truncated = tallies["truncate"]
    assert (truncated.missed, truncated.harmless, truncated.wrong) == (0, 0, 0)
    assert set(truncated.delays) == {0}


@pytest.mark.parametrize("name", [name for name in CHECKED if name not in UNPROVEN])
def test_checksums_find_most_losses_without_any_number(shared_dir: Path, name: str) -> None:
    tallies = play(shared_dir, name, "drop", "reorder", "truncate")
    for fault in ("drop", "reorder"):
        tally = tallies[fault]
        real = tally.detected + tally.missed
        assert tally.detected >= 0.75 * real > 0, fault
    assert tallies["truncate"].missed == 0


@pytest.mark.parametrize("name", chosen(CAPTURES, suite=ALL[0::3]))
def test_a_window_that_is_replayed_never_leaves_a_proven_book_wrong(
    shared_dir: Path, name: str
) -> None:
    """Without a word, and on a new connection whose snapshot is not there yet."""
    tallies = play(shared_dir, name, "replay", "reconnect")
    assert tallies["replay"].missed == 0
    if name in NUMBERED:
        assert tallies["replay"].wrong == 0
    reconnects = tallies["reconnect"]
    assert (reconnects.missed, reconnects.harmless, reconnects.wrong) == (0, 0, 0)
    assert set(reconnects.delays) == {0}


@pytest.mark.parametrize("name", chosen(CAPTURES, suite=ALL[1::3]))
def test_a_silent_subscription_is_stale_by_its_age(shared_dir: Path, name: str) -> None:
    tally = play(shared_dir, name, "silence")["silence"]
    assert tally.detected
    assert (tally.missed, tally.harmless, tally.wrong) == (0, 0, 0)


@pytest.mark.parametrize("name", chosen(CAPTURES, suite=ALL[2::3]))
def test_a_venues_wrong_clock_changes_no_book(shared_dir: Path, name: str) -> None:
    tally = play(shared_dir, name, "clock jump")["clock jump"]
    assert tally.harmless
    assert (tally.missed, tally.detected, tally.wrong) == (0, 0, 0)


@pytest.mark.parametrize("name", chosen(CAPTURES, suite=ALL[0::3]))
def test_a_snapshot_that_comes_late(shared_dir: Path, name: str) -> None:
    path = shared_dir / "captures" / f"{name}.jsonl.gz"
    found = [delay_snapshot(path, CAPTURES[name], updates) for updates in LATENESS]
    assert any(found)
    for late in found:
        if late is None:
            continue  # its first book has too few updates
        assert late.recovered
        if name not in CHECKED:
            assert late.wrong == 0
        if name in BRIDGED:
            assert (late.state, late.right) == ("LIVE", True), "kept, and joined to it"
        elif name in NUMBERED:
            assert late.state != "LIVE", "the numbers between the two are missing"


def test_checksums_find_changed_digits(shared_dir: Path) -> None:
    """A digit of a price or size that is under the checksum; others are no damage to the book."""
    path = shared_dir / "captures" / "kraken-v2.transcoded.jsonl.gz"
    tally = inject(path, "kraken-spot", faults=("corrupt digit",), lines=2_500)["corrupt digit"]
    assert tally.detected > 10
    assert tally.missed <= 0.1 * tally.detected


def test_without_any_proof_a_loss_is_not_seen_and_is_counted(shared_dir: Path) -> None:
    tallies = play(shared_dir, UNPROVEN[0], *FAULTS[:5])
    assert tuple(tallies) == FAULTS[:5]
    assert tallies["drop"].detected == 0
    assert tallies["drop"].wrong > 0


def test_the_page_has_a_row_for_every_capture_and_a_column_for_every_fault(tmp_path: Path) -> None:
    head = list(rows(tmp_path))
    page = PAGE.read_text(encoding="utf-8")
    assert "\n".join(head) in page
    for name, venue in CAPTURES.items():
        assert f"| {name} | `{venue_spec(venue).integrity}` |" in page
    assert sorted(fault for faults in ROUNDS for fault in faults) == sorted(FAULTS)
