"""The study of execution on the recordings at hand: ``make study``.

Two long captures and a day of an illiquid pair, with 30 starts a cell by default; ``--full`` takes 104
starts, and more recordings. Everything else is passed on to ``citadel study``::

    make study ARGS="--plan mine=chase_limit:min_dwell_ms=1000 --sides"
    make study ARGS="--full"
    make study ARGS="--starts 104 --page docs/reference/study.md"   # the page in the documentation
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LIQUID = (
    "captures/binance-usdm-btcusdt-20240808.jsonl.gz=binance-usdm,BTC/USDT:USDT,0.02,0.5,5",
    "captures/binance-spot-btcusdt-20240808.jsonl.gz=binance-spot,BTC/USDT,0.005,0.1,1",
)
ILLIQUID = (
    "recordings/captures/binance-spot-nexousdt-20240723.jsonl.gz=binance-spot,NEXO/USDT,20,200,2000",
)
MORE = (
    "recordings/captures/binance-usdm-btcusdt-2024071819.jsonl.gz=binance-usdm,BTC/USDT:USDT,0.02,0.5,5",
    "recordings/csv/binance-usdm-btcusdt-20260216.csv.gz=binance-usdm,BTC/USDT:USDT,0.02,0.5,5",
    "recordings/csv/binance-spot-btcusdt-20260216.csv.gz=binance-spot,BTC/USDT,0.005,0.1,1",
    "recordings/csv/bitstamp-spot-btcusd-20150501-am.csv.gz=bitstamp-spot,BTC/USD",
    "recordings/csv/coinbase-spot-btcusd-20180417.csv.gz=coinbase-spot,BTC/USD",
    "recordings/csv/bitmex-perp-xbtusd-20200310.csv.gz=bitmex,BTC/USD:BTC",
)


def main() -> int:
    """Run ``citadel study`` on what is there."""
    words = sys.argv[1:]
    full = "--full" in words
    words = [word for word in words if word != "--full"]
    if "--starts" not in words:
        words += ["--starts", "104" if full else "30"]
    shared = Path(os.environ.get("CITADEL_SHARED") or ROOT.parent / "shared")
    wanted = [f"{shared}/{each}" for each in (*LIQUID, *ILLIQUID, *(MORE if full else ()))]
    there = [each for each in wanted if Path(each.partition("=")[0]).is_file()]
    if not there:
        print(f"no recordings in {shared}; set CITADEL_SHARED, or use `citadel study`")
        return 1
    command = [sys.executable, "-m", "citadel_bridge.cli", "study", *there, *words]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
