"""The synthetic market looks like one, in the respects that its documentation claims."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

import pytest
from effort import chosen

from citadel_micro.sim.flow import SyntheticMarket
from citadel_micro.sim.flow_book import Print
from citadel_micro.sim.flow_reference import CommonFactor, ReferencePrice
from citadel_micro.sim.flow_symbols import (
    DEFAULT_SYMBOLS,
    KNOWN_SYMBOLS,
    FlowParams,
    choose_symbols,
)

SECOND = 1_000_000_000
START_MINUTE = 29_396_667
DAYS = 40


def autocorrelation(values: list[float], lag: int) -> float:
    mean = statistics.fmean(values)
    centred = [value - mean for value in values]
    power = sum(value * value for value in centred)
    return sum(a * b for a, b in zip(centred, centred[lag:], strict=False)) / power


def flow_of(symbol: str, transient_vol: float | None = None) -> FlowParams:
    flow = KNOWN_SYMBOLS[symbol].flow
    if transient_vol is None:
        return flow
    return FlowParams(
        anchor=flow.anchor,
        daily_vol=flow.daily_vol,
        transient_vol=transient_vol,
        gap_bps=flow.gap_bps,
        clip_quote=flow.clip_quote,
        touch_quote=flow.touch_quote,
        minute_quote=flow.minute_quote,
    )


def minute_returns(
    seed: int, symbol: str, step: int = 1, transient: float | None = None
) -> list[float]:
    reference = ReferencePrice(seed, symbol, flow_of(symbol, transient), CommonFactor(seed))
    first = START_MINUTE - DAYS * 1440
    prices = [reference.log_price(minute) for minute in range(first, START_MINUTE, step)]
    return [b - a for a, b in pairwise(prices)]


@pytest.mark.parametrize("seed", chosen(range(3), suite=[0]))
def test_volatility_clusters_and_tails_are_fat_while_returns_hardly_correlate(seed: int) -> None:
    returns = minute_returns(seed, "ETH/USDT")
    sizes = [abs(value) for value in returns]
    for lag in (1, 5, 30, 120):
        assert autocorrelation(sizes, lag) > 0.05
    assert abs(autocorrelation(returns, 1)) < 0.05
    variance = statistics.pvariance(returns)
    kurtosis = statistics.fmean([value**4 for value in returns]) / variance**2
    assert kurtosis > 4.0


@pytest.mark.campaign
def test_daily_volatility_is_about_what_the_symbol_claims() -> None:
    daily = [
        sum(value**2 for value in minute_returns(seed, "SOL/USDT")) / DAYS for seed in range(6)
    ]
    assert 0.5 < math.sqrt(statistics.fmean(daily)) / 0.040 < 1.6


def test_prices_stay_around_their_anchor_over_years() -> None:
    for seed in range(5):
        reference = ReferencePrice(seed, "BTC/USDT", flow_of("BTC/USDT"), CommonFactor(seed))
        years = [
            math.exp(reference.log_price(START_MINUTE - month * 43_200))
            for month in range(0, 60, 6)
        ]
        assert all(96_000 / 4 < price < 96_000 * 4 for price in years)


def test_symbols_move_together_but_not_as_one() -> None:
    btc, ada = minute_returns(1, "BTC/USDT"), minute_returns(1, "ADA/USDT")
    correlation = statistics.correlation(btc, ada)
    assert 0.3 < correlation < 0.85


@pytest.mark.campaign
def test_the_transient_part_is_a_weak_reversal_and_can_be_turned_off() -> None:
    """Pooled over seeds: the reversal that a strategy may learn, and its absence without it."""
    with_it = [autocorrelation(minute_returns(seed, "BTC/USDT", 15), 1) for seed in range(6)]
    without = [autocorrelation(minute_returns(seed, "BTC/USDT", 15, 0.0), 1) for seed in range(6)]
    assert -0.2 < statistics.fmean(with_it) < -0.01
    assert abs(statistics.fmean(without)) < abs(statistics.fmean(with_it))


@pytest.mark.parametrize("seed", chosen([1, 2], suite=[1]))
def test_the_live_market_has_tight_spreads_and_follows_its_reference(seed: int) -> None:
    chosen = choose_symbols(DEFAULT_SYMBOLS)
    start = START_MINUTE * 60 * SECOND
    market = SyntheticMarket(chosen, seed, start)
    spreads: dict[str, list[float]] = {name: [] for name in market.flows}
    errors: dict[str, list[float]] = {name: [] for name in market.flows}
    for step in range(1, 181):
        now = start + step * SECOND
        market.advance(now)
        for name, flow in market.flows.items():
            bid, ask = flow.book.bids[-1], flow.book.asks[0]
            mid = (bid + ask) / 2
            spreads[name].append((ask - bid) / mid * 1e4)
            tick = flow.spec.tick_e8 / 1e8
            errors[name].append((mid - market.references[name].price(now) / tick) / mid * 1e4)
    for name, values in spreads.items():
        assert 0 < statistics.median(values) < 4.0  # basis points
        assert statistics.pstdev(errors[name]) < 4.0
        assert abs(statistics.fmean(errors[name])) < 1.0


def test_market_orders_excite_each_other() -> None:
    """Orders per second, not prints: one order that sweeps levels prints several times.

    A Poisson process has a variance-to-mean ratio of 1 and no autocorrelation.
    """
    chosen = choose_symbols(("ETH/USDT",))
    start = START_MINUTE * 60 * SECOND
    market = SyntheticMarket(chosen, 3, start)
    counts = []
    for step in range(1, 1201):
        events = market.advance(start + step * SECOND)
        counts.append(float(len({e.time_ns for e in events if isinstance(e, Print)})))
    assert statistics.pvariance(counts) / statistics.fmean(counts) > 1.05
    assert autocorrelation(counts, 1) > 0.1
