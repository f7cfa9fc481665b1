"""A live Bybit adapter, and a whole micro, on the simulated venue: as ``spot_kit`` and ``live_desk``."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from key_kit import write_key
from live_desk import ACCOUNT, ROOMY
from live_desk import Desk as SpotDesk
from spot_kit import NATIVE, SYMBOL, LiveBench, demo_key
from waiting import until

from citadel_micro.adapters.bybit.orders import LINEAR_VENUE, VENUE, bybit_adapter
from citadel_micro.core.model.commands import QueryTrades
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.daemon import Micro
from citadel_micro.shell.config.config import load
from citadel_micro.shell.order_adapter import AdapterSetup
from citadel_micro.shell.venue.adapter import LiveAdapter
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

    from citadel_micro.core.portfolio.position import Position
    from citadel_micro.shell.config.config import MicroConfig
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

    async def start(
        self,
        kind: KeyKind = "hmac",
        *,
        watch: StreamWatch | None = None,
        renew_s: float = 3_600.0,
        key: ApiKey | None = None,
    ) -> None:
        setup = AdapterSetup(
            venue=VENUE,
            instruments={SYMBOL: self.rules},
            config=cast("MicroConfig", None),
            loop=asyncio.get_running_loop(),
            clock=self.clock,
            account=self.rows,
        )
        at = bybit_of(self.server).addresses(self.server.rest_url, self.server.ws_url)
        self.adapter = bybit_adapter(
            setup,
            key or replace(demo_key(kind), venue=VENUE),
            rest_url=at["private_rest_url"],
            ws_api_url=at["ws_api_url"],
            stream_url=at["private_ws_url"],
            renew_s=renew_s,
            watch=watch,
        )
        self.adapter.restore(dict(self.rows.values))
        self.adapter.attach(self)
        self.adapter.start()
        await self.up()

    async def touch(self) -> tuple[int, int]:
        """Best bid and ask of the market, in ticks."""
        depth = bybit_of(self.server).feed.depth(SYMBOL, 1)
        return depth.best_bid[0], depth.best_ask[0]

    def query_trades(self, since_ns: int) -> None:
        command = QueryTrades(venue=VENUE, symbol=SYMBOL, since_ns=since_ns)
        self.adapter.submit(command, self.clock.now())

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


def micro_text(
    server: SimulatorServer,
    folder: Path,
    *,
    venue: str = VENUE,
    symbol: str = SYMBOL,
    settings: str = "",
) -> str:
    """A configuration that trades there, its key file written."""
    key = demo_key()
    text = (
        f"venue = '{venue}'\naccount = '{ACCOUNT}'\nnetwork = 'testnet'\n"
        f"id = '{key.id.reveal()}'\nsecret = '{key.secret.reveal()}'\n"
    )
    side = bybit_of(server) if venue == VENUE else linear_of(server)
    at = side.addresses(server.rest_url, server.ws_url)
    urls = "".join(f"{name} = '{url}'\n" for name, url in at.items())
    return (
        f"mode = 'live'\nlive_account = '{ACCOUNT}'\nrun_dir = '{folder}/run'\n"
        "[bridge]\nmarket = 'tcp://127.0.0.1:0'\nmacros = []\ncommand_lines = []\n"
        "macro_required = false\n"
        "[http]\nport = 0\n[journal]\nfsync = false\n"
        f"[venues.{venue}]\nnetwork = 'testnet'\nsymbols = ['{symbol}']\n"
        f"key_file = '{write_key(folder / 'keys', text)}'\n{urls}{settings}{ROOMY}"
    )


class Desk(SpotDesk):
    """A micro in live mode, and simulated Bybit that it trades on."""

    venue = VENUE

    async def start(self) -> None:
        path = self.folder / "micro.toml"
        path.write_text(micro_text(self.server, self.folder))
        self.micro = Micro(load(path))
        self.started.append(self.micro)
        await self.micro.start()
        market = self.micro.engine.markets[VENUE, SYMBOL]
        await until(lambda: market.state == "LIVE" and not self.micro.engine.reconciling)
        adapter = self.micro.adapters[VENUE]
        assert isinstance(adapter, LiveAdapter)
        await until(lambda: adapter.stream.current is not None)

    def books_agree(self) -> None:
        """Fills, coins and cash of micro are those of the exchange, to the last unit."""
        engine, exchange = self.micro.engine, bybit_of(self.server).exchange
        theirs = {
            (fill.order_id, fill.trade_id): fill.lots for fill in exchange.my_trades("demo", SYMBOL)
        }
        ours = {
            (int(child.venue_order_id), int(fill.trade_id)): fill.quantity_lots
            for parent in engine.order_store.known.values()
            for child in parent.children
            for fill in child.fills
        }
        assert ours == theirs
        assert not exchange.open_orders("demo")
        for currency in ("BTC", "USDT"):
            balance = engine.portfolio.balance(VENUE, currency)
            assert balance is not None
            assert balance.total * E8 == sum(exchange.balances("demo")[currency])


class LinearDesk(SpotDesk):
    """A micro in live mode, and simulated linear perpetuals of Bybit, of isolated margin."""

    venue = LINEAR_VENUE
    symbol = LINEAR
    settings = "leverage = 5\nmargin_mode = 'isolated'\n"
    isolated = True

    async def start(self) -> None:
        if self.isolated and not self.exchange.position("demo", SYMBOL).isolated:
            self.exchange.set_isolated("demo", SYMBOL, isolated=True)
        path = self.folder / "micro.toml"
        text = micro_text(
            self.server, self.folder, venue=LINEAR_VENUE, symbol=LINEAR, settings=self.settings
        )
        path.write_text(text.replace("[journal]", "[reconcile]\ninterval_s = 2\n[journal]"))
        self.micro = Micro(load(path))
        self.started.append(self.micro)
        await self.micro.start()
        market = self.micro.engine.markets[LINEAR_VENUE, LINEAR]
        await until(lambda: market.state == "LIVE" and not self.micro.engine.reconciling)
        margin, here = self.micro.engine.portfolio.margin, (LINEAR_VENUE, LINEAR)
        await until(lambda: here in margin.terms and here in margin.marks)

    @property
    def exchange(self) -> FuturesExchange:
        return linear_of(self.server).futures

    @property
    def position(self) -> Position:
        found = self.micro.engine.portfolio.position(LINEAR_VENUE, LINEAR)
        assert found is not None
        return found

    def books_agree(self) -> None:
        """Fills and position of micro are those of the exchange, to the last unit."""
        theirs = {
            (fill.order_id, fill.trade_id): fill.lots
            for fill in self.exchange.my_trades("demo", SYMBOL)
        }
        ours = {
            (int(child.venue_order_id), int(fill.trade_id)): fill.quantity_lots
            for parent in self.micro.engine.order_store.known.values()
            for child in parent.children
            for fill in child.fills
        }
        assert ours == theirs
        assert not self.exchange.open_orders("demo")
        lots = self.exchange.position("demo", SYMBOL).lots
        rules = self.micro.engine.inst_states[LINEAR_VENUE, LINEAR].instrument
        assert self.position.quantity == rules.quantity(abs(lots)) * (1 if lots >= 0 else -1)

    def wallet(self) -> Decimal:
        return Decimal(sum(self.exchange.balances("demo")["USDT"])) / E8


def on_linear_desk(folder: Path, body: Callable[[LinearDesk], Awaitable[None]]) -> None:
    """Run a body on a desk that is not started."""

    async def main() -> None:
        async with SimulatorServer(bybit_config(venues=(LINEAR_NAME,))) as server:
            desk = LinearDesk(server, folder, "hmac")
            try:
                await body(desk)
            finally:
                for micro in desk.started:
                    await micro.close()

    asyncio.run(main())


def on_desk(folder: Path, body: Callable[[Desk], Awaitable[None]], *faults: str) -> None:
    """Run a body on a desk that is not started."""

    async def main() -> None:
        async with SimulatorServer(bybit_config(*faults)) as server:
            desk = Desk(server, folder, "hmac")
            try:
                await body(desk)
            finally:
                for micro in desk.started:
                    await micro.close()

    asyncio.run(main())
