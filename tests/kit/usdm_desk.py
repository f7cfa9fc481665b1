"""A whole micro in live mode on simulated USD-M futures, for tests of it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from key_kit import write_key
from live_desk import ACCOUNT, ROOMY, used
from live_desk import Desk as SpotDesk
from spot_kit import demo_key
from usdm_kit import SPOT, SYMBOL, VENUE

from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from citadel_micro.shell.keys.api_key import KeyKind

E8 = Decimal(10) ** 8


class UsdmDesk(SpotDesk):
    """A micro in live mode, and the futures exchange that it trades on."""

    venue = VENUE
    symbol = SYMBOL
    margined = True
    settings = "leverage = 5\nmargin_mode = 'isolated'\n"
    limits = ROOMY

    async def start(self) -> None:
        key = demo_key(self.kind)
        name = "secret" if self.kind == "hmac" else "private_key"
        text = (
            f"venue = '{VENUE}'\naccount = '{ACCOUNT}'\nnetwork = 'testnet'\n"
            f"id = '{key.id.reveal()}'\n{name} = '''{key.secret.reveal()}'''\n"
        )
        stream = f"{self.server.ws_url}/fstream"
        await self.launch(
            self.beginning(ACCOUNT, reconcile="[reconcile]\ninterval_s = 2\n")
            + f"[venues.{VENUE}]\nnetwork = 'testnet'\nsymbols = ['{SYMBOL}']\n"
            f"key_file = '{write_key(self.folder / 'keys', text)}'\n"
            f"rest_url = '{self.server.rest_url}'\nws_url = '{stream}/public/stream'\n"
            f"private_rest_url = '{self.server.rest_url}'\nprivate_ws_url = '{stream}'\n"
            f"ws_api_url = '{self.server.ws_url}'\n{self.settings}{self.limits}"
        )

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return self.server.usdm.exchange

    def books_agree(self) -> None:
        """Fills and position of micro are those of the exchange, to the last unit."""
        self.fills_agree(SPOT)
        self.position_agrees(SPOT)


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
            await used(UsdmDesk(server, folder, kind), body)

    asyncio.run(main())
