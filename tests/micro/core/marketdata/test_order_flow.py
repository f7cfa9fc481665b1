"""Features: the live way and the literal one give the same bytes, and known cases known numbers."""

from __future__ import annotations

import math
import struct
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from effort import chosen
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.order_flow import FEATURES, NAMES, FlowFeatures, imbalance_of
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, QuoteTick, TradeTick
from citadel_micro.offline.features import recompute
from citadel_micro.shell.capture.offline import capture_events
from citadel_micro.shell.marketdata.decode import Control
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from citadel_micro.core.model.events import MarketEvent
    from citadel_micro.offline.features import Observation

MS = 1_000_000
SECOND = 1_000_000_000
VENUE, SYMBOL = "binance-usdm", "BTC/USDT:USDT"


class Both:
    """A market followed live, and all that a literal recomputation needs, noted beside it."""

    def __init__(
        self, integrity: str = "unnumbered", venue: str = VENUE, symbol: str = SYMBOL
    ) -> None:
        self.market = MarketBook(venue, symbol, integrity)
        self.live = FlowFeatures(self.market)
        self.observations: list[Observation] = []
        self.trades: list[tuple[int, float]] = []
        self._resyncs = 0

    def take(self, event: MarketEvent) -> None:
        market = self.market
        if isinstance(event, TradeTick):
            market.on_trade(event)
            self.trades.append((event.recv_ns, event.size if event.side == "buy" else -event.size))
            return
        if isinstance(event, DepthUpdate):
            market.on_depth(event)
        else:
            market.on_quote(event)
        self.live.on_book(event.recv_ns)
        if market.resyncs != self._resyncs:
            self._resyncs = market.resyncs
            self.observations.append((event.recv_ns, None))
        best = market.best() if market.state == "LIVE" else None
        self.observations.append((event.recv_ns, best))

    def lose(self) -> None:
        self.market.on_status(FeedStatus(venue=VENUE, symbol=SYMBOL, up=False, reason="gone"))

    def check(self, now_ns: int) -> dict[str, float]:
        """Live and literal, compared to the last bit."""
        features = self.live.read(now_ns)
        if self.market.state != "LIVE":
            assert all(map(math.isnan, features.values()))
            return features
        literal = recompute(self.observations, self.trades, self.market.book.top(20), now_ns)
        assert packed(features) == packed(literal), (features, literal)
        assert packed(self.live.read(now_ns)) == packed(features), "reading changes nothing"
        return features


def packed(features: Mapping[str, float]) -> bytes:
    assert tuple(features) == NAMES
    return struct.pack(f"<{len(features)}d", *features.values())


def book(
    at_ns: int, bid: float, ask: float, *, bid_size: float = 1.0, ask_size: float = 1.0
) -> DepthUpdate:
    levels = ([(bid, bid_size)], [(ask, ask_size)])
    return DepthUpdate(VENUE, SYMBOL, True, -1, -1, -1, None, *levels, 0, at_ns)


def trade(at_ns: int, size: float, side: str) -> TradeTick:
    return TradeTick(VENUE, SYMBOL, "1", 1.0, size, side, 0, at_ns)  # type: ignore[arg-type]


CAPTURES = [
    ("binance-spot-btcusdt-20240808", "binance-spot"),
    ("binance-usdm-btcusdt-20240808", "binance-usdm"),
    ("kraken-futures-2021", "kraken-futures"),
    ("coinbase-advanced.transcoded", "coinbase-advanced"),
]


@pytest.mark.parametrize(("name", "venue"), chosen(CAPTURES, suite=[CAPTURES[0], CAPTURES[2]]))
def test_live_equals_literal_on_real_data(shared_dir: Path, name: str, venue: str) -> None:
    frames = capture_events(shared_dir / "captures" / f"{name}.jsonl.gz", venue)
    integrity = venue_spec(venue).integrity
    followed: dict[str, Both] = {}
    numbers = 0
    read_ns = 0
    for recv_ns, events in islice(frames, 20_000):
        for event in events:
            assert not isinstance(event, Control)
            both = followed.setdefault(event.symbol, Both(integrity, venue, event.symbol))
            both.take(event)
        if recv_ns - read_ns > 7_300 * MS:
            read_ns = recv_ns
            for both in followed.values():
                features = both.check(recv_ns + 1_234_567)
                numbers += sum(not math.isnan(value) for value in features.values())
    assert sum(both.market.deltas for both in followed.values()) > 1_000
    assert numbers > len(NAMES) / 2


sizes = st.floats(0.001, 1_000.0)
steps = st.tuples(
    st.sampled_from(["book", "book", "quote", "trade", "lose", "jump", "read"]),
    st.integers(0, 1_700),
    st.integers(-3, 3),
    st.integers(1, 4),
    sizes,
    sizes,
)


