"""A whole micro in live mode on the simulated Hyperliquid, for tests of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hyper_kit import SPOT, SYMBOL, VENUE, config_of, hyper_key, side_of
from key_kit import write_key
from live_desk import ROOMY, used
from live_desk import Desk as SpotDesk

from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


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
    cash = "USDC"
    margined = True
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
        rules = self.folder / "rules.toml"
        rules.write_text(RULES_FILE)
        source = "" if self.listed else f"instruments_file = '{rules}'\n"
        rest, stream = (f"{root}/{VENUE}" for root in (self.server.rest_url, self.server.ws_url))
        await self.launch(
            self.beginning(key.account, reconcile="[reconcile]\ninterval_s = 2\n")
            + f"[venues.{VENUE}]\nnetwork = 'testnet'\nsymbols = ['{SYMBOL}']\n"
            f"key_file = '{write_key(self.folder / 'keys', text)}'\n"
            f"rest_url = '{rest}'\nws_url = '{stream}/ws'\n"
            f"private_rest_url = '{rest}'\nws_api_url = '{stream}/ws'\n{source}{self.settings}{LIMITS}"
        )

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return side_of(self.server).exchange

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
            key: (fill.quantity_lots, fill.price_ticks, int(fill.fee * 10**8))
            for key, fill in self.fills().items()
        }
        assert ours == theirs
        assert not self.exchange.open_orders("demo")
        self.position_agrees(SPOT)


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
            await used(HyperDesk(server, folder, "secp256k1"), body)

    asyncio.run(main())
