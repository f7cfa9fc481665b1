"""Freqtrade as it is published, unbridged, with an account's keys, as a process of its own."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import pytest
from process_kit import until
from stock_exchange import Exchange, ask

from citadel_micro.simulator.ccxt_urls import ccxt_overrides

if TYPE_CHECKING:
    from collections.abc import Callable

STRATEGIES: Final = Path(__file__).parents[1] / "macro" / "strategies"
_USER: Final = "trader"
_PASSWORD: Final = "on loopback"
# Python imports a module of this name at its start, before anything of Freqtrade's.
_GUARD: Final = """
import os
import sys


def _watch(event, args):
    if event == "socket.connect":
        host = args[1][0] if isinstance(args[1], tuple) else "127.0.0.1"
        port = args[1][1] if isinstance(args[1], tuple) else 0
    elif event == "socket.getaddrinfo":
        host, port = args[0], args[1]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    here = host in {None, "", "localhost", "127.0.0.1", "::1"}
    with open(os.environ["CONNECTIONS"], "a") as sink:
        sink.write(f"{'here' if here else 'OUTSIDE'} {host} {port}\\n")
    if not here:
        raise OSError(f"{host} is another machine")


sys.addaudithook(_watch)
"""


class StockFreqtrade:
    """``freqtrade trade`` in live mode, told what to do over its own REST interface.

    Nothing of ours is loaded but a strategy and a guard that refuses, and writes down, every
    connection to another machine.

    Args:
        folder: for its files.
        exchange: what it trades on.
        account: whose HMAC key it has.
        port: for its REST interface.
        pairs: that it may trade; futures, where they have a settle currency.
        bridge: how to reach micro: then it is started bridged, and has no keys.
        shadow: how to reach micro: then it is started as published, with its keys, and shadowed.
        over: parts of its configuration.
    """

    def __init__(
        self,
        folder: Path,
        exchange: Exchange,
        account: str,
        port: int,
        *,
        pairs: tuple[str, ...] = ("BTC/USDT", "ETH/USDT", "SOL/USDT"),
        bridge: dict[str, Any] | None = None,
        shadow: dict[str, Any] | None = None,
        **over: Any,  # noqa: ANN401 - JSON
    ) -> None:
        self._folder = folder
        self._url = f"http://127.0.0.1:{port}/api/v1/"
        self._config = stock_config(folder, exchange, account, port, pairs) | over
        self._module = "freqtrade"
        self._words = ["trade"]
        if shadow is not None:
            self._module = "citadel_macro"
            self._words = ["trade", "--shadow"]
            self._config["citadel"] = shadow
        if bridge is not None:
            self._module = "citadel_macro"
            self._config["citadel"] = bridge
            for name in ("key", "secret"):
                del self._config["exchange"][name]
        self.database = folder / "trades.sqlite"
        self.log = folder / "freqtrade.log"
        self._connections = folder / "connections"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        guard = self._folder / "guard"
        guard.mkdir()
        (guard / "sitecustomize.py").write_text(_GUARD)
        path = self._folder / "config.json"
        path.write_text(json.dumps(self._config))
        own = {k: v for k, v in os.environ.items() if not k.startswith(("CITADEL_", "FREQTRADE_"))}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, *self._words, "--config", str(path)],
                stdout=log,
                stderr=log,
                env=own | {"PYTHONPATH": str(guard), "CONNECTIONS": str(self._connections)},
            )
        try:
            self.until(self._running, 240)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, as an operator would."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(30)

    def until(self, what: Callable[[], Any], seconds: float = 60.0) -> Any:  # noqa: ANN401 - its result
        """Wait until ``what`` is true while the process lives."""
        process = self._process
        assert process is not None
        found: list[Any] = []

        def done() -> bool:
            assert process.poll() is None, self.log.read_text()[-4000:]
            found[:] = [what()]
            return bool(found[0])

        try:
            until(done, seconds)
        except pytest.fail.Exception as error:
            pytest.fail(f"{error.msg}; its log ends\n{self.log.read_text()[-4000:]}")
        return found[0]

    def ask(self, verb: str, path: str, **body: Any) -> Any:  # noqa: ANN401 - JSON
        """Ask its REST interface."""
        word = base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
        return ask(verb, self._url + path, {"Authorization": f"Basic {word}"}, body or None)

    def enter(self, pair: str, **more: Any) -> Any:  # noqa: ANN401 - JSON
        """Buy, now; the answer is the trade, or an error."""
        return self.ask("POST", "forceenter", pair=pair, side="long", **more)

    def leave(self, trade_id: int) -> Any:  # noqa: ANN401 - JSON
        """Sell, now, at the market."""
        return self.ask("POST", "forceexit", tradeid=str(trade_id), ordertype="market")

    def wrote(self, words: str) -> bool:
        """Whether its log says so; it breaks lines anywhere."""
        return words in " ".join(self.log.read_text().split())

    def trade(self, trade_id: int) -> dict[str, Any]:
        """One trade with its orders."""
        found: dict[str, Any] = self.ask("GET", f"trade/{trade_id}")
        return found

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Read its database."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]

    def connections(self) -> list[str]:
        """Every connection and name look-up: ``here`` or ``OUTSIDE``, host, port."""
        return self._connections.read_text().splitlines()

    def _running(self) -> bool:
        try:
            answer = self.ask("GET", "show_config")
        except urllib.error.URLError:
            return False
        return bool(answer.get("state") == "running")


def stock_config(
    folder: Path, exchange: Exchange, account: str, port: int, pairs: tuple[str, ...]
) -> dict[str, Any]:
    """A trader's configuration; only the addresses are not the exchange's own."""
    key_id, secret = exchange.key(account)
    addresses = exchange.ready["rest"], exchange.ready["ws"]
    futures = any(":" in pair for pair in pairs)
    return {
        "bot_name": "unbridged",
        "strategy": "Puppet",
        "strategy_path": str(STRATEGIES),
        "user_data_dir": str(folder),
        "datadir": str(folder),
        "db_url": f"sqlite:///{folder / 'trades.sqlite'}",
        "timeframe": "1m",
        "dry_run": False,
        "initial_state": "running",
        "max_open_trades": 4,
        **({"trading_mode": "futures", "margin_mode": "isolated"} if futures else {}),
        "stake_currency": "USDT",
        "stake_amount": 1000,
        "tradable_balance_ratio": 0.99,
        "fiat_display_currency": "",
        "force_entry_enable": True,
        "stoploss": -0.05,
        "order_types": {
            "entry": "limit",
            "exit": "limit",
            "stoploss": "limit",
            "stoploss_on_exchange": True,
            "stoploss_on_exchange_interval": 5,
        },
        "unfilledtimeout": {"entry": 5, "exit": 20, "exit_timeout_count": 0, "unit": "seconds"},
        "entry_pricing": {"price_side": "other", "use_order_book": True, "order_book_top": 1},
        "exit_pricing": {"price_side": "other", "use_order_book": True, "order_book_top": 1},
        "pairlists": [{"method": "StaticPairList"}],
        "exchange": {
            "name": "binance",
            "only_from_ccxt": True,
            "key": key_id,
            "secret": secret,
            "pair_whitelist": list(pairs),
            "pair_blacklist": [],
            "ccxt_config": ccxt_overrides(*addresses, swap=futures),
        },
        "api_server": {
            "enabled": True,
            "listen_ip_address": "127.0.0.1",
            "listen_port": port,
            "verbosity": "error",
            "jwt_secret_key": "of no worth, and long enough for its algorithm",
            "ws_token": "of no worth either",
            "CORS_origins": [],
            "username": _USER,
            "password": _PASSWORD,
        },
        "internals": {"process_throttle_secs": 1},
    }
