"""What Bybit's perpetuals have beside spot: forced trades, funding, margin, marks, reduce-only orders."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from bybit_kit import LINEAR as SYMBOL
from bybit_kit import bybit_config, linear_of
from chaos_market import instrument_of
from spot_kit import SYMBOL as SPOT_SYMBOL
from spot_kit import demo_key

from citadel_micro.adapters.bybit.linear_margin import LinearMargin, Position
from citadel_micro.adapters.bybit.linear_marks import LinearMarks
from citadel_micro.adapters.bybit.messages import BybitReader
from citadel_micro.adapters.bybit.orders import (
    LINEAR_ABILITIES,
    LINEAR_VENUE,
    bybit_signer,
)
from citadel_micro.adapters.bybit.requests import LIMITS, LINEAR, BybitRequests
from citadel_micro.adapters.bybit.session import BybitRest
from citadel_micro.core.model.commands import PlaceOrder
from citadel_micro.shell.clock import Clock
from citadel_micro.shell.venue.facts import OrderFact, StreamAlive, TradeFact
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_micro.sim.exchange.model import OrderRequest
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto.errors import Refused, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.simulator.bybit.linear import BybitLinear

RULES = instrument_of(SYMBOL, "0.1", "0.001", venue=LINEAR_VENUE, kind="linear", settle="USDT")
READER = BybitReader({SYMBOL: RULES}, LINEAR)
FILL = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "orderId": "aee7453a-a100-465f",
    "orderLinkId": "",
    "execId": "135dbae5-cbed",
    "execType": "BustTrade",
    "execPrice": "60000.1",
    "execQty": "0.1",
    "execFee": "0.0679239",
    "execTime": "1790000000124",
    "side": "Sell",
    "isMaker": False,
    "feeCoin": "",
    "extraFees": [],
}


def told(topic: str, **row: Any) -> Any:  # noqa: ANN401
    frame = {"topic": topic, "creationTime": 1, "data": [{**FILL, **row}]}
    (fact,) = READER.event(json.dumps(frame).encode())
    return fact


@pytest.mark.parametrize(
    ("how", "kind"), [("BustTrade", "liquidation"), ("AdlTrade", "adl"), ("Settle", "settlement")]
)
def test_the_venues_own_trades_get_a_name_that_says_what_they_are(how: str, kind: str) -> None:
    fact = told("execution", execType=how)
    assert isinstance(fact, TradeFact)
    names = [
        name for begin, name in LINEAR_ABILITIES.forced_ids if fact.client_id.startswith(begin)
    ]
    assert names == [kind]
    assert (fact.fee, fact.fee_currency) == (Decimal("0.0679239"), "USDT")
    rebate = told("execution", execType=how, execFee="-1")
    assert rebate.fee_currency == "USDT"
    ours = told("execution", execType=how, orderLinkId="scabc123run1-1-1")
    assert ours.client_id == "scabc123run1-1-1"


def test_an_order_of_a_liquidation_has_the_name_of_its_trades() -> None:
    order = {
        "qty": "0.1",
        "price": "0",
        "cumExecQty": "0.1",
        "orderStatus": "Filled",
        "updatedTime": "1790000000124",
        "createType": "CreateByLiq",
    }
    fact = told("order", **order)
    assert isinstance(fact, OrderFact)
    assert fact.client_id == told("execution").client_id
    assert isinstance(told("execution", execType="Funding"), StreamAlive)
    assert isinstance(told("execution", category="spot"), StreamAlive)


def test_orders_reduce_only_where_they_are_to() -> None:
    order = PlaceOrder(
        venue=LINEAR_VENUE,
        symbol=SYMBOL,
        client_id="scabc123run1-1-1",
        parent_id="p",
        side="sell",
        price_ticks=600_001,
        quantity_lots=100,
        post_only=True,
        time_in_force="GTC",
        reduce_only=True,
        expires_ns=1,
    )
    requests = BybitRequests({SYMBOL: RULES}, LINEAR)
    params = requests.place(order).params
    assert params["reduceOnly"] is True
    assert (params["category"], params["timeInForce"]) == ("linear", "PostOnly")
    assert "reduceOnly" not in requests.place(replace(order, reduce_only=False)).params


def test_positions_are_signed_and_must_have_a_side() -> None:
    held = Position(symbol="BTCUSDT", side="Sell", size="0.3", leverage="5")
    assert held.amount == Decimal("-0.3")
    assert Position(symbol="BTCUSDT", side="", size="0", leverage="5").amount == 0
    with pytest.raises(VenueViolation):
        _ = Position(symbol="BTCUSDT", side="", size="0.3", leverage="5").amount


def test_marks_are_kept_where_a_delta_leaves_them_out() -> None:
    marks = LinearMarks(LINEAR_VENUE, {SYMBOL: RULES})

    def mark(kind: str, **data: str) -> Any:  # noqa: ANN401
        frame = {
            "topic": "tickers.BTCUSDT",
            "type": kind,
            "ts": 7,
            "data": {"symbol": "BTCUSDT", **data},
        }
        return marks.mark(json.dumps(frame).encode(), 9)

    assert mark("delta", fundingRate="0.0001") is None
    first = mark("snapshot", markPrice="100.5", indexPrice="100.4", nextFundingTime="1790000000000")
    assert (first.mark, first.index_price, first.funding_rate) == (100.5, 100.4, 0.0001)
    second = mark("delta", markPrice="101")
    assert (second.mark, second.index_price) == (101.0, 100.4)
    assert second.next_funding_ns == 1790000000000 * 1_000_000
    assert mark("delta", markPrice="NaN").mark == 101.0
    assert mark("delta", markPrice="what") is None
    assert marks.mark(b'{"success":true,"op":"subscribe"}', 9) is None
    assert marks.mark(b"{", 9) is None


def test_a_margin_mode_that_others_have_set_counts_while_there_is_a_position() -> None:
    async def body(
        margin: Callable[..., LinearMargin], rest: BybitRest, venue: BybitLinear
    ) -> None:
        with pytest.raises(Refused, match="one for the whole account"):
            await margin(5).verified(rest)
        spec = venue.exchange.rules[SPOT_SYMBOL].spec
        request = OrderRequest(
            symbol=SPOT_SYMBOL, side="BUY", type="MARKET", quantity_e8=10 * spec.lot_e8
        )
        venue.exchange.place("demo", request)
        held = margin(5)
        (terms,) = await held.verified(rest)
        leverage = venue.futures.position("demo", SPOT_SYMBOL).leverage
        assert (terms.mode, terms.leverage) == ("cross", leverage)
        assert "one for the whole account" in terms.text
        flat = Position(symbol="BTCUSDT", side="", size="0", leverage=str(leverage))
        assert "is closed" in held.changed({SYMBOL: flat})

    with_margin(body)


def with_margin(
    body: Callable[[Callable[..., LinearMargin], BybitRest, BybitLinear], Awaitable[None]],
) -> None:
    async def run() -> None:
        async with SimulatorServer(bybit_config(venues=("bybit-linear",))) as server:
            venue, clock = linear_of(server), Clock()
            at = venue.addresses(server.rest_url, server.ws_url)
            times = VenueClock(clock.now)
            key = replace(demo_key(), venue=LINEAR_VENUE)
            rest = BybitRest(
                HttpClient(at["private_rest_url"], "a test"),
                bybit_signer(key, times),
                times,
                RequestBudget(LIMITS),
            )
            await rest.measure(clock.now)

            def margin(leverage: int, mode: Any = "isolated") -> LinearMargin:  # noqa: ANN401
                requests = BybitRequests({SYMBOL: RULES}, LINEAR)
                return LinearMargin(LINEAR_VENUE, requests, {SYMBOL: RULES}, leverage, mode)

            try:
                await body(margin, rest, venue)
            finally:
                await rest.close()

    asyncio.run(run())


def test_leverage_is_set_and_read_again_and_the_mode_is_the_accounts() -> None:
    async def body(
        margin: Callable[..., LinearMargin], rest: BybitRest, venue: BybitLinear
    ) -> None:
        with pytest.raises(Refused, match="one for the whole account"):
            await margin(5).verified(rest)
        (terms,) = await margin(5, "cross").verified(rest)
        assert (terms.mode, terms.leverage) == ("cross", 5)
        assert venue.futures.position("demo", SPOT_SYMBOL).leverage == 5
        assert await margin(5, "cross").verified(rest) == [terms]
        venue.futures.set_isolated("demo", SPOT_SYMBOL, isolated=True)
        (terms,) = await margin(7).verified(rest)
        assert (terms.mode, terms.leverage) == ("isolated", 7)
        tiers = terms.tiers
        assert [tier.max_leverage for tier in tiers] == [125, 100, 50, 20, 10, 5, 1]
        assert tiers[1].maintenance_rate == Decimal("0.005")
        assert tiers[1].maintenance_amount == 50
        venue.side.venue.faults.extend(["key-revoked=once"])
        with pytest.raises(Refused, match="10003"):
            await margin(7).verified(rest)

    with_margin(body)
