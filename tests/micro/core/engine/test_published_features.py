"""The engine tells a book's order flow with it, from nothing but its events."""

from __future__ import annotations

import math
import struct

from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.order_flow import NAMES, FlowFeatures
from citadel_micro.core.model.commands import PublishBook
from citadel_micro.core.model.events import (
    DepthUpdate,
    FeedStatus,
    QuoteTick,
    Started,
    TimerFired,
    TradeTick,
)

steps = st.tuples(
    st.sampled_from(["depth", "depth", "quote", "trade", "lost"]),
    st.integers(1, 900),
    st.integers(599_990, 600_010),
    st.integers(1, 500),
)


def packed(values: tuple[float, ...]) -> bytes:
    assert len(values) == len(NAMES)
    return struct.pack(f"<{len(values)}d", *values)


@given(st.lists(steps, max_size=60))
def test_they_are_those_of_the_books_events(story: list[tuple[str, int, int, int]]) -> None:
    settings = config(book_publish_interval_ns=100 * MS)
    rig = Rig(settings, start=False)
    market = MarketBook(VENUE, SYMBOL, settings.venues[VENUE].integrity)
    market.stream = rig.engine.markets[KEY].stream
    beside = FlowFeatures(market)
    rig.engine.handle(Started(state={}, damaged=""), rig.now)
    up = FeedStatus(venue=VENUE, symbol=SYMBOL, up=True, reason="")
    rig.engine.handle(up, rig.now)
    market.on_status(up)
    seen = 0
    for number, (kind, wait_ms, price, size) in enumerate(story):
        rig.now += wait_ms * MS
        bid, ask = price / 10, price / 10 + 0.1
        event: DepthUpdate | QuoteTick | TradeTick
        if kind == "trade":
            event = TradeTick(VENUE, SYMBOL, str(number), bid, size / 10, "sell", rig.now, rig.now)
            market.on_trade(event)
        elif kind == "quote":
            event = QuoteTick(VENUE, SYMBOL, -1, bid, size / 10, ask, 1.0, rig.now, rig.now)
            market.on_quote(event)
        else:
            sides = ([(bid, size / 10)], [(ask, 1.0)])
            # Of a book that is numbered, one that was lost is a gap.
            event = DepthUpdate(
                VENUE, SYMBOL, kind == "depth", -1, -1, -1, None, *sides, rig.now, rig.now
            )
            market.on_depth(event)
        if kind != "trade":
            beside.on_book(rig.now)
        for command in (*rig.engine.handle(event, rig.now), *fire(rig)):
            if isinstance(command, PublishBook):
                market.check_age(rig.now, rig.engine.risk.limits.stale_ns)
                assert packed(command.features) == packed(beside.values(rig.now, market.top(20)))
                seen += 1
    waited_ms = sum(wait_ms for kind, wait_ms, *_ in story if kind == "depth")
    assert seen or waited_ms < 200


def fire(rig: Rig) -> list[object]:
    return list(rig.engine.handle(TimerFired(), rig.now))


def test_none_are_followed_where_no_book_is_published() -> None:
    assert Rig().engine.inst_states[KEY].features is None


def test_they_have_values_once_their_windows_are_whole() -> None:
    rig = Rig(config(book_publish_interval_ns=100 * MS))
    rig.run(12 * SECOND, refresh_ns=50 * MS)
    books = [command for _, command in rig.commands if isinstance(command, PublishBook)]
    first, last = (dict(zip(NAMES, each.features, strict=True)) for each in (books[0], books[-1]))
    assert math.isnan(first["ofi_10s"])
    assert last["ofi_10s"] == last["flow_10s"] == 0.0
    assert last["spread_bps"] > 0
