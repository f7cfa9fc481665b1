"""Freqtrade's configuration for trading on the simulator through micro."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from citadel_macro.userdata import user_data
from citadel_proto.disk import writing
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEMO_ML: Final[dict[str, Any]] = {
    # Less history and a shorter horizon than config-ml.json, so that the first models are ready
    # within half a minute and trades end while somebody watches.
    "citadel_ml": {"rank": 0.3, "hold_s": 15, "cost_bps": 5},
    "freqai": {"train_period_days": 1, "identifier": "citadel-demo-ml"},
}


def demo_config(
    sim_rest_url: str,
    sim_ws_url: str,
    *,
    signals: str,
    market: str,
    user_dir: Path,
    db_url: str | None = None,
    pairs: Sequence[str] | None = None,
    ml: bool = False,
    ui_port: int | None = None,
    futures: bool = False,
) -> dict[str, Any]:
    """Complete configuration of one run; ``config-demo.json`` with this run's addresses.

    Args:
        sim_rest_url: ``http://host:port`` of ``citadel sim``.
        sim_ws_url: ``ws://host:port`` of it.
        signals: address that macro binds.
        market: address of micro.
        user_dir: Freqtrade's user folder of this run; created when missing.
        db_url: trade database; None: ``trades.sqlite`` in ``user_dir``.
        pairs: pairs to trade; None: those of the file.
        ml: use ``CitadelML`` instead of ``CitadelSample``.
        ui_port: port on loopback for FreqUI; None: without it.
        futures: trade USD-M futures, in isolated margin, instead of spot.

    Raises:
        BadInput: an invalid address of the simulator.
    """
    for url, schemes in ((sim_rest_url, ("http", "https")), (sim_ws_url, ("ws", "wss"))):
        parts = urlsplit(url)
        if parts.scheme not in schemes or not parts.hostname:
            raise BadInput(
                f"{url!r} is no address of a simulator", allowed=f"{schemes[0]}://host:port"
            )
    shipped = user_data()
    config = _read(shipped / "config-demo.json")
    if ml:
        config = _merged(_merged(config, _read(shipped / "config-ml.json")), DEMO_ML)
        config.pop("citadel_sample")
    folder = user_dir.absolute()
    with writing(folder, "name one in a writable place"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    config["exchange"]["ccxt_config"] = ccxt_config(sim_rest_url, sim_ws_url, futures=futures)
    if futures:
        config |= {"trading_mode": "futures", "margin_mode": "isolated"}
        whitelist = config["exchange"]["pair_whitelist"]
        config["exchange"]["pair_whitelist"] = [f"{pair}:USDT" for pair in whitelist]
    if pairs:
        config["exchange"]["pair_whitelist"] = list(pairs)
    config["citadel"] |= {"signals": signals, "market": market}
    if ui_port is not None:
        config["api_server"] = _read(shipped / "config.json")["api_server"] | {
            "listen_port": ui_port
        }
        config["force_entry_enable"] = True
    config |= {
        "user_data_dir": str(folder),
        "datadir": str(folder / "data"),
        "db_url": db_url or f"sqlite:///{folder / 'trades.sqlite'}",
        "strategy_path": str(shipped / "strategies"),
        "freqaimodel_path": str(shipped / "freqaimodels"),
    }
    return config


def ccxt_config(rest_url: str, ws_url: str, *, futures: bool = False) -> dict[str, Any]:
    """Settings of ccxt with which its ``binance`` connects to the simulator and nothing else."""
    rest, ws = rest_url.rstrip("/"), ws_url.rstrip("/")
    private = dict.fromkeys(("sapi", "sapiV2", "sapiV3", "sapiV4"), f"{rest}/sapi/v1")
    linear = {
        f"fapi{who}{version}": f"{rest}/fapi/{version.lower() or 'v1'}"
        for who in ("Public", "Private")
        for version in ("", "V2", "V3")
    }
    return {
        "enableRateLimit": False,
        "urls": {
            "api": {
                "public": f"{rest}/api/v3",
                "private": f"{rest}/api/v3",
                "v1": f"{rest}/api/v1",
                **private,
                **linear,
                "fapiData": f"{rest}/futures/data",
                "ws": {"spot": f"{ws}/ws", "margin": f"{ws}/ws", "linear": f"{ws}/fstream/ws"},
            }
        },
        "options": {
            "defaultType": "swap" if futures else "spot",
            "fetchMarkets": {"types": ["linear" if futures else "spot"]},
            "fetchMargins": False,
            "fetchCurrencies": False,
        },
    }


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for name, value in over.items():
        inner = result.get(name)
        if isinstance(inner, dict) and isinstance(value, dict):
            result[name] = _merged(inner, value)
        else:
            result[name] = value
    return result
