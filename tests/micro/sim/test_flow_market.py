"""The synthetic order flow: reproducible, never crossed, every change numbered."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.sim.flow import SyntheticMarket
from citadel_micro.sim.flow_agents import FULL_LEVELS, MIN_LEVELS, FlowEvent
from citadel_micro.sim.flow_book import LevelBook, LevelChange, Print
from citadel_micro.sim.flow_symbols import KNOWN_SYMBOLS, choose_symbols
from citadel_proto.errors import BadInput, InvariantError

SECOND = 1_000_000_000
START = 1_763_800_020 * SECOND
THREE = choose_symbols(("BTC/USDT", "ADA/USDT", "LINK/USDT"))


def run(seed: int, until: list[int]) -> list[FlowEvent]:
    market = SyntheticMarket(THREE, seed, START)
    out: list[FlowEvent] = []
    for offset in until:
        out += market.advance(START + offset)
    return out


@pytest.fixture(scope="module")
def two_minutes() -> list[FlowEvent]:
    return run(5, [120 * SECOND])


def test_same_seed_gives_the_same_events_and_another_seed_others(
    two_minutes: list[FlowEvent],
) -> None:
    assert len(two_minutes) > 3000
    assert run(5, [120 * SECOND]) == two_minutes
    assert run(6, [120 * SECOND]) != two_minutes


@settings(max_examples=examples(3, 16))
@given(st.lists(st.integers(0, 70 * SECOND), max_size=60))
def test_the_stream_does_not_depend_on_the_steps(stops: list[int]) -> None:
    whole = run(7, [70 * SECOND])
    assert run(7, [*sorted(stops), 70 * SECOND]) == whole


def test_ids_and_times_only_go_up(two_minutes: list[FlowEvent]) -> None:
    assert all(a.time_ns <= b.time_ns for a, b in pairwise(two_minutes))
    for item in THREE:
        mine = [event for event in two_minutes if event.symbol == item.spec.symbol]
        changes = [event.update_id for event in mine if isinstance(event, LevelChange)]
        trades = [event.trade_id for event in mine if isinstance(event, Print)]
        assert all(b == a + 1 for a, b in pairwise(changes))
        assert all(b == a + 1 for a, b in pairwise(trades))
        assert len(changes) > 500
        assert len(trades) > 20


@pytest.mark.parametrize("seed", range(4))
def test_the_book_is_deep_and_never_crossed_and_trades_happen_at_its_best(seed: int) -> None:
    """An independent book, built from the events alone, is checked at every one of them."""
    market = SyntheticMarket(THREE, seed, START)
    bids = {name: dict(flow.book.bid_lots) for name, flow in market.flows.items()}
    asks = {name: dict(flow.book.ask_lots) for name, flow in market.flows.items()}
    for event in market.advance(START + 60 * SECOND):
        mine, other = bids[event.symbol], asks[event.symbol]
        if isinstance(event, Print):
            side = mine if event.buyer_is_maker else other
            best = max(mine) if event.buyer_is_maker else min(other)
            assert event.ticks == best
            assert 0 < event.lots <= side[best]
            continue
        side = mine if event.side == "bid" else other
        assert event.lots >= 0
        if event.lots:
            side[event.ticks] = event.lots
        else:
            side.pop(event.ticks)  # only a level that was there can go
        assert max(mine) < min(other)
        assert min(len(mine), len(other)) >= MIN_LEVELS - 1
    for name, flow in market.flows.items():
        assert (flow.book.bid_lots, flow.book.ask_lots) == (bids[name], asks[name])
        assert flow.book.bids == sorted(bids[name])
        assert flow.book.asks == sorted(asks[name])


def test_ids_go_on_after_a_restart_an_hour_later() -> None:
    early = SyntheticMarket(THREE, 1, START)
    early.advance(START + 30 * SECOND)
    late = SyntheticMarket(THREE, 1, START + 3600 * SECOND)
    for name, flow in late.flows.items():
        assert flow.book.update_id > early.flows[name].book.update_id


def test_time_does_not_run_backwards() -> None:
    market = SyntheticMarket(THREE, 1, START)
    market.advance(START + SECOND)
    with pytest.raises(InvariantError):
        market.advance(START)


def test_a_start_before_the_reference_prices_begin_is_refused() -> None:
    with pytest.raises(BadInput, match="before 2020"):
        SyntheticMarket(THREE, 1, 1_500_000_000 * SECOND)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("BTC/USDT", "NOPE/USDT"), "NOPE/USDT.*allowed: BTC/USDT"),
        (("BTC/USDT", "BTC/USDT"), "given twice"),
        ((), "no symbol given"),
    ],
)
def test_symbols_that_cannot_be_simulated_are_refused(names: tuple[str, ...], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        choose_symbols(names)


def test_every_known_symbol_opens_a_deep_book() -> None:
    market = SyntheticMarket(tuple(KNOWN_SYMBOLS.values()), 3, START)
    for flow in market.flows.values():
        assert len(flow.book.bids) >= 100
        assert len(flow.book.asks) >= 100
        assert flow.book.bids[-1] < flow.book.asks[0]


def test_a_level_set_to_nothing_twice_leaves_the_rest_alone() -> None:
    book = LevelBook(10)
    assert book.quote(0, "X/Y") is None
    assert book.put("bid", 100, 5) == 11
    assert book.put("bid", 99, 0) == 12
    assert book.put("ask", 101, 7) == 13
    assert book.depth(5).bids == ((100, 5),)
    assert book.depth(5).asks == ((101, 7),)
    quote = book.quote(1, "X/Y")
    assert quote is not None
    assert (quote.bid_ticks, quote.ask_lots, quote.update_id) == (100, 7, 13)


def test_deep_levels_lie_behind_the_busy_ones() -> None:
    """However deep a book is, the flow keeps as many levels busy as in a plain one."""
    plain = choose_symbols(("BTC/USDT", "DOGE/USDT"))
    for deep in (0, 5000):
        chosen = tuple(replace(each, flow=replace(each.flow, deep_levels=deep)) for each in plain)
        market = SyntheticMarket(chosen, 3, START)
        market.advance(START + 60 * SECOND)
        for flow in market.flows.values():
            for prices in (flow.book.bids, flow.book.asks):
                assert MIN_LEVELS <= len(prices) - deep <= FULL_LEVELS + 1
            assert flow.book.bids[0] > 0
            shown = flow.book.depth(5000)
            for levels, prices in ((shown.bids, flow.book.bids), (shown.asks, flow.book.asks)):
                assert len(levels) == min(len(prices), 5000)


def test_a_cheap_coin_has_no_more_deep_bids_than_prices() -> None:
    ada = choose_symbols(("ADA/USDT",))[0]
    flow = replace(ada.flow, deep_levels=20_000)
    market = SyntheticMarket((replace(ada, flow=flow),), 3, START)
    market.advance(START + 30 * SECOND)
    book = market.flows["ADA/USDT"].book
    assert book.bids[0] >= 1
    assert MIN_LEVELS < len(book.bids) < 20_000
    assert len(book.asks) > 20_000
