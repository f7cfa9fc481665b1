"""A whole micro in live mode on simulated USD-M futures, for tests of it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from key_kit import write_key
from live_desk import ACCOUNT, ROOMY
from live_desk import Desk as SpotDesk
from spot_kit import demo_key
from usdm_kit import SPOT, SYMBOL, VENUE
from waiting import until

from citadel_micro.daemon import Micro
from citadel_micro.shell.config.config import load
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from citadel_micro.core.portfolio.position import Position
    from citadel_micro.shell.keys.api_key import KeyKind

E8 = Decimal(10) ** 8


class UsdmDesk(SpotDesk):
    """A micro in live mode, and the futures exchange that it trades on."""

    venue = VENUE
    symbol = SYMBOL
    settings = "leverage = 5\nmargin_mode = 'isolated'\n"
    limits = ROOMY

    async def start(self) -> None:
        key = demo_key(self.kind)
        name = "secret" if self.kind == "hmac" else "private_key"
        text = (
            f"venue = '{VENUE}'\naccount = '{ACCOUNT}'\nnetwork = 'testnet'\n"
            f"id = '{key.id.reveal()}'\n{name} = '''{key.secret.reveal()}'''\n"
        )
        path = self.folder / "micro.toml"
        stream = f"{self.server.ws_url}/fstream"
        path.write_text(
            f"mode = 'live'\nlive_account = '{ACCOUNT}'\nrun_dir = '{self.folder}/run'\n"
            "[bridge]\nmarket = 'tcp://127.0.0.1:0'\nmacros = []\ncommand_lines = []\n"
            "macro_required = false\n"
            "[http]\nport = 0\n[journal]\nfsync = false\n[reconcile]\ninterval_s = 2\n"
            f"[venues.{VENUE}]\nnetwork = 'testnet'\nsymbols = ['{SYMBOL}']\n"
            f"key_file = '{write_key(self.folder / 'keys', text)}'\n"
            f"rest_url = '{self.server.rest_url}'\nws_url = '{stream}/public/stream'\n"
            f"private_rest_url = '{self.server.rest_url}'\nprivate_ws_url = '{stream}'\n"
            f"ws_api_url = '{self.server.ws_url}'\n{self.settings}{self.limits}"
        )
        self.micro = Micro(load(path))
        self.started.append(self.micro)
        await self.micro.start()
        market = self.micro.engine.markets[VENUE, SYMBOL]
        await until(lambda: market.state == "LIVE" and not self.micro.engine.reconciling)
        margin = self.micro.engine.portfolio.margin
        await until(lambda: (VENUE, SYMBOL) in margin.terms and (VENUE, SYMBOL) in margin.marks)

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return self.server.usdm.exchange

    @property
    def position(self) -> Position:
        found = self.micro.engine.portfolio.position(VENUE, SYMBOL)
        assert found is not None
        return found

    def books_agree(self) -> None:
        """Fills and position of micro are those of the exchange, to the last unit."""
        theirs = {
            (fill.order_id, fill.trade_id): fill.lots
            for fill in self.exchange.my_trades("demo", SPOT)
        }
        ours = {
            (int(child.venue_order_id), int(fill.trade_id)): fill.quantity_lots
            for parent in self.micro.engine.order_store.known.values()
            for child in parent.children
            for fill in child.fills
        }
        assert ours == theirs
        assert not self.exchange.open_orders("demo")
        lots = self.exchange.position("demo", SPOT).lots
        rules = self.micro.engine.inst_states[VENUE, SYMBOL].instrument
        assert self.position.quantity == rules.quantity(lots)

    def wallet(self) -> Decimal:
        return Decimal(sum(self.exchange.balances("demo")["USDT"])) / E8


def on_futures(
    folder: Path,
    body: Callable[[UsdmDesk], Awaitable[None]],
    *,
    kind: KeyKind = "hmac",
    faults: tuple[str, ...] = (),
) -> None:
    """Let a desk trade on an exchange that is started for it."""

    async def main() -> None:
        config = SimulatorConfig(
            symbols=(SPOT,), history_days=1, warm_minutes=1, futures=True, fault_rules=faults
        )
        async with SimulatorServer(config) as server:
            desk = UsdmDesk(server, folder, kind)
            try:
                await body(desk)
            finally:
                for micro in desk.started:
                    await micro.close()

    asyncio.run(main())
