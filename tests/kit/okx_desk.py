"""A whole micro in live mode on the simulated OKX."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from key_kit import write_key
from live_desk import ROOMY, used
from live_desk import Desk as SpotDesk
from okx_kit import SWAP, SYMBOL, VENUE, okx_server, side_of, simulator_key, swap_of

from citadel_micro.simulator.okx.records import account_uid
from citadel_micro.simulator.okx.swap import NAME as SWAPS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

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
    timed = True
    settings = ""

    def text(self) -> str:
        """Its configuration."""
        rest, ws = self.server.rest_url, f"{self.server.ws_url}/ws/v5"
        return (
            self.beginning(ACCOUNT)
            + f"[venues.{VENUE}]\nnetwork = 'demo'\nsymbols = ['{self.symbol}']\n"
            f"key_file = '{write_key(self.folder / 'keys', key_text())}'\n"
            f"rest_url = '{rest}'\nws_url = '{ws}/public'\n"
            f"private_rest_url = '{rest}'\nws_api_url = '{ws}/private'\n{self.settings}{ROOMY}"
        )

    async def start(self) -> None:
        await self.launch(self.text())

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return side_of(self.server).exchange

    @property
    def faults(self) -> Any:  # noqa: ANN401 - the simulator's own
        return side_of(self.server).venue.faults

    def books_agree(self) -> None:
        """Fills, coins and cash of micro are those of the exchange, to the last unit."""
        self.fills_agree(SYMBOL)
        self.coins_agree()


class SwapDesk(Desk):
    """A micro in live mode, and simulated perpetuals that it trades on, in isolated margin."""

    symbol = SWAP
    margined = True
    settings = "leverage = 5\nmargin_mode = 'isolated'\n"

    def text(self) -> str:
        here = f"/{SWAPS}/ws/v5"
        rest = f"rest_url = '{self.server.rest_url}"
        text = super().text().replace("/ws/v5", here).replace(f"{rest}'", f"{rest}/{SWAPS}'")
        return text.replace("[journal]", "[reconcile]\ninterval_s = 2\n[journal]")

    @property
    def exchange(self) -> FuturesExchange:
        return swap_of(self.server).futures

    @property
    def faults(self) -> Any:  # noqa: ANN401 - the simulator's own
        return swap_of(self.server).venue.faults

    def books_agree(self) -> None:
        """Fills and position of micro are those of the exchange, to the last contract."""
        self.fills_agree(SYMBOL)
        self.position_agrees(SYMBOL)


def on_swaps(folder: Path, body: Callable[[SwapDesk], Awaitable[None]]) -> None:
    """Run with a desk of perpetuals that is not started."""

    async def main() -> None:
        async with okx_server(serves=SWAPS) as server:
            await used(SwapDesk(server, folder, "hmac"), body)

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
