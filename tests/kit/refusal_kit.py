"""An account of every live venue that is not in order, and the command line that is to refuse it.

The simulator serves one venue, in a thread of its own, so that programs can be run to their end beside it.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from key_kit import write_key
from live_desk import ROOMY
from usdm_client import UsdmClient

from citadel_micro.simulator.accounts import AccountConfig, named_keys
from citadel_micro.simulator.binance_spot.records import account_uid
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.hyperliquid.wallets import wallet_of
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.kraken.records import public_account_id
from citadel_micro.simulator.okx.records import account_uid as okx_uid
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

FLOW: Final = "BTC/USDT"
ACCOUNT: Final = "demo"
MAY_TRADE: Final = frozenset({Permission.TRADE, Permission.FUTURES})
STRANGER: Final = "5" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One live venue, as micro's configuration and the simulator know it."""

    served: str
    """Its name in the simulator; empty for Binance, which is always there."""
    symbol: str = FLOW
    flow: str = FLOW
    """The symbol in the exchange's own records."""
    network: str = "testnet"
    settings: str = ""
    account: str = str(account_uid(ACCOUNT))


_FUTURES: Final = "leverage = 3\nmargin_mode = 'cross'\n"
_OF_OKX: Final = str(okx_uid(ACCOUNT))
VENUES: Final[dict[str, Venue]] = {
    "binance-spot": Venue(served=""),
    "binance-usdm": Venue(served="", symbol="BTC/USDT:USDT", settings=_FUTURES),
    "okx": Venue(served="okx", network="demo", account=_OF_OKX),
    "okx-swap": Venue(
        served="okx-swap",
        symbol="BTC/USDT:USDT",
        network="demo",
        settings=_FUTURES,
        account=_OF_OKX,
    ),
    "bybit-spot": Venue(served="bybit"),
    "bybit-linear": Venue(served="bybit-linear", symbol="BTC/USDT:USDT", settings=_FUTURES),
    "kraken-spot": Venue(served="kraken", account=public_account_id(ACCOUNT).replace(" ", "")),
    "hyperliquid": Venue(
        served="hyperliquid",
        symbol="BTC/USDC:USDC",
        flow="BTC/USDC",
        account=wallet_of(ACCOUNT).address,
    ),
}
"""By micro's id, and OKX's perpetuals apart from its spot."""


class Stand:
    """One venue of the simulator, and programs that are told to trade there."""

    def __init__(self, folder: Path, name: str, config: SimulatorConfig) -> None:
        self.folder = folder
        self.name = name
        self.at = VENUES[name]
        self.server = SimulatorServer(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulator")

    def open(self) -> None:
        """Serve."""
        self._thread.start()
        self.there(self.server.start())

    def close(self) -> None:
        """Stop, with the thread."""
        try:
            self.there(self.server.stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def there(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - its result
        """The result of what is run in the simulator's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    @property
    def venue(self) -> str:
        """Its id in micro."""
        return "okx" if self.name == "okx-swap" else self.name

    @property
    def side(self) -> Any:  # noqa: ANN401 - of each venue
        """The venue at the simulator."""
        if self.at.served:
            return self.server.venues[self.at.served]
        return self.server.usdm if self.name == "binance-usdm" else self.server.spot.venue

    def orders(self) -> list[Any]:
        """Every order that the account has ever had, by the exchange's own records."""

        async def listed() -> list[Any]:
            return list(self.side.exchange.all_orders(ACCOUNT, self.at.flow))

        found: list[Any] = self.there(listed())
        return found

    def set_mode(self, path: str, **params: str) -> None:
        """Change a mode of the account at Binance's futures, as its owner does."""

        async def sent() -> int:
            async with aiohttp.ClientSession() as http:
                return (await UsdmClient(self.server, http).send("POST", path, params)).status

        assert self.there(sent()) == 200

    @property
    def urls(self) -> dict[str, str]:
        """Its addresses, by the names of micro's settings."""
        rest, ws = self.server.rest_url, self.server.ws_url
        here = {"rest_url": rest, "private_rest_url": rest}
        if self.name == "binance-spot":
            return {**here, "ws_url": ws, "ws_api_url": f"{ws}/ws-api/v3"}
        if self.name == "binance-usdm":
            stream = f"{ws}/fstream"
            public = f"{stream}/public/stream"
            return {**here, "ws_url": public, "private_ws_url": stream, "ws_api_url": ws}
        at: dict[str, str] = self.side.addresses(rest, ws)
        if self.name == "kraken-spot":
            rest = at["rest"]
            here = {"rest_url": rest, "private_rest_url": rest}
            return {**here, "ws_url": at["ws"], "ws_api_url": at["ws_api"]}
        return {name: url for name, url in at.items() if "." not in name}

    def key(self, which: str = "good") -> str:
        """The text of a key file: good, wrong, or (at Hyperliquid) the account's own, master."""
        lines = {"venue": self.venue, "network": self.at.network, "account": self.at.account}
        if self.name == "hyperliquid":
            wallet = wallet_of(ACCOUNT)
            secrets = {"good": wallet.agent.secret, "master": wallet.master.secret}
            lines["private_key"] = "0x" + secrets.get(which, "11" * 32)
        else:
            key = named_keys(ACCOUNT)[0]
            lines |= {"id": key.key_id if which == "good" else STRANGER, "secret": key.secret}
            if self.venue == "okx":
                lines["passphrase"] = key.passphrase
        return "".join(f"{name} = '{value}'\n" for name, value in lines.items())

    def configure(self, key: str = "good") -> Path:
        """Write a configuration that is in order, and a key file."""
        file = write_key(self.folder / "keys", self.key(key), name="key.toml")
        urls = "".join(f"{name} = '{url}'\n" for name, url in self.urls.items())
        path = self.folder / "micro.toml"
        path.write_text(
            f"mode = 'live'\nlive_account = '{self.at.account}'\nrun_dir = '{self.folder}/run'\n"
            "[bridge]\nmarket = 'tcp://127.0.0.1:0'\nmacros = []\ncommand_lines = []\n"
            "macro_required = false\n[http]\nport = 0\n[journal]\nfsync = false\n"
            f"[venues.{self.venue}]\nnetwork = '{self.at.network}'\nkey_file = '{file}'\n"
            f"symbols = ['{self.at.symbol}']\n{urls}{self.at.settings}{ROOMY}"
        )
        return path


@contextmanager
def stand(
    folder: Path, name: str, *faults: str, permissions: frozenset[Permission] = MAY_TRADE
) -> Iterator[Stand]:
    """A venue with one account, whose key has these permissions."""
    key = replace(named_keys(ACCOUNT)[0], permissions=permissions)
    served = VENUES[name].served
    config = SimulatorConfig(
        symbols=(FLOW,),
        history_days=1,
        warm_minutes=1,
        futures=name == "binance-usdm",
        venues=(served,) if served else (),
        fault_rules=faults,
        accounts=(AccountConfig(name=ACCOUNT, keys=(key,)),),
    )
    made = Stand(folder, name, config)
    try:
        made.open()
        yield made
    finally:
        made.close()
