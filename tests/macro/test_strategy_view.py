from __future__ import annotations

import math
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pytest

from citadel_macro import strategy
from citadel_macro.config import BridgeSettings
from citadel_macro.features import FLOW_COLUMNS, KNOWN, FlowStore
from citadel_macro.micro_client import MicroLink
from citadel_macro.strategy import BookView, CitadelStrategy, ExecutionHints, InertMicro
from citadel_proto.errors import BadInput
from citadel_proto.messages import BookSnapshot

if TYPE_CHECKING:
    from pathlib import Path


def view(**over: Any) -> BookView:  # noqa: ANN401 - fields of a view
    fields: dict[str, Any] = {
        "pair": "BTC/USDT",
        "state": "LIVE",
        "age_s": 0.1,
        "max_age_s": 1.5,
        "bids": np.array([[100.0, 1.0]]),
        "asks": np.array([[102.0, 3.0]]),
        "microprice": 100.5,
        "imbalance": -0.5,
        "spread": 2.0,
        "flow": 4.0,
        "flow_window_s": 2.0,
        "features": {},
    }
    return BookView(**fields | over)


def test_a_view_knows_its_prices_and_its_age() -> None:
    assert view().fresh
    assert (view().best_bid, view().best_ask, view().mid) == (100.0, 102.0, 101.0)


@pytest.mark.parametrize(
    "over",
    [{"state": "STALE"}, {"age_s": 2.0}, {"age_s": -0.5}, {"bids": np.empty((0, 2))}],
)
def test_a_view_that_cannot_be_trusted_is_not_fresh(over: dict[str, Any]) -> None:
    assert not view(**over).fresh


@pytest.mark.parametrize(
    ("age_ms", "shown_s", "fresh"),
    [(-0.2, 0.0, True), (-999, 0.0, True), (-1_001, -1.001, False), (1_400, 1.4, True)],
)
def test_a_clock_known_a_little_wrong_makes_no_book_old(
    age_ms: float, shown_s: float, fresh: bool
) -> None:
    """Micro's clock is known by heartbeats, which take longer than a book may take."""
    now = time.time_ns()
    held = b"\0" * 16
    found = SimpleNamespace(bids=np.ones((1, 2)), asks=np.ones((1, 2)), message=None)
    connector = SimpleNamespace(book=lambda *_: found, skew_of=lambda _: 0)
    link = MicroLink(cast("Any", connector), BridgeSettings(), "S")
    found.message = BookSnapshot(
        venue="binance-spot",
        symbol="BTC/USDT",
        state="LIVE",
        exchange_ns=now,
        recv_ns=now,
        venue_seq=1,
        bids=held,
        asks=held,
        microprice=1.0,
        imbalance=0.0,
        spread=0.0,
        signed_flow=0.0,
        flow_window_ms=1_000,
        published_ns=now,
        instance="m",
        seq=1,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: now + int(age_ms * 1e6))
        seen = link.book("BTC/USDT")
    assert seen is not None
    assert (seen.age_s, seen.proof_age_s) == pytest.approx((shown_s, shown_s))
    assert seen.fresh is fresh


def test_an_empty_side_has_no_price() -> None:
    assert math.isnan(view(asks=np.empty((0, 2))).mid)


def test_without_a_bridge_micro_sees_and_does_nothing() -> None:
    micro = CitadelStrategy().micro
    assert not micro.live
    assert micro.book("BTC/USDT") is None
    assert micro.report("x") is None
    micro.execution("BTC/USDT", algo="chase_limit", urgency="high", confidence=0.5, max_chase_bps=1)


def test_a_bridge_is_seen_by_every_strategy_until_it_is_detached() -> None:
    other = InertMicro()
    strategy.attach(other)
    try:
        assert CitadelStrategy().micro is other
    finally:
        strategy.attach(None)
    assert CitadelStrategy().micro is not other


