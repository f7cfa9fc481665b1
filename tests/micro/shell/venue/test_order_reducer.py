"""One reducer: any order and any repetition of answers and events gives the same orders and fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.commands import PlaceOrder
from citadel_micro.core.model.events import (
    BalancesUpdated,
    OrderAccepted,
    OrderDone,
    OrderFilled,
    OrderRejected,
)
from citadel_micro.shell.venue.facts import BalanceFact, Fact, OrderFact, TradeFact
from citadel_micro.shell.venue.order_ids import KEPT_NS, ORDER, OrderIds, saved_symbols
from citadel_micro.shell.venue.order_reducer import OrderReducer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.core.model.events import VenueReport
    from citadel_micro.shell.venue.facts import OrderStanding

SYMBOL = "BTC/USDT"


class Rows:
    """What the journal holds."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def write(self, changes: Mapping[str, object]) -> None:
        for key, value in changes.items():
            if value is None:
                del self.values[key]
            else:
                self.values[key] = value


def order(client_id: str, *, lots: int = 10) -> PlaceOrder:
    return PlaceOrder(
        venue="v",
        symbol=SYMBOL,
        client_id=client_id,
        parent_id="p",
        side="buy",
        price_ticks=100,
        quantity_lots=lots,
        post_only=False,
        time_in_force="GTC",
        reduce_only=False,
        expires_ns=5_000,
    )


def stated(
    client_id: str, venue_id: str, standing: OrderStanding, filled: int, *, ns: int = 1
) -> OrderFact:
    return OrderFact(
        symbol=SYMBOL,
        client_id=client_id,
        venue_order_id=venue_id,
        standing=standing,
        price_ticks=100,
        quantity_lots=10,
        cumulative_lots=filled,
        exchange_ns=ns,
    )


def traded(client_id: str, venue_id: str, trade_id: str, lots: int, total: int = -1) -> TradeFact:
    return TradeFact(
        symbol=SYMBOL,
        client_id=client_id,
        venue_order_id=venue_id,
        trade_id=trade_id,
        price_ticks=100,
        quantity_lots=lots,
        cumulative_lots=total,
        fee=Decimal("0.1"),
        fee_currency="USDT",
        liquidity="maker",
        exchange_ns=1,
    )


@dataclass
class Folded:
    """What is known of one order after all reports."""

    accepted: int = 0
    fills: dict[str, int] = field(default_factory=dict)
    ends: set[tuple[str, int]] = field(default_factory=set)
    told_end: int = 0
    total: int = 0


def fold(reports: Iterable[VenueReport]) -> dict[str, Folded]:
    known: dict[str, Folded] = {}
    for report in reports:
        if isinstance(report, BalancesUpdated):
            continue
        assert isinstance(report, OrderAccepted | OrderFilled | OrderDone)
        each = known.setdefault(report.client_id, Folded())
        if isinstance(report, OrderAccepted):
            each.accepted += 1
        elif isinstance(report, OrderFilled):
            assert report.trade_id not in each.fills
            each.fills[report.trade_id] = report.quantity_lots
            each.total = max(each.total, report.cumulative_lots)
        else:
            each.ends.add((report.status, report.cumulative_lots))
            each.told_end += 1
            each.total = max(each.total, report.cumulative_lots)
    return known


# Two orders of ours that also met each other: trade 9 is in both, as a self-trade is.
HISTORY: tuple[Fact, ...] = (
    stated("a", "1", "open", 0),  # its answer
    stated("a", "1", "open", 0),  # NEW on the stream
    traded("a", "1", "7", 4, 4),  # TRADE on the stream
    stated("a", "1", "open", 4),
    traded("a", "1", "9", 3, 7),
    stated("a", "1", "open", 7),
    stated("a", "1", "canceled", 7),  # the cancel's answer, and the stream's word
    traded("", "1", "7", 4),  # myTrades, which name no client id
    traded("", "1", "9", 3),
    stated("b", "2", "open", -1),  # an acknowledgement that names no total
    traded("b", "2", "9", 10, 10),
    traded("b", "2", "9", 10),  # in the answer to the order itself
    stated("b", "2", "filled", 10),
)
EXPECTED = {
    "a": Folded(1, {"7": 4, "9": 3}, {("canceled", 7)}, 1, 7),
    "b": Folded(1, {"9": 10}, {("filled", 10)}, 1, 10),
}


@given(
    facts=st.permutations(HISTORY),
    again=st.lists(st.sampled_from(HISTORY), max_size=10),
    data=st.data(),
)
def test_neither_order_nor_repetition_matters(
    facts: list[Fact], again: list[Fact], data: st.DataObject
) -> None:
    for fact in again:
        facts.insert(data.draw(st.integers(0, len(facts))), fact)
    rows = Rows()
    ids = OrderIds(rows.write)
    ids.placed(order("a"), 1)
    ids.placed(order("b"), 1)
    reducer = OrderReducer("v", ids)
    reports: list[VenueReport] = []
    for fact in facts:
        reports += reducer.take((fact,), 1)
    assert fold(reports) == EXPECTED
    first: dict[str, VenueReport] = {}
    for report in reports:
        if isinstance(report, OrderAccepted | OrderFilled | OrderDone):
            first.setdefault(report.client_id, report)
    # Whatever came first, it says that the venue has the order.
    assert all(isinstance(report, OrderAccepted) for report in first.values())


