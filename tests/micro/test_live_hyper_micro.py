"""A whole micro in live mode on the simulated Hyperliquid: long, short, restart, lost answers, mute streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fault_chances import SOFT
from hyper_desk import HyperDesk, on_hyperliquid
from hyper_kit import SPOT
from perpetual_stories import (
    a_restart_with_a_short_and_an_order_in_the_book,
    all_ended,
    chases_both_ways,
    ended_well,
    filled,
    long_short_funding_and_flat_again,
)

from citadel_proto.errors import CitadelError

if TYPE_CHECKING:
    from pathlib import Path


def test_long_short_funding_and_flat_again(tmp_path: Path) -> None:
    async def body(desk: HyperDesk) -> None:
        desk.listed = True
        await long_short_funding_and_flat_again(desk, SPOT)

    on_hyperliquid(tmp_path, body)


def test_a_restart_with_a_short_and_an_order_in_the_book(tmp_path: Path) -> None:
    on_hyperliquid(
        tmp_path, lambda desk: a_restart_with_a_short_and_an_order_in_the_book(desk, SPOT)
    )


def test_a_lost_answer_is_found_and_nothing_is_placed_twice(tmp_path: Path) -> None:
    async def body(desk: HyperDesk) -> None:
        await desk.start()
        desk.fault("answer-lost=first:1,on=order.place")
        await filled(desk, "buy", "0.02")
        await ended_well(desk)

    on_hyperliquid(tmp_path, body)


def test_what_a_mute_stream_keeps_silent_is_found(tmp_path: Path) -> None:
    async def body(desk: HyperDesk) -> None:
        await desk.start()
        desk.fault("mute=always,for=6")
        await filled(desk, "buy", "0.02")
        desk.no_faults()
        await ended_well(desk)

    on_hyperliquid(tmp_path, body)


def test_books_agree_after_orders_among_faults(tmp_path: Path) -> None:
    async def body(desk: HyperDesk) -> None:
        await desk.start()
        desk.fault(*SOFT)
        names = await chases_both_ways(desk, rounds=3, time_limit_ms=2_000)
        desk.no_faults()
        await all_ended(desk, names)
        await ended_well(desk)

    on_hyperliquid(tmp_path, body)


def test_the_key_of_the_account_itself_is_refused_because_it_can_withdraw(tmp_path: Path) -> None:
    async def body(desk: HyperDesk) -> None:
        desk.key = "master"
        with pytest.raises(CitadelError, match="withdrawals"):
            await desk.start()

    on_hyperliquid(tmp_path, body)
