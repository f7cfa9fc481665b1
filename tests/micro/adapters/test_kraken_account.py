"""Before the first order at Kraken, the live check's test order, and what a watchdog cancels with."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from kraken_bench import ACCOUNT, KrakenBench, kraken_bench, kraken_key, kraken_rules
from kraken_kit import SYMBOL, addresses, kraken_config, side_of
from waiting import until

from citadel_micro.adapters.kraken import account_facts, session
from citadel_micro.adapters.kraken import orders as kraken_orders
from citadel_micro.adapters.kraken.account_facts import KrakenInspector
from citadel_micro.adapters.kraken.orders import VENUE
from citadel_micro.adapters.live import cancel_desk
from citadel_micro.core.model.events import OrderAccepted, OrderDone
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.preflight.checks import Expected, judge
from citadel_micro.preflight.trial_order import walk
from citadel_micro.shell.account_facts import AccountQuery
from citadel_micro.shell.config.config import VenueSection
from citadel_micro.shell.keys.secret import Secret
from citadel_micro.shell.venue.cancel_desk import CancelAccount
from citadel_micro.sim.exchange.model import OrderRequest
from citadel_micro.simulator.accounts import AccountConfig
from citadel_micro.simulator.keys import ApiKey as SimKey
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.kraken import counters
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto.errors import BadInput, PeerUnavailable, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.preflight.checks import Check
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.venue.cancel_desk import CancelDesk
    from citadel_micro.simulator.kraken.app import KrakenSpot


def section_of(server: SimulatorServer) -> VenueSection:
    at = addresses(server)
    return VenueSection(
        symbols=[SYMBOL],
        network="testnet",
        rest_url=at["rest"],
        ws_url=at["ws"],
        private_rest_url=at["rest"],
        ws_api_url=at["ws_api"],
    )


def query_of(server: SimulatorServer, key: ApiKey | None = None) -> AccountQuery:
    return AccountQuery(
        venue=VENUE,
        key=key or kraken_key(),
        section=section_of(server),
        instruments={SYMBOL: kraken_rules()},
        now=time.time_ns,
    )


def on(
    body: Callable[[SimulatorServer], Awaitable[None]],
    *faults: str,
    accounts: tuple[AccountConfig, ...] = (),
    symbols: tuple[str, ...] = (SYMBOL,),
) -> None:
    async def main() -> None:
        more: dict[str, Any] = {"symbols": symbols}
        if accounts:
            more["accounts"] = accounts
        async with asyncio.timeout(150), SimulatorServer(kraken_config(*faults, **more)) as server:
            await body(server)

    asyncio.run(main())


def checks(found: list[Check]) -> dict[str, str]:
    return {each.name: each.verdict for each in found}


def test_the_account_is_read_and_judged() -> None:
    async def body(server: SimulatorServer) -> None:
        facts = await KrakenInspector().facts(query_of(server))
        assert (facts.account, facts.timer, facts.open_orders) == (ACCOUNT, "account", 0)
        shown = facts.symbols[SYMBOL]
        assert (shown.tradable, str(shown.tick), str(shown.min_notional)) == (True, "0.01", "5.00")
        assert shown.maker_fee == shown.taker_fee == kraken_rules().maker_fee
        assert facts.balances["BTC"][0] == 10
        expected = Expected(
            venue=VENUE,
            section=section_of(server),
            account=ACCOUNT,
            instruments={SYMBOL: kraken_rules()},
        )
        verdicts = checks(judge(facts, expected))
        assert "refused" not in verdicts.values(), verdicts
        assert verdicts["withdrawals"] == "ok"

    on(body)


@pytest.mark.parametrize("part", [1, 2, 100])
def test_many_pairs_are_asked_about_in_parts_and_an_unknown_one_spoils_none(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_facts, "PART", part)
    rules = {name: kraken_rules(name) for name in (SYMBOL, "ETH/USDT", "NONE/USDT")}

    async def body(server: SimulatorServer) -> None:
        facts = await KrakenInspector().facts(replace(query_of(server), instruments=rules))
        assert set(facts.symbols) == {SYMBOL, "ETH/USDT"}
        assert all(each.taker_fee is not None for each in facts.symbols.values())

    on(body, symbols=(SYMBOL, "ETH/USDT"))


@pytest.mark.parametrize("gives_back", [True, False])
def test_a_start_waits_for_the_calls_that_those_before_it_have_used_up(
    gives_back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A micro that was killed twice within a minute must come back: its orders may be open."""
    monkeypatch.setattr(counters, "CALLS", (2.0, 50.0 if gives_back else 0.0))
    monkeypatch.setattr(account_facts, "PAUSES_S", (0.05, 0.2, 0.8))

    async def body(server: SimulatorServer) -> None:
        if gives_back:
            facts = await KrakenInspector().facts(query_of(server))
            assert facts.account == ACCOUNT
        else:
            with pytest.raises(PeerUnavailable, match="Rate limit exceeded"):
                await KrakenInspector().facts(query_of(server))

    on(body)