@given(cut=st.integers(0, len(HISTORY)), rest=st.permutations(HISTORY))
def test_a_restart_in_the_middle_knows_both_ids(cut: int, rest: list[Fact]) -> None:
    rows = Rows()
    ids = OrderIds(rows.write)
    for name in ("a", "b"):
        ids.placed(order(name), 1)
    before = OrderReducer("v", ids).take(HISTORY[:cut], 1)
    anew = OrderIds(rows.write)
    anew.restore(dict(rows.values))
    # Trades that name the venue's id alone find their order where it was named before.
    after = OrderReducer("v", anew).take(rest, 1)
    # The engine counts a fill once by its trade id, whoever tells it again.
    fills = {
        (each.client_id, each.trade_id)
        for each in [*before, *after]
        if isinstance(each, OrderFilled)
    }
    assert fills == {("a", "7"), ("a", "9"), ("b", "9")}
    for name, venue_id in (("a", "1"), ("b", "2")):
        known = anew.find(name)
        assert known is not None
        assert known.venue_order_id == venue_id
        assert known.quantity_lots == 10


def test_what_contradicts_is_passed_on() -> None:
    ids = OrderIds(Rows().write)
    ids.placed(order("a"), 1)
    reducer = OrderReducer("v", ids)
    reducer.take((stated("a", "1", "canceled", 7),), 1)
    # A total that shrinks, and a fill behind the end.
    shrunk = reducer.take((stated("a", "1", "canceled", 5),), 1)
    assert [(type(each), getattr(each, "cumulative_lots", None)) for each in shrunk] == [
        (OrderDone, 5)
    ]
    late = reducer.take((traded("a", "1", "8", 9, 9),), 1)
    assert [type(each) for each in late] == [OrderFilled]


def test_a_rejected_order_is_reported_once() -> None:
    ids = OrderIds(Rows().write)
    ids.placed(order("a"), 1)
    reducer = OrderReducer("v", ids)
    told = reducer.take((stated("a", "1", "rejected", 0), stated("a", "1", "rejected", 0)), 1)
    assert [type(each) for each in told] == [OrderRejected]


def test_a_rejected_order_that_a_query_finds_canceled_or_open_before_is_no_other() -> None:
    """The answer to a query that was under way when the stream told the reject."""
    rows = Rows()
    ids = OrderIds(rows.write)
    ids.placed(order("a"), 1)
    reducer = OrderReducer("v", ids)
    reducer.take((stated("a", "1", "rejected", 0, ns=5),), 1)
    for standing in ("canceled", "expired", "open"):
        assert reducer.take((stated("a", "1", standing, 0, ns=5),), 1) == []
    later = reducer.take((stated("a", "1", "open", 0, ns=6),), 1)
    assert [type(each) for each in later] == [OrderAccepted]
    ids.forget_old(KEPT_NS + 1)
    assert rows.values == {}


def test_a_rejected_order_that_has_filled_is_passed_on() -> None:
    ids = OrderIds(Rows().write)
    ids.placed(order("a"), 1)
    reducer = OrderReducer("v", ids)
    reducer.take((stated("a", "1", "rejected", 0),), 1)
    told = reducer.take((stated("a", "1", "canceled", 3),), 1)
    assert [type(each) for each in told] == [OrderAccepted, OrderDone]


def test_balances_go_through() -> None:
    fact = BalanceFact(balances=(("BTC", Decimal(1), Decimal(2)),), exchange_ns=3)
    assert OrderReducer("v", OrderIds(Rows().write)).take((fact,), 1) == [
        BalancesUpdated(venue="v", balances=fact.balances, exchange_ns=3)
    ]


def test_trades_of_an_order_that_nobody_has_named_wait_for_its_name() -> None:
    ids = OrderIds(Rows().write)
    ids.placed(order("a"), 1)
    reducer = OrderReducer("v", ids)
    assert reducer.take((traded("", "1", "7", 4),), 1) == []
    told = reducer.take((stated("a", "1", "open", 4),), 1)
    assert [type(each) for each in told] == [OrderAccepted, OrderFilled]


def test_what_is_over_and_told_is_forgotten_after_a_while() -> None:
    rows = Rows()
    ids = OrderIds(rows.write)
    ids.placed(order("a"), 1)
    reducer = OrderReducer("v", ids)
    reducer.take((stated("a", "1", "open", 0), stated("a", "1", "canceled", 4)), 1)
    ids.forget_old(10 * KEPT_NS)
    assert ORDER + "a" in rows.values  # one fill of it was not told
    reducer.take((traded("", "1", "7", 4),), 1)
    ids.forget_old(KEPT_NS)
    assert list(saved_symbols(rows.values)) == [SYMBOL]
    ids.forget_old(KEPT_NS + 1)
    assert rows.values == {}
    assert ids.find("a") is None
    assert ids.owner(SYMBOL, "1") is None


def test_orders_of_others_are_not_written_down() -> None:
    rows = Rows()
    reducer = OrderReducer("v", OrderIds(rows.write))
    told = reducer.take((traded("web_1", "5", "7", 4, 4), stated("web_1", "5", "canceled", 4)), 1)
    assert [type(each) for each in told] == [OrderAccepted, OrderFilled, OrderDone]
    assert rows.values == {}


def test_rows_that_cannot_be_read_are_left_out() -> None:
    rows = Rows()
    ids = OrderIds(rows.write)
    ids.placed(order("a"), 1)
    anew = OrderIds(rows.write)
    anew.restore({**rows.values, ORDER + "b": {"symbol": 1}, ORDER + "c": None, "other": 1})
    assert anew.find("a") is not None
    assert anew.find("b") is None
