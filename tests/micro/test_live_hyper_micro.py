"""A whole micro in live mode on the simulated Hyperliquid: long, short, restart, lost answers, mute streams."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from fault_chances import SOFT
from hyper_desk import HyperDesk, on_hyperliquid
from hyper_kit import SPOT, SYMBOL, VENUE
from waiting import until

from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.shell.journal.verify import verify_journal
from citadel_proto.errors import CitadelError

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.core.model.events import Side


def test_long_short_funding_and_flat_again(tmp_path: Path) -> None:
    async def body(desk: HyperDesk) -> None:
        desk.listed = True
        await desk.start()
        bought = await desk.ended(
            desk.signal("buy", "0.02", time_limit_ms=3_000, on_timeout="cross_ioc")
        )
        assert bought.state is ParentState.FILLED
        desk.exchange.fund(SPOT, 10_000)
        await until(lambda: desk.position.funding < 0)
        sold = await desk.ended(desk.signal("sell", "0.05", algo="marketable_limit"))
        assert sold.state is ParentState.FILLED
        closed = await desk.ended(desk.signal("buy", "0.03", algo="marketable_limit"))
        assert closed.state is ParentState.FILLED
        assert await desk.micro.stop("the end") is True
        assert desk.position.quantity == 0
        desk.books_agree()
        path = desk.micro.journal.path
        await desk.micro.close()
        said: list[str] = []
        assert verify_journal(path, said.append) == 0, said

    on_hyperliquid(tmp_path, body)


def test_a_restart_with_a_short_and_an_order_in_the_book(tmp_path: Path) -> None:
    async def body(desk: HyperDesk) -> None:
        await desk.start()
        await desk.ended(desk.signal("sell", "0.02", algo="marketable_limit"))
        mid = desk.micro.engine.markets[VENUE, SYMBOL].mid()
        assert mid is not None
        name = desk.signal("buy", "0.02", algo="limit", limit=f"{mid * 0.97:.0f}")
        await until(lambda: desk.parent(name).live and desk.parent(name).live[0].acknowledged)
        await desk.micro.close()
        desk.exchange.fund(SPOT, 10_000)
        await desk.start()
        await until(lambda: desk.position.funding > 0)  # a short receives it
        assert await desk.micro.stop("the end") is True
        desk.books_agree()

    on_hyperliquid(tmp_path, body)


def test_a_lost_answer_is_found_and_nothing_is_placed_twice(tmp_path: Path) -> None:
    async def body(desk: HyperDesk) -> None:
        await desk.start()
        desk.fault("answer-lost=first:1,on=order.place")
        parent = await desk.ended(desk.signal("buy", "0.02", algo="marketable_limit"))
        assert parent.state is ParentState.FILLED
        assert await desk.micro.stop("the end") is True
        desk.books_agree()

    on_hyperliquid(tmp_path, body)


def test_what_a_mute_stream_keeps_silent_is_found(tmp_path: Path) -> None:
    async def body(desk: HyperDesk) -> None:
        await desk.start()
        desk.fault("mute=always,for=6")
        parent = await desk.ended(desk.signal("buy", "0.02", algo="marketable_limit"))
        desk.no_faults()
        assert parent.state is ParentState.FILLED
        assert await desk.micro.stop("the end") is True
        desk.books_agree()

    on_hyperliquid(tmp_path, body)


def test_books_agree_after_orders_among_faults(tmp_path: Path) -> None:
    async def body(desk: HyperDesk) -> None:
        await desk.start()
        desk.fault(*SOFT)
        names: list[str] = []
        sides: tuple[Side, ...] = ("buy", "sell")
        for _ in range(3):
            for side in sides:
                name = desk.signal(side, "0.01", time_limit_ms=2_000, on_timeout="cross_ioc")
                names.append(name)
                await asyncio.sleep(0.4)
        desk.no_faults()
        for name in names:
            await desk.ended(name)
        assert await desk.micro.stop("the end") is True
        desk.books_agree()

    on_hyperliquid(tmp_path, body)


def test_the_key_of_the_account_itself_is_refused_because_it_can_withdraw(tmp_path: Path) -> None:
    async def body(desk: HyperDesk) -> None:
        desk.key = "master"
        with pytest.raises(CitadelError, match="withdrawals"):
            await desk.start()

    on_hyperliquid(tmp_path, body)