def test_a_key_that_may_withdraw_is_refused() -> None:
    plain = AccountConfig(name="demo").all_keys[0]
    rights = frozenset({Permission.TRADE, Permission.WITHDRAW})
    key = SimKey(key_id=plain.key_id, account="demo", secret=plain.secret, permissions=rights)

    async def body(server: SimulatorServer) -> None:
        facts = await KrakenInspector().facts(query_of(server))
        assert facts.rights.withdraw is True

    on(body, accounts=(AccountConfig(name="demo", keys=(key,)),))


def test_a_wrong_secret_is_the_key_files_fault() -> None:
    async def body(server: SimulatorServer) -> None:
        key = replace(kraken_key(), secret=Secret("c2VjcmV0c2VjcmV0"))
        with pytest.raises(BadInput, match="Invalid signature") as refused:
            await KrakenInspector().facts(query_of(server, key))
        assert refused.value.where == "key.toml"

    on(body)


def test_a_nonce_behind_the_last_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "NONCE_PAUSES_S", (0.0, 0.0))

    async def body(server: SimulatorServer) -> None:
        door = side_of(server).door
        door._nonces[kraken_key().id.reveal()] = 1 << 62
        with pytest.raises(Refused, match="another program uses this key"):
            await KrakenInspector().facts(query_of(server))

    on(body)


