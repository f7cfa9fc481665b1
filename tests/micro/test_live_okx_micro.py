"""A whole micro in live mode on the simulated OKX: chase, amend, restart, faults, the venue's timer."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from effort import campaign
from fault_chances import MANY
from okx_desk import Desk, on_okx
from okx_kit import SYMBOL, VENUE, side_of
from waiting import until, until_it_holds

from citadel_micro.core.model.events import CancelReceived
from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.shell.journal.verify import verify_journal

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.core.model.events import Side


def test_a_chase_to_the_fill_and_out_again(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        bought = await desk.ended(
            desk.signal("buy", "0.01", time_limit_ms=1_500, on_timeout="cross_ioc")
        )
        assert bought.state is ParentState.FILLED
        assert bought.filled == bought.target
        coins = desk.micro.engine.portfolio.quantity(VENUE, SYMBOL)
        assert 0 < coins < Decimal("0.01")  # less by the fee, taken in the coin itself
        sold = await desk.ended(desk.signal("sell", "0.009", algo="marketable_limit"))
        assert sold.state is ParentState.FILLED
        assert await desk.micro.stop("the end") is True
        desk.books_agree()
        path = desk.micro.journal.path
        await desk.micro.close()
        assert not side_of(desk.server).trading._due  # the timer was stopped
        said: list[str] = []
        assert verify_journal(path, said.append) == 0, said

    on_okx(tmp_path, body)


def test_an_order_follows_the_market_by_amends(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        mid = desk.micro.engine.markets[VENUE, SYMBOL].mid()
        assert mid is not None
        cap = f"{mid:.2f}"
        name = desk.signal("buy", "0.01", algo="peg", limit=cap, offset_ticks=-50_000)

        def amended() -> list[Any]:
            return [each for each in desk.exchange.open_orders("demo") if each.amends > 1]

        await until(lambda: bool(amended()))
        (order,) = amended()
        (child,) = desk.parent(name).children  # under one id, not as new orders
        assert child.venue_order_id == str(order.order_id)
        desk.micro.runner.post(CancelReceived(signal_id=name, reason="enough", operator=True))
        assert (await desk.ended(name)).filled == 0
        assert desk.exchange.all_orders("demo", SYMBOL)[-1].ticks == child.price_ticks
        desk.books_agree()

    on_okx(tmp_path, body)


def test_a_restart_with_an_order_in_the_book(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        mid = desk.micro.engine.markets[VENUE, SYMBOL].mid()
        assert mid is not None
        name = desk.signal("buy", "0.01", algo="limit", limit=f"{mid * 0.97:.2f}")
        await until(lambda: desk.parent(name).live and desk.parent(name).live[0].acknowledged)
        child = desk.parent(name).live[0]
        await desk.micro.close()  # without a word: its order, and the timer, stay at the venue
        assert side_of(desk.server).trading._due
        await desk.start()
        again = desk.parent(name).live[0]
        assert again.client_id == child.client_id
        assert again.venue_order_id == child.venue_order_id
        desk.micro.runner.post(CancelReceived(signal_id=name, reason="enough", operator=True))
        ended = await desk.ended(name)
        assert ended.filled == 0
        desk.books_agree()

    on_okx(tmp_path, body)


@pytest.mark.parametrize(
    "fault",
    [
        campaign("answer-lost=once"),
        "unknown-executed=once",
        campaign("event-reordered=every:3"),
        "event-lost=nth:2",
        campaign("session-cut=nth:3"),
    ],
)
def test_faults_leave_the_books_in_agreement(tmp_path: Path, fault: str) -> None:
    async def body(desk: Desk) -> None:
        desk.faults.extend([fault])
        for side in ("buy", "sell"):
            quantity = "0.01" if side == "buy" else "0.009"
            done = await desk.ended(
                desk.signal(side, quantity, time_limit_ms=1_500, on_timeout="cross_ioc")
            )
            assert done.filled <= done.target
            assert done.state in {ParentState.FILLED, ParentState.CANCELED, ParentState.EXPIRED}
        await until(lambda: desk.micro.engine.order_store.active == {})
        await until_it_holds(desk.books_agree)

    on_okx(tmp_path, body)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", [3])
def test_many_faults_at_once_and_the_books_agree_in_the_end(tmp_path: Path, seed: int) -> None:
    async def body(desk: Desk) -> None:
        rng = random.Random(seed)
        desk.faults.extend(rule for rule in MANY if rng.random() < 0.6)
        names = []
        for number in range(6):
            side: Side = "sell" if number % 2 else "buy"
            quantity = "0.008" if number % 2 else "0.01"
            on_timeout = rng.choice(["cross_ioc", "cancel"])
            names.append(desk.signal(side, quantity, time_limit_ms=1_500, on_timeout=on_timeout))
            await asyncio.sleep(rng.random())
        await until(lambda: all(desk.parent(name).closed for name in names), 90)
        desk.faults.clear()
        for name in names:
            parent = desk.parent(name)
            assert parent.filled <= parent.target
            assert parent.state is not ParentState.ANOMALY, parent.reason
        await until_it_holds(desk.books_agree)

    on_okx(tmp_path, body)


def test_the_venue_cancels_our_orders_when_we_are_gone(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        mid = desk.micro.engine.markets[VENUE, SYMBOL].mid()
        assert mid is not None
        name = desk.signal("buy", "0.01", algo="limit", limit=f"{mid * 0.97:.2f}")
        await until(lambda: desk.parent(name).live and desk.parent(name).live[0].acknowledged)
        side = side_of(desk.server)
        tags = {side.trading.wish(each.order_id).tag for each in desk.exchange.open_orders("demo")}
        await desk.micro.close()
        ((account, tag),) = side.trading._due
        assert (account, {tag}) == ("demo", tags)
        # As if its 30 s were over: the simulator's own clock stays as it is.
        side.trading._due[account, tag] = desk.exchange.now_ns
        await until(lambda: not desk.exchange.open_orders("demo"))
        assert desk.exchange.all_orders("demo", SYMBOL)[-1].cancel_id == "20"

    on_okx(tmp_path, body)