@given(st.lists(steps, max_size=120))
def test_live_equals_literal_whatever_happens(
    story: list[tuple[str, int, int, int, float, float]],
) -> None:
    both = Both()
    now_ns = 1_700_000_000 * SECOND
    bid = 100.0
    for kind, wait_ms, move, width, bid_size, ask_size in story:
        now_ns += wait_ms * MS * (40 if kind == "jump" else 1)
        bid = max(10.0, bid + move / 2)
        if kind == "book":
            both.take(book(now_ns, bid, bid + width / 2, bid_size=bid_size, ask_size=ask_size))
        elif kind == "quote":
            ask = bid + width / 2
            both.take(QuoteTick(VENUE, SYMBOL, -1, bid, bid_size, ask, ask_size, 1, now_ns))
        elif kind == "trade":
            both.take(trade(now_ns, bid_size, "buy" if move > 0 else "sell"))
        elif kind == "lose":
            both.lose()
        else:
            both.check(now_ns)
    both.check(now_ns)


@pytest.mark.parametrize(
    ("after", "flow"),
    [
        ((99.0, 5.0, 101.0, 4.0), 2.0),  # 2 were added to the bid
        ((99.0, 1.0, 101.0, 4.0), -2.0),  # 2 were taken from it
        ((99.5, 5.0, 101.0, 4.0), 5.0),  # a better bid counts whole
        ((98.5, 5.0, 101.0, 4.0), -3.0),  # the best bid is gone, with all it had
        ((99.0, 3.0, 101.0, 6.0), -2.0),  # 2 were offered
        ((99.0, 3.0, 100.5, 6.0), -6.0),  # a better offer counts whole
        ((99.0, 3.0, 101.5, 6.0), 4.0),  # the best ask was bought out
    ],
)
def test_order_flow_imbalance_of_one_change(
    after: tuple[float, float, float, float], flow: float
) -> None:
    assert imbalance_of((99.0, 3.0, 101.0, 4.0), after) == flow


def test_windows_hold_what_happened_in_them_and_have_no_value_before() -> None:
    both = Both()
    start = 1_700_000_000 * SECOND
    both.take(book(start, 99.0, 101.0, bid_size=3.0, ask_size=1.0))
    both.take(book(start + 200 * MS, 99.0, 101.0, bid_size=5.0, ask_size=1.0))
    early = both.check(start + 300 * MS)
    assert math.isnan(early["ofi_1s"])
    assert math.isnan(early["flow_1s"])
    assert early["imbalance_1"] == pytest.approx(4 / 6)
    assert early["spread_bps"] == pytest.approx(200.0)
    assert early["microprice_bps"] == pytest.approx(200 / 3)
    both.take(trade(start + 600 * MS, 2.5, "sell"))
    whole = both.check(start + 1_050 * MS)
    assert (whole["ofi_1s"], whole["flow_1s"]) == (2.0, -2.5)
    assert math.isnan(whole["ofi_10s"])
    later = both.check(start + 10_000 * MS)
    assert (later["ofi_1s"], later["ofi_10s"]) == (0.0, 2.0)
    assert (later["flow_1s"], later["flow_10s"]) == (0.0, -2.5)


def test_volatility_is_the_root_of_squared_returns_a_second() -> None:
    both = Both()
    start = 1_700_000_000 * SECOND
    for second in range(62):
        mid = 100.0 if second % 2 == 0 else 101.0
        both.take(book(start + second * SECOND, mid - 0.5, mid + 0.5))
    features = both.check(start + 61 * SECOND)
    assert features["volatility_60s"] == pytest.approx(math.log(1.01) * math.sqrt(60))
    assert math.isnan(features["volatility_300s"])


def test_a_gap_ends_every_window() -> None:
    both = Both()
    start = 1_700_000_000 * SECOND
    both.take(book(start, 99.0, 101.0))
    both.take(book(start + 2 * SECOND, 99.0, 101.0, bid_size=4.0))
    assert both.check(start + 2 * SECOND)["ofi_1s"] == 3.0
    both.lose()
    assert all(map(math.isnan, both.check(start + 2 * SECOND).values()))
    both.take(book(start + 3 * SECOND, 50.0, 52.0, bid_size=9.0))
    assert math.isnan(both.check(start + 3 * SECOND)["ofi_1s"])
    assert both.check(start + 4 * SECOND)["ofi_1s"] == 0.0, "the jump across the gap is no flow"


def test_every_feature_says_what_it_is() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for feature in FEATURES:
        assert feature.unit
        assert feature.text
        assert feature.source
        if feature.window_s:
            assert feature.name.endswith(f"_{feature.window_s}s")
