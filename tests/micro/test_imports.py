"""What micro reads into memory at its start, and what it leaves."""

from __future__ import annotations

import subprocess
import sys

from citadel_micro.adapters.live import VENUES, LiveOrders

LEFT = (
    *("Crypto", "aiohttp.web", "ccxt", "cryptography", "numpy", "pandas", "prometheus_client"),
    *(f"citadel_micro.adapters.{venue}.orders" for venue in ("binance", "bybit", "ccxt", "kraken")),
    *("citadel_micro.adapters.hyperliquid.orders", "citadel_micro.adapters.okx.orders"),
)


def test_a_paper_run_reads_nothing_of_venues_that_it_cannot_trade_at() -> None:
    code = f"import sys, citadel_micro.daemon\nprint([m for m in {LEFT!r} if m in sys.modules])"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_venue_that_can_be_traded_at_has_its_code() -> None:
    orders = LiveOrders()
    for venue in VENUES:
        assert orders.abilities(venue) is orders.abilities(venue)
        assert orders.inspector(venue) is orders.inspector(venue)