def wish(wishes: ExecutionHints, pair: str, **over: Any) -> None:  # noqa: ANN401 - fields of a wish
    fields: dict[str, Any] = {
        "algo": None,
        "urgency": None,
        "confidence": None,
        "model_id": "",
        "tag": "",
        "params": {},
    }
    wishes.put(pair, **fields | over)


def test_a_hint_is_for_the_next_order_of_its_pair_only() -> None:
    wishes = ExecutionHints()
    wish(wishes, "BTC/USDT", urgency="high", params={"max_chase_bps": 20})
    assert wishes.take("ETH/USDT") is None
    taken = wishes.take("BTC/USDT")
    assert taken is not None
    assert taken.params == {"max_chase_bps": 20, "urgency": "high"}
    assert wishes.take("BTC/USDT") is None


def test_the_last_hint_counts_and_an_old_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    wishes = ExecutionHints()
    wish(wishes, "BTC/USDT", tag="first")
    wish(wishes, "BTC/USDT", tag="second")
    taken = wishes.take("BTC/USDT")
    assert taken is not None
    assert taken.tag == "second"
    monkeypatch.setattr(strategy, "HINT_LIFE_S", -1.0)
    wish(wishes, "BTC/USDT")
    assert wishes.take("BTC/USDT") is None


@pytest.mark.parametrize("confidence", [-0.1, 1.1, math.nan])
def test_a_confidence_that_is_no_probability_is_refused(confidence: float) -> None:
    with pytest.raises(BadInput, match="a probability from 0 to 1"):
        wish(ExecutionHints(), "BTC/USDT", confidence=confidence)


MINUTE = 60
START = 1_800_000_000 // MINUTE * MINUTE


def candles(count: int) -> pd.Series[pd.Timestamp]:
    return pd.Series(
        pd.date_range(pd.Timestamp(START, unit="s", tz="UTC"), periods=count, freq="1min")
    )


def watch(store: FlowStore, candle: int, looks: int, **over: Any) -> None:  # noqa: ANN401
    for n in range(looks):
        store.observe("BTC/USDT", view(**over), START + candle * MINUTE + n)


def test_flow_is_the_mean_of_what_was_seen_in_a_candle(tmp_path: Path) -> None:
    store = FlowStore(tmp_path, MINUTE)
    watch(store, 1, 2, imbalance=0.0)
    watch(store, 1, 2, imbalance=1.0)
    watch(store, 2, 1)
    found = store.joined("BTC/USDT", candles(3))
    assert list(found.columns) == [*FLOW_COLUMNS, KNOWN]
    assert found[KNOWN].tolist() == [0.0, 1.0, 0.0], "the open candle is not known yet"
    assert found["imbalance"].tolist() == [0.0, 0.5, 0.0]
    assert found["flow"].tolist() == [0.0, 2.0, 0.0]
    assert found["micro_bps"][1] == pytest.approx((100.5 - 101) / 101 * 1e4)
    assert not found.isna().any().any()


def test_a_candle_seen_too_seldom_and_a_book_that_is_not_fresh_do_not_count(tmp_path: Path) -> None:
    store = FlowStore(tmp_path, MINUTE)
    watch(store, 0, 2)
    watch(store, 1, 5, state="STALE")
    watch(store, 2, 1)
    assert store.joined("BTC/USDT", candles(3))[KNOWN].tolist() == [0.0, 0.0, 0.0]


def test_what_was_watched_survives_a_restart(tmp_path: Path) -> None:
    first = FlowStore(tmp_path, MINUTE)
    watch(first, 0, 4)
    watch(first, 1, 4)
    again = FlowStore(tmp_path, MINUTE)
    pd.testing.assert_frame_equal(
        again.joined("BTC/USDT", candles(2)), first.joined("BTC/USDT", candles(2))
    )
    assert again.joined("BTC/USDT", candles(2))[KNOWN].tolist() == [1.0, 0.0]
    watch(again, 2, 4)
    watch(again, 3, 1)
    assert FlowStore(tmp_path, MINUTE).joined("BTC/USDT", candles(4))[KNOWN].tolist() == [
        1,
        0,
        1,
        0,
    ]
