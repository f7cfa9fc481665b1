"""A whole micro in live mode on simulated perpetuals of Bybit: long, short, funding, restart, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bybit_kit import LinearDesk, linear_of, on_linear_desk
from fault_chances import SOFT
from perpetual_stories import (
    a_position_that_the_venue_closes_halts_the_symbol,
    a_restart_with_a_short_and_an_order_in_the_book,
    all_ended,
    chases_both_ways,
    ended_well,
    long_short_funding_and_flat_again,
)
from spot_kit import SYMBOL

from citadel_proto.errors import CitadelError

if TYPE_CHECKING:
    from pathlib import Path


def test_long_short_funding_and_flat_again(tmp_path: Path) -> None:
    on_linear_desk(tmp_path, lambda desk: long_short_funding_and_flat_again(desk, SYMBOL))


def test_a_restart_with_a_short_and_an_order_in_the_book(tmp_path: Path) -> None:
    on_linear_desk(
        tmp_path, lambda desk: a_restart_with_a_short_and_an_order_in_the_book(desk, SYMBOL)
    )


@pytest.mark.parametrize("by", ["liquidation", "adl"])
def test_a_position_that_the_venue_closes_halts_the_symbol_and_is_booked(
    tmp_path: Path, by: str
) -> None:
    on_linear_desk(
        tmp_path, lambda desk: a_position_that_the_venue_closes_halts_the_symbol(desk, SYMBOL, by)
    )


def test_books_agree_after_orders_among_faults(tmp_path: Path) -> None:
    async def body(desk: LinearDesk) -> None:
        await desk.start()
        faults = linear_of(desk.server).side.venue.faults
        faults.extend((*SOFT, "taken-lost=0.05"))
        await all_ended(desk, await chases_both_ways(desk, rounds=2, time_limit_ms=1_500))
        faults.clear()
        await ended_well(desk)

    on_linear_desk(tmp_path, body)


def test_another_margin_mode_than_the_accounts_is_not_traded_on(tmp_path: Path) -> None:
    async def body(desk: LinearDesk) -> None:
        desk.isolated = False
        with pytest.raises(CitadelError, match="margin mode is REGULAR_MARGIN"):
            await desk.start()

    on_linear_desk(tmp_path, body)
