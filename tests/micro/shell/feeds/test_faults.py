"""What each protocol's proof must notice on real traffic, and what nothing could."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from citadel_micro.shell.feeds.faults import FAULTS, inject

if TYPE_CHECKING:
    from pathlib import Path

NUMBERED = {
    "binance-usdm-2021": "binance-usdm",
    "binance-spot-btcusdt-20240808": "binance-spot",
    "binance-usdm-btcusdt-20240808": "binance-usdm",
    "bybit-v5-linear.transcoded": "bybit-linear",
    "coinbase-advanced.transcoded": "coinbase-advanced",
    "kraken-futures-2021": "kraken-futures",
    "kucoin-spot-2021": "kucoin-spot",
    "okx-2026-checksum0.transcoded": "okx",
}
CHECKED = {
    "kraken-v2.transcoded": "kraken-spot",
    "kraken-v1-2021": "kraken-v1",
    "okx-2022": "okx",
    "bitget-spot-v1-2022": "bitget-v1",
}


@pytest.mark.parametrize("name", NUMBERED)
def test_numbers_find_every_loss_and_disorder_at_the_next_update(
    shared_dir: Path, name: str
) -> None:
    path = shared_dir / "captures" / f"{name}.jsonl.gz"
    tallies = inject(path, NUMBERED[name], lines=8_000)
    for fault in ("drop", "reorder"):
        tally = tallies[fault]
        assert tally.injected >= 4
        assert tally.missed == 0, fault
        assert max(tally.delays) <= 1, fault
    duplicates = tallies["duplicate"]
    assert duplicates.missed == 0
    assert duplicates.detected == 0, "a duplicate is no reason to fetch anything"
    truncated = tallies["truncate"]
    assert (truncated.missed, truncated.harmless) == (0, 0)
    assert set(truncated.delays) == {0}


@pytest.mark.parametrize("name", CHECKED)
def test_checksums_find_most_losses_without_any_number(shared_dir: Path, name: str) -> None:
    path = shared_dir / "captures" / f"{name}.jsonl.gz"
    tallies = inject(path, CHECKED[name], faults=("drop", "reorder", "truncate"))
    for fault in ("drop", "reorder"):
        tally = tallies[fault]
        real = tally.detected + tally.missed
        assert tally.detected >= 0.75 * real > 0, fault
    assert tallies["truncate"].missed == 0


def test_checksums_find_changed_digits(shared_dir: Path) -> None:
    """A digit of a price or size that is under the checksum; others are no damage to the book."""
    path = shared_dir / "captures" / "kraken-v2.transcoded.jsonl.gz"
    tally = inject(path, "kraken-spot", faults=("corrupt digit",))["corrupt digit"]
    assert tally.detected > 20
    assert tally.missed <= 0.1 * tally.detected


def test_all_is_counted(shared_dir: Path) -> None:
    path = shared_dir / "captures" / "coinbase-exchange-2021.jsonl.gz"
    tallies = inject(path, "coinbase-exchange", lines=5_000)
    assert tuple(tallies) == FAULTS
    for tally in tallies.values():
        ended = tally.detected + tally.harmless + tally.missed
        assert ended <= tally.injected <= ended + 1, "one may be cut off by the end"
