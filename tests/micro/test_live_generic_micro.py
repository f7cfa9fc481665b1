"""A whole micro in live mode on a venue that it reaches through ccxt alone: ``ccxt-binance``."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from generic_kit import VENUE
from key_kit import write_key
from live_desk import ACCOUNT, ROOMY
from live_desk import Desk as SpotDesk
from spot_kit import SYMBOL, demo_key
from waiting import until, until_it_holds

from citadel_micro.adapters.orders import orders_of
from citadel_micro.core.model.events import CancelReceived
from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.daemon import Micro
from citadel_micro.preflight.boot import ask, query_of, read_keys
from citadel_micro.preflight.trial_order import walk
from citadel_micro.shell.config.config import load
from citadel_micro.shell.instruments.run_rules import load_rules
from citadel_micro.shell.journal.verify import verify_journal
from citadel_micro.shell.ops.health import check
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


class Desk(SpotDesk):
    """A micro that reaches the exchange through ccxt."""

    venue = VENUE

    def configure(self) -> Path:
        key = demo_key()
        text = (
            f"venue = '{VENUE}'\naccount = '{ACCOUNT}'\nnetwork = 'testnet'\n"
            f"id = '{key.id.reveal()}'\nsecret = '{key.secret.reveal()}'\n"
        )
        rules = self.folder / "rules.toml"
        rules.write_text(
            f"[[instrument]]\nvenue = '{VENUE}'\nsymbol = '{SYMBOL}'\nvenue_symbol = 'BTCUSDT'\n"
            "tick = '0.01'\nlot = '0.00001'\nmin_notional = '5'\n"
        )
        path = self.folder / "micro.toml"
        path.write_text(
            f"mode = 'live'\nlive_account = '{ACCOUNT}'\nrun_dir = '{self.folder}/run'\n"
            "[bridge]\nmarket = 'tcp://127.0.0.1:0'\nmacros = []\ncommand_lines = []\n"
            "macro_required = false\n[live]\nunverified_share = 1\n"
            "[http]\nport = 0\n[journal]\nfsync = false\n[reconcile]\ninterval_s = 2\n"
            f"[venues.{VENUE}]\nnetwork = 'testnet'\nsymbols = ['{SYMBOL}']\n"
            f"key_file = '{write_key(self.folder / 'keys', text)}'\ninstruments_file = '{rules}'\n"
            f"rest_url = '{self.server.rest_url}'\nws_url = '{self.server.ws_url}'\n"
            f"private_rest_url = '{self.server.rest_url}'\nws_api_url = '{self.server.ws_url}'\n"
            f"{ROOMY}"
        )
        return path

    async def start(self) -> None:
        self.micro = Micro(load(self.configure()))
        self.started.append(self.micro)
        await self.micro.start()
        engine = self.micro.engine
        market = engine.markets[VENUE, SYMBOL]
        await until(lambda: market.state == "LIVE" and not engine.reconciling)

    def books_agree(self) -> None:
        engine, exchange = self.micro.engine, self.server.spot.venue.exchange
        theirs = {(each.order_id, each.trade_id) for each in exchange.my_trades("demo", SYMBOL)}
        ours = [
            (int(child.venue_order_id), int(fill.trade_id))
            for parent in engine.order_store.known.values()
            for child in parent.children
            for fill in child.fills
        ]
        assert sorted(ours) == sorted(theirs)
        assert not exchange.open_orders("demo")

    def balances_agree(self) -> bool:
        engine, exchange = self.micro.engine, self.server.spot.venue.exchange
        for currency in ("BTC", "USDT"):
            balance = engine.portfolio.balance(VENUE, currency)
            if balance is None or balance.total * 10**8 != sum(exchange.balances("demo")[currency]):
                return False
        return True


def run(folder: Path, body: Callable[[Desk], Awaitable[None]], *, started: bool = True) -> None:
    async def main() -> None:
        config = SimulatorConfig(symbols=(SYMBOL,), history_days=1, warm_minutes=1)
        async with SimulatorServer(config) as server:
            desk = Desk(server, folder, "hmac")
            try:
                if started:
                    await desk.start()
                await body(desk)
            finally:
                for micro in desk.started:
                    await micro.close()

    asyncio.run(main())


def test_a_chase_to_the_fill_and_out_again(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        bought = await desk.ended(
            desk.signal("buy", "0.01", time_limit_ms=3_000, on_timeout="cross_ioc")
        )
        assert bought.state is ParentState.FILLED
        assert bought.filled == bought.target
        sold = await desk.ended(desk.signal("sell", "0.009", algo="marketable_limit"))
        assert sold.state is ParentState.FILLED
        await until(desk.balances_agree)
        _, told = check(desk.micro.vitals)
        assert told["execution"] == {VENUE: "unverified"}
        assert await desk.micro.stop("the end") is True
        desk.books_agree()
        path = desk.micro.journal.path
        await desk.micro.close()
        said: list[str] = []
        assert verify_journal(path, said.append) == 0, said

    run(tmp_path, body)


def test_a_lost_answer_then_a_mute_stream_leave_the_books_in_agreement(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        desk.server.spot.venue.faults.extend(["answer-lost=once", "mute=nth:4,for=0"])
        for side in ("buy", "sell"):
            quantity = "0.01" if side == "buy" else "0.009"
            # Not a post-only one: the exchange may refuse it, and where the answer is lost nobody hears of
            # that. Through ccxt it takes 65 s until its absence is believed.
            done = await desk.ended(desk.signal(side, quantity, algo="marketable_limit"))
            assert done.filled <= done.target
            assert done.state is not ParentState.ANOMALY
        await until(lambda: desk.micro.engine.order_store.active == {})
        await until(desk.balances_agree)
        await until_it_holds(desk.books_agree)

    run(tmp_path, body)


def test_a_restart_takes_its_order_up_again(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        mid = desk.micro.engine.markets[VENUE, SYMBOL].mid()
        assert mid is not None
        name = desk.signal("buy", "0.01", algo="limit", limit=f"{mid * 0.97:.2f}")
        await until(lambda: desk.parent(name).live and desk.parent(name).live[0].acknowledged)
        child = desk.parent(name).live[0]
        await desk.micro.close()
        await desk.start()
        again = desk.parent(name).live[0]
        assert (again.client_id, again.venue_order_id) == (child.client_id, child.venue_order_id)
        desk.micro.runner.post(CancelReceived(signal_id=name, reason="enough", operator=True))
        assert (await desk.ended(name)).filled == 0
        desk.books_agree()

    run(tmp_path, body)


def test_live_check_says_that_it_is_unverified_and_tries_one_order(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        config = load(desk.configure())
        inspector = orders_of("live").inspector(VENUE)
        assert inspector is not None
        (key,) = read_keys(config).values()
        desk_rules = {symbol: each for (_, symbol), each in (await load_rules(config)).items()}
        now = time.time_ns
        found = {each.name: each for each in await ask(inspector, config, key, desk_rules, now)}
        assert (found["execution"].verdict, "unverified" in found["execution"].text) == (
            "warn",
            True,
        )
        assert {each.verdict for each in found.values()} == {"ok", "warn"}
        trial = await inspector.trial_desk(query_of(config, key, desk_rules, now))
        try:
            steps = [each async for each in walk(trial, desk_rules[SYMBOL], now)]
        finally:
            await trial.close()
        assert [each.verdict for each in steps] == ["ok"] * 5, steps
        assert not desk.server.spot.venue.exchange.open_orders("demo")

    run(tmp_path, body, started=False)
