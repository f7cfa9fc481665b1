"""Bytes an event of the journal, and what writing and reading one back costs, on the mixed USD-M stream.

    python bench/bench_journal.py

Events are decoded beforehand; the journal is micro's own, without waiting for the disk, flushed every 100 ms of the
capture as micro does. Processor time, medians of rounds in turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
from citadel_micro.core.marketdata import kernel
from citadel_micro.core.model.config import EngineConfig, VenueConfig
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.shell.capture.offline import capture_events
from citadel_micro.shell.instruments.capture import infer_instruments
from citadel_micro.shell.journal.journal import begin_journal
from citadel_micro.shell.journal.reader import JournalReader
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from citadel_micro.core.model.events import MarketEvent

CAPTURE: Final = "captures/binance-usdm-btcusdt-20240808.jsonl.gz"
VENUE: Final = "binance-usdm"
SYMBOL: Final = "BTC/USDT:USDT"
FLUSH_NS: Final = 100_000_000
CASES: Final = {  # differences instead of a record an event, compressed
    "a record an event, not compressed": (False, False),
    "a record an event, compressed": (False, True),
    "differences, not compressed": (True, False),
    "differences, compressed: as micro writes it": (True, True),
}


@dataclass(frozen=True, slots=True)
class Once:
    """One journal."""

    bytes_each: float
    written_us: float
    read_us: float


def main() -> int:
    """Measure, and print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    shared = Path(os.environ.get("CITADEL_SHARED") or Path(__file__).parents[2] / "shared")
    if not (shared / CAPTURE).is_file():
        print(f"not measured: no {CAPTURE}; set CITADEL_SHARED", file=sys.stderr)
        return 0
    config = EngineConfig(
        run_id="bench",
        instance="bench",
        venues={VENUE: VenueConfig(integrity=venue_spec(VENUE).integrity)},
        limits=paper_defaults(),
    )
    instruments = infer_instruments(shared / CAPTURE, VENUE, [SYMBOL])
    found: dict[str, list[Once]] = {name: [] for name in CASES}
    count = 0
    for number in range(args.rounds):
        # New events each round: what reads a lazy one keeps what it has read.
        events = decoded(shared / CAPTURE)
        count = len(events)
        for name, (deltas, compress) in CASES.items():
            if deltas and kernel.DELTAS is None:
                continue  # a live micro without the compiled kernel writes records
            with tempfile.TemporaryDirectory(prefix="bench-journal-") as folder:
                path = Path(folder) / f"{number}.ctape"
                began = time.process_time()
                journal = begin_journal(
                    path, config, instruments, events[0].recv_ns,
                    fsync=False, compress=compress, deltas=deltas,
                )  # fmt: skip
                journal.sync()
                at = flushed = events[0].recv_ns
                for event in events:
                    at = event.recv_ns
                    journal.event(at, event)
                    if at - flushed >= FLUSH_NS:
                        journal.flush()
                        flushed = at
                journal.close()
                written = time.process_time() - began
                size = path.stat().st_size
                began = time.process_time()
                with closing(JournalReader(path)) as reader:
                    back = sum(1 for _ in reader.records())
                read = time.process_time() - began
            if back != count:
                raise SystemExit(f"{name}: {back} of {count} events were read back")
            once = Once(size / count, written / count * 1e6, read / count * 1e6)
            found[name].append(once)
    print(f"{count:,} events, medians of {args.rounds} rounds\n")
    print("| journal of the mixed stream | bytes an event | written, µs | read back, µs |")
    print("| --- | ---: | ---: | ---: |")
    for name, rounds in found.items():
        if rounds:
            cells = (
                statistics.median(getattr(each, what) for each in rounds)
                for what in ("bytes_each", "written_us", "read_us")
            )
            print(f"| {name} | {' | '.join(f'{value:.2f}' for value in cells)} |")
    return 0


def decoded(capture: Path) -> list[MarketEvent]:
    """The capture's market events."""
    return [
        event
        for _, found in capture_events(capture, VENUE, SYMBOL)
        for event in found
        if isinstance(event, DepthUpdate | QuoteTick | TradeTick)
    ]


if __name__ == "__main__":
    sys.exit(main())
