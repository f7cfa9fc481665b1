"""A micro in live mode as a process that is killed, again and again, at a living exchange.

The process is the product, over real sockets and with its real journal; it is forked from a server
that has imported it already. It kills itself with SIGKILL at the boundary that it was told: before
or after a durable write, or before or after a command to the exchange is sent, or once it is prepared.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from key_kit import write_key
from kill_markets import Market
from live_kit import LIMITS
from waiting import until

from citadel_micro.core.model.events import OperatorCommand, SignalReceived
from citadel_micro.daemon import Micro
from citadel_micro.shell.config.config import load
from citadel_micro.shell.journal.journal import Journal
from citadel_micro.shell.venue.adapter import LiveAdapter

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkServerProcess

    from citadel_micro.core.model.events import Side
    from citadel_micro.shell.order_adapter import Send, Sign, VenueCommand
    from citadel_micro.simulator.server import SimulatorServer

S: Final = 1_000_000_000
UP_S: Final = 240.0
"""How long a start may take on a busy machine."""
BOUNDARY_S: Final = 60.0
"""One that does not come to its boundary within this is killed where it is."""
LIFE_S: Final = 10.0
"""Within this some are killed wherever they are, at their start too."""
END_S: Final = 90.0
ROOMY: Final = (
    LIMITS.replace("[risk]", "[risk]\nlease_required = false")
    .replace("max_order_notional = 100", "max_order_notional = 100000")
    .replace("max_open_orders = 5", "max_open_orders = 100")
    .replace("= 200\n", "= 1000000\n")
    .replace("= 200}", "= 1000000}")
    .replace("max_daily_loss = 20", "max_daily_loss = 100000")
    .replace("max_rolling_loss = 10", "max_rolling_loss = 100000")
    .replace("max_drawdown = 30", "max_drawdown = 100000")
)


def configure(folder: Path, server: SimulatorServer, market: Market) -> Path:
    """The configuration of a micro that trades on this simulator."""
    more = market.settings
    if text := market.rules_text():
        rules = folder / "rules.toml"
        rules.write_text(text)
        more += f"instruments_file = '{rules}'\n"
    hosts = "".join(f"{name} = '{url}'\n" for name, url in market.addresses(server).items())
    limits = ROOMY.replace("[risk]", f"[risk]\nreporting_currency = '{market.money}'")
    path = folder / "micro.toml"
    path.write_text(
        f"mode = 'live'\nlive_account = '{market.account}'\nrun_dir = '{folder}/run'\n"
        "[bridge]\nmarket = 'tcp://127.0.0.1:0'\nmacros = []\ncommand_lines = []\n"
        "macro_required = false\n[http]\nenabled = false\n[reconcile]\naudit_s = 3\ninterval_s = 5\n"
        "[live]\nunverified_share = 1\n"
        f"[venues.{market.venue}]\nnetwork = '{market.network}'\nsymbols = ['{market.symbol}']\n"
        f"key_file = '{write_key(folder / 'keys', market.key_text())}'\n{hosts}{more}{limits}"
    )
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One life."""

    config: Path
    market: Market
    number: int
    seed: int
    kill_at: int
    """At which boundary it kills itself; 0 for the last life, which ends everything in order."""
    book: Path
    """What the last one writes: its orders, fills and balances."""


def start(plan: Plan) -> ForkServerProcess:
    """A process for one life."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["killed_micro"])
    process = context.Process(target=live, args=(plan,), daemon=True)
    process.start()
    return process


def live(plan: Plan) -> None:
    """The process."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    count = 0

    def boundary() -> None:
        nonlocal count
        count += 1
        if count == plan.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    async def main() -> None:
        await _Life(plan).run()

    _at_each(boundary)
    asyncio.run(main())


