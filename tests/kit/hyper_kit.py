"""A live adapter at the simulated Hyperliquid, as ``usdm_kit`` has one for Binance's futures."""

from __future__ import annotations

from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import aiohttp
from spot_kit import LiveBench

from citadel_micro.adapters.hyperliquid.orders import hyper_adapter
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.keys.api_key import ApiKey
from citadel_micro.shell.keys.secret import Secret
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.hyperliquid.app import NAME, Hyperliquid
from citadel_micro.simulator.hyperliquid.wallets import wallet_of
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from citadel_micro.core.model.account_events import MarginMode
    from citadel_micro.shell.venue.stream_watch import StreamWatch

VENUE = NAME
FLOW = "BTC/USDT"
"""What the simulator is told to simulate."""
SPOT = "BTC/USDC"
"""Its name at the exchange."""
SYMBOL = "BTC/USDC:USDC"
COIN = "BTC"
MARK = "abc123"
RULES = Instrument(
    venue=VENUE,
    symbol=SYMBOL,
    venue_symbol=COIN,
    base="BTC",
    quote="USDC",
    settle="USDC",
    kind="linear",
    tick=Decimal(1),
    lot=Decimal("0.00001"),
    min_lots=1,
    min_notional=Decimal(10),
    contract_size=Decimal(1),
    maker_fee=Decimal("0.00015"),
    taker_fee=Decimal("0.00045"),
    fee_side="quote",
)


def hyper_key(what: str = "agent", account: str = "demo") -> ApiKey:
    """One of the keys of an account of the simulator: agent, watchdog or master."""
    wallet = wallet_of(account)
    return ApiKey(
        venue=VENUE,
        account=wallet.address,
        network="testnet",
        kind="secp256k1",
        id=Secret(""),
        secret=Secret(getattr(wallet, what).secret),
        passphrase=Secret(""),
        file="key.toml",
    )


def side_of(server: SimulatorServer) -> Hyperliquid:
    """The simulator's Hyperliquid."""
    side = server.venues[NAME]
    assert isinstance(side, Hyperliquid)
    return side


async def info(server: SimulatorServer, kind: str, **params: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The answer to a query."""
    url = f"{server.rest_url}/{NAME}/info"
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json={"type": kind, **params}) as answer,
    ):
        return await answer.json()


class HyperBench(LiveBench):
    """An adapter, what it reports, and the exchange behind it."""

    venue = VENUE
    symbol = SYMBOL
    mark = MARK

    def make(
        self,
        *,
        key: ApiKey | None = None,
        leverage: int = 5,
        mode: MarginMode = "isolated",
        watch: StreamWatch | None = None,
        timer_ns: int = 60_000_000_000,
    ) -> None:
        adapter = hyper_adapter(
            self.setup(),
            key or hyper_key(),
            rest_url=f"{self.server.rest_url}/{NAME}",
            ws_url=f"{self.server.ws_url}/{NAME}/ws",
            leverage=leverage,
            mode=mode,
            watch=watch,
            timer_ns=timer_ns,
        )
        self.run(adapter)

    async def touch(self) -> tuple[int, int]:
        """Best bid and ask of the market, in ticks."""
        book = await info(self.server, "l2Book", coin=COIN)
        bid, ask = (self.rules.ticks(Decimal(side[0]["px"]), "nearest") for side in book["levels"])
        return bid, ask

    async def resting(self, lots: int = 100) -> Any:  # noqa: ANN401 - as LiveBench
        """A bid below the market."""
        bid, _ = await self.touch()
        return self.place("buy", bid - 5_000, lots, post_only=True)

    async def kill_connections(self) -> None:
        """Fall silent, as a process that hangs: the venue hears nothing any more."""
        self.adapter.close()
        await self.adapter.stream.close()
        await self.adapter.entry.close()

    @property
    def side(self) -> Hyperliquid:
        """The simulator's side of it."""
        return side_of(self.server)

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return self.side.exchange


def config_of(*faults: str, **settings: Any) -> SimulatorConfig:  # noqa: ANN401 - its own
    """A simulator with Hyperliquid on it."""
    return SimulatorConfig(
        symbols=(FLOW,),
        history_days=1,
        warm_minutes=1,
        fault_rules=faults,
        venues=(NAME,),
        **settings,
    )


@asynccontextmanager
async def hyper_bench(*faults: str, **settings: Any) -> AsyncIterator[HyperBench]:  # noqa: ANN401
    """A bench whose adapter is not started."""
    async with SimulatorServer(config_of(*faults, **settings)) as server:
        bench = HyperBench(server, RULES)
        try:
            yield bench
        finally:
            if bench.adapter is not None:
                await bench.adapter.released()