@pytest.mark.parametrize("ahead_s", [3_600, -3_600])
def test_a_clock_that_was_set_back_since_the_last_run_refuses_nothing(
    ahead_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(server: SimulatorServer) -> None:
        wrong = SimpleNamespace(
            time_ns=lambda: time.time_ns() + ahead_s * SECOND, monotonic_ns=time.monotonic_ns
        )
        with monkeypatch.context() as then:
            then.setattr(session, "time", wrong)
            await KrakenInspector().facts(query_of(server))
        facts = await KrakenInspector().facts(query_of(server))
        assert facts.account == ACCOUNT
        with monkeypatch.context() as then:
            then.setattr(session, "time", wrong)
            await KrakenInspector().facts(query_of(server))

    on(body)


def test_two_processes_with_one_key_are_both_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As micro, whose machine was suspended, and ``citadel live check``."""
    monkeypatch.setattr(session, "NONCE_PAUSES_S", (1.0,))

    async def body(desk: CancelDesk, side: KrakenSpot) -> None:
        stopped = SimpleNamespace(monotonic_ns=lambda: 0, time_ns=time.time_ns)
        with monkeypatch.context() as then:
            then.setattr(session, "time", stopped)
            assert await desk.open_orders() == []
            side.door._nonces[kraken_key().id.reveal()] += 1_000  # the other's, a moment later
            assert await desk.open_orders() == []

    at_desk(body)


@pytest.mark.parametrize("secret", ["no base 64!", "not=base=64"])
def test_a_secret_that_is_none_of_the_venues_is_refused(secret: str) -> None:
    async def body(server: SimulatorServer) -> None:
        with pytest.raises(BadInput, match="base 64"):
            await KrakenInspector().facts(
                query_of(server, replace(kraken_key(), secret=Secret(secret)))
            )

    on(body)


def test_the_live_check_walks_one_order_there_and_back() -> None:
    async def body(server: SimulatorServer) -> None:
        desk = await KrakenInspector().trial_desk(query_of(server))
        try:
            done = [each async for each in walk(desk, kraken_rules(), time.time_ns)]
        finally:
            await desk.close()
        assert checks(done) == dict.fromkeys(
            ("place", "query", "amend", "cancel", "query again"), "ok"
        ), done
        exchange = side_of(server).exchange
        (order,) = exchange.all_orders("demo", SYMBOL)
        assert (order.status, order.filled_lots, order.amends) == ("CANCELED", 0, 1)

    on(body)


def test_a_live_check_whose_order_fills_says_so() -> None:
    async def body(server: SimulatorServer) -> None:
        desk = await KrakenInspector().trial_desk(query_of(server))
        try:
            done = [each async for each in walk(desk, kraken_rules(), time.time_ns)]
        finally:
            await desk.close()
        assert "failed" in checks(done).values()

    on(body, "fill-wins=once")


def at_desk(body: Callable[[CancelDesk, KrakenSpot], Awaitable[None]], *faults: str) -> None:
    async def run(server: SimulatorServer) -> None:
        account = CancelAccount(key=kraken_key(), section=section_of(server), now=time.time_ns)
        desk = cancel_desk(account)
        try:
            await body(desk, side_of(server))
        finally:
            await desk.close()

    on(run, *faults)


def test_a_watchdog_lists_and_cancels_every_open_order() -> None:
    async def body(desk: CancelDesk, side: KrakenSpot) -> None:
        assert await desk.open_orders() == []
        for lots in (100, 200, 300):
            side.exchange.place("demo", _far(side, lots))
        found = await desk.open_orders()
        assert {each.symbol for each in found} == {"XBTUSDT"}
        assert {each.client_id for each in found} == {f"order {lots}" for lots in (100, 200, 300)}
        for order in found:
            assert await desk.cancel(order) == ""
        assert side.exchange.open_orders("demo") == []
        assert await desk.cancel(found[0]) == ""  # gone before

    at_desk(body)


def _far(side: KrakenSpot, lots: int) -> OrderRequest:
    spec = side.exchange.rules[SYMBOL].spec
    return OrderRequest(
        symbol=SYMBOL,
        side="BUY",
        type="LIMIT",
        quantity_e8=lots * spec.lot_e8,
        price_e8=side.exchange.last_ticks(SYMBOL) * 9 // 10 * spec.tick_e8,
        client_id=f"order {lots}",
    )


def test_a_watchdog_whose_key_is_gone_says_so() -> None:
    async def body(desk: CancelDesk, side: KrakenSpot) -> None:
        side.venue.ring.revoke(kraken_key().id.reveal())
        with pytest.raises(BadInput, match="Invalid key"):
            await desk.open_orders()

    at_desk(body)


def test_a_watchdog_is_held_back_by_the_venues_limits() -> None:
    async def body(desk: CancelDesk, _side: KrakenSpot) -> None:
        with pytest.raises(PeerUnavailable, match="Rate limit exceeded"):
            await desk.open_orders()
        assert desk.retry_s > 0

    at_desk(body, "too-many-requests=once")


def test_the_venues_timer_cancels_when_nobody_renews_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kraken_orders, "PERIOD_NS", 2 * SECOND)

    async def body(bench: KrakenBench) -> None:
        bench.query_venue()
        await until(lambda: bench.adapter.dead_man.armed)
        order = await bench.resting()
        await bench.told(OrderAccepted, order)
        # It is renewed while we are there.
        await asyncio.sleep(2.5)
        assert bench.adapter.dead_man.armed
        assert len(bench.exchange.open_orders("demo")) == 1
        bench.adapter.dead_man.upkeep = lambda: None  # type: ignore[method-assign]  # as if we hung
        done = await bench.told(OrderDone, order)
        assert (done.status, done.reason) == ("canceled", "Cancel all orders after timeout")
        assert not bench.adapter.dead_man.armed

    async def main() -> None:
        async with kraken_bench() as bench:
            await bench.begin()
            await body(bench)

    asyncio.run(main())
