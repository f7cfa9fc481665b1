"""A real Freqtrade of futures in the test's own process, with one perpetual whose rules come from a file."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from freqtrade.configuration import Configuration
from freqtrade.enums import RunMode
from freqtrade.freqtradebot import FreqtradeBot
from freqtrade_kit import PATIENCE, STRATEGIES

from citadel_macro import markets_cache
from citadel_macro.demo import demo_config
from citadel_macro.launcher import Launch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scripted_micro import ScriptedMicro

PAIR: Final = "BTC/USDT:USDT"
NOWHERE: Final = "http://127.0.0.1:9"
FUTURES_APIS: Final = [
    f"{api}{kind}{version}"
    for api in ("fapi", "dapi")
    for kind in ("Public", "Private")
    for version in ("", "V2", "V3")
] + ["fapiData", "dapiData"]


def market() -> dict[str, Any]:
    """The perpetual as ccxt parses it from Binance's public rules."""
    return {
        "id": "BTCUSDT",
        "symbol": PAIR,
        "base": "BTC",
        "quote": "USDT",
        "settle": "USDT",
        "baseId": "BTC",
        "quoteId": "USDT",
        "settleId": "USDT",
        "type": "swap",
        "spot": False,
        "margin": False,
        "swap": True,
        "future": False,
        "option": False,
        "contract": True,
        "linear": True,
        "inverse": False,
        "active": True,
        "contractSize": 1.0,
        "taker": 0.0005,
        "maker": 0.0002,
        "percentage": True,
        "feeSide": "quote",
        "precision": {"amount": 0.001, "price": 0.1},
        "limits": {
            "amount": {"min": 0.001, "max": 1000.0},
            "price": {"min": 0.1, "max": 1e6},
            "cost": {"min": 5.0, "max": None},
            "leverage": {"min": None, "max": None},
            "market": {"min": 0.001, "max": 100.0},
        },
        "info": {},
    }


@contextmanager
def futures_bot(folder: Path, micro: ScriptedMicro, signals: str) -> Iterator[FreqtradeBot]:
    """Boot it, bridged to a scripted micro; nothing answers at the addresses of its exchange."""
    cache = folder / "markets.json"
    cache.write_text(
        json.dumps(
            {
                "format": markets_cache.FORMAT,
                "exchange": "binance",
                "markets": [market()],
                "currencies": {},
            }
        )
    )
    config = demo_config(
        NOWHERE,
        "ws://127.0.0.1:9",
        signals=signals,
        market=micro.address,
        user_dir=folder,
        pairs=[PAIR],
    )
    config.pop("citadel_sample")
    # Nothing answers in the book's place, so a busy machine must not make it old.
    config["citadel"] |= PATIENCE | {"book_max_age_ms": 60_000}
    api = config["exchange"]["ccxt_config"]["urls"]["api"]
    api |= dict.fromkeys(FUTURES_APIS, NOWHERE)
    config |= {
        "strategy": "Puppet",
        "strategy_path": str(STRATEGIES),
        "trading_mode": "futures",
        "margin_mode": "isolated",
    }
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    with Launch().patched() as launch, markets_cache.used(cache):
        full = Configuration({"config": [str(path)], "command": "trade"}, RunMode.LIVE).get_config()
        running = FreqtradeBot(full)
        try:
            yield running
        finally:
            running.cleanup()
            launch.close()
