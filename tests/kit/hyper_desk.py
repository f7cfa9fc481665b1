"""A whole micro in live mode on the simulated Hyperliquid, for tests of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hyper_kit import SPOT, SYMBOL, VENUE, config_of, hyper_key, side_of
from key_kit import write_key
from live_desk import ROOMY
from live_desk import Desk as SpotDesk
from waiting import until

from citadel_micro.daemon import Micro
from citadel_micro.shell.config.config import load
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from citadel_micro.core.portfolio.position import Position

LIMITS = ROOMY.replace("[risk]", "[risk]\nreporting_currency = 'USDC'")


RULES_FILE = f"""
[[instrument]]
venue = "{VENUE}"
symbol = "{SYMBOL}"
venue_symbol = "BTC"
kind = "linear"
tick = "1"
lot = "0.00001"
min_notional = "10"
maker_fee = "0.00015"
taker_fee = "0.00045"
"""


class HyperDesk(SpotDesk):
    """A micro in live mode, and the exchange that it trades on."""

    venue = VENUE
    symbol = SYMBOL
    settings = "leverage = 5\nmargin_mode = 'isolated'\n"
    key = "agent"
    listed = False
    """Rules from the venue's list, through ccxt, and not from a file: that takes seconds."""

    async def start(self) -> None:
        key = hyper_key(self.key)
        text = (
            f"venue = '{VENUE}'\naccount = '{key.account}'\nnetwork = 'testnet'\n"
            f"private_key = '0x{key.secret.reveal()}'\n"
        )
        path = self.folder / "micro.toml"
        rules = self.folder / "rules.toml"
        rules.write_text(RULES_FILE)
        source = "" if self.listed else f"instruments_file = '{rules}'\n"
        rest, stream = (f"{root}/{VENUE}" for root in (self.server.rest_url, self.server.ws_url))
        path.write_text(
            f"mode = 'live'\nlive_account = '{key.account}'\nrun_dir = '{self.folder}/run'\n"
            "[bridge]\nmarket = 'tcp://127.0.0.1:0'\nmacros = []\ncommand_lines = []\n"
            "macro_required = false\n"
            "[http]\nport = 0\n[journal]\nfsync = false\n[reconcile]\ninterval_s = 2\n"
            f"[venues.{VENUE}]\nnetwork = 'testnet'\nsymbols = ['{SYMBOL}']\n"
            f"key_file = '{write_key(self.folder / 'keys', text)}'\n"
            f"rest_url = '{rest}'\nws_url = '{stream}/ws'\n"
            f"private_rest_url = '{rest}'\nws_api_url = '{stream}/ws'\n{source}{self.settings}{LIMITS}"
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
        return side_of(self.server).exchange

    @property
    def position(self) -> Position:
        found = self.micro.engine.portfolio.position(VENUE, SYMBOL)
        assert found is not None
        return found

    def fault(self, *rules: str) -> None:
        side_of(self.server).venue.faults.extend(rules)

    def no_faults(self) -> None:
        side_of(self.server).venue.faults.clear()

    def books_agree(self) -> None:
        """Fills and position of micro are those of the exchange, to the last unit."""
        theirs = {
            (fill.order_id, fill.trade_id): (fill.lots, fill.ticks, fill.fee_e8)
            for fill in self.exchange.my_trades("demo", SPOT, limit=1_000)
        }
        ours = {
            (int(child.venue_order_id), int(fill.trade_id)): (
                fill.quantity_lots,
                fill.price_ticks,
                int(fill.fee * 10**8),
            )
            for parent in self.micro.engine.order_store.known.values()
            for child in parent.children
            for fill in child.fills
        }
        assert ours == theirs
        assert not self.exchange.open_orders("demo")
        lots = self.exchange.position("demo", SPOT).lots
        rules = self.micro.engine.inst_states[VENUE, SYMBOL].instrument
        assert self.position.quantity == rules.quantity(lots)


def on_hyperliquid(
    folder: Path,
    body: Callable[[HyperDesk], Awaitable[None]],
    *,
    faults: tuple[str, ...] = (),
    seed: int = 1,
) -> None:
    """Let a desk trade on an exchange that is started for it."""

    async def main() -> None:
        async with SimulatorServer(config_of(*faults, seed=seed)) as server:
            desk = HyperDesk(server, folder, "secp256k1")
            try:
                await body(desk)
            finally:
                for micro in desk.started:
                    await micro.close()

    asyncio.run(main())
