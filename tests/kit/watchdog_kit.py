"""Watchdogs of one account of the simulated exchange, and a micro that is heard or not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from key_kit import write_key
from live_kit import LIMITS
from spot_kit import SYMBOL, VENUE, demo_key
from waiting import until

from citadel_micro.adapters.live import VENUES as LIVE_VENUES
from citadel_micro.adapters.live import cancel_desk
from citadel_micro.preflight.boot import check_watchdog, read_watchdog_keys
from citadel_micro.shell.config.config import load
from citadel_micro.shell.journal.account_mark import folder_secret, mark_of
from citadel_micro.shell.networks import with_hosts
from citadel_micro.shell.ops.watchdog_server import WatchdogServer
from citadel_micro.sim.exchange.model import OrderRequest
from citadel_micro.simulator.accounts import DEFAULT_ACCOUNTS, AccountConfig
from citadel_micro.simulator.binance_spot.records import account_uid
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer
from citadel_micro.watchdog import guard as guard_module
from citadel_micro.watchdog import watch as watch_module
from citadel_micro.watchdog.watch import Watchdog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    import pytest

    from citadel_micro.shell.config.config import MicroConfig

ACCOUNT = account_uid("demo")
E8 = 10**8


def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions ten times a second, and the shortest waits; the limits themselves are tested apart."""
    monkeypatch.setattr(watch_module, "ASK_EVERY_S", 0.1)
    monkeypatch.setattr(watch_module, "CHECK_AGAIN_S", 0.2)
    for name in ("AGAIN_S", "SETTLING_EVERY_S", "FAILED_EVERY_S"):
        monkeypatch.setattr(guard_module, name, 0.2)


def watchdog_file(folder: Path, rest_url: str, ws_url: str, extra: str = "") -> Path:
    """The configuration of a micro on the account ``demo``, and of its watchdog."""
    micro_key, own_key = demo_key("hmac"), demo_key("ed25519")
    head = f"venue = '{VENUE}'\naccount = '{ACCOUNT}'\nnetwork = 'testnet'\n"
    first = write_key(
        folder / "keys",
        f"{head}id = '{micro_key.id.reveal()}'\nsecret = '{micro_key.secret.reveal()}'\n",
    )
    second = write_key(
        folder / "keys",
        f"{head}id = '{own_key.id.reveal()}'\nprivate_key = '''{own_key.secret.reveal()}'''\n",
        name="watchdog.toml",
    )
    path = folder / "micro.toml"
    path.write_text(
        f"mode = 'live'\nlive_account = '{ACCOUNT}'\nrun_dir = '{folder}/run'\n"
        "[bridge]\nmarket = 'tcp://127.0.0.1:0'\nmacros = []\ncommand_lines = []\n"
        "[http]\nport = 0\n[journal]\nfsync = false\n"
        f"[venues.{VENUE}]\nnetwork = 'testnet'\nsymbols = ['{SYMBOL}']\n"
        f"key_file = '{first}'\nwatchdog_key_file = '{second}'\n"
        f"rest_url = '{rest_url}'\nws_url = '{ws_url}'\n"
        f"private_rest_url = '{rest_url}'\nws_api_url = '{ws_url}'\n"
        f"[watchdog]\nport = 0\nsilence_s = 3\n{extra}\n{LIMITS}"
    )
    return path


class Yard:
    """One exchange, one run folder, any number of watchdogs, and a micro that only answers."""

    def __init__(self, server: SimulatorServer, folder: Path, extra: str) -> None:
        self.server = server
        self.config: MicroConfig = with_hosts(
            load(watchdog_file(folder, server.rest_url, server.ws_url, extra))
        )
        self.config = self.with_watchdog(silence_s=1.0)
        self.config.run_dir.mkdir()
        self.secret = folder_secret(self.config.run_dir)
        self.micro: WatchdogServer | None = None
        self.in_command: tuple[str, ...] = (VENUE,)
        self.dogs: list[Watchdog] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._numbers = iter(range(1, 10_000))

    # micro

    async def appear(self) -> WatchdogServer:
        self.micro = WatchdogServer(self.config.run_dir, "micro-1", time.monotonic)
        self.micro.in_command = lambda: self.in_command
        await self.micro.start()
        return self.micro

    @property
    def post(self) -> WatchdogServer:
        """Of the micro that is there."""
        assert self.micro is not None
        return self.micro

    async def vanish(self) -> None:
        assert self.micro is not None
        await self.micro.close()
        self.micro = None

    def place(self, client_id: str = "", count: int = 1) -> None:
        """Bids far below the market: micro's, or another client's."""
        mark = mark_of(self.secret, VENUE, f"testnet:{ACCOUNT}")
        for _ in range(count):
            self.exchange.place(
                "demo",
                OrderRequest(
                    symbol=SYMBOL,
                    side="BUY",
                    type="LIMIT",
                    quantity_e8=E8 // 1_000,
                    price_e8=20_000 * E8,
                    client_id=client_id or f"sc{mark}run-1-{next(self._numbers)}",
                ),
            )

    # the exchange

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return self.server.spot.venue.exchange

    def open(self) -> list[str]:
        return [order.client_id for order in self.exchange.open_orders("demo")]

    def fault(self, *rules: str) -> None:
        self.server.spot.venue.faults.extend(rules)

    # watchdogs

    async def watch(self, config: MicroConfig | None = None) -> Watchdog:
        config = config or self.config
        keys = read_watchdog_keys(config)

        async def permit(venue: str) -> None:
            inspector = LIVE_VENUES[venue]().inspector
            await check_watchdog(inspector, config, keys[venue], time.time_ns)

        dog = Watchdog(config, keys, cancel_desk, permit, {VENUE: "ours"})
        await dog.start()
        self.dogs.append(dog)
        self.tasks.append(asyncio.create_task(dog.run()))
        return dog

    async def guarded(self) -> None:
        """Micro is there, and so is a watchdog that stands by."""
        post = await self.appear()
        await self.watch()
        await until(lambda: post.armed(VENUE))

    def with_watchdog(self, **changes: object) -> MicroConfig:
        """The configuration with other settings, shorter than it permits."""
        section = self.config.watchdog.model_copy(update=changes)
        return self.config.model_copy(update={"watchdog": section})

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for dog in self.dogs:
            await dog.close()
        if self.micro is not None:
            await self.micro.close()


def in_yard(
    folder: Path,
    body: Callable[[Yard], Awaitable[None]],
    *,
    extra: str = "",
    accounts: tuple[AccountConfig, ...] = DEFAULT_ACCOUNTS,
) -> None:
    """Run a test there."""

    async def main() -> None:
        config = SimulatorConfig(
            symbols=(SYMBOL,), history_days=1, warm_minutes=1, accounts=accounts
        )
        async with SimulatorServer(config) as server:
            yard = Yard(server, folder, extra)
            try:
                await body(yard)
            finally:
                await yard.close()

    asyncio.run(main())
