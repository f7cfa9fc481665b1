"""A market is what its seed, symbols and minute say; the copies that tests begin with are no other."""

from __future__ import annotations

import pytest
from warm_markets import open_a_copy, open_afresh

from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.hyperliquid.universe import flow_symbol
from citadel_micro.simulator.markets import chosen_symbols

S = 1_000_000_000
NOW = 1_700_000_000 * S // (60 * S) * 60 * S + 7 * S
CONFIG = SimulatorConfig(symbols=("BTC/USDT",), history_days=1, warm_minutes=1)
SYMBOLS = chosen_symbols(CONFIG)


@pytest.mark.parametrize("name", ["", "futures", "okx"])
def test_a_copy_goes_on_as_a_market_of_its_own_does(name: str) -> None:
    for later in (0, 11, 3, 11):  # the second copy is of what went on; the third is older than that
        now = NOW + later * S
        fresh = open_afresh(CONFIG, SYMBOLS, now, name, last_day=not name)
        copied = open_a_copy(CONFIG, SYMBOLS, now, name, last_day=not name)
        assert copied.depth("BTC/USDT", 5000) == fresh.depth("BTC/USDT", 5000)
        assert copied.trades == fresh.trades
        assert copied.next_ns() == fresh.next_ns()
        assert copied.advance(now + 20 * S) == fresh.advance(now + 20 * S)
        for feed in (copied, fresh):
            feed.candles["BTC/USDT"].roll((now + 120 * S) // (60 * S))
        ours, theirs = (each.candles["BTC/USDT"] for each in (copied, fresh))
        assert ours.now == theirs.now
        for first in (ours.listed, ours.now - 90):
            assert ours.span(first, ours.now + 1) == theirs.span(first, theirs.now + 1)


def test_what_is_done_in_one_copy_is_not_seen_in_another() -> None:
    one, other = (open_a_copy(CONFIG, SYMBOLS, NOW) for _ in range(2))
    before = other.depth("BTC/USDT", 5000)
    assert one.advance(NOW + 5 * S)
    one.pause("BTC/USDT", paused=True)
    assert other.depth("BTC/USDT", 5000) == before
    again = open_a_copy(CONFIG, SYMBOLS, NOW)
    assert again.depth("BTC/USDT", 5000) == before
    assert again.advance(NOW + 5 * S) == other.advance(NOW + 5 * S)


def test_markets_of_two_names_have_orders_of_their_own_around_the_same_price() -> None:
    spot, okx = (open_a_copy(CONFIG, SYMBOLS, NOW, name) for name in ("", "okx"))
    assert spot.depth("BTC/USDT", 20) != okx.depth("BTC/USDT", 20)
    tops = [feed.depth("BTC/USDT", 1).bids[0][0] for feed in (spot, okx)]
    assert tops[0] == pytest.approx(tops[1], rel=0.01)
    other = (flow_symbol("BTC/USDT", deep_levels=0),)
    assert open_a_copy(CONFIG, other, NOW).specs != spot.specs
