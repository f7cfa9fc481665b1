"""Stock backtesting, offline: the mixin is inert, and no network is needed."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import ccxt
import pandas as pd
import pytest
from freqtrade.commands.optimize_commands import setup_optimize_configuration
from freqtrade.enums import RunMode
from freqtrade.exchange import Exchange
from freqtrade.optimize.backtesting import Backtesting
from freqtrade_kit import STRATEGIES

from citadel_bridge.connector import HybridConnector
from citadel_macro import markets_cache
from citadel_macro.demo import ccxt_config, demo_config
from citadel_macro.launcher import Launch
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from freqtrade_kit import Simulator

PAIRS = ["BTC/USDT", "ETH/USDT", "SOL/USDT"]


@pytest.fixture(scope="module")
def folder(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of the simulator's candles, in Freqtrade's JSON format."""
    made: Path = tmp_path_factory.mktemp("backtest")
    data = made / "data" / "binance"
    data.mkdir(parents=True)
    for pair in PAIRS:
        rows: list[list[float]] = []
        url = f"{simulator.rest}/api/v3/klines?symbol={pair.replace('/', '')}&interval=5m&limit=576"
        with urllib.request.urlopen(url) as answer:  # noqa: S310 - loopback
            rows = [[int(k[0]), *(float(x) for x in k[1:6])] for k in json.load(answer)]
        (data / f"{pair.replace('/', '_')}-5m.json").write_text(json.dumps(rows))
    return made


def backtest(
    simulator: Simulator, folder: Path, strategy: str, *, offline: bool, cache: str = ""
) -> Any:  # noqa: ANN401 - Freqtrade's results
    config = demo_config(
        simulator.rest,
        simulator.ws,
        signals="tcp://127.0.0.1:1",
        market="tcp://127.0.0.1:1",
        user_dir=folder,
        pairs=PAIRS,
    )
    if offline:
        config["exchange"]["ccxt_config"] = ccxt_config("http://127.0.0.1:9", "ws://127.0.0.1:9")
    for name in ("citadel_sample", "timeframe", "strategy"):
        config.pop(name)
    config["citadel"] = {"markets_cache": cache} if cache else {}
    config |= {
        "strategy_path": str(STRATEGIES),
        "dataformat_ohlcv": "json",
        "datadir": None,
        "dry_run_wallet": 10_000,
        "export": "none",
    }
    config.pop("datadir")
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    args = {"config": [str(path)], "strategy": strategy, "command": "backtesting", "export": "none"}
    with Launch().patched():
        run = Backtesting(setup_optimize_configuration(args, RunMode.BACKTEST))
        try:
            run.start()
        finally:
            run.cleanup()  # type: ignore[no-untyped-call]
            run.exchange.close()  # type: ignore[no-untyped-call]
        assert HybridConnector._instance is None
    return run.results


@pytest.fixture(scope="module")
def cache(simulator: Simulator, folder: Path) -> str:
    """Market rules as one run with a network has left them."""
    path = folder / "markets.json"
    backtest(simulator, folder, "PlainEmaRsi", offline=False, cache=str(path))
    assert path.exists()
    return str(path)


def trades(results: Any, strategy: str) -> pd.DataFrame:  # noqa: ANN401 - Freqtrade's results
    return pd.DataFrame(results["strategy"][strategy]["trades"])


def test_the_mixin_changes_nothing_in_a_backtest(
    simulator: Simulator, folder: Path, cache: str
) -> None:
    plain = backtest(simulator, folder, "PlainEmaRsi", offline=True, cache=cache)
    mixed = backtest(simulator, folder, "PlainEmaRsiCitadel", offline=True, cache=cache)
    left, right = trades(plain, "PlainEmaRsi"), trades(mixed, "PlainEmaRsiCitadel")
    assert len(left) > 20
    pd.testing.assert_frame_equal(left, right)


@pytest.mark.campaign
def test_the_cache_changes_nothing_either(simulator: Simulator, folder: Path, cache: str) -> None:
    online = backtest(simulator, folder, "PlainEmaRsi", offline=False)
    offline = backtest(simulator, folder, "PlainEmaRsi", offline=True, cache=cache)
    pd.testing.assert_frame_equal(trades(online, "PlainEmaRsi"), trades(offline, "PlainEmaRsi"))


class Half:
    """The part of an exchange that loading markets works on."""

    def __init__(self) -> None:
        self._api_async = ccxt.binance()


def read(path: Path) -> ccxt.Exchange:
    half = Half()
    with markets_cache.used(path):
        Exchange._load_async_markets(cast("Exchange", half))
    return half._api_async


def test_a_cache_is_read_as_it_was_written(cache: str) -> None:
    api = read(Path(cache))
    assert {*PAIRS} <= set(api.markets)
    assert api.markets["BTC/USDT"]["limits"]["cost"]["min"] > 0


def test_a_damaged_cache_says_so(folder: Path, cache: str) -> None:
    broken = folder / "broken.json"
    broken.write_text("{")
    with pytest.raises(BadInput, match="delete the file to load it again"):
        read(broken)
    broken.write_text(json.dumps(json.loads(Path(cache).read_text()) | {"exchange": "kraken"}))
    with pytest.raises(BadInput, match="holds 'kraken'"):
        read(broken)
