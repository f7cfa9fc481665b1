"""Every capture, rebuilt, against books that an independent reference built from it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from citadel_micro.shell.capture.books import rebuild

if TYPE_CHECKING:
    from pathlib import Path

CAPTURES = {
    "binance-spot-2021": "binance-spot",
    "binance-spot-btcusdt-20240808": "binance-spot",
    "binance-usdm-2021": "binance-usdm",
    "binance-usdm-btcusdt-20240808": "binance-usdm",
    "bitget-spot-v1-2022": "bitget-v1",
    "bybit-linear-v2-2021": "bybit-linear",
    "bybit-v5-linear.transcoded": "bybit-linear",
    "coinbase-advanced.transcoded": "coinbase-advanced",
    "coinbase-exchange-2021": "coinbase-exchange",
    "kraken-futures-2021": "kraken-futures",
    "kraken-v1-2021": "kraken-v1",
    "kraken-v2.transcoded": "kraken-spot",
    "kucoin-spot-2021": "kucoin-spot",
    "okx-2022": "okx",
    "okx-2026-checksum.transcoded": "okx",
    "okx-2026-checksum0.transcoded": "okx",
}
CHECKSUMS = {
    "kraken-v1-2021": 4_269,
    "kraken-v2.transcoded": 4_269,
    "okx-2022": 290,
    "okx-2026-checksum.transcoded": 290,
    "bitget-spot-v1-2022": 443,
}


def numbers(levels: list[list[str]]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(size)) for price, size in levels]


@pytest.mark.parametrize("name", CAPTURES)
def test_books_equal_the_reference(shared_dir: Path, name: str) -> None:
    golden = json.loads((shared_dir / "golden" / f"{name}.json").read_text())["symbols"]
    rebuilt, cut = rebuild(shared_dir / "captures" / f"{name}.jsonl.gz", CAPTURES[name], 50)
    assert cut is None
    result: dict[str, Any] = json.loads(json.dumps(rebuilt.to_json()))
    assert result["errors"] == []
    assert result["symbols"].keys() == golden.keys()
    for native, expected in golden.items():
        book = result["symbols"][native]
        assert (book["state"], book["gaps"], book["resyncs"]) == ("LIVE", 0, 0), native
        for side in ("bids", "asks"):
            assert numbers(book["top20"][side]) == numbers(expected["top20"][side]), native
        assert book["levels"] == expected["levels"], native
        if "last_seq" in expected:
            assert book["last_seq"] == expected["last_seq"], native
            assert book["trace"] == expected["trace"], native
    sums = [book["checksums"] for book in result["symbols"].values()]
    assert sum(each["failed"] for each in sums) == 0
    assert sum(each["ok"] for each in sums) == CHECKSUMS.get(name, 0)


def test_every_shared_capture_is_covered(shared_dir: Path) -> None:
    found = {path.name.removesuffix(".jsonl.gz") for path in (shared_dir / "captures").glob("*.gz")}
    assert found == set(CAPTURES)
