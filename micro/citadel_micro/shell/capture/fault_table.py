"""The table of ``docs/reference/fault-detection.md``, measured on captures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.shell.capture.faults import FAULTS, Fault, Tally, delay_snapshot, inject
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CAPTURES: Final[Mapping[str, str]] = {
    "binance-spot-btcusdt-20240808": "binance-spot",
    "binance-usdm-btcusdt-20240808": "binance-usdm",
    "binance-spot-2021": "binance-spot",
    "binance-usdm-2021": "binance-usdm",
    "okx-2026-checksum0.transcoded": "okx",
    "okx-2022": "okx",
    "bybit-v5-linear.transcoded": "bybit-linear",
    "kraken-v2.transcoded": "kraken-spot",
    "kraken-v1-2021": "kraken-v1",
    "kraken-futures-2021": "kraken-futures",
    "coinbase-advanced.transcoded": "coinbase-advanced",
    "kucoin-spot-2021": "kucoin-spot",
    "bitget-spot-v1-2022": "bitget-v1",
    "coinbase-exchange-2021": "coinbase-exchange",
}
LINES: Final = 30_000
"""Of each capture: the longest has 94,000."""
LATENESS: Final = (1, 2, 5, 10, 20)
"""Updates by which the first snapshot is late."""
ROUNDS: Final[tuple[tuple[Fault, ...], ...]] = (FAULTS[:5], FAULTS[5:7], FAULTS[7:])
"""Faults injected in one round: a short capture has room for few."""


def rows(folder: Path) -> Iterator[str]:
    """Lines of the table, in Markdown; captures that ``folder`` lacks are left out."""
    yield f"| capture | proof | {' | '.join(FAULTS)} | late snapshot |"
    yield f"| --- | --- | {' | '.join('---' for _ in FAULTS)} | --- |"
    for name, venue in CAPTURES.items():
        path = folder / f"{name}.jsonl.gz"
        if not path.is_file():
            continue
        tallies: dict[Fault, Tally] = {}
        for faults in ROUNDS:
            tallies.update(inject(path, venue, faults=faults, lines=LINES))
        cells = [_cell(tallies[fault]) for fault in FAULTS]
        integrity = venue_spec(venue).integrity
        yield f"| {name} | `{integrity}` | {' | '.join(cells)} | {_late(path, venue)} |"


def _cell(tally: Tally) -> str:
    real = tally.detected + tally.missed
    if not real:
        text = "harmless" if tally.injected else "-"
    else:
        text = f"{tally.detected}/{real}"
        if tally.delays:
            text += f", {tally.median_delay:g}"
    if tally.wrong:
        text += f"; {tally.wrong} wrong"
    if tally.unrecovered:
        text += f"; {tally.unrecovered} not recovered"
    return text


def _late(path: Path, venue: str) -> str:
    found = [
        late for updates in LATENESS if (late := delay_snapshot(path, venue, updates)) is not None
    ]
    if not found:
        return "-"
    if all(late.right for late in found):
        return "joined"
    told = sum(late.state != "LIVE" for late in found)
    wrong = sum(late.state == "LIVE" and not late.right for late in found)
    return f"{told}/{told + wrong}" + (f"; {wrong} wrong" if wrong else "")
