"""What OKX's perpetuals have beside spot: contracts, margin, marks, forced trades, the account's modes."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from okx_kit import SWAP, SWAP_NATIVE, SYMBOL, VENUE, okx_server, our_key, swap_of

from citadel_micro.adapters.live import cancel_desk
from citadel_micro.adapters.okx.account_facts import OkxInspector
from citadel_micro.adapters.okx.messages import FillRow, OkxReader
from citadel_micro.adapters.okx.orders import ABILITIES, trades_swaps
from citadel_micro.adapters.okx.requests import OkxRequests, OkxSigner
from citadel_micro.adapters.okx.session import OkxRest
from citadel_micro.adapters.okx.swap_margin import SwapMargin
from citadel_micro.adapters.okx.swap_marks import SwapMarks
from citadel_micro.core.model.commands import PlaceOrder
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.preflight.trial_order import walk
from citadel_micro.shell.account_facts import AccountQuery
from citadel_micro.shell.config.config import VenueSection
from citadel_micro.shell.venue.cancel_desk import CancelAccount
from citadel_micro.shell.venue.facts import OrderFact
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_micro.sim.exchange.model import OrderRequest
from citadel_micro.simulator.okx.swap import NAME
from citadel_proto.errors import BadInput, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.core.model.events import MarginTerms
    from citadel_micro.simulator.server import SimulatorServer

RULES = Instrument(
    venue=VENUE,
    symbol=SWAP,
    venue_symbol=SWAP_NATIVE,
    base="BTC",
    quote="USDT",
    settle="USDT",
    kind="linear",
    tick=Decimal("0.01"),
    lot=Decimal("0.001"),
    min_lots=1,
    min_notional=Decimal(0),
    contract_size=Decimal("0.01"),
    maker_fee=Decimal("0.0002"),
    taker_fee=Decimal("0.0005"),
    fee_side="quote",
)
READER = OkxReader({SWAP: RULES})
ORDER = PlaceOrder(
    venue=VENUE,
    symbol=SWAP,
    client_id="scabc123run1Z1Z1",
    parent_id="p",
    side="sell",
    price_ticks=6_000_010,
    quantity_lots=2_500,
    post_only=True,
    time_in_force="GTC",
    reduce_only=True,
    expires_ns=1,
)


def run(body: Callable[[SimulatorServer], Awaitable[None]], **settings: Any) -> None:  # noqa: ANN401
    async def main() -> None:
        async with okx_server(serves=NAME, **settings) as server:
            await body(server)

    asyncio.run(main())


def test_an_order_has_its_margin_mode_and_reduces_only_where_it_is_to() -> None:
    requests = OkxRequests({SWAP: RULES}, mode="cross")
    params = requests.place(ORDER).params
    assert (params["instId"], params["tdMode"], params["sz"]) == (SWAP_NATIVE, "cross", "2.500")
    assert params["reduceOnly"] is True
    assert "reduceOnly" not in requests.place(replace(ORDER, reduce_only=False)).params
    assert requests.pending().params["instType"] == "SWAP"


@pytest.mark.parametrize(
    ("category", "sub_type", "kind"),
    [
        ("full_liquidation", "104", "liquidation"),
        ("partial_liquidation", "101", "liquidation"),
        ("adl", "126", "adl"),
    ],
)
def test_the_venues_own_orders_get_a_name_that_says_what_they_are(
    category: str, sub_type: str, kind: str
) -> None:
    row = {
        "instId": SWAP_NATIVE, "ordId": "71", "clOrdId": "", "state": "filled", "side": "sell",
        "sz": "2.5", "px": "", "accFillSz": "2.5", "uTime": "1790000000124", "category": category,
    }  # fmt: skip
    frame = {"arg": {"channel": "orders"}, "data": [row]}
    (fact,) = READER.event(json.dumps(frame).encode())
    assert isinstance(fact, OrderFact)
    assert fact.quantity_lots == 2_500
    begun = [name for begin, name in ABILITIES.forced_ids if fact.client_id.startswith(begin)]
    assert begun == [kind]
    fill = FillRow(
        instId=SWAP_NATIVE, ordId="71", tradeId="9", billId="9", side="sell", fillPx="60000.1",
        fillSz="2.5", fee="-0.75", feeCcy="USDT", execType="T", subType=sub_type, ts="1790000000124",
    )  # fmt: skip
    trade = READER.fill(fill)
    assert trade is not None
    assert (trade.client_id, trade.fee) == (fact.client_id, Decimal("0.75"))
    # An order of ours keeps its name, whatever its fills are called.
    fill.clOrdId = "scabc123run1Z1Z1"
    ours = READER.fill(fill)
    assert ours is not None
    assert ours.client_id == "scabc123run1Z1Z1"


def test_a_mark_comes_with_the_funding_that_was_reported_before() -> None:
    marks = SwapMarks(VENUE, {SWAP: RULES})

    def told(channel: str, **row: str) -> Any:  # noqa: ANN401
        data = [{"instId": SWAP_NATIVE, "ts": "7", **row}]
        return marks.marks(json.dumps({"arg": {"channel": channel}, "data": data}).encode(), 9)

    (first,) = told("mark-price", markPx="60000.5")
    assert (first.mark, first.next_funding_ns) == (60_000.5, 0)
    assert told("funding-rate", fundingRate="0.0001", fundingTime="28800000") == []
    (mark,) = told("mark-price", markPx="60001")
    assert (mark.funding_rate, mark.next_funding_ns) == (0.0001, 28_800_000_000_000)
    assert (mark.exchange_ns, mark.recv_ns) == (7_000_000, 9)
    for wrong in ("", "nan", "-1", "0"):
        assert told("mark-price", markPx=wrong) == []
    assert told("tickers", markPx="60001") == []
    assert marks.marks(b"pong", 9) == []


def test_other_contracts_and_both_kinds_at_once_are_refused() -> None:
    spot = replace(RULES, symbol=SYMBOL, venue_symbol="BTC-USDT", kind="spot")
    assert trades_swaps(VENUE, {SWAP: RULES})
    assert not trades_swaps(VENUE, {SYMBOL: spot})
    for wrong in (
        replace(RULES, kind="inverse", venue_symbol="BTC-USD-SWAP"),
        replace(RULES, venue_symbol="BTC-USDT-261225"),
    ):
        with pytest.raises(BadInput, match="neither a spot pair nor a linear perpetual"):
            trades_swaps(VENUE, {SWAP: wrong})
    with pytest.raises(BadInput, match="spot pairs and perpetuals are traded with one key"):
        trades_swaps(VENUE, {SWAP: RULES, SYMBOL: spot})


# --- the account --------------------------------------------------------------------------------


async def verified(server: SimulatorServer, leverage: int) -> list[MarginTerms]:
    clock = VenueClock(time.time_ns)
    clock.measured(time.time_ns(), time.time_ns())
    client = HttpClient(f"{server.rest_url}/{NAME}", "test")
    requests = OkxRequests({SWAP: RULES}, mode="isolated")
    rest = OkxRest(client, OkxSigner(our_key(), clock))
    margin = SwapMargin(
        VENUE, requests, {SWAP: RULES}, leverage=leverage, mode="isolated", ask=rest.ask
    )
    try:
        return await margin.verified()
    finally:
        await rest.close()


def test_leverage_is_set_and_tiers_are_read_as_notional() -> None:
    async def body(server: SimulatorServer) -> None:
        exchange = swap_of(server).futures
        assert exchange.position("demo", SYMBOL).leverage != 7
        (terms,) = await verified(server, 7)
        assert (terms.symbol, terms.leverage, terms.mode) == (SWAP, 7, "isolated")
        assert exchange.position("demo", SYMBOL).leverage == 7
        first, second = terms.tiers[:2]
        assert abs(first.max_notional - 50_000) < 500
        assert (first.max_leverage, first.maintenance_rate) == (125, Decimal("0.004"))
        assert second.max_notional > first.max_notional
        # What the venue refuses is not asked for again and again.
        with pytest.raises(Refused, match="does not set leverage 126"):
            await verified(server, 126)

    run(body)


def query_of(server: SimulatorServer) -> AccountQuery:
    section = VenueSection(
        symbols=[SWAP],
        network="demo",
        private_rest_url=f"{server.rest_url}/{NAME}",
        ws_api_url=f"{server.ws_url}/{NAME}/ws/v5/private",
        leverage=3,
    )
    return AccountQuery(
        venue=VENUE, key=our_key(), section=section, instruments={SWAP: RULES}, now=time.time_ns
    )


def test_the_account_is_looked_at_and_tried_as_spots_is() -> None:
    async def body(server: SimulatorServer) -> None:
        facts = await OkxInspector().facts(query_of(server))
        told = facts.symbols[SWAP]
        assert told.tradable
        assert (told.lot, told.taker_fee) == (Decimal("0.001"), Decimal("0.0005"))
        assert (facts.hedge_mode, facts.multi_asset_mode) == (False, False)
        assert facts.rights.trade is True
        desk = await OkxInspector().trial_desk(query_of(server))
        try:
            found = [each async for each in walk(desk, RULES, time.time_ns)]
        finally:
            await desk.close()
        assert {each.verdict for each in found} == {"ok"}, found
        (order,) = swap_of(server).exchange.all_orders("demo", SYMBOL)
        assert (order.status, order.amends) == ("CANCELED", 1)
        swap_of(server).records.hedge("demo")
        assert (await OkxInspector().facts(query_of(server))).hedge_mode is True

    run(body)


def test_a_watchdog_cancels_orders_of_every_kind() -> None:
    async def body(server: SimulatorServer) -> None:
        exchange = swap_of(server).exchange
        spec = exchange.rules[SYMBOL].spec
        request = OrderRequest(
            symbol=SYMBOL,
            side="BUY",
            type="LIMIT",
            quantity_e8=100 * spec.lot_e8,
            price_e8=exchange.last_ticks(SYMBOL) * 9 // 10 * spec.tick_e8,
            client_id="scabc123run1Z1Z1",
        )
        exchange.place("demo", request)
        section = VenueSection(symbols=[SWAP], private_rest_url=f"{server.rest_url}/{NAME}")
        account = CancelAccount(key=our_key(), section=section, now=time.time_ns)
        desk = cancel_desk(account)
        try:
            (order,) = await desk.open_orders()
            assert order.symbol == SWAP_NATIVE
            await desk.cancel(order)
        finally:
            await desk.close()
        assert not exchange.open_orders("demo")

    run(body)
