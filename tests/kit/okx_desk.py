"""A whole micro in live mode on the simulated OKX."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from key_kit import write_key
from live_desk import ROOMY
from live_desk import Desk as SpotDesk
from okx_kit import SWAP, SYMBOL, VENUE, okx_server, side_of, simulator_key, swap_of
from waiting import until

from citadel_micro.daemon import Micro
from citadel_micro.shell.config.config import load
from citadel_micro.shell.venue.adapter import LiveAdapter
from citadel_micro.simulator.okx.records import account_uid
from citadel_micro.simulator.okx.swap import NAME as SWAPS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from citadel_micro.core.portfolio.position import Position
    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange

ACCOUNT = account_uid("demo")


def key_text() -> str:
    """A key file of the demo account."""
    key = simulator_key()
    return (
        f"venue = '{VENUE}'\naccount = '{ACCOUNT}'\nnetwork = 'demo'\nid = '{key.key_id}'\n"
        f"secret = '{key.secret}'\npassphrase = '{key.passphrase}'\n"
    )


class Desk(SpotDesk):
    """A micro in live mode, and the exchange that it trades on."""

    venue = VENUE
    symbol = SYMBOL
    settings = ""

    def write(self) -> Path:
        """Its configuration."""
        path = self.folder / "micro.toml"
        rest, ws = self.server.rest_url, f"{self.server.ws_url}/ws/v5"
        path.write_text(
            f"mode = 'live'\nlive_account = '{ACCOUNT}'\nrun_dir = '{self.folder}/run'\n"
            "[bridge]\nmarket = 'tcp://127.0.0.1:0'\nmacros = []\ncommand_lines = []\n"
            "macro_required = false\n"
            "[http]\nport = 0\n[journal]\nfsync = false\n"
            f"[venues.{VENUE}]\nnetwork = 'demo'\nsymbols = ['{self.symbol}']\n"
            f"key_file = '{write_key(self.folder / 'keys', key_text())}'\n"
            f"rest_url = '{rest}'\nws_url = '{ws}/public'\n"
            f"private_rest_url = '{rest}'\nws_api_url = '{ws}/private'\n{self.settings}{ROOMY}"
        )
        return path

    async def start(self) -> None:
        self.micro = Micro(load(self.write()))
        self.started.append(self.micro)
        await self.micro.start()
        market = self.micro.engine.markets[VENUE, SYMBOL]
        await until(lambda: market.state == "LIVE" and not self.micro.engine.reconciling)
        adapter = self.micro.adapters[VENUE]
        assert isinstance(adapter, LiveAdapter)
        await until(lambda: adapter.stream.current is not None and adapter.dead_man.armed)

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return side_of(self.server).exchange

    @property
    def faults(self) -> Any:  # noqa: ANN401 - the simulator's own
        return side_of(self.server).venue.faults

    def books_agree(self) -> None:
        """Fills, coins and cash of micro are those of the exchange, to the last unit."""
        theirs = {
            (fill.order_id, fill.trade_id) for fill in self.exchange.my_trades("demo", SYMBOL)
        }
        ours = {
            (int(child.venue_order_id), int(fill.trade_id))
            for parent in self.micro.engine.order_store.known.values()
            for child in parent.children
            for fill in child.fills
        }
        assert ours == theirs
        assert not self.exchange.open_orders("demo")
        for currency in ("BTC", "USDT"):
            balance = self.micro.engine.portfolio.balance(VENUE, currency)
            assert balance is not None
            assert balance.total * 10**8 == sum(self.exchange.balances("demo")[currency])


class SwapDesk(Desk):
    """A micro in live mode, and simulated perpetuals that it trades on, in isolated margin."""

    symbol = SWAP
    settings = "leverage = 5\nmargin_mode = 'isolated'\n"

    def write(self) -> Path:
        path = super().write()
        here = f"/{SWAPS}/ws/v5"
        text = path.read_text().replace("/ws/v5", here)
        rest = f"rest_url = '{self.server.rest_url}"
        text = text.replace(f"{rest}'", f"{rest}/{SWAPS}'")
        path.write_text(text.replace("[journal]", "[reconcile]\ninterval_s = 2\n[journal]"))
        return path

    async def start(self) -> None:
        self.micro = Micro(load(self.write()))
        self.started.append(self.micro)
        await self.micro.start()
        engine, here = self.micro.engine, (VENUE, SWAP)
        await until(lambda: engine.markets[here].state == "LIVE" and not engine.reconciling)
        margin = engine.portfolio.margin
        await until(lambda: here in margin.terms and here in margin.marks)
        adapter = self.micro.adapters[VENUE]
        assert isinstance(adapter, LiveAdapter)
        await until(lambda: adapter.dead_man.armed)

    @property
    def exchange(self) -> FuturesExchange:
        return swap_of(self.server).futures

    @property
    def faults(self) -> Any:  # noqa: ANN401 - the simulator's own
        return swap_of(self.server).venue.faults

    @property
    def position(self) -> Position:
        found = self.micro.engine.portfolio.position(VENUE, SWAP)
        assert found is not None
        return found

    @property
    def wallet(self) -> Decimal:
        """In USDT, with the margin of positions and orders."""
        return Decimal(sum(self.exchange.balances("demo")["USDT"])) / 10**8

    def books_agree(self) -> None:
        """Fills and position of micro are those of the exchange, to the last contract."""
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
        rules = self.micro.engine.inst_states[VENUE, SWAP].instrument
        assert self.position.quantity == rules.quantity(abs(lots)) * (1 if lots >= 0 else -1)


def on_swaps(folder: Path, body: Callable[[SwapDesk], Awaitable[None]]) -> None:
    """Run with a desk of perpetuals that is not started."""

    async def main() -> None:
        async with okx_server(serves=SWAPS) as server:
            desk = SwapDesk(server, folder, "hmac")
            try:
                await body(desk)
            finally:
                for micro in desk.started:
                    await micro.close()

    asyncio.run(main())


def on_okx(folder: Path, body: Callable[[Desk], Awaitable[None]], *, settings: str = "") -> None:
    """Run with a desk that has started."""

    async def main() -> None:
        async with okx_server() as server:
            desk = Desk(server, folder, "hmac")
            desk.settings = settings
            try:
                await desk.start()
                await body(desk)
            finally:
                for micro in desk.started:
                    await micro.close()

    asyncio.run(main())
