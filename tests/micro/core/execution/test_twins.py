"""Every algorithm buys as it sells, at any scale, and does not see its own orders: whole stories, order by order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from ladder_kit import ladder
from twin_rig import Twin, play

from citadel_micro.core.algos import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Iterator

EACH = pytest.mark.parametrize("name", [*ALGORITHMS, "ladder"])
SEEDS = st.integers(0, 2**32)
FEW = settings(max_examples=examples(1, 60))


@pytest.fixture(autouse=True, scope="module")
def _ladder() -> Iterator[None]:
    with ladder():
        yield


@EACH
@given(seed=SEEDS, scale=st.sampled_from([2, 10, 1_000]))
@FEW
def test_scaled_prices_and_sizes_give_the_scaled_orders(name: str, seed: int, scale: int) -> None:
    plain = play(name, seed, Twin())
    scaled = play(name, seed, Twin(scale=scale))
    assert scaled.story() == plain.story()


@EACH
@given(seed=SEEDS)
@FEW
def test_our_own_orders_in_the_book_change_nothing(name: str, seed: int) -> None:
    hidden = play(name, seed, Twin())
    shown = play(name, seed, Twin(shows_own=True))
    assert shown.story() == hidden.story()


@EACH
@given(seed=SEEDS)
@FEW
def test_buy_and_sell_mirror(name: str, seed: int) -> None:
    plain = play(name, seed, Twin()).story()
    mirrored = play(name, seed, Twin(mirrored=True)).story()
    assert len(mirrored) == len(plain)
    for ours, theirs in zip(plain, mirrored, strict=True):
        # Distances in basis points are of slightly different prices.
        assert abs(ours.price_ticks - theirs.price_ticks) <= 1
        assert ours._replace(price_ticks=0) == theirs._replace(price_ticks=0)
