"""The paper venue under random orders and markets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from paper_kit import MS, SYMBOL, VENUE, Bench, quiet_config
from paper_requests import amend, cancel

from citadel_micro.core.model.commands import QueryVenue
from citadel_micro.core.model.events import (
    AmendRejected,
    BalancesUpdated,
    OrderDone,
    VenueSnapshot,
)
from citadel_micro.sim.faults import scenario
from citadel_micro.sim.paper import PaperVenue
from citadel_micro.sim.paper_link import LinkConfig

MODELS = ("pessimistic", "expected", "optimistic")


orders = st.tuples(
    st.sampled_from(["buy", "sell"]),
    st.integers(97, 106),
    st.integers(6, 300),
    st.booleans(),
    st.booleans(),
)


moves = st.one_of(
    st.tuples(st.just("order"), orders),
    st.tuples(st.just("cancel"), st.integers(1, 20)),
    st.tuples(
        st.just("trade"),
        st.tuples(st.integers(98, 104), st.integers(1, 200), st.sampled_from(["buy", "sell"])),
    ),
    st.tuples(
        st.just("book"),
        st.tuples(st.integers(98, 101), st.integers(1, 3), st.integers(1, 300)),
    ),
    st.tuples(st.just("wait"), st.integers(0, 5)),
)


def play(bench: Bench, path: list[tuple[str, Any]]) -> None:
    for kind, what in path:
        if kind == "order":
            side, price, lots, post_only, ioc = what
            bench.order(side, price, lots, post_only=post_only, ioc=ioc and not post_only)
        elif kind == "cancel":
            bench.send(cancel(f"o-{what}"))
        elif kind == "trade":
            price, lots, side = what
            bench.trade(float(price), lots / 100, side)
        elif kind == "book":
            bid, spread, lots = what
            gone = [(float(p), 0.0) for p in range(bid + 1, 120)]
            above = [(float(p), 0.0) for p in range(90, bid + spread)]
            bench.depth(
                [*gone, (float(bid), lots / 100)], [*above, (float(bid + spread), lots / 100)]
            )
        else:
            bench.at(bench.now + what * MS // 2)
    bench.settle()


@given(path=st.lists(moves, max_size=40), faults=st.sampled_from(["none", "everything"]))
def test_the_ledger_always_adds_up(path: list[tuple[str, Any]], faults: str) -> None:
    """Money only moves by fills: free + used equals the start plus what was traded and paid."""
    link = LinkConfig(latency_floor_ns=MS, latency_mean_ns=MS // 2, faults=scenario(faults))
    bench = Bench(config=quiet_config(link=link))
    play(bench, path)
    base, quote = Decimal(10), Decimal(100_000)
    for order in bench.venue.orders.values():
        assert order.filled_lots == sum(fill.quantity_lots for fill in order.fills)
        assert order.filled_lots <= order.quantity_lots
        for fill in order.fills:
            worse = fill.price_ticks - order.price_ticks
            assert worse <= 0 if order.side == "buy" else worse >= 0
            sign = 1 if order.side == "buy" else -1
            base += sign * bench.instrument.quantity(fill.quantity_lots)
            quote -= sign * bench.instrument.notional(fill.price_ticks, fill.quantity_lots)
            if fill.fee_currency == "BTC":
                base -= fill.fee
            else:
                quote -= fill.fee
    for currency, total in (("BTC", base), ("USDT", quote)):
        purse = bench.venue.ledger.purse(currency)
        assert purse.free + purse.used == total
        assert purse.free >= 0
        locked = sum(
            (o.locked for o in bench.venue.orders.values() if o.locked_currency == currency),
            Decimal(0),
        )
        assert purse.used == locked
    assert all(o.locked == 0 for o in bench.venue.orders.values() if not o.open)


@given(path=st.lists(moves, max_size=40), model=st.sampled_from(MODELS))
def test_makers_never_get_more_than_was_traded_or_shown(
    path: list[tuple[str, Any]], model: str
) -> None:
    bench = Bench(config=quiet_config(queue_model=model))
    play(bench, path)
    traded = sum(what[1] for kind, what in path if kind == "trade")
    shown: dict[int, int] = {102: 100, 103: 200, 100: 100, 99: 200}
    for kind, what in path:
        if kind == "book" and model == "optimistic":
            for price in (what[0], what[0] + what[1]):
                shown[price] = max(shown.get(price, 0), what[2])
    most = traded + (sum(shown.values()) if model == "optimistic" else 0)
    got = sum(
        fill.quantity_lots
        for order in bench.venue.orders.values()
        for fill in order.fills
        if fill.liquidity == "maker"
    )
    assert got <= most


@given(path=st.lists(moves, max_size=30))
def test_the_same_run_twice_gives_the_same_reports(path: list[tuple[str, Any]]) -> None:
    link = LinkConfig(faults=scenario("everything"))
    first, second = (Bench(config=quiet_config(link=link, seed=7)) for _ in range(2))
    play(first, path)
    play(second, path)
    assert first.reports == second.reports


@given(path=st.lists(moves, max_size=30))
def test_an_account_survives_a_crash(path: list[tuple[str, Any]]) -> None:
    bench = Bench()
    play(bench, path)
    again = Bench()
    again.venue.restore(bench.venue.to_state())
    assert again.venue.to_state() == bench.venue.to_state()
    open_before = [o.client_id for o in bench.venue.orders.values() if o.open]
    again.send(QueryVenue(venue=VENUE))
    (answer,) = again.settle()
    assert isinstance(answer, VenueSnapshot)
    assert [o.client_id for o in answer.open_orders] == open_before


def test_a_restored_order_can_be_cancelled_before_its_book_is_back() -> None:
    bench = Bench()
    order = bench.order("buy", 100, 50)
    bench.settle()
    venue = PaperVenue(VENUE, {SYMBOL: bench.instrument}, quiet_config())
    venue.restore(bench.venue.to_state())
    venue.submit(amend(order, 99, 50), 0)
    venue.submit(cancel(order), 5 * MS)
    refused, balances, done = venue.due(60 * MS)
    assert isinstance(refused, AmendRejected)
    assert isinstance(balances, BalancesUpdated)
    assert isinstance(done, OrderDone)
    assert (done.status, done.cumulative_lots) == ("canceled", 0)
