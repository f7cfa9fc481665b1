"""What a whole micro in live mode does on the perpetuals of any venue, and how its books end."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

from waiting import until

from citadel_micro.core.model.events import CancelReceived
from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.shell.journal.verify import verify_journal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from live_desk import Desk

    from citadel_micro.core.model.events import Side

E8 = Decimal(10) ** 8


async def filled(desk: Desk, side: Side, coins: str) -> None:
    """Trade at the market."""
    parent = await desk.ended(desk.signal(side, coins, algo="marketable_limit"))
    assert parent.state is ParentState.FILLED


async def ended_well(desk: Desk) -> None:
    """Micro stops, its books are the venue's."""
    assert await desk.micro.stop("the end") is True
    desk.books_agree()


async def replays(desk: Desk) -> None:
    """Its journal gives the same commands again."""
    path = desk.micro.journal.path
    await desk.micro.close()
    said: list[str] = []
    assert verify_journal(path, said.append) == 0, said


async def long_short_funding_and_flat_again(desk: Desk, theirs: str, *, lot: str = "1") -> None:
    """Args: ``theirs``: the exchange's symbol; ``lot``: coins of one unit of a position."""
    await desk.start()
    engine, before = desk.micro.engine, desk.wallet()
    bought = await desk.ended(
        desk.signal("buy", "0.02", time_limit_ms=4_000, on_timeout="cross_ioc")
    )
    assert bought.state is ParentState.FILLED
    # Signals are in coins, orders and positions in the venue's units.
    assert desk.position.quantity * Decimal(lot) == Decimal("0.02")
    await until(lambda: desk.exchange.position("demo", theirs).lots > 0)
    liquidated = Decimal(desk.exchange.position("demo", theirs).liquidation_e8) / E8

    def near() -> bool:
        ours = engine.portfolio.liquidation_price(desk.position)
        return ours is not None and abs(ours - liquidated) < liquidated / 10_000

    await until(near)  # the margin comes with the next comparison
    desk.exchange.fund(theirs, 10_000)
    await until(lambda: desk.position.funding != 0)
    assert desk.position.funding < 0
    await filled(desk, "sell", "0.05")
    assert desk.position.quantity * Decimal(lot) == Decimal("-0.03")
    ours = engine.portfolio.liquidation_price(desk.position)
    mark = engine.portfolio.margin.mark((desk.venue, desk.symbol))
    assert ours is not None
    assert mark is not None
    assert ours > mark
    await filled(desk, "buy", "0.03")
    assert desk.position.quantity == 0
    await ended_well(desk)
    assert abs(desk.wallet() - before - desk.position.cash) < Decimal("0.00001")
    await replays(desk)


async def a_restart_with_a_short_and_an_order_in_the_book(
    desk: Desk, theirs: str, *, lot: str = "1"
) -> None:
    """Funding is exchanged while micro is away. Args: as above."""
    await desk.start()
    await filled(desk, "sell", "0.02")
    mid = desk.micro.engine.markets[desk.venue, desk.symbol].mid()
    assert mid is not None
    name = desk.signal("buy", "0.02", algo="limit", limit=f"{mid * 0.97:.0f}")
    await until(lambda: desk.parent(name).live and desk.parent(name).live[0].acknowledged)
    await desk.micro.close()
    desk.exchange.fund(theirs, 10_000)
    await desk.start()
    assert desk.position.quantity * Decimal(lot) == Decimal("-0.02")
    await until(lambda: desk.position.funding > 0)  # a short receives it
    desk.micro.runner.post(CancelReceived(signal_id=name, reason="enough", operator=True))
    await desk.ended(name)
    await ended_well(desk)


async def a_position_that_the_venue_closes_halts_the_symbol(
    desk: Desk, theirs: str, by: str = "liquidation"
) -> None:
    """And it is booked. Args: ``by``: "liquidation" or "adl"."""
    await desk.start()
    await filled(desk, "buy", "0.02")
    desk.exchange.close_out("demo", theirs, by)
    risk = desk.micro.engine.risk
    await until(lambda: desk.position.quantity == 0)
    await until(lambda: risk.effective_state(desk.venue, desk.symbol, "Test") == "HALTED")


async def chases_both_ways(desk: Desk, *, rounds: int, time_limit_ms: int) -> list[str]:
    """Several at once; their signals' ids."""
    names: list[str] = []
    sides: tuple[Side, ...] = ("buy", "sell")
    for _ in range(rounds):
        for side in sides:
            names.append(
                desk.signal(side, "0.01", time_limit_ms=time_limit_ms, on_timeout="cross_ioc")
            )
            await asyncio.sleep(0.3)
    return names


async def all_ended(desk: Desk, names: Sequence[str]) -> None:
    """Wait for the ends of these signals' orders."""
    await until(lambda: all(desk.parent(name).closed for name in names), 60)
