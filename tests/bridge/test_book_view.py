"""The reader's view of a book."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from citadel_bridge.book_view import BookView
from citadel_proto.messages import BookSnapshot
from citadel_proto.packed_levels import pack_levels

if TYPE_CHECKING:
    from citadel_proto.messages import BookState

BOOK = BookSnapshot(
    venue="paper",
    symbol="BTC/USDT",
    state="LIVE",
    exchange_ns=0,
    recv_ns=1_000,
    venue_seq=1,
    bids=pack_levels([(99.0, 1.0), (98.0, 2.0)]),
    asks=pack_levels([(101.0, 3.0)]),
    microprice=99.5,
    imbalance=0.0,
    spread=2.0,
    signed_flow=0.5,
    flow_window_ms=1000,
    published_ns=1_500,
    instance="m",
    seq=1,
    features={"ofi": 1.0},
)


def test_levels_are_arrays_over_the_received_bytes() -> None:
    bids, asks = BookView(BOOK).levels()
    np.testing.assert_array_equal(bids, [[99.0, 1.0], [98.0, 2.0]])
    np.testing.assert_array_equal(asks, [[101.0, 3.0]])
    assert not bids.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        bids[0, 0] = 1


def test_best_mid_and_what_micro_computed() -> None:
    view = BookView(BOOK)
    assert view.best() == (99.0, 1.0, 101.0, 3.0)
    assert (view.mid, view.microprice, view.spread, view.signed_flow) == (100.0, 99.5, 2.0, 0.5)
    assert view.features == {"ofi": 1.0}


def test_an_empty_side_has_no_best() -> None:
    view = BookView(msgspec.structs.replace(BOOK, asks=b""))
    assert view.best() is None
    assert math.isnan(view.mid)
    assert view.asks.shape == (0, 2)
    assert not view.fresh(10**9, 1_000)


def test_age_is_since_micro_received_the_last_update() -> None:
    view = BookView(BOOK)
    assert view.age_ns(3_500) == 2_500
    assert view.fresh(2_500, 3_500)
    assert not view.fresh(2_499, 3_500)


@pytest.mark.parametrize("state", ["SYNCING", "STALE", "BROKEN"])
def test_only_a_live_book_is_fresh(state: BookState) -> None:
    assert not BookView(msgspec.structs.replace(BOOK, state=state)).fresh(10**18, 1_000)
