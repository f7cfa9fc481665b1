"""OKX at the simulator: keys, clients of ccxt, signed requests, and a bench for our adapter."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from spot_kit import LiveBench, Rows

from citadel_micro.adapters.okx.orders import TIMER_NS, okx_adapter
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.keys.api_key import ApiKey
from citadel_micro.shell.keys.secret import Secret
from citadel_micro.simulator.accounts import named_keys
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.okx.app import Okx
from citadel_micro.simulator.okx.auth import VERIFY, sign
from citadel_micro.simulator.okx.swap import NAME as SWAPS
from citadel_micro.simulator.okx.swap import OkxSwap
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from citadel_micro.shell.keys.api_key import Network
    from citadel_micro.shell.venue.stream_watch import StreamWatch
    from citadel_micro.simulator.keys import ApiKey as SimulatorKey

VENUE = "okx"
SYMBOL = "BTC/USDT"
NATIVE = "BTC-USDT"
SWAP = "BTC/USDT:USDT"
SWAP_NATIVE = "BTC-USDT-SWAP"


def simulator_key(account: str = "demo") -> SimulatorKey:
    """The HMAC key of an account."""
    return named_keys(account)[0]


def side_of(server: SimulatorServer) -> Okx:
    """OKX at a simulator."""
    side = server.venues[VENUE]
    assert isinstance(side, Okx)
    return side


def swap_of(server: SimulatorServer) -> OkxSwap:
    """OKX's perpetuals at a simulator."""
    side = server.venues[SWAPS]
    assert isinstance(side, OkxSwap)
    return side


