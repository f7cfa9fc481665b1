"""How fast one order is worked on a capture: frames a second, from raw JSON to fills, and from the prepared capture.

    python bench/bench_work.py

Reads the USD-M capture of the folder that CITADEL_SHARED names (default ../shared). Three cases, in
turn, several rounds: an order that fills at once (most frames only keep the book), one that rests
far from the market the whole time, and one that chases all the time without ever being filled whole.
A run that finds a prepared capture takes that; another makes it, which the first of each case is for here.
Prints medians; time is the process's own from the first frame, so that other load on the machine counts less.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from citadel_micro.offline.work import WorkOrder, work

CAPTURE: Final = "captures/binance-usdm-btcusdt-20240808.jsonl.gz"
ROUNDS: Final = 5
CASES: Final[dict[str, dict[str, Any]]] = {
    "filled at once": {"quantity": Decimal(2)},
    "resting far away": {
        "quantity": Decimal(2),
        "algo": "limit",
        "limit_price": Decimal(61_000),
    },
    "chasing all the time": {
        "quantity": Decimal(39),
        "params": (
            ("max_chase_bps", 500.0),
            ("time_limit_ms", 3_600_000),
            ("urgency", "passive"),
        ),
    },
}


def main() -> int:
    """Measure and print a markdown table."""
    shared = Path(os.environ.get("CITADEL_SHARED") or Path(__file__).parents[2] / "shared")
    capture = shared / CAPTURE
    if not capture.is_file():
        print(f"not measured: no {capture}; set CITADEL_SHARED", file=sys.stderr)
        return 0
    rates: dict[str, list[float]] = {}
    reprices: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="bench-work-") as folder:
        cache = Path(folder)
        _once(capture, CASES["filled at once"], cache)
        for _ in range(ROUNDS):
            for name, case in CASES.items():
                for row, kept in ((name, None), (f"{name}, prepared", cache)):
                    rate, outcome = _once(capture, case, kept)
                    rates.setdefault(row, []).append(rate)
                    reprices[row] = (outcome["status"], outcome["filled"], outcome["reprices"])
    print("| order | frames/s | outcome (status, filled, reprices) |")
    print("| --- | --- | --- |")
    for name, found in rates.items():
        print(f"| {name} | {statistics.median(found):,.0f} | {reprices[name]} |")
    return 0


def _once(
    capture: Path, case: dict[str, Any], cache: Path | None
) -> tuple[float, dict[str, object]]:
    began = [0.0]

    def on_ready() -> None:
        began[0] = time.process_time()

    order = WorkOrder(
        capture=capture,
        venue="binance-usdm",
        symbol="BTC/USDT:USDT",
        side="buy",
        cache=cache,
        **case,
    )
    worked = work(order, on_ready=on_ready)
    return worked.frames / (time.process_time() - began[0]), worked.outcome


if __name__ == "__main__":
    sys.exit(main())
