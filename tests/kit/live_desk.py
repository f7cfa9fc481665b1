"""A whole micro in live mode on the simulated exchange, for tests of it."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from key_kit import write_key
from live_kit import LIMITS, UNHURRIED
from spot_kit import SYMBOL, VENUE, demo_key
from waiting import until

from citadel_micro.core.model.events import SignalReceived
from citadel_micro.daemon import Micro
from citadel_micro.shell.config.config import load
from citadel_micro.shell.venue.adapter import LiveAdapter
from citadel_micro.simulator.binance_spot.records import account_uid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from citadel_micro.core.model.events import Side
    from citadel_micro.core.orders.children import ChildFill
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.core.portfolio.position import Position
    from citadel_micro.shell.keys.api_key import KeyKind
    from citadel_micro.simulator.server import SimulatorServer

S = 1_000_000_000
DeskT = TypeVar("DeskT", bound="Desk")
ACCOUNT = account_uid("demo")
ROOMY = (
    LIMITS.replace("[risk]", "[risk]\nlease_required = false")
    .replace("max_order_notional = 100", "max_order_notional = 100000")
    .replace("= 200\n", "= 100000\n")
    .replace("= 200}", "= 100000}")
    .replace("= 20\n", "= 100000\n")
    .replace("= 10\n", "= 100000\n")
    .replace("= 30\n", "= 100000\n")
    + UNHURRIED
)


class Desk:
    """A micro in live mode, and the exchange that it trades on."""

    venue = VENUE
    symbol = SYMBOL
    cash = "USDT"
    """What margin and profits are in."""
    top = ""
    """Further settings, before the sections."""
    of_venue = ""
    """Further settings of the venue."""
    margined = False
    """It has leverage and marks, which are waited for."""
    timed = False
    """The venue's timer, which cancels everything, is waited for."""

    def __init__(self, server: SimulatorServer, folder: Path, kind: KeyKind) -> None:
        self.server = server
        self.folder = folder
        self.kind = kind
        self.micro: Micro
        self.started: list[Micro] = []
        self._numbers = iter(range(1, 100))

    async def start(self) -> None:
        key = demo_key(self.kind)
        name = "secret" if self.kind == "hmac" else "private_key"
        text = (
            f"venue = '{VENUE}'\naccount = '{ACCOUNT}'\nnetwork = 'testnet'\n"
            f"id = '{key.id.reveal()}'\n{name} = '''{key.secret.reveal()}'''\n"
        )
        await self.launch(
            self.beginning(ACCOUNT)
            + f"[venues.{VENUE}]\nnetwork = 'testnet'\nsymbols = ['{SYMBOL}']\n{self.of_venue}"
            f"key_file = '{write_key(self.folder / 'keys', text)}'\n"
            f"rest_url = '{self.server.rest_url}'\nws_url = '{self.server.ws_url}'\n"
            f"private_rest_url = '{self.server.rest_url}'\n"
            f"ws_api_url = '{self.server.ws_url}/ws-api/v3'\n{ROOMY}"
        )

    def beginning(self, account: str | int, *, reconcile: str = "") -> str:
        """The sections of its configuration that are the same on every venue."""
        return (
            f"mode = 'live'\nlive_account = '{account}'\nrun_dir = '{self.folder}/run'\n"
            f"{self.top}[bridge]\nmarket = 'tcp://127.0.0.1:0'\nmacros = []\ncommand_lines = []\n"
            f"macro_required = false\n[http]\nport = 0\n[journal]\nfsync = false\n{reconcile}"
        )

    async def launch(self, text: str) -> None:
        """Start a micro of this configuration, and wait until it can trade."""
        path = self.folder / "micro.toml"
        path.write_text(text)
        self.micro = Micro(load(path))
        self.started.append(self.micro)
        await self.micro.start()
        engine, here = self.micro.engine, (self.venue, self.symbol)
        await until(lambda: engine.markets[here].state == "LIVE" and not engine.reconciling)
        adapter = self.micro.adapters[self.venue]
        assert isinstance(adapter, LiveAdapter)
        if self.margined:
            margin = engine.portfolio.margin
            await until(lambda: here in margin.terms and here in margin.marks)
        else:
            await until(lambda: adapter.stream.current is not None)
        if self.timed:
            await until(lambda: adapter.dead_man.armed)

    def signal(
        self,
        side: Side,
        quantity: str,
        *,
        algo: str = "chase_limit",
        limit: str = "",
        stop: str = "",
        symbol: str = "",
        **params: str | int,
    ) -> str:
        now_ns = self.micro.runner.clock.now()
        name = f"s-{next(self._numbers)}-{time.time_ns()}"
        self.micro.runner.post(
            SignalReceived(
                signal_id=name,
                strategy="Test",
                venue=self.venue,
                symbol=symbol or self.symbol,
                side=side,
                quantity=Decimal(quantity),
                kind="stop" if stop else "order",
                order_type="limit" if limit else "market",
                limit_price=Decimal(limit) if limit else None,
                stop_price=Decimal(stop) if stop else None,
                time_in_force="GTC",
                reduce_only=False,
                leverage=Decimal(1),
                algo="" if stop else algo,
                params=tuple(sorted(params.items())),
                confidence=None,
                model_id="",
                tag="",
                candle_ns=0,
                created_ns=now_ns,
                expires_ns=now_ns + 600 * S,
                epoch=1,
                seq=0,
            )
        )
        return name

    def parent(self, name: str) -> Parent:
        return self.micro.engine.order_store.known[name]

    async def ended(self, name: str) -> Parent:
        await until(lambda: self.parent(name).closed, 60)
        return self.parent(name)

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return self.server.spot.venue.exchange

    @property
    def position(self) -> Position:
        found = self.micro.engine.portfolio.position(self.venue, self.symbol)
        assert found is not None
        return found

    def wallet(self) -> Decimal:
        """In the cash, with the margin of positions and orders."""
        return Decimal(sum(self.exchange.balances("demo")[self.cash])) / 10**8

    def fills(self) -> dict[tuple[int, int], ChildFill]:
        """All of micro's, by the venue's ids of order and trade."""
        return {
            (int(child.venue_order_id), int(fill.trade_id)): fill
            for parent in self.micro.engine.order_store.known.values()
            for child in parent.children
            for fill in child.fills
        }

    def books_agree(self) -> None:
        """Fills, coins and cash of micro are those of the exchange, to the last unit."""
        self.fills_agree(SYMBOL)
        self.coins_agree()

    def fills_agree(self, name: str) -> None:
        """Every fill is there, once; ``name``: the exchange's of the symbol."""
        theirs = {
            (fill.order_id, fill.trade_id): fill.lots
            for fill in self.exchange.my_trades("demo", name)
        }
        assert {key: fill.quantity_lots for key, fill in self.fills().items()} == theirs
        assert not self.exchange.open_orders("demo")

    def coins_agree(self) -> None:
        """Coins and cash are the exchange's."""
        for currency in ("BTC", "USDT"):
            balance = self.micro.engine.portfolio.balance(self.venue, currency)
            assert balance is not None
            assert balance.total * 10**8 == sum(self.exchange.balances("demo")[currency])

    def position_agrees(self, name: str) -> None:
        """The position is the exchange's, to the last lot."""
        lots = self.exchange.position("demo", name).lots
        rules = self.micro.engine.inst_states[self.venue, self.symbol].instrument
        assert self.position.quantity == rules.quantity(abs(lots)) * (1 if lots >= 0 else -1)


async def used(desk: DeskT, body: Callable[[DeskT], Awaitable[None]]) -> None:
    """Run a body with a desk, and close every micro that it has started."""
    try:
        await body(desk)
    finally:
        for micro in desk.started:
            await micro.close()
