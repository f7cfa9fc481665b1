"""OKX's account before the first order: facts, the test order, and what a watchdog cancels with."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from okx_kit import (
    NATIVE,
    SYMBOL,
    VENUE,
    okx_server,
    our_key,
    our_rules,
    side_of,
)

from citadel_micro.adapters.live import cancel_desk
from citadel_micro.adapters.okx.account_facts import OkxInspector
from citadel_micro.preflight.checks import Expected, judge
from citadel_micro.preflight.trial_order import walk
from citadel_micro.shell.account_facts import AccountQuery
from citadel_micro.shell.config.config import VenueSection
from citadel_micro.shell.venue.cancel_desk import CancelAccount
from citadel_micro.sim.exchange.model import OrderRequest
from citadel_micro.simulator.accounts import AccountConfig
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.okx.records import account_uid
from citadel_proto.errors import BadInput, PeerUnavailable, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.preflight.checks import Check
    from citadel_micro.simulator.server import SimulatorServer


def query_of(server: SimulatorServer) -> AccountQuery:
    section = VenueSection(
        symbols=[SYMBOL],
        network="demo",
        private_rest_url=server.rest_url,
        ws_api_url=f"{server.ws_url}/ws/v5/private",
    )
    rules = {SYMBOL: our_rules(server)}
    return AccountQuery(
        venue=VENUE, key=our_key(), section=section, instruments=rules, now=time.time_ns
    )


def run(body: Callable[[SimulatorServer], Awaitable[None]], *faults: str, **settings: Any) -> None:  # noqa: ANN401
    async def main() -> None:
        async with okx_server(*faults, **settings) as server:
            await body(server)

    asyncio.run(main())


async def judged(server: SimulatorServer) -> dict[str, Check]:
    query = query_of(server)
    facts = await OkxInspector().facts(query)
    expected = Expected(
        venue=VENUE,
        section=query.section,
        account=account_uid("demo"),
        instruments=query.instruments,
    )
    return {each.name: each for each in judge(facts, expected)}


def test_facts_of_a_good_account() -> None:
    async def body(server: SimulatorServer) -> None:
        facts = await OkxInspector().facts(query_of(server))
        assert facts.account == account_uid("demo")
        assert abs(facts.clock_offset_ns) < 50_000_000
        assert facts.symbols[SYMBOL].tradable
        assert facts.symbols[SYMBOL].tick == Decimal("0.01")
        assert facts.symbols[SYMBOL].taker_fee == Decimal("0.001")
        assert facts.balances["USDT"] == (Decimal(1_000_000), Decimal(0))
        assert (facts.timer, facts.open_orders) == ("account", 0)
        assert {name for name, each in (await judged(server)).items() if each.verdict != "ok"} == {
            "transfers",
            "IP addresses",
        }

    run(body)


def test_a_key_that_may_withdraw_is_refused() -> None:
    async def body(server: SimulatorServer) -> None:
        assert (await judged(server))["withdrawals"].verdict == "refused"

    keys = tuple(
        replace(key, permissions=frozenset({Permission.TRADE, Permission.WITHDRAW}))
        for key in AccountConfig(name="demo").all_keys
    )
    run(body, accounts=(AccountConfig(name="demo", keys=keys),))


def test_an_account_that_borrows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(server: SimulatorServer) -> None:
        methods = side_of(server).service.methods
        method = methods["account.config"]
        rows = method.answer
        changed = replace(method, answer=lambda call: [rows(call)[0] | {"enableSpotBorrow": True}])
        monkeypatch.setitem(methods, "account.config", changed)
        assert (await judged(server))["multi-asset mode"].verdict == "refused"

    run(body)


def test_a_wrong_passphrase_names_the_key_file_and_a_wrong_clock_says_so() -> None:
    async def body(server: SimulatorServer) -> None:
        query = query_of(server)
        secret = type(query.key.passphrase)
        key = replace(query.key, passphrase=secret("another-one"))
        with pytest.raises(BadInput, match="50105"):
            await OkxInspector().facts(replace(query, key=key))
        side_of(server).venue.faults.extend(["clock-skew=always,for=90,on=account.config"])
        with pytest.raises(Refused, match="NTP"):
            await OkxInspector().facts(query)

    run(body)


def test_the_test_order_walks_its_whole_way() -> None:
    async def body(server: SimulatorServer) -> None:
        query = query_of(server)
        desk = await OkxInspector().trial_desk(query)
        try:
            found = [each async for each in walk(desk, our_rules(server), time.time_ns)]
        finally:
            await desk.close()
        assert [(each.name, each.verdict) for each in found] == [
            (name, "ok") for name in ("place", "query", "amend", "cancel", "query again")
        ], found
        (order,) = side_of(server).exchange.all_orders("demo", SYMBOL)
        assert (order.status, order.amends) == ("CANCELED", 1)
        assert order.client_id.isalnum()

    run(body)


# --- the watchdog's desk ------------------------------------------------------------------------


def place(server: SimulatorServer, count: int) -> None:
    exchange = side_of(server).exchange
    spec = exchange.rules[SYMBOL].spec
    ticks = exchange.last_ticks(SYMBOL) * 9 // 10
    for number in range(count):
        request = OrderRequest(
            symbol=SYMBOL,
            side="BUY",
            type="LIMIT",
            quantity_e8=100 * spec.lot_e8,
            price_e8=(ticks - number) * spec.tick_e8,
            client_id=f"scabc123run1Z1Z{number + 1}",
        )
        exchange.place("demo", request)


def at_desk(body: Callable[[Any, SimulatorServer], Awaitable[None]], *faults: str) -> None:
    async def main(server: SimulatorServer) -> None:
        section = VenueSection(symbols=[SYMBOL], private_rest_url=server.rest_url)
        desk = cancel_desk(CancelAccount(key=our_key(), section=section, now=time.time_ns))
        try:
            await body(desk, server)
        finally:
            await desk.close()

    run(main, *faults)


def test_every_open_order_is_listed_page_by_page_and_canceled() -> None:
    async def body(desk: Any, server: SimulatorServer) -> None:  # noqa: ANN401
        place(server, 130)
        rows = await desk.open_orders()
        assert len({each.venue_order_id for each in rows}) == 130
        assert {each.symbol for each in rows} == {NATIVE}
        assert rows[0].client_id == "scabc123run1Z1Z130"
        for each in rows[:40]:
            assert await desk.cancel(each) == ""
        assert len(side_of(server).exchange.open_orders("demo")) == 90
        assert await desk.cancel(rows[0]) == ""  # gone before

    at_desk(body)


def test_a_busy_venue_is_waited_for_and_a_refused_key_is_the_users() -> None:
    async def body(desk: Any, server: SimulatorServer) -> None:  # noqa: ANN401
        place(server, 1)
        (order,) = await desk.open_orders()
        side_of(server).venue.faults.extend(["too-many-requests=once"])
        assert "50011" in await desk.cancel(order)
        assert 0 < desk.retry_s <= 2
        with pytest.raises(PeerUnavailable, match="held back"):
            await desk.open_orders()
        await asyncio.sleep(desk.retry_s)
        side_of(server).venue.ring.revoke(our_key().id.reveal())
        with pytest.raises(BadInput, match="watchdog's key"):
            await desk.open_orders()

    at_desk(body)