@asynccontextmanager
async def okx_server(
    *faults: str,
    serves: str = VENUE,
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[SimulatorServer]:
    """A simulator that serves OKX, with one symbol."""
    config = SimulatorConfig(
        symbols=(SYMBOL,),
        history_days=1,
        warm_minutes=1,
        venues=(serves,),
        fault_rules=faults,
        **settings,
    )
    async with SimulatorServer(config) as server:
        yield server


@asynccontextmanager
async def ccxt_client(
    server: SimulatorServer, account: str = "demo", *, kind: str = "spot"
) -> AsyncIterator[Any]:
    """ccxt.pro's class of OKX, whose every address is the simulator's."""
    import ccxt.pro  # noqa: PLC0415 - half a second

    key = simulator_key(account)
    client = ccxt.pro.okx(
        {
            "apiKey": key.key_id,
            "secret": key.secret,
            "password": key.passphrase,
            "enableRateLimit": False,
            "options": {"fetchMarkets": {"types": [kind]}, "defaultType": kind},
        }
    )
    path = "" if kind == "spot" else f"/{SWAPS}"
    client.urls["api"] = {
        "rest": f"{server.rest_url}{path}",
        "ws": f"{server.ws_url}{path}/ws/v5",
    }
    try:
        yield client
    finally:
        await client.close()


@dataclass
class Answer:
    """Of REST."""

    status: int
    body: dict[str, Any]

    @property
    def code(self) -> str:
        """The answer's, or its first row's where that says why."""
        rows = self.body["data"]
        code: str = self.body["code"]
        return rows[0]["sCode"] if code == "1" and rows else code


class RestClient:
    """Signs requests as the venue documents it, and can be told to do it wrong."""

    def __init__(self, server: SimulatorServer, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.http = http
        self.key = simulator_key()

    def stamp(self, shift_ms: int = 0) -> str:
        """The simulator's time, as a header has it."""
        from datetime import UTC, datetime  # noqa: PLC0415 - only here

        at_ms = side_of(self.server).exchange.now_ns // 1_000_000 + shift_ms
        text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,  # noqa: ANN401 - any JSON value
        *,
        shift_ms: int = 0,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One signed request; ``headers`` replace those that are right."""
        text = "" if body is None else json.dumps(body)
        at = self.stamp(shift_ms)
        right = {
            "OK-ACCESS-KEY": self.key.key_id,
            "OK-ACCESS-PASSPHRASE": self.key.passphrase,
            "OK-ACCESS-TIMESTAMP": at,
            "OK-ACCESS-SIGN": sign(self.key, at + method + path + text),
            "Content-Type": "application/json",
        }
        async with self.http.request(
            method, self.server.rest_url + path, data=text or None, headers=right | (headers or {})
        ) as answer:
            return Answer(answer.status, await answer.json(content_type=None))

    def order(self, **changes: str) -> dict[str, str]:
        """A bid far below the market."""
        spec = side_of(self.server).exchange.rules[SYMBOL].spec
        ticks = side_of(self.server).exchange.last_ticks(SYMBOL) * 98 // 100
        price = f"{ticks * spec.tick_e8 / 1e8:.2f}"
        usual = {
            "instId": NATIVE, "tdMode": "cash", "side": "buy", "ordType": "limit", "px": price,
            "sz": "0.01",
        }  # fmt: skip
        return {name: value for name, value in (usual | changes).items() if value}


async def logged_in(server: SimulatorServer, http: aiohttp.ClientSession) -> Any:  # noqa: ANN401
    """A private websocket, logged in."""
    socket = await http.ws_connect(f"{server.ws_url}/ws/v5/private", autoping=False)
    key = simulator_key()
    at = str(side_of(server).exchange.now_ns // 1_000_000_000)
    arg = {
        "apiKey": key.key_id,
        "passphrase": key.passphrase,
        "timestamp": at,
        "sign": sign(key, at + VERIFY),
    }
    await socket.send_json({"op": "login", "args": [arg]})
    assert (await socket.receive_json())["code"] == "0"
    return socket


# --- our adapter --------------------------------------------------------------------------------


def our_key(account: str = "demo", network: Network = "demo") -> ApiKey:
    """As a key file gives it."""
    key = simulator_key(account)
    return ApiKey(
        venue=VENUE,
        account=account,
        network=network,
        kind="hmac",
        id=Secret(key.key_id),
        secret=Secret(key.secret),
        passphrase=Secret(key.passphrase),
        file="key.toml",
    )


def our_rules(server: SimulatorServer) -> Instrument:
    """What orders are made by."""
    spec = side_of(server).exchange.rules[SYMBOL].spec
    return Instrument(
        venue=VENUE,
        symbol=SYMBOL,
        venue_symbol=NATIVE,
        base="BTC",
        quote="USDT",
        settle="USDT",
        kind="spot",
        tick=Decimal(spec.tick_e8) / 10**8,
        lot=Decimal(spec.lot_e8) / 10**8,
        min_lots=1,
        min_notional=Decimal(0),
        contract_size=Decimal(1),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.001"),
        fee_side="received",
    )


class OkxBench(LiveBench):
    """An adapter, what it reports, and the exchange behind it."""

    venue = VENUE
    symbol = SYMBOL
    mark = "okx001"

    def make(self, *, watch: StreamWatch | None = None, timer_ns: int = TIMER_NS) -> None:
        adapter = okx_adapter(
            self.setup(),
            our_key(),
            rest_url=self.server.rest_url,
            ws_url=self.server.ws_url,
            watch=watch,
            timer_ns=timer_ns,
        )
        self.run(adapter)

    async def touch(self) -> tuple[int, int]:
        """Best bid and ask of the market, in ticks."""
        depth = side_of(self.server).feed.depth(SYMBOL, 1)
        return depth.best_bid[0], depth.best_ask[0]

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return side_of(self.server).exchange


@asynccontextmanager
async def okx_bench(*faults: str, **settings: Any) -> AsyncIterator[OkxBench]:  # noqa: ANN401
    """A bench whose adapter is not started."""
    async with okx_server(*faults, **settings) as server:
        bench = OkxBench(server, our_rules(server))
        bench.rows = Rows(VENUE)
        try:
            yield bench
        finally:
            if bench.adapter is not None:
                await bench.adapter.released()
