"""Pessimistic, expected and optimistic bound each other on recorded traffic, at every moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from band_kit import busiest, play
from effort import chosen

if TYPE_CHECKING:
    from pathlib import Path

CAPTURES = [
    ("binance-spot-btcusdt-20240808", "binance-spot"),
    ("binance-usdm-btcusdt-20240808", "binance-usdm"),
    ("bybit-v5-linear.transcoded", "bybit-linear"),
    ("kraken-v2.transcoded", "kraken-spot"),
    ("coinbase-advanced.transcoded", "coinbase-advanced"),
    ("kucoin-spot-2021", "kucoin-spot"),
]


@pytest.mark.parametrize(("name", "venue"), chosen(CAPTURES, suite=CAPTURES[1::2]))
def test_static_orders_fill_within_the_band(shared_dir: Path, name: str, venue: str) -> None:
    """The first events only; ``make band`` plays every capture to its end."""
    path = shared_dir / "captures" / f"{name}.jsonl.gz"
    (symbol,) = busiest(path, venue, 1)
    seen: dict[int, tuple[int, ...]] = {}
    orders = 0
    for _, statics in play(path, venue, symbol, starts=2, most_events=4_000):
        orders = len(statics)
        for number, static in enumerate(statics):
            filled = static.filled()
            pessimistic, expected, optimistic = filled
            assert pessimistic <= expected <= optimistic <= static.lots, (static, filled)
            seen[number] = filled
    assert orders >= 12
    assert any(filled[0] for filled in seen.values()), "no order filled at all"
