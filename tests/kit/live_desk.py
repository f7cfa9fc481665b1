"""A whole micro in live mode on the simulated exchange, for tests of it."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING

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
    from pathlib import Path

    from citadel_micro.core.model.events import Side
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.shell.keys.api_key import KeyKind
    from citadel_micro.simulator.server import SimulatorServer

S = 1_000_000_000
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
    top = ""
    """Further settings, before the sections."""
    of_venue = ""
    """Further settings of the venue."""

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
        path = self.folder / "micro.toml"
        path.write_text(
            f"mode = 'live'\nlive_account = '{ACCOUNT}'\nrun_dir = '{self.folder}/run'\n"
            f"{self.top}[bridge]\nmarket = 'tcp://127.0.0.1:0'\nmacros = []\ncommand_lines = []\n"
            "macro_required = false\n"
            "[http]\nport = 0\n[journal]\nfsync = false\n"
            f"[venues.{VENUE}]\nnetwork = 'testnet'\nsymbols = ['{SYMBOL}']\n{self.of_venue}"
            f"key_file = '{write_key(self.folder / 'keys', text)}'\n"
            f"rest_url = '{self.server.rest_url}'\nws_url = '{self.server.ws_url}'\n"
            f"private_rest_url = '{self.server.rest_url}'\n"
            f"ws_api_url = '{self.server.ws_url}/ws-api/v3'\n{ROOMY}"
        )
        self.micro = Micro(load(path))
        self.started.append(self.micro)
        await self.micro.start()
        market = self.micro.engine.markets[VENUE, SYMBOL]
        await until(lambda: market.state == "LIVE" and not self.micro.engine.reconciling)
        adapter = self.micro.adapters[VENUE]
        assert isinstance(adapter, LiveAdapter)
        await until(lambda: adapter.stream.current is not None)

    def signal(
        self,
        side: Side,
        quantity: str,
        *,
        algo: str = "chase_limit",
        limit: str = "",
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
                kind="order",
                order_type="limit" if limit else "market",
                limit_price=Decimal(limit) if limit else None,
                stop_price=None,
                time_in_force="GTC",
                reduce_only=False,
                leverage=Decimal(1),
                algo=algo,
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

    def books_agree(self) -> None:
        """Fills, coins and cash of micro are those of the exchange, to the last unit."""
        engine = self.micro.engine
        exchange = self.server.spot.venue.exchange
        theirs = {
            (fill.order_id, fill.trade_id): fill for fill in exchange.my_trades("demo", SYMBOL)
        }
        ours = {
            (int(child.venue_order_id), int(fill.trade_id)): fill
            for parent in engine.order_store.known.values()
            for child in parent.children
            for fill in child.fills
        }
        assert sorted(ours) == sorted(theirs)
        assert not exchange.open_orders("demo")
        for currency in ("BTC", "USDT"):
            balance = engine.portfolio.balance(VENUE, currency)
            assert balance is not None
            assert balance.total * 10**8 == sum(exchange.balances("demo")[currency])
