"""What Hyperliquid says of an account before the first order, at the simulated exchange."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hyper_kit import RULES, SYMBOL, VENUE, config_of, hyper_key, side_of

from citadel_micro.adapters.ccxt.fetch import fetch_by_ccxt
from citadel_micro.adapters.hyperliquid.account_facts import HyperInspector
from citadel_micro.preflight.checks import Expected, judge
from citadel_micro.preflight.trial_order import walk
from citadel_micro.shell.account_facts import AccountQuery
from citadel_micro.shell.clock import Clock
from citadel_micro.shell.config.config import VenueSection
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto.errors import BadInput, PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.shell.account_facts import AccountFacts
    from citadel_micro.shell.keys.api_key import ApiKey

INSPECTOR = HyperInspector()


def query_of(server: SimulatorServer, key: ApiKey) -> AccountQuery:
    urls = side_of(server).addresses(server.rest_url, server.ws_url)
    section = VenueSection(
        symbols=[SYMBOL],
        network="testnet",
        private_rest_url=urls["private_rest_url"],
        ws_api_url=urls["ws_api_url"],
    )
    return AccountQuery(
        venue=VENUE, key=key, section=section, instruments={SYMBOL: RULES}, now=Clock().now
    )


def run(body: Callable[[SimulatorServer], Awaitable[None]], *faults: str) -> None:
    async def main() -> None:
        async with SimulatorServer(config_of(*faults)) as server:
            await body(server)

    asyncio.run(main())


def verdicts(facts: AccountFacts, query: AccountQuery) -> dict[str, str]:
    expected = Expected(
        venue=VENUE,
        section=query.section,
        account=query.key.account,
        instruments=query.instruments,
    )
    return {each.name: each.verdict for each in judge(facts, expected)}


def test_everything_is_read_and_the_rules_are_those_that_orders_are_made_by() -> None:
    async def body(server: SimulatorServer) -> None:
        query = query_of(server, hyper_key())
        facts = await INSPECTOR.facts(query)
        assert facts.account == hyper_key().account
        assert facts.rights.trade
        assert facts.rights.withdraw is facts.rights.transfer is False
        assert facts.balances == {"USDC": (Decimal(1_000_000), Decimal(0))}
        told = facts.symbols[SYMBOL]
        assert (told.tick, told.lot, told.min_notional) == (RULES.tick, RULES.lot, Decimal(10))
        assert (told.maker_fee, told.taker_fee) == (RULES.maker_fee, RULES.taker_fee)
        assert facts.timer == "none"
        assert abs(facts.clock_offset_ns) < 10**9
        found = verdicts(facts, query)
        assert "refused" not in found.values()
        assert found["withdrawals"] == "ok"
        # The same rules, as micro gets them at its start.
        listed = await fetch_by_ccxt(VENUE, query.section.private_rest_url or "", 1)
        rules = listed.markets[SYMBOL].rules
        assert (rules.tick, rules.lot, rules.venue_symbol) == (RULES.tick, RULES.lot, "BTC")

    run(body)


def test_an_account_that_has_traded_enough_has_the_timer() -> None:
    async def body(server: SimulatorServer) -> None:
        side_of(server).allowance.volume_e8["demo"] = 1_000_000 * 10**8
        facts = await INSPECTOR.facts(query_of(server, hyper_key()))
        assert facts.timer == "account"
        earned = facts.rate_limits[-1]
        assert (earned.limit, earned.used) == (1_010_000, 0)

    run(body)


def test_the_accounts_own_key_is_refused_for_it_can_withdraw() -> None:
    async def body(server: SimulatorServer) -> None:
        query = query_of(server, hyper_key("master"))
        found = verdicts(await INSPECTOR.facts(query), query)
        assert found["withdrawals"] == found["transfers"] == "refused"

    run(body)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"account": f"0x{'1' * 40}"}, "not of 0x1111"),
        ({"secret": type(hyper_key().secret)("22" * 32)}, "does not know the API wallet"),
    ],
)
def test_a_wallet_that_does_not_act_for_the_account_is_refused(
    change: dict[str, object], why: str
) -> None:
    async def body(server: SimulatorServer) -> None:
        key = replace(hyper_key(), **change)  # type: ignore[arg-type]  # fields of a key
        with pytest.raises(BadInput, match=why) as caught:
            await INSPECTOR.facts(query_of(server, key))
        assert "22" * 32 not in str(caught.value)

    run(body)


def test_a_venue_that_does_not_answer() -> None:
    async def body(server: SimulatorServer) -> None:
        query = query_of(server, hyper_key())
        gone = query.section.model_copy(update={"private_rest_url": "http://127.0.0.1:9"})
        with pytest.raises(PeerUnavailable, match="no connection"):
            await INSPECTOR.facts(replace(query, section=gone))
        side_of(server).weights.limit = 1
        with pytest.raises(PeerUnavailable, match="429"):
            await INSPECTOR.facts(query)
        gone = query.section.model_copy(update={"private_rest_url": server.rest_url})
        with pytest.raises(VenueViolation):
            await INSPECTOR.facts(replace(query, section=gone))

    run(body)


def test_the_test_order_is_placed_and_canceled() -> None:
    async def body(server: SimulatorServer) -> None:
        desk = await INSPECTOR.trial_desk(query_of(server, hyper_key()))
        try:
            steps = {each.name: each async for each in walk(desk, RULES, Clock().now)}
        finally:
            await desk.close()
        assert {name: each.verdict for name, each in steps.items()} == dict.fromkeys(
            ("place", "query", "amend", "cancel", "query again"), "ok"
        ), steps
        (order,) = side_of(server).exchange.all_orders("demo", "BTC/USDC")
        assert order.status == "CANCELED"
        # It changes no setting of the account.
        assert not side_of(server).exchange.position("demo", "BTC/USDC").isolated

    run(body)


def test_a_test_order_whose_answer_is_lost_is_canceled_all_the_same() -> None:
    async def body(server: SimulatorServer) -> None:
        desk = await INSPECTOR.trial_desk(query_of(server, hyper_key()))
        try:
            steps = {each.name: each async for each in walk(desk, RULES, Clock().now)}
        finally:
            await desk.close()
        assert steps["place"].verdict == "failed"
        assert steps["cancel"].verdict == steps["query again"].verdict == "ok"
        assert not side_of(server).exchange.open_orders("demo")

    run(body, "unknown-executed=once,on=order.place")
