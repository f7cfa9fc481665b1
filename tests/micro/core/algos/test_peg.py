"""Peg, as ``docs/howto/add-an-algorithm.md`` tells it: the page's module is the product's."""

from __future__ import annotations

import importlib
import re
import sys
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import KEY, MS, SECOND, START, SYMBOL, VENUE, Rig, config, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core import algos
from citadel_micro.core.algos import ALGORITHMS
from citadel_micro.core.algos.base import KEEP, Algorithm, Withdraw
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import FeedStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from citadel_micro.core.algos.base import Value


def peg(rig: Rig, side: str = "buy", limit_price: Decimal | None = None, **params: Value) -> None:
    given = tuple(sorted(params.items()))
    expires_ns = START + 3_600 * SECOND
    changes = {"side": side, "limit_price": limit_price, "params": given}
    rig.send(signal(algo="peg", expires_ns=expires_ns, **changes))
    rig.run(10 * MS)


def prices(rig: Rig) -> list[int]:
    return [order.price_ticks for order in rig.venue.placed]


@pytest.mark.parametrize(
    ("side", "params", "first", "moved"),
    [
        ("buy", {}, 600_000, 600_050),
        ("sell", {}, 600_010, 600_060),
        ("buy", {"offset_ticks": -3}, 599_997, 600_047),
        ("sell", {"offset_ticks": -3}, 600_013, 600_063),
        ("buy", {"offset_ticks": 4}, 600_004, 600_054),
        ("buy", {"offset_ticks": 99}, 600_009, 600_059),  # never the other side
        ("sell", {"offset_ticks": 99}, 600_001, 600_051),
        ("buy", {"reference": "mid"}, 600_005, 600_055),
        ("sell", {"reference": "mid", "offset_ticks": -1}, 600_006, 600_056),
    ],
)
def test_it_rests_beside_the_market_and_moves_with_it(
    side: str, params: dict[str, Any], first: int, moved: int
) -> None:
    rig = Rig()
    rig.book(60_000.0, 60_001.0)
    peg(rig, side, **params)
    assert prices(rig) == [first]
    rig.book(60_005.0, 60_006.0)
    rig.run(500 * MS)
    assert prices(rig) == [first, moved]
    assert all(order.post_only for order in rig.venue.placed)
    assert rig.parent().reprices == 1


def test_a_half_tick_of_the_middle_is_left_to_the_other_side() -> None:
    for side, price in (("buy", 600_001), ("sell", 600_002)):
        rig = Rig()
        rig.book(60_000.0, 60_000.3)
        peg(rig, side, reference="mid")
        assert prices(rig) == [price]


def test_the_limit_price_caps_it() -> None:
    rig = Rig()
    peg(rig, limit_price=Decimal(59_999))
    assert prices(rig) == [599_990]
    assert rig.live().status == "open"
    assert rig.parent().live[0].capped
    rig.book(59_990.0, 59_990.1)
    rig.run(500 * MS)
    assert prices(rig)[-1] == 599_900
    assert not rig.parent().live[0].capped


def test_small_and_hasty_moves_are_not_followed() -> None:
    rig = Rig()
    peg(rig, min_move_ticks=5, min_dwell_ms=1_000)
    rig.book(60_000.4, 60_000.5)
    rig.run(2 * SECOND)
    assert prices(rig) == [600_000]
    rig.book(60_000.5, 60_000.6)
    rig.run(100 * MS)
    assert prices(rig) == [600_000, 600_005]
    rig.book(60_009.0, 60_009.1)
    rig.run(500 * MS)
    assert prices(rig) == [600_000, 600_005]
    rig.run(600 * MS)
    assert prices(rig) == [600_000, 600_005, 600_090]


