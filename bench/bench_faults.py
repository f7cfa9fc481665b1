"""What each protocol's proof notices of frames that go wrong, on all captures: a markdown table.

``docs/reference/fault-detection.md`` holds its output.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from citadel_micro.shell.feeds.faults import FAULTS, inject
from citadel_micro.shell.feeds.spec import venue_spec

CAPTURES = {
    "binance-spot-btcusdt-20240808": "binance-spot",
    "binance-usdm-btcusdt-20240808": "binance-usdm",
    "okx-2026-checksum0.transcoded": "okx",
    "okx-2022": "okx",
    "bybit-v5-linear.transcoded": "bybit-linear",
    "kraken-v2.transcoded": "kraken-spot",
    "kraken-futures-2021": "kraken-futures",
    "coinbase-advanced.transcoded": "coinbase-advanced",
    "kucoin-spot-2021": "kucoin-spot",
    "bitget-spot-v1-2022": "bitget-v1",
    "coinbase-exchange-2021": "coinbase-exchange",
}
LINES = 30_000
"""Of each capture: the longest has 94,000."""


def main() -> int:
    """Print the table; skipped without captures."""
    shared = Path(
        os.environ.get("CITADEL_SHARED") or Path(__file__).resolve().parents[2] / "shared"
    )
    folder = shared / "captures"
    if not folder.is_dir():
        print(f"bench_faults: skipped, no {folder}; set CITADEL_SHARED")
        return 0
    print(
        "Cells: detected / injected, less those that left the book right; updates until detected."
    )
    print(f"\n| capture | proof | {' | '.join(FAULTS)} |")
    print(f"| --- | --- | {' | '.join('---' for _ in FAULTS)} |")
    for name, venue in CAPTURES.items():
        tallies = inject(folder / f"{name}.jsonl.gz", venue, lines=LINES)
        cells = []
        for fault in FAULTS:
            tally = tallies[fault]
            real = tally.detected + tally.missed
            delay = f", {tally.median_delay:g}" if tally.delays else ""
            cells.append(f"{tally.detected}/{real}{delay}" if real else "harmless")
        print(f"| {name} | `{venue_spec(venue).integrity}` | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
