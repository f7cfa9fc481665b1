"""Candles: the same in every answer, one price path through the join, Binance's intervals."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.sim import flow_candles, flow_klines, flow_seconds
from citadel_micro.sim.flow import SyntheticMarket
from citadel_micro.sim.flow_book import Print
from citadel_micro.sim.flow_candles import INTERVALS, Candle, next_open, open_minute
from citadel_micro.sim.flow_feed import SyntheticFeed
from citadel_micro.sim.flow_reference import CommonFactor, ReferencePrice
from citadel_micro.sim.flow_seconds import SecondCandles
from citadel_micro.sim.flow_symbols import KNOWN_SYMBOLS, choose_symbols
from citadel_proto.errors import InvariantError

MINUTE_NS = 60_000_000_000
START = 29_396_667  # a minute in November 2025
HISTORY = 5 * 1440
ITEM = KNOWN_SYMBOLS["SOL/USDT"]


def make_store(
    seed: int = 1, start: int = START, history: int = HISTORY, last_trade_id: int = 0
) -> SecondCandles:
    reference = ReferencePrice(seed, "SOL/USDT", ITEM.flow, CommonFactor(seed))
    store = SecondCandles(ITEM, reference, start, history, last_trade_id)
    store.roll(start)
    return store


def trade(minute: float, ticks: int, lots: int = 1, *, number: int = 1) -> Print:
    return Print(int(minute * MINUTE_NS), "SOL/USDT", number, ticks, lots, buyer_is_maker=False)


def test_history_is_one_connected_path_of_sane_candles() -> None:
    store = make_store()
    candles = [store.minute(minute) for minute in range(store.listed, START)]
    assert len(candles) == HISTORY
    assert all(a.close == b.open for a, b in pairwise(candles))
    for candle in candles:
        assert 0 < candle.low <= min(candle.open, candle.close)
        assert candle.high >= max(candle.open, candle.close)
        assert candle.low * candle.lots <= candle.quote <= candle.high * candle.lots
        assert 0 < candle.buy_lots < candle.lots
        assert 1 <= candle.trades <= candle.lots


def test_candles_depend_on_seed_and_minute_only() -> None:
    one, later = make_store(), make_store(start=START + 700)
    minutes = range(START - 3000, START)
    forwards = [one.minute(minute) for minute in minutes]
    backwards = [later.minute(minute) for minute in reversed(minutes)]
    assert forwards == backwards[::-1]
    other = make_store(seed=2)
    assert forwards != [other.minute(minute) for minute in minutes]


@pytest.mark.parametrize("symbol", ["BTC/USDT", "XRP/USDT", "LINK/USDT"])
def test_the_live_market_continues_history(symbol: str) -> None:
    chosen = choose_symbols((symbol,))
    feed = SyntheticFeed(SyntheticMarket(chosen, 4, START * MINUTE_NS), chosen, HISTORY)
    feed.advance((START + 20) * MINUTE_NS)
    store = feed.candles[symbol]
    past = [store.minute(minute) for minute in range(START - 20, START)]
    live = [store.minute(minute) for minute in range(START, START + 20)]
    typical = sum(candle.high - candle.low for candle in past) / len(past)
    assert abs(live[0].open - past[-1].close) <= 2 * typical + 2
    volume_ratio = sum(c.quote for c in live) / sum(c.quote for c in past)
    assert 1 / 4 < volume_ratio < 4
    range_ratio = sum(c.high - c.low for c in live) / sum(c.high - c.low for c in past)
    assert 1 / 4 < range_ratio < 4


@given(st.sampled_from([*INTERVALS]), st.integers(26_300_000, 60_000_000))
def test_candles_of_every_interval_tile_time(interval: str, minute: int) -> None:
    opened = open_minute(interval, minute)
    closed = next_open(interval, opened)
    assert opened <= minute < closed
    assert open_minute(interval, opened) == opened
    assert open_minute(interval, closed - 1) == opened
    assert open_minute(interval, closed) == closed
    start = dt.datetime.fromtimestamp(opened * 60, tz=dt.UTC)
    if INTERVALS[interval] >= 1440 or interval == "1M":
        assert (start.hour, start.minute) == (0, 0)
    if interval == "1w":
        assert start.weekday() == 0
    if interval == "1M":
        assert start.day == 1
        assert 28 * 1440 <= closed - opened <= 31 * 1440


@given(st.integers(START - HISTORY, START - 200), st.integers(1, 200))
def test_a_span_is_the_sum_of_its_minutes(first: int, length: int) -> None:
    store = make_store()
    whole = store.span(first, first + length)
    minutes = [store.minute(minute) for minute in range(first, first + length)]
    assert whole.minute == first
    assert (whole.open, whole.close) == (minutes[0].open, minutes[-1].close)
    assert (whole.high, whole.low) == (max(m.high for m in minutes), min(m.low for m in minutes))
    for name in ("lots", "quote", "trades", "buy_lots", "buy_quote"):
        assert getattr(whole, name) == sum(getattr(minute, name) for minute in minutes)


def test_spans_come_out_the_same_when_hours_are_remembered() -> None:
    store = make_store()
    first = store.span(START - 1440, START)
    assert store.span(START - 1440, START) == first
    assert make_store().span(START - 1440, START) == first


def test_an_hour_that_is_still_running_is_not_remembered() -> None:
    start = START // 60 * 60
    store = make_store(start=start)
    store.on_trade(trade(start, 100))
    assert store.span(start, start + 60).trades == 1
    store.on_trade(trade(start + 59, 150, number=2))
    assert store.span(start, start + 60).high == 150
    store.roll(start + 60)
    store.on_trade(trade(start + 60, 90, number=3))
    assert store.span(start, start + 60).low == 100


def test_minutes_without_trades_repeat_the_close() -> None:
    store = make_store()
    before = store.minute(START - 1).close
    store.on_trade(trade(START + 2, 18_000, 3))
    quiet = store.minute(START)
    assert (quiet.open, quiet.high, quiet.low, quiet.close) == (before,) * 4
    assert (quiet.lots, quiet.trades, quiet.first_id) == (0, 0, -1)
    assert store.minute(START + 2).open == 18_000
    store.roll(START + 4)
    assert store.minute(START + 4).close == 18_000


def test_the_first_trade_opens_a_candle_that_began_quiet() -> None:
    store = make_store()
    store.on_trade(trade(START + 2, 9, number=5))
    store.roll(START + 3)
    five = store.span(START, START + 4)
    assert (five.open, five.high, five.low, five.close, five.trades) == (9, 9, 9, 9, 1)
    assert (five.first_id, five.last_id) == (5, 5)


def test_a_trade_of_a_closed_minute_is_an_error() -> None:
    store = make_store()
    store.roll(START + 3)
    with pytest.raises(InvariantError, match="older"):
        store.on_trade(trade(START + 1, 100))


def test_a_span_outside_of_time_is_an_error() -> None:
    store = make_store()
    with pytest.raises(InvariantError, match="no minute"):
        store.span(store.listed - 10, store.listed)


def test_requests_are_answered_with_the_candles_binance_would_choose() -> None:
    store = make_store()
    store.roll(START + 7)
    now = START + 7

    def opened(
        interval: str, start_ms: int | None, end_ms: int | None, limit: int, shift: int = 0
    ) -> list[int]:
        window = start_ms, end_ms
        found = flow_klines.opens(store, interval, now * 60_000, window, limit, shift=shift)
        return [each // 60_000 for each in found]

    current = open_minute("5m", now)
    assert opened("5m", None, None, 3) == [current - 10, current - 5, current]
    # A start inside a candle means the next one; a start on its open means that one.
    start_ms = (current - 20) * 60_000
    assert opened("5m", start_ms, None, 2) == [current - 20, current - 15]
    assert opened("5m", start_ms + 1, None, 2) == [current - 15, current - 10]
    assert opened("5m", start_ms, start_ms + 1, 9) == [current - 20]
    assert opened("5m", None, start_ms - 1, 2) == [current - 30, current - 25]
    assert opened("5m", (now + 60) * 60_000, None, 5) == []
    everything = opened("1d", 0, None, 1000)
    assert everything[0] == open_minute("1d", store.listed)
    assert opened("1d", None, None, 1000) == everything
    assert opened("1d", None, None, 2, 345) == [
        open_minute("1d", now + 345) - 345 - 1440,
        open_minute("1d", now + 345) - 345,
    ]


def test_old_live_minutes_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_candles, "KEPT_LIVE_MINUTES", 100)
    store = make_store()
    store.roll(START + 250)
    assert store.listed == START + 151
    opened = flow_klines.opens(store, "1m", (START + 250) * 60_000, (0, None), 1000)
    assert opened[0] == store.listed * 60_000
    assert store.span(START, START + 251).trades == 0


def test_adding_a_quiet_candle_changes_nothing_but_the_close() -> None:
    candle = Candle(0, 10, 12, 9, 11, 5, 50, 2, 3, 30, 7, 8)
    candle.add(Candle(1, 11, 11, 11, 11))
    assert candle == Candle(0, 10, 12, 9, 11, 5, 50, 2, 3, 30, 7, 8)


# ---------------------------------------------------------------------- ids and counts


def test_trades_of_the_past_are_numbered_without_a_gap_up_to_the_first_of_the_market() -> None:
    last = 88_000_000_000
    store = make_store(last_trade_id=last)
    minutes = [store.minute(minute) for minute in range(store.listed, START)]
    assert all(m.last_id - m.first_id + 1 == m.trades for m in minutes)
    assert all(b.first_id == a.last_id + 1 for a, b in pairwise(minutes))
    assert minutes[-1].last_id == last
    store.on_trade(trade(START, 15_000, number=last + 1))
    day = store.span(START - 1439, START + 1)
    assert day.trades == day.last_id - day.first_id + 1
    assert day.last_id == last + 1


def test_ids_before_the_first_there_can_be_are_unknown() -> None:
    store = make_store(last_trade_id=500)
    ids = [store.minute(START - back).first_id for back in range(1, 10)]
    assert ids[-1] == -1
    assert all(number == -1 or number > 0 for number in ids)


# ---------------------------------------------------------------------- seconds


@pytest.mark.parametrize("symbol", ["BTC/USDT", "LINK/USDT", "AVAX/USDT"])
def test_the_seconds_of_a_drawn_minute_add_up_to_it(symbol: str) -> None:
    item = KNOWN_SYMBOLS[symbol]
    reference = ReferencePrice(1, symbol, item.flow, CommonFactor(1))
    store = SecondCandles(item, reference, START, HISTORY, 10**10)
    store.roll(START)
    before = store.minute(START - 101).close
    for minute in range(START - 100, START):
        whole = store.minute(minute)
        parts = [store.second(minute * 60 + place) for place in range(60)]
        for name in ("lots", "quote", "trades", "buy_lots", "buy_quote"):
            assert sum(getattr(part, name) for part in parts) == getattr(whole, name), name
        assert max(part.high for part in parts) == whole.high
        assert min(part.low for part in parts) == whole.low
        assert (parts[0].open, parts[-1].close) == (whole.open, whole.close)
        number = whole.first_id
        for part in parts:
            assert part.open == before
            before = part.close
            assert part.low <= min(part.open, part.close) <= max(part.open, part.close) <= part.high
            assert part.low * part.lots <= part.quote <= part.high * part.lots
            assert part.low * part.buy_lots <= part.buy_quote <= part.high * part.buy_lots
            assert 0 <= part.buy_lots <= part.lots
            assert (part.trades == 0) == (part.lots == 0)
            if part.trades:
                assert (part.first_id, part.last_id) == (number, number + part.trades - 1)
                number += part.trades


def test_seconds_of_the_market_hold_its_trades_and_repeat_the_close() -> None:
    store = make_store()
    before = store.minute(START - 1).close
    store.on_trade(trade(START + 2.5 / 60, 15_000, 3, number=7))
    store.on_trade(trade(START + 2.9 / 60, 15_002, 4, number=8))
    quiet, busy, later = (store.second(START * 60 + place) for place in (1, 2, 40))
    assert (quiet.open, quiet.close, quiet.trades) == (before, before, 0)
    assert (busy.open, busy.high, busy.lots, busy.trades) == (15_000, 15_002, 7, 2)
    assert (busy.first_id, busy.last_id) == (7, 8)
    assert (later.open, later.close, later.lots, later.first_id) == (15_002, 15_002, 0, -1)
    assert make_store(history=0).second(START * 60).trades == 0


def test_old_seconds_of_the_market_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_seconds, "KEPT_LIVE_SECOND_MINUTES", 10)
    store = make_store()
    store.on_trade(trade(START, 15_000))
    store.roll(START + 10)
    assert store.listed_second == store.listed * 60
    assert store.second(START * 60).trades == 1
    store.roll(START + 11)
    assert store.listed_second == (START + 1) * 60
    with pytest.raises(InvariantError, match="no second"):
        store.second(START * 60)
    with pytest.raises(InvariantError, match="no second"):
        store.second((START + 12) * 60)
    opened = flow_klines.opens(store, "1s", (START + 11) * 60_000 + 900, (0, None), 1000)
    assert opened[0] == store.listed_second * 1000
    assert opened[-1] == (START + 11) * 60_000


@given(
    st.sampled_from(flow_klines.KLINES),
    st.integers(1_600_000_000_000, 3_000_000_000_000),
    st.integers(-720, 840),
)
def test_klines_tile_time_in_every_time_zone(interval: str, at_ms: int, shift: int) -> None:
    opened = flow_klines.open_ms(interval, at_ms, shift)
    after = flow_klines.next_ms(interval, opened, shift)
    assert opened <= at_ms < after
    assert flow_klines.open_ms(interval, after, shift) == after
    assert flow_klines.open_ms(interval, after - 1, shift) == opened
    if interval in {"1d", "1w", "1M"}:
        assert (opened + shift * 60_000) % 86_400_000 == 0