def test_it_does_not_follow_itself() -> None:
    rig = Rig(config(VenueConfig(shows_own_orders=True)))
    rig.book(60_000.0, 60_001.0)
    peg(rig, offset_ticks=2, min_dwell_ms=0)
    assert prices(rig) == [600_002]
    for _ in range(3):
        rig.book(60_000.0, 60_001.0, own=("buy", 60_000.2, 0.5))
        rig.run(200 * MS, refresh_ns=0)
    assert len(prices(rig)) == 1


def test_without_a_book_it_waits_and_after_a_while_it_withdraws() -> None:
    rig = Rig()
    peg(rig)
    parent = rig.parent()
    inst = rig.engine.inst_states[KEY]
    assert parent.algo is not None
    inst.market.on_status(FeedStatus(venue=VENUE, symbol=SYMBOL, up=False, reason="cut"))
    assert parent.algo.decide(parent, inst, rig.now) == KEEP
    assert parent.algo.wake_ns == rig.now + 3 * SECOND
    late = parent.algo.decide(parent, inst, rig.now + 3 * SECOND)
    assert isinstance(late, Withdraw)
    assert late.code == "BOOK_UNFIT"


def test_it_ends_with_its_working_time_or_its_signal() -> None:
    for params, code in (({"time_limit_ms": 5_000}, "TIME_LIMIT"), ({}, "EXPIRED")):
        rig = Rig()
        rig.send(signal(algo="peg", params=tuple(params.items()), expires_ns=START + 8 * SECOND))
        rig.run(9 * SECOND)
        assert (rig.report().status, rig.report().reason_code) == ("expired", code)


@given(
    moves=st.lists(st.integers(-40, 40), max_size=12),
    offset=st.integers(-20, 20),
    mid=st.booleans(),
    sell=st.booleans(),
)
def test_it_never_takes_and_never_passes_its_limit(
    moves: list[int], offset: int, mid: bool, sell: bool
) -> None:
    rig = Rig()
    reference = "mid" if mid else "primary"
    side = "sell" if sell else "buy"
    limit = Decimal("60000.0")
    peg(rig, side, limit, reference=reference, offset_ticks=offset, min_dwell_ms=0)
    for move in moves:
        bid = round(60_000 + move / 10, 1)
        rig.book(bid, round(bid + 0.3, 1))
        rig.run(50 * MS)
    for order in rig.venue.placed:
        assert order.post_only
        assert order.price_ticks >= 600_000 if sell else order.price_ticks <= 600_000
    assert not [fill for fill in rig.report().fills if fill.liquidity == "taker"]


# --- the page -------------------------------------------------------------------------------------


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "docs" / "howto" / "add-an-algorithm.md").read_text()


@pytest.fixture
def told(page: str) -> Iterator[type[Algorithm]]:
    """The algorithm that the page's code makes."""
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (text,) = [block for block in blocks if "(Algorithm)" in block]
    module = ModuleType("peg_of_the_page")
    sys.modules[module.__name__] = module
    exec(compile(text, "add-an-algorithm.md", "exec"), module.__dict__)  # noqa: S102 - our own page
    (kind,) = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Algorithm) and each is not Algorithm
    ]
    yield kind
    del sys.modules[module.__name__]


def test_the_page_shows_the_module_that_the_product_has(page: str, repository: Path) -> None:
    source = repository / "micro" / "citadel_micro" / "core" / "algos" / "peg.py"
    assert f"```python\n{source.read_text()}```" in page
    assert '    "peg": Peg,' in page
    assert '    "peg": Peg,\n' in (source.parent / "__init__.py").read_text()


def test_the_page_s_code_works_an_order(
    told: type[Algorithm], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert importlib.import_module(algos.__name__).algorithm("peg") is not told
    monkeypatch.setitem(ALGORITHMS, "peg", told)
    rig = Rig()
    peg(rig, offset_ticks=-2)
    rig.book(60_001.0, 60_001.1)
    rig.run(500 * MS)
    assert prices(rig) == [599_998, 600_008]
    assert type(rig.parent().algo) is told
