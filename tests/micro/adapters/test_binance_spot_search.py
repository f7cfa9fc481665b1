"""Looking for an order that its id does not find: only when it is certainly nowhere is it absent."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from citadel_micro.adapters.binance.spot_dialect import SpotDialect
from citadel_micro.adapters.binance.spot_messages import SpotReader
from citadel_micro.adapters.binance.spot_requests import SpotRequests
from citadel_micro.adapters.binance.spot_search import (
    MOST_LOOKED_UP,
    MOST_PAGES,
    PAGE,
    SpotSearch,
)
from citadel_micro.core.model.commands import PlaceOrder
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.venue.dialect import Absent, Found, Unclear
from citadel_micro.shell.venue.order_ids import OrderIds, OurOrder
from citadel_micro.shell.venue.outcomes import Answered, NotSent, Unknown
from citadel_micro.shell.venue.venue_clock import VenueClock

if TYPE_CHECKING:
    from citadel_micro.shell.venue.dialect import Finding, Request
    from citadel_micro.shell.venue.outcomes import Outcome

MS = 1_000_000
NOW = 1_800_000_000_000 * MS
RULES = Instrument(
    venue="binance-spot",
    symbol="ETH/BTC",
    venue_symbol="ETHBTC",
    base="ETH",
    quote="BTC",
    settle="BTC",
    kind="spot",
    tick=Decimal("0.000001"),
    lot=Decimal("0.001"),
    min_lots=1,
    min_notional=Decimal("0.0001"),
    contract_size=Decimal(1),
    maker_fee=Decimal(0),
    taker_fee=Decimal(0),
    fee_side="received",
)
NAME = "scabc123run1-1-1"


def row(order_id: int, name: str = "web_1", **changes: object) -> dict[str, object]:
    return {
        "symbol": "ETHBTC",
        "orderId": order_id,
        "clientOrderId": name,
        "price": "0.100000",
        "origQty": "0.500",
        "executedQty": "0.000",
        "status": "NEW",
        "side": "BUY",
        "time": NOW // MS,
        "updateTime": NOW // MS,
        **changes,
    }


def trade(trade_id: int, order_id: int, qty: str = "0.100") -> dict[str, object]:
    return {
        "symbol": "ETHBTC",
        "id": trade_id,
        "orderId": order_id,
        "price": "0.1",
        "qty": qty,
        "commission": "0.1",
        "commissionAsset": "BNB",
        "time": NOW // MS,
        "isBuyer": True,
        "isMaker": True,
    }


class Venue:
    """Answers from tables, and keeps what was asked."""

    def __init__(
        self,
        orders: list[dict[str, object]] | None = None,
        trades: list[dict[str, object]] | None = None,
        *,
        by_name: list[dict[str, object]] | None = None,
        broken: str = "",
    ) -> None:
        self.orders = orders or []
        self.trades = trades or []
        self.by_name = by_name or []
        """What ``order.status`` finds."""
        self.broken = broken
        self.asked: list[Request] = []

    async def ask(self, request: Request) -> Outcome:
        self.asked.append(request)
        if request.method == self.broken:
            return Unknown("no answer")
        params = request.params
        if request.method == "order.status":
            for each in self.by_name:
                if params.get("orderId") == each["orderId"] or (
                    params.get("origClientOrderId") == each["clientOrderId"]
                ):
                    return self._fine(each)
            body = b'{"code":-2013,"msg":"Order does not exist."}'
            return Answered(status=400, body=body)
        if request.method == "allOrders":
            first = params.get("orderId", 0)
            assert isinstance(first, int)
            rows = [each for each in self.orders if int(str(each["orderId"])) >= first]
            return self._fine(rows[:PAGE])
        assert request.method == "myTrades"
        of = params.get("orderId")
        first = params.get("fromId", 0)
        assert isinstance(first, int)
        found = [
            each
            for each in self.trades
            if (of is None or each["orderId"] == of) and int(str(each["id"])) >= first
        ]
        # Without a beginning the last ones, as the venue has it.
        begins = "fromId" in params or "startTime" in params
        return self._fine(found[:PAGE] if begins else found[-PAGE:])

    @staticmethod
    def _fine(content: object) -> Answered:
        return Answered(status=200, body=json.dumps(content).encode())


def ours(*, venue_order_id: str = "") -> OurOrder:
    return OurOrder(
        NAME, "ETH/BTC", "buy", 100_000, 500, NOW + 2_000 * MS, NOW, venue_order_id=venue_order_id
    )


def searcher() -> tuple[SpotSearch, OrderIds]:
    rules = {"ETH/BTC": RULES}
    search = SpotSearch(
        SpotReader(rules), SpotRequests(rules), VenueClock(lambda: NOW + 20_000 * MS)
    )
    search.ids = OrderIds(lambda _changes: None)
    return search, search.ids


def find(venue: Venue, order: OurOrder | None = None, *, deep: bool = True) -> Finding:
    search, _ = searcher()
    return asyncio.run(search.find(venue.ask, order or ours(), deep=deep))


def test_by_the_venues_id_where_it_is_known() -> None:
    venue = Venue(by_name=[row(7, "a-cancel's-own-id", status="CANCELED")])
    found = find(venue, ours(venue_order_id="7"))
    assert isinstance(found, Found)
    assert found.order.standing == "canceled"
    assert venue.asked[0].params["orderId"] == 7
    assert "origClientOrderId" not in venue.asked[0].params


def test_with_the_fills_that_were_not_reported() -> None:
    venue = Venue(
        by_name=[row(7, NAME, executedQty="0.300", status="PARTIALLY_FILLED")],
        trades=[trade(1, 7, "0.100"), trade(2, 7, "0.200"), trade(3, 8)],
    )
    found = find(venue)
    assert isinstance(found, Found)
    assert [each.trade_id for each in found.trades] == ["1", "2"]
    told = ours()
    told.filled_lots = 300
    venue.asked.clear()
    found = find(venue, told)
    assert isinstance(found, Found)
    assert found.trades == ()
    assert [each.method for each in venue.asked] == ["order.status"]


def test_without_the_right_to_believe_it_nothing_more_is_asked() -> None:
    venue = Venue()
    found = find(venue, deep=False)
    assert isinstance(found, Absent)
    assert not found.trades_too
    assert [each.method for each in venue.asked] == ["order.status"]


def test_nowhere_at_all() -> None:
    venue = Venue(orders=[row(5)], trades=[trade(1, 5)])
    found = find(venue)
    assert isinstance(found, Absent)
    assert found.trades_too
    assert [each.method for each in venue.asked] == ["order.status", "allOrders", "myTrades"]
    window = venue.asked[1].params
    assert int(window["startTime"]) < NOW // MS < int(window["endTime"])
    assert int(window["endTime"]) - int(window["startTime"]) <= 86_400_000


def test_among_all_orders_where_the_index_by_name_lags() -> None:
    venue = Venue(orders=[row(5), row(6, NAME, executedQty="0.1")], trades=[trade(9, 6)])
    found = find(venue)
    assert isinstance(found, Found)
    assert found.order.venue_order_id == "6"
    assert [each.trade_id for each in found.trades] == ["9"]


def test_a_cancelled_order_that_looks_like_ours_may_be_ours() -> None:
    alike = row(5, "a-cancel's-own-id", status="CANCELED")
    found = find(Venue(orders=[alike]))
    assert isinstance(found, Absent)
    assert not found.trades_too
    for different in (
        {"side": "SELL"},
        {"price": "0.200000"},
        {"origQty": "0.400"},
        {"status": "FILLED"},
    ):
        found = find(Venue(orders=[{**alike, **different}]))
        assert isinstance(found, Absent)
        assert found.trades_too, different


def test_but_not_where_it_is_known_to_be_another_of_ours() -> None:
    search, ids = searcher()
    other = ids.placed(
        PlaceOrder(
            venue="binance-spot",
            symbol="ETH/BTC",
            client_id="scabc123run1-1-2",
            parent_id="p",
            side="buy",
            price_ticks=100_000,
            quantity_lots=500,
            post_only=False,
            time_in_force="GTC",
            reduce_only=False,
            expires_ns=NOW,
        ),
        NOW,
    )
    ids.named(other, "5")
    venue = Venue(orders=[row(5, "renamed", status="CANCELED")], trades=[trade(1, 5)])
    found = asyncio.run(search.find(venue.ask, ours(), deep=True))
    assert isinstance(found, Absent)
    assert found.trades_too


def test_a_fill_of_an_order_that_no_list_has_is_looked_up() -> None:
    venue = Venue(trades=[trade(1, 77)], by_name=[row(77, "web_9")])
    found = find(venue)
    assert isinstance(found, Absent)
    assert found.trades_too
    assert venue.asked[-1].params["orderId"] == 77
    # It is ours after all, or could be.
    found = find(Venue(trades=[trade(1, 77)], by_name=[row(77, "x", status="CANCELED")]))
    assert isinstance(found, Absent)
    assert not found.trades_too


def test_what_cannot_be_answered_is_never_absent() -> None:
    for method in ("order.status", "allOrders", "myTrades"):
        assert isinstance(find(Venue(broken=method)), Unclear), method
    # The one that is to be looked up is not there.
    assert isinstance(find(Venue(trades=[trade(1, 77)])), Unclear)
    crowd = [trade(number, 100 + number) for number in range(MOST_LOOKED_UP + 1)]
    assert isinstance(find(Venue(trades=crowd)), Unclear)
    many = [row(number) for number in range(1, PAGE * MOST_PAGES + 2)]
    assert isinstance(find(Venue(orders=many)), Unclear)


def test_pages_are_read_to_their_end() -> None:
    many = [row(number) for number in range(1, PAGE + 5)]
    many[-1]["clientOrderId"] = NAME
    found = find(Venue(orders=many))
    assert isinstance(found, Found)
    assert found.order.venue_order_id == str(PAGE + 4)


def test_an_order_of_more_fills_than_a_page_is_reported_with_all_of_them() -> None:
    count = 2 * PAGE + 7
    filled = row(7, NAME, executedQty=str(count * Decimal("0.001")), status="FILLED")
    others = [trade(10 * PAGE, 8)]
    venue = Venue(by_name=[filled], trades=[*(trade(n, 7, "0.001") for n in range(count)), *others])
    found = find(venue)
    assert isinstance(found, Found)
    assert [int(each.trade_id) for each in found.trades] == list(range(count))


def test_trades_of_many_pages_are_read_to_their_end() -> None:
    search, _ = searcher()
    venue = Venue(trades=[trade(n, 77) for n in range(7 * PAGE + 3)], by_name=[row(77, "web_9")])
    found = asyncio.run(search.trades(venue.ask, "ETH/BTC", NOW))
    assert not isinstance(found, Unclear)
    assert [int(each.fact.trade_id) for each in found] == list(range(7 * PAGE + 3))


def test_a_page_that_ends_within_a_trade_of_the_account_with_itself_loses_neither_row() -> None:
    search, _ = searcher()
    alone = [trade(n, 77) for n in range(PAGE - 1)]
    with_itself = [trade(PAGE - 1, 77), trade(PAGE - 1, 78) | {"isBuyer": False}]
    venue = Venue(
        trades=[*alone, *with_itself, trade(PAGE, 77)], by_name=[row(77, "web_9"), row(78, "web_8")]
    )
    found = asyncio.run(search.trades(venue.ask, "ETH/BTC", NOW))
    assert not isinstance(found, Unclear)
    assert [int(each.fact.trade_id) for each in found] == [*range(PAGE), PAGE - 1, PAGE]
    assert [each.fact.venue_order_id for each in found if each.side == "sell"] == ["78"]


def test_a_search_among_a_crowd_of_others_goes_on_where_the_last_one_ended() -> None:
    crowd = range(100, 100 + 2 * MOST_LOOKED_UP + 1)
    venue = Venue(
        trades=[trade(each, each) for each in crowd], by_name=[row(each) for each in crowd]
    )
    search, _ = searcher()
    found = [asyncio.run(search.find(venue.ask, ours(), deep=True)) for _ in range(3)]
    assert [type(each) for each in found] == [Unclear, Unclear, Absent]
    looked_up = [each.params["orderId"] for each in venue.asked if "orderId" in each.params]
    assert looked_up == list(crowd)


def test_an_order_of_which_only_its_name_is_remembered() -> None:
    bare = OurOrder(NAME, "ETH/BTC", "", 0, 0, 0, 0)
    venue = Venue(orders=[row(5, "renamed", status="CANCELED")])
    found = find(venue, bare)
    assert isinstance(found, Absent)
    assert found.trades_too
    window = venue.asked[1].params
    assert int(window["endTime"]) - int(window["startTime"]) < 86_400_000


def test_a_status_that_nobody_knows_is_a_puzzle() -> None:
    found = find(Venue(by_name=[row(7, NAME, status="HIBERNATING")]))
    assert isinstance(found, Unclear)
    assert found.anomaly
    found = find(Venue(by_name=[row(7, NAME, executedQty="-0.0005")]))
    assert isinstance(found, Unclear)
    assert found.anomaly


def test_questions_that_are_held_back_are_not_answered() -> None:
    async def ask(_request: Request) -> Outcome:
        return NotSent("held back", wait=True)

    search, _ = searcher()
    found = asyncio.run(search.find(ask, ours(), deep=True))
    assert isinstance(found, Unclear)


def test_trades_of_others_are_named_once() -> None:
    search, _ = searcher()
    venue = Venue(
        trades=[trade(1, 77), trade(2, 77), trade(3, 78)],
        by_name=[row(77, "web_9"), row(78, NAME)],
    )
    for _ in range(2):
        found = asyncio.run(search.trades(venue.ask, "ETH/BTC", NOW))
        assert not isinstance(found, Unclear)
        assert [(each.fact.trade_id, each.fact.client_id) for each in found] == [
            ("1", "web_9"),
            ("2", "web_9"),
            ("3", NAME),
        ]
    assert [each.method for each in venue.asked].count("order.status") == 2
    missing = asyncio.run(search.trades(Venue(trades=[trade(1, 99)]).ask, "ETH/BTC", NOW))
    assert isinstance(missing, Unclear)


def test_a_symbol_that_the_venue_has_delisted_keeps_no_other_from_being_surveyed() -> None:
    async def ask(request: Request) -> Outcome:
        if request.method == "account.status":
            balance = {"asset": "ETH", "free": "1", "locked": "0"}
            return Answered(status=200, body=json.dumps({"balances": [balance]}).encode())
        if request.params["symbol"] == "OLDBTC":
            return Answered(status=400, body=b'{"code":-1121,"msg":"Invalid symbol."}')
        return Answered(status=200, body=json.dumps([row(7)]).encode())

    old = replace(RULES, symbol="OLD/BTC", venue_symbol="OLDBTC", base="OLD")
    rules = {"OLD/BTC": old, "ETH/BTC": RULES}
    dialect = SpotDialect.__new__(SpotDialect)
    dialect._instruments, dialect._requests = rules, SpotRequests(rules)
    dialect._search = SpotSearch(SpotReader(rules), dialect._requests, VenueClock(lambda: NOW))
    survey = asyncio.run(dialect.survey(ask))
    assert not isinstance(survey, Unclear)
    assert [each.venue_order_id for each in survey.open_orders] == ["7"]