def _at_each(boundary: Callable[[], None]) -> None:
    sync, prepare, rows = Journal.sync, LiveAdapter.prepare, Journal.venue_state
    start_sync = Journal.start_sync

    def watched_start(self: Journal) -> None:
        start_sync(self)
        boundary()

    def watched_sync(self: Journal) -> None:
        boundary()
        sync(self)
        boundary()

    def watched_prepare(self: LiveAdapter, command: VenueCommand, now_ns: int) -> Sign:
        sign = prepare(self, command, now_ns)
        boundary()

        def watched_sign() -> Send:
            send = sign()
            boundary()

            def watched_send() -> None:
                boundary()
                send()
                boundary()

            return watched_send

        return watched_sign

    def watched_rows(self: Journal, now_ns: int, venue: str, changes: dict[str, object]) -> None:
        rows(self, now_ns, venue, changes)
        boundary()

    Journal.start_sync = watched_start  # type: ignore[method-assign]
    Journal.sync = watched_sync  # type: ignore[method-assign]
    Journal.venue_state = watched_rows  # type: ignore[method-assign,assignment]
    LiveAdapter.prepare = watched_prepare  # type: ignore[method-assign]


class _Life:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.key = (plan.market.venue, plan.market.symbol)
        self.chance = Random(f"{plan.seed} {plan.number}")
        self.micro = Micro(load(plan.config))

    async def run(self) -> None:
        await self.micro.start()
        engine = self.micro.engine
        market = engine.markets[self.key]
        await until(lambda: market.state == "LIVE" and not engine.reconciling, UP_S)
        number = 0
        while self.plan.kill_at:
            number += 1
            self.micro.runner.post(self._signal(number))
            await asyncio.sleep(self.chance.choice((0.02, 0.1, 0.4)))
        await self._end()

    def _signal(self, number: int) -> SignalReceived:
        chance, engine = self.chance, self.micro.engine
        now_ns = self.micro.runner.clock.now()
        mid = engine.markets[self.key].mid() or 100_000.0
        side: Side = chance.choice(("buy", "sell"))
        rests = chance.random() < 0.3
        algo = "limit" if rests else chance.choice(("chase_limit", "marketable_limit"))
        lots = chance.choice((2, 5, 20) if self.plan.market.usdm else (50, 200, 1_000))
        away = -0.02 if side == "buy" else 0.02
        rules = engine.inst_states[self.key].instrument
        limit = Decimal(str(mid * (1 + (away if rests else -away / 4))))
        return SignalReceived(
            signal_id=f"k{self.plan.number}-{number}-{lots}",
            strategy="Killed",
            venue=self.key[0],
            symbol=self.key[1],
            side=side,
            quantity=rules.quantity(lots),
            kind="order",
            # A market order would be one limit order within a cap, whatever algorithm it names.
            order_type="market" if algo == "marketable_limit" else "limit",
            limit_price=None
            if algo == "marketable_limit"
            else rules.price(rules.ticks(limit, "nearest")),
            stop_price=None,
            time_in_force="GTC",
            reduce_only=False,
            leverage=Decimal(1),
            algo=algo,
            params=(),
            confidence=None,
            model_id="",
            tag="",
            candle_ns=0,
            created_ns=now_ns,
            expires_ns=now_ns + 60 * S,
            epoch=1,
            seq=number,
        )

    async def _end(self) -> None:
        engine = self.micro.engine
        self.micro.runner.post(
            OperatorCommand(action="cancel_all", scope="", trip_id="", reason="the end")
        )
        await until(lambda: not engine.order_store.active, END_S)
        await asyncio.sleep(6)  # one more comparison with the exchange
        self.plan.book.write_text(json.dumps(self._book()))
        await self.micro.stop("the end")
        await self.micro.close()

    def _book(self) -> dict[str, Any]:
        engine = self.micro.engine
        ids = cast("LiveAdapter", self.micro.adapters[self.key[0]]).ids
        balances = {}
        coins = () if self.plan.market.margined else ("BTC",)
        for currency in (*coins, self.plan.market.money):
            balance = engine.portfolio.balance(self.key[0], currency)
            balances[currency] = None if balance is None else [str(balance.free), str(balance.used)]
        return {
            "parents": {
                parent.id: {"target": parent.target, "filled": parent.filled}
                for parent in engine.order_store.known.values()
            },
            "orders": {
                ids.theirs(child.client_id): {
                    "parent": parent.id,
                    "filled": child.filled,
                    "trades": sorted(fill.trade_id for fill in child.fills),
                }
                for parent, child in engine.order_store.children.values()
            },
            "position": str(engine.portfolio.quantity(*self.key)),
            "balances": balances,
            "trips": [f"{trip.code} {trip.scope}" for trip in engine.risk.breakers.trips],
        }
