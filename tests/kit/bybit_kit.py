"""A live Bybit adapter, and a whole micro, on the simulated venue: as ``spot_kit`` and ``live_desk``."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from key_kit import write_key
from live_desk import ACCOUNT, ROOMY, used
from live_desk import Desk as SpotDesk
from spot_kit import NATIVE, SYMBOL, LiveBench, demo_key

from citadel_micro.adapters.bybit.orders import LINEAR_VENUE, VENUE, bybit_adapter
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.bybit.app import NAME, Bybit
from citadel_micro.simulator.bybit.linear import NAME as LINEAR_NAME
from citadel_micro.simulator.bybit.linear import BybitLinear
from citadel_micro.simulator.bybit.order_json import plain
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from citadel_micro.shell.keys.api_key import ApiKey, KeyKind
    from citadel_micro.shell.venue.stream_watch import StreamWatch
    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange


LINEAR = "BTC/USDT:USDT"


def bybit_of(server: SimulatorServer) -> Bybit:
    """The venue of a simulator that serves it."""
    found = server.venues[NAME]
    assert isinstance(found, Bybit)
    return found


def linear_of(server: SimulatorServer) -> BybitLinear:
    """The same, of perpetuals."""
    found = server.venues[LINEAR_NAME]
    assert isinstance(found, BybitLinear)
    return found


def bybit_config(*faults: str, **settings: Any) -> SimulatorConfig:  # noqa: ANN401
    here: dict[str, Any] = {"history_days": 1, "warm_minutes": 1, "venues": (NAME,), **settings}
    return SimulatorConfig(symbols=(SYMBOL,), fault_rules=faults, **here)


def bybit_rules(venue: Bybit) -> Instrument:
    """The trading rules, as an adapter gets them."""
    rules = venue.exchange.rules[SYMBOL]
    spec = rules.spec
    return Instrument(
        venue=VENUE,
        symbol=SYMBOL,
        venue_symbol=NATIVE,
        base=spec.base,
        quote=spec.quote,
        settle=spec.quote,
        kind="spot",
        tick=Decimal(plain(spec.tick_e8)),
        lot=Decimal(plain(spec.lot_e8)),
        min_lots=1,
        min_notional=Decimal(spec.min_notional_e8) / E8,
        contract_size=Decimal(1),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.001"),
        fee_side="received",
    )


class BybitBench(LiveBench):
    """An adapter, what it reports, and the exchange behind it."""

    venue = VENUE

    def make(
        self,
        kind: KeyKind = "hmac",
        *,
        watch: StreamWatch | None = None,
        renew_s: float = 3_600.0,
        key: ApiKey | None = None,
    ) -> None:
        at = bybit_of(self.server).addresses(self.server.rest_url, self.server.ws_url)
        adapter = bybit_adapter(
            self.setup(),
            key or replace(demo_key(kind), venue=VENUE),
            rest_url=at["private_rest_url"],
            ws_api_url=at["ws_api_url"],
            stream_url=at["private_ws_url"],
            renew_s=renew_s,
            watch=watch,
        )
        self.run(adapter)

    async def touch(self) -> tuple[int, int]:
        """Best bid and ask of the market, in ticks."""
        depth = bybit_of(self.server).feed.depth(SYMBOL, 1)
        return depth.best_bid[0], depth.best_ask[0]

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return bybit_of(self.server).exchange


@asynccontextmanager
async def bybit_bench(*faults: str, **settings: Any) -> AsyncIterator[BybitBench]:  # noqa: ANN401
    """A bench whose adapter is not started."""
    async with SimulatorServer(bybit_config(*faults, **settings)) as server:
        bench = BybitBench(server, bybit_rules(bybit_of(server)))
        try:
            yield bench
        finally:
            if bench.adapter is not None:
                await bench.adapter.released()


class Desk(SpotDesk):
    """A micro in live mode, and simulated Bybit that it trades on."""

    venue = VENUE
    settings = ""

    def text(self) -> str:
        """Its configuration, its key file written."""
        key = demo_key()
        text = (
            f"venue = '{self.venue}'\naccount = '{ACCOUNT}'\nnetwork = 'testnet'\n"
            f"id = '{key.id.reveal()}'\nsecret = '{key.secret.reveal()}'\n"
        )
        side = bybit_of(self.server) if self.venue == VENUE else linear_of(self.server)
        at = side.addresses(self.server.rest_url, self.server.ws_url)
        urls = "".join(f"{name} = '{url}'\n" for name, url in at.items())
        return self.beginning(ACCOUNT) + (
            f"[venues.{self.venue}]\nnetwork = 'testnet'\nsymbols = ['{self.symbol}']\n"
            f"key_file = '{write_key(self.folder / 'keys', text)}'\n{urls}{self.settings}{ROOMY}"
        )

    async def start(self) -> None:
        await self.launch(self.text())

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return bybit_of(self.server).exchange


class LinearDesk(Desk):
    """A micro in live mode, and simulated linear perpetuals of Bybit, of isolated margin."""

    venue = LINEAR_VENUE
    symbol = LINEAR
    margined = True
    settings = "leverage = 5\nmargin_mode = 'isolated'\n"
    isolated = True

    def text(self) -> str:
        return super().text().replace("[journal]", "[reconcile]\ninterval_s = 2\n[journal]")

    async def start(self) -> None:
        if self.isolated and not self.exchange.position("demo", SYMBOL).isolated:
            self.exchange.set_isolated("demo", SYMBOL, isolated=True)
        await super().start()

    @property
    def exchange(self) -> FuturesExchange:
        return linear_of(self.server).futures

    def books_agree(self) -> None:
        """Fills and position of micro are those of the exchange, to the last unit."""
        self.fills_agree(SYMBOL)
        self.position_agrees(SYMBOL)


def on_linear_desk(folder: Path, body: Callable[[LinearDesk], Awaitable[None]]) -> None:
    """Run a body on a desk that is not started."""

    async def main() -> None:
        async with SimulatorServer(bybit_config(venues=(LINEAR_NAME,))) as server:
            await used(LinearDesk(server, folder, "hmac"), body)

    asyncio.run(main())


def on_desk(folder: Path, body: Callable[[Desk], Awaitable[None]], *faults: str) -> None:
    """Run a body on a desk that is not started."""

    async def main() -> None:
        async with SimulatorServer(bybit_config(*faults)) as server:
            await used(Desk(server, folder, "hmac"), body)

    asyncio.run(main())
