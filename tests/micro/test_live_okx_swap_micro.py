"""A whole micro in live mode on simulated perpetuals of OKX: long, short, funding, restart, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from fault_chances import SOFT
from okx_desk import SwapDesk, on_swaps
from okx_kit import SYMBOL, swap_of
from perpetual_stories import (
    a_position_that_the_venue_closes_halts_the_symbol,
    a_restart_with_a_short_and_an_order_in_the_book,
    all_ended,
    chases_both_ways,
    ended_well,
    long_short_funding_and_flat_again,
)

from citadel_proto.errors import CitadelError

if TYPE_CHECKING:
    from pathlib import Path

CONTRACT: Final = "0.01"
"""BTC; orders and positions are in contracts."""


def test_long_short_funding_and_flat_again(tmp_path: Path) -> None:
    on_swaps(tmp_path, lambda desk: long_short_funding_and_flat_again(desk, SYMBOL, lot=CONTRACT))


def test_a_restart_with_a_short_and_an_order_in_the_book(tmp_path: Path) -> None:
    on_swaps(
        tmp_path,
        lambda desk: a_restart_with_a_short_and_an_order_in_the_book(desk, SYMBOL, lot=CONTRACT),
    )


@pytest.mark.parametrize("by", ["liquidation", "adl"])
def test_a_position_that_the_venue_closes_halts_the_symbol_and_is_booked(
    tmp_path: Path, by: str
) -> None:
    on_swaps(
        tmp_path, lambda desk: a_position_that_the_venue_closes_halts_the_symbol(desk, SYMBOL, by)
    )


def test_books_agree_after_orders_among_faults(tmp_path: Path) -> None:
    async def body(desk: SwapDesk) -> None:
        await desk.start()
        desk.faults.extend(rule for rule in SOFT if not rule.startswith("cancel-unknown"))
        await all_ended(desk, await chases_both_ways(desk, rounds=2, time_limit_ms=1_500))
        desk.faults.clear()
        await ended_well(desk)

    on_swaps(tmp_path, body)


def test_an_account_in_long_short_mode_is_not_traded_on(tmp_path: Path) -> None:
    async def body(desk: SwapDesk) -> None:
        swap_of(desk.server).records.hedge("demo")
        with pytest.raises(CitadelError, match="hedge mode"):
            await desk.start()
        assert not desk.exchange.all_orders("demo", SYMBOL)

    on_swaps(tmp_path, body)
