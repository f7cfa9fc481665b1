"""A published book does not contradict itself, whatever came by depth and by quote before."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.marketdata.consolidated import Source, consolidate
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.order_flow import DEPTHS, FlowFeatures
from citadel_micro.core.model.events import DepthUpdate, QuoteTick
from citadel_micro.shell.bridge import wire
from citadel_proto.packed_levels import unpack_levels

VENUE, SYMBOL = "binance-spot", "BTC/USDT"
LEVELS = 20
TICK = 0.1

prices = st.integers(900, 1_100)
sizes = st.floats(0.0001, 1_000.0)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("bid"), prices, st.one_of(st.just(0.0), sizes)),
        st.tuples(st.just("ask"), prices, st.one_of(st.just(0.0), sizes)),
        st.tuples(st.just("quote"), prices, sizes),
    ),
    max_size=60,
)


def told(steps: list[tuple[str, int, float]]) -> tuple[MarketBook, FlowFeatures, int]:
    """A LIVE book after depth and quotes, numbered in one space as Binance does."""
    market = MarketBook(VENUE, SYMBOL, "range_bridge_spot")
    features = FlowFeatures(market)
    bids = [(TICK * (990 - n), 1.0 + n) for n in range(30)]
    asks = [(TICK * (1_010 + n), 2.0 + n) for n in range(30)]
    market.on_depth(DepthUpdate(VENUE, SYMBOL, True, 1, 1, -1, None, bids, asks, 1, 1))
    seq = 1
    for number, (kind, price, size) in enumerate(steps, 2):
        level = [(TICK * price, size)]
        if kind == "quote":
            quote = (TICK * (price - 1), size, TICK * price, 2.0 * size)
            market.on_quote(QuoteTick(VENUE, SYMBOL, seq + 1, *quote, number, number))
        else:
            seq += 1
            sides = (level, []) if kind == "bid" else ([], level)
            update = (VENUE, SYMBOL, False, seq, seq, -1, None, *sides, number, number)
            market.on_depth(DepthUpdate(*update))
        features.on_book(number)
    return market, features, len(steps) + 2


def share(bids: list[tuple[float, float]], asks: list[tuple[float, float]], count: int) -> float:
    bid, ask = sum(size for _, size in bids[:count]), sum(size for _, size in asks[:count])
    return (bid - ask) / (bid + ask) if bid + ask > 0 else 0.0


@given(steps)
def test_every_field_is_of_one_moment(steps: list[tuple[str, int, float]]) -> None:
    market, features, now_ns = told(steps)
    values = features.read(now_ns, market.top(DEPTHS[-1]))
    message = wire.book_of(market, LEVELS, "m", 1, now_ns, features=values)
    bids, asks = unpack_levels(message.bids), unpack_levels(message.asks)
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert message.imbalance == share(bids, asks, LEVELS)
    if not bids or not asks:
        assert math.isnan(message.spread)
        assert math.isnan(message.microprice)
        return
    (bid, _), (ask, _) = bids[0], asks[0]
    assert market.best() == (*bids[0], *asks[0])
    assert message.spread == ask - bid
    if bid < ask:
        assert bid <= message.microprice <= ask
    if message.state == "LIVE" and not math.isnan(values["spread_bps"]):
        mid = (bid + ask) / 2
        assert math.isclose(values["spread_bps"], (ask - bid) / mid * 1e4, abs_tol=1e-9)
        assert math.isclose(
            values["microprice_bps"], (message.microprice - mid) / mid * 1e4, abs_tol=1e-6
        )
        for depth in DEPTHS:
            assert values[f"imbalance_{depth}"] == share(bids, asks, depth)


@given(steps)
def test_the_consolidated_view_agrees_with_the_books_it_is_made_of(
    steps: list[tuple[str, int, float]],
) -> None:
    market, _, now_ns = told(steps)
    other = MarketBook("okx", SYMBOL, "range_bridge_spot")
    other.on_depth(
        DepthUpdate("okx", SYMBOL, True, 1, 1, -1, None, [(95.0, 1.0)], [(105.0, 1.0)], 1, now_ns)
    )
    view = consolidate(SYMBOL, [Source(market), Source(other)], now_ns, 10**9, LEVELS)
    message = wire.consolidated_of(view, "m", 1, now_ns)
    bids, asks = unpack_levels(message.bids), unpack_levels(message.asks)
    assert bids[0][0] == max(each.bid for each in message.venues)
    assert asks[0][0] == min(each.ask for each in message.venues)
    for each in message.venues:
        assert (
            any(price == each.bid and size >= each.bid_size for price, size in bids)
            or len(bids) == LEVELS
        )
