"""Which trades are news: once each, in order, and nothing that was over before it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper_kit import SYMBOL, VENUE, Bench

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.trade_news import REMEMBERED, News, SeenTrades
from citadel_micro.core.model.events import OrderFilled, TradeTick

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Side

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def trade(
    number: int,
    *,
    at_ns: int | None = None,
    recv_ns: int | None = None,
    name: str | None = None,
    size: float = 1.0,
    side: Side = "buy",
    history: bool = False,
) -> TradeTick:
    """Trade ``number``, a second after the one before, told 50 ms later unless said otherwise."""
    at_ns = START + number * SECOND if at_ns is None else at_ns
    recv_ns = at_ns + 50_000_000 if recv_ns is None else recv_ns
    name = str(number) if name is None else name
    return TradeTick(VENUE, SYMBOL, name, 100.0, size, side, at_ns, recv_ns, history)


@pytest.fixture
def market() -> MarketBook:
    return MarketBook(VENUE, SYMBOL, "unnumbered")


@given(st.lists(st.integers(0, 60), max_size=200))
def test_whatever_is_repeated_counts_once(numbers: list[int]) -> None:
    """Messages told again, in any mix, change the flow as if each had come once."""
    market = MarketBook(VENUE, SYMBOL, "unnumbered")
    for position, number in enumerate(numbers):
        # All of them within the slack for order, so that only repeating is judged.
        at_ns = START + number * 1_000_000
        told = START + SECOND + position * 1_000
        news = market.on_trade(trade(number, at_ns=at_ns, recv_ns=told))
        assert news is (number not in numbers[:position])
    expected = float(len(set(numbers)))
    assert market.signed_flow(START + 2 * SECOND, 60 * SECOND) == expected


def test_trades_without_a_number_are_known_by_what_they_say() -> None:
    seen = SeenTrades()
    first = trade(1, name="")
    assert seen.take(first)
    assert seen.take(first), "one message may tell of two equal trades"
    assert not seen.take(first._replace(recv_ns=first.recv_ns + 1)), "another message repeats it"
    assert seen.take(first._replace(size=2.0, recv_ns=first.recv_ns + 1))


def test_what_is_remembered_is_bounded_and_enough() -> None:
    seen = SeenTrades()
    for number in range(5 * REMEMBERED):
        assert seen.take(trade(number))
        assert len(seen) <= 2 * REMEMBERED + 2
    assert not any(seen.take(trade(n)) for n in range(4 * REMEMBERED + 1, 5 * REMEMBERED))


def test_history_is_no_news(market: MarketBook) -> None:
    assert not market.on_trade(trade(1, history=True))
    assert market.last_trade is None
    assert market.news is None
    assert market.signed_flow(START + 60 * SECOND, 60 * SECOND) == 0.0


def test_a_trade_of_the_past_is_no_news(market: MarketBook) -> None:
    assert market.on_trade(trade(100))
    old = trade(40, recv_ns=START + 101 * SECOND)
    assert not market.on_trade(old)
    assert market.last_trade is not old
    assert market.on_trade(trade(101))


def test_late_trades_in_order_are_news(market: MarketBook) -> None:
    """A network that stood still delivers what happened: stops must see it."""
    assert market.on_trade(trade(1))
    for number in range(2, 6):
        assert market.on_trade(trade(number, recv_ns=START + 6 * SECOND + number))


def test_one_stamp_an_hour_ahead_does_not_silence_the_rest(market: MarketBook) -> None:
    wrong = trade(1, at_ns=START + 3_600 * SECOND, recv_ns=START + SECOND)
    assert market.on_trade(wrong)
    assert market.last_trade_ns <= START + SECOND
    assert all(market.on_trade(trade(number)) for number in range(2, 302))


@pytest.mark.parametrize("ahead", [-86_400, -3_600, -120, 120, 3_600, 86_400])
@pytest.mark.parametrize("at", [0, 1, 10, 63, 64, 65])
def test_one_wrong_stamp_of_the_depth_refuses_no_trade(at: int, ahead: int) -> None:
    """A pair that is quiet has 64 trades in hours: no stop would hear of them."""
    news = News()
    for number in range(200):
        lag_ns = 50_000_000 - (ahead * SECOND if number == at else 0)
        assert news.judge(trade(number), lag_ns), number


def test_a_clock_that_jumps_ahead_and_back_refuses_no_trade() -> None:
    news = News()
    for number in range(200):
        ahead_ns = 3_600 * SECOND if 20 <= number < 25 else 0
        told = trade(number)
        told = told._replace(exchange_ns=told.exchange_ns + ahead_ns)
        assert news.judge(told, 50_000_000 - ahead_ns), number
        assert news.happened_ns == told.recv_ns


def test_under_a_clock_that_is_ahead_the_past_is_no_news() -> None:
    news = News()
    ahead_ns = 600 * SECOND
    for number in range(100, 103):
        told = trade(number)
        assert news.judge(told._replace(exchange_ns=told.exchange_ns + ahead_ns), None)
    old = trade(40, recv_ns=START + 104 * SECOND)
    assert not news.judge(old._replace(exchange_ns=old.exchange_ns + ahead_ns), None)


def test_a_clock_that_is_behind_makes_nothing_old(market: MarketBook) -> None:
    """What clocks differ by is in every stamp alike."""
    for number in range(1, 50):
        at_ns = START + number * SECOND
        assert market.on_trade(trade(number, at_ns=at_ns, recv_ns=at_ns + 3_600 * SECOND))
        assert market.last_trade_ns >= at_ns + 3_600 * SECOND - 100_000_000


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(-(10**6), 10**6)), max_size=100))
def test_a_trade_has_never_happened_after_its_receipt(steps: list[tuple[int, int]]) -> None:
    news = News()
    now_ns = START
    for number, (wait, stamp) in enumerate(steps):
        now_ns += wait
        news.judge(trade(number, at_ns=START + stamp, recv_ns=now_ns), None)
        assert news.happened_ns <= now_ns


def bid(bench: Bench) -> None:
    bench.order("buy", 100, 100)
    bench.settle()


def filled(bench: Bench) -> int:
    bench.settle()
    return sum(each.quantity_lots for each in bench.reports if isinstance(each, OrderFilled))


def sold(bench: Bench, number: int, at_ns: int) -> TradeTick:
    return TradeTick(VENUE, SYMBOL, str(number), 99.0, 0.3, "sell", at_ns, bench.now)


def told(bench: Bench, tick: TradeTick) -> None:
    bench.market.on_trade(tick)
    bench.feed(tick)


def test_a_doubled_trade_fills_once() -> None:
    bench = Bench()
    bench.at(START)
    bid(bench)
    tick = sold(bench, 1, bench.now)
    told(bench, tick)
    once = filled(bench)
    assert once == 30
    told(bench, tick)
    told(bench, tick._replace(recv_ns=bench.now + SECOND))
    assert filled(bench) == once


def test_a_trade_older_than_the_order_does_not_fill_it() -> None:
    bench = Bench()
    bench.at(START)
    told(bench, sold(bench, 1, START - 1_000_000))
    bench.at(START + 10 * SECOND)
    bid(bench)
    bench.at(bench.now + SECOND)
    told(bench, sold(bench, 2, START + 9 * SECOND))
    assert filled(bench) == 0, "it was over before the order came"
    told(bench, sold(bench, 3, bench.now))
    assert filled(bench) == 30
