"""A whole micro in live mode on simulated Bybit: chase, amend, restart, faults, equal books."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from bybit_kit import Desk, bybit_of, on_desk
from fault_chances import MANY
from spot_kit import SYMBOL
from waiting import until

from citadel_micro.adapters.bybit.orders import VENUE
from citadel_micro.core.model.events import CancelReceived
from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.shell.journal.verify import verify_journal

if TYPE_CHECKING:
    from pathlib import Path


def test_a_chase_to_the_fill_and_out_again(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        await desk.start()
        bought = await desk.ended(
            desk.signal("buy", "0.01", time_limit_ms=4_000, on_timeout="cross_ioc")
        )
        assert bought.state is ParentState.FILLED
        # What was bought is less by the fee, which the venue takes in the coin itself.
        coins = desk.micro.engine.portfolio.quantity(VENUE, SYMBOL)
        assert 0 < coins < Decimal("0.01")
        sold = await desk.ended(desk.signal("sell", "0.009", algo="marketable_limit"))
        assert sold.state is ParentState.FILLED
        assert await desk.micro.stop("the end") is True
        desk.books_agree()
        path = desk.micro.journal.path
        await desk.micro.close()
        said: list[str] = []
        assert verify_journal(path, said.append) == 0, said

    on_desk(tmp_path, body)


def test_a_restart_in_the_middle_of_an_order(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        await desk.start()
        mid = desk.micro.engine.markets[VENUE, SYMBOL].mid()
        assert mid is not None
        name = desk.signal("buy", "0.01", algo="limit", limit=f"{mid * 0.97:.2f}")
        await until(lambda: desk.parent(name).live and desk.parent(name).live[0].acknowledged)
        child = desk.parent(name).live[0]
        # Without a word: its order stays at the venue.
        await desk.micro.close()
        await desk.start()
        again = desk.parent(name).live[0]
        assert again.client_id == child.client_id
        assert again.venue_order_id == child.venue_order_id
        desk.micro.runner.post(CancelReceived(signal_id=name, reason="enough", operator=True))
        ended = await desk.ended(name)
        assert ended.filled == 0
        desk.books_agree()

    on_desk(tmp_path, body)


@pytest.mark.parametrize("faults", [("answer-lost=once",), MANY])
def test_books_agree_after_orders_among_faults(tmp_path: Path, faults: tuple[str, ...]) -> None:
    async def body(desk: Desk) -> None:
        await desk.start()
        rules = bybit_of(desk.server).side.venue.faults
        rules.extend(faults)
        names = []
        for number in range(4):
            quantity, side = ("0.01", "buy") if number % 2 == 0 else ("0.008", "sell")
            names.append(
                desk.signal(
                    "buy" if side == "buy" else "sell",
                    quantity,
                    time_limit_ms=1_500,
                    on_timeout="cross_ioc",
                )
            )
            await asyncio.sleep(0.3)
        await until(lambda: all(desk.parent(name).closed for name in names), 90)
        rules.clear()
        for name in names:
            parent = desk.parent(name)
            assert parent.filled <= parent.target
            assert parent.state is not ParentState.ANOMALY, parent.reason
        assert await desk.micro.stop("the end") is True
        desk.books_agree()

    on_desk(tmp_path, body)
