"""The kill switch in the middle of everything, and the venue's timer that fires while micro hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog
import virtual_others
from effort import examples
from live_stops import HungRun, KilledRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtual_others import Market

ALL = pytest.mark.parametrize("market", list(virtual_others.MARKETS))
SEEDS = examples(1, 100)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of lines about faults that are meant."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)


@ALL
def test_nothing_is_placed_and_nothing_stays_open_after_the_kill_switch(market: Market) -> None:
    for seed in range(1, 1 + SEEDS):
        KilledRun(seed, market=market, seconds=8).play()


@pytest.mark.campaign
@ALL
def test_books_stay_true_where_the_venues_timer_has_canceled(market: Market) -> None:
    for seed in range(1, 11):
        HungRun(seed, market=market, seconds=60, kills=seed % 3 == 0).play()
