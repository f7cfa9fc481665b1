"""What a running micro has imported: memory that every run pays for, as long as it runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from process_kit import until

if TYPE_CHECKING:
    from process_kit import Bench

PROGRAM = (
    "import json, sys\n"
    "from citadel_bridge.cli import main\n"
    "code = main(sys.argv[1:])\n"
    "print(json.dumps([code, sorted(sys.modules)]))\n"
)
LEFT = (
    *("aiohttp", "better_exceptions", "ccxt", "colorama", "cryptography", "ctypes", "freqtrade"),
    *("numpy", "pandas", "prometheus_client", "pygments", "requests", "rich", "sqlite3", "yarl"),
    *("citadel_bridge.receiver", "citadel_micro.adapters.ccxt.venues"),
    *("citadel_bridge.config", "citadel_bridge.lane_ends", "citadel_bridge.zap", "zmq.asyncio"),
    *("citadel_micro.adapters.live", "citadel_micro.preflight.checks"),
    *("citadel_micro.shell.alerts.watch", "citadel_micro.shell.keys.key_file"),
    *("citadel_micro.shell.rehearsal", "citadel_micro.shell.venue"),
    *("citadel_micro.demo", "citadel_micro.offline", "citadel_micro.shell.commands"),
    *("citadel_micro.shell.page", "citadel_micro.simulator", "citadel_micro.watchdog"),
    *(f"citadel_bridge.{each}_commands" for each in ("key", "signal", "tape")),
    *(
        f"citadel_micro.adapters.{each}.market_data"
        for each in ("bybit", "coinbase", "gate", "kraken", "okx")
    ),
)
"""Some of 6 MB and more: a run on paper at Binance without the page has no use for any."""


def test_a_paper_run_has_imported_nothing_that_it_does_not_use(bench: Bench) -> None:
    micro = bench.program("micro", bench.run_dir, bench.market, "--http", "off")
    # Started, not forked from a process that has imported everything.
    words = [sys.executable, "-c", PROGRAM, *micro.words]
    with (
        micro.log.open("wb") as log,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            until(lambda: micro.ready_file.exists() or process.poll() is not None, 150.0)
            assert process.poll() is None, micro.log.read_text()
            until(lambda: any(path.stat().st_size > 10_000 for path in bench.journals()))
            process.send_signal(signal.SIGTERM)
            told, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    code, modules = json.loads(told)
    assert code == 0, micro.log.read_text()
    assert "picows" in modules
    assert "citadel_micro.shell.marketdata.snapshots" in modules
    assert [name for name in LEFT if name in modules] == []
