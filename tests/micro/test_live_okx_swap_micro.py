"""A whole micro in live mode on simulated perpetuals of OKX: long, short, funding, restart, refusals."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from okx_desk import SwapDesk, on_swaps
from okx_kit import SWAP, SYMBOL, VENUE, swap_of
from waiting import until

from citadel_micro.core.model.events import CancelReceived
from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.shell.journal.verify import verify_journal
from citadel_proto.errors import CitadelError

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.core.model.events import Side

E8 = Decimal(10) ** 8


def test_long_short_funding_and_flat_again(tmp_path: Path) -> None:
    async def body(desk: SwapDesk) -> None:
        await desk.start()
        engine, before = desk.micro.engine, desk.wallet()
        bought = await desk.ended(
            desk.signal("buy", "0.02", time_limit_ms=4_000, on_timeout="cross_ioc")
        )
        assert bought.state is ParentState.FILLED
        # Signals are in coins, orders and positions in contracts of 0.01 BTC.
        assert desk.position.quantity == 2
        theirs = Decimal(desk.exchange.position("demo", SYMBOL).liquidation_e8) / E8

        def near() -> bool:
            ours = engine.portfolio.liquidation_price(desk.position)
            return ours is not None and abs(ours - theirs) < theirs / 10_000

        await until(near)  # the margin comes with the next comparison
        desk.exchange.fund(SYMBOL, 10_000)
        await until(lambda: desk.position.funding != 0)
        assert desk.position.funding < 0
        sold = await desk.ended(desk.signal("sell", "0.05", algo="marketable_limit"))
        assert sold.state is ParentState.FILLED
        assert desk.position.quantity == -3
        closed = await desk.ended(desk.signal("buy", "0.03", algo="marketable_limit"))
        assert closed.state is ParentState.FILLED
        assert desk.position.quantity == 0
        assert await desk.micro.stop("the end") is True
        desk.books_agree()
        assert abs(desk.wallet() - before - desk.position.cash) < Decimal("0.00001")
        path = desk.micro.journal.path
        await desk.micro.close()
        said: list[str] = []
        assert verify_journal(path, said.append) == 0, said

    on_swaps(tmp_path, body)


def test_a_restart_with_a_short_and_an_order_in_the_book(tmp_path: Path) -> None:
    async def body(desk: SwapDesk) -> None:
        await desk.start()
        await desk.ended(desk.signal("sell", "0.02", algo="marketable_limit"))
        mid = desk.micro.engine.markets[VENUE, SWAP].mid()
        assert mid is not None
        name = desk.signal("buy", "0.02", algo="limit", limit=f"{mid * 0.97:.1f}")
        await until(lambda: desk.parent(name).live and desk.parent(name).live[0].acknowledged)
        await desk.micro.close()
        desk.exchange.fund(SYMBOL, 10_000)
        await desk.start()
        assert desk.position.quantity == -2
        await until(lambda: desk.position.funding > 0)  # a short receives it
        desk.micro.runner.post(CancelReceived(signal_id=name, reason="enough", operator=True))
        await desk.ended(name)
        assert await desk.micro.stop("the end") is True
        desk.books_agree()

    on_swaps(tmp_path, body)


@pytest.mark.parametrize("by", ["liquidation", "adl"])
def test_a_position_that_the_venue_closes_halts_the_symbol_and_is_booked(
    tmp_path: Path, by: str
) -> None:
    async def body(desk: SwapDesk) -> None:
        await desk.start()
        await desk.ended(desk.signal("buy", "0.02", algo="marketable_limit"))
        desk.exchange.close_out("demo", SYMBOL, "adl" if by == "adl" else "liquidation")
        engine = desk.micro.engine
        await until(lambda: desk.position.quantity == 0)
        await until(lambda: engine.risk.effective_state(VENUE, SWAP, "Test") == "HALTED")

    on_swaps(tmp_path, body)


def test_books_agree_after_orders_among_faults(tmp_path: Path) -> None:
    async def body(desk: SwapDesk) -> None:
        await desk.start()
        desk.faults.extend(
            (
                "answer-lost=0.05",
                "unknown-executed=0.05",
                "http-503-executed=0.05",
                "answer-delayed=0.05,for=0.7",
                "event-first=0.2",
                "answer-first=0.2",
                "event-duplicated=0.2",
                "event-delayed=0.1",
                "event-lost=0.03",
                "query-lag=0.1",
                "session-cut=0.01",
            )
        )
        names: list[str] = []
        sides: tuple[Side, ...] = ("buy", "sell")
        for _ in range(2):
            for side in sides:
                names.append(desk.signal(side, "0.01", time_limit_ms=1_500, on_timeout="cross_ioc"))
                await asyncio.sleep(0.3)
        await until(lambda: all(desk.parent(name).closed for name in names), 60)
        desk.faults.clear()
        assert await desk.micro.stop("the end") is True
        desk.books_agree()

    on_swaps(tmp_path, body)


def test_an_account_in_long_short_mode_is_not_traded_on(tmp_path: Path) -> None:
    async def body(desk: SwapDesk) -> None:
        swap_of(desk.server).records.hedge("demo")
        with pytest.raises(CitadelError, match="hedge mode"):
            await desk.start()
        assert not desk.exchange.all_orders("demo", SYMBOL)

    on_swaps(tmp_path, body)
