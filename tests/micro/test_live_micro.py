"""A whole micro in live mode on the simulated exchange, over its private protocol."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from fault_chances import MANY
from live_desk import Desk
from spot_kit import SYMBOL, VENUE
from waiting import until, until_it_holds

from citadel_micro.core.model.events import CancelReceived
from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.offline.tca.files import journals, orders_in
from citadel_micro.offline.tca.order_costs import costs_of
from citadel_micro.shell.journal.verify import verify_journal
from citadel_micro.simulator.binance_spot.records import account_uid
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from citadel_micro.core.model.events import Side
    from citadel_micro.shell.keys.api_key import KeyKind

S = 1_000_000_000
ACCOUNT = account_uid("demo")


def run(
    folder: Path, kind: KeyKind, body: Callable[[Desk], Awaitable[None]], top: str = ""
) -> None:
    async def main() -> None:
        config = SimulatorConfig(symbols=(SYMBOL,), history_days=1, warm_minutes=1)
        async with SimulatorServer(config) as server:
            desk = Desk(server, folder, kind)
            desk.top = top
            try:
                await desk.start()
                await body(desk)
            finally:
                for micro in desk.started:
                    await micro.close()

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_a_chase_to_the_fill_and_out_again(tmp_path: Path, kind: KeyKind) -> None:
    async def body(desk: Desk) -> None:
        bought = await desk.ended(
            desk.signal("buy", "0.01", time_limit_ms=6_000, on_timeout="cross_ioc")
        )
        assert bought.state is ParentState.FILLED
        assert bought.filled == bought.target
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

    run(tmp_path, kind, body)


def test_a_receiver_that_never_sleeps_ends_with_the_same_books(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        outcomes = []
        trades: list[tuple[Side, str]] = [("buy", "0.01"), ("sell", "0.009")]
        for side, quantity in trades:
            done = await desk.ended(desk.signal(side, quantity, algo="marketable_limit"))
            outcomes.append((done.state, done.filled == done.target, len(done.children)))
        assert outcomes == [(ParentState.FILLED, True, 1)] * 2
        assert await desk.micro.stop("the end") is True
        desk.books_agree()
        path = desk.micro.journal.path
        await desk.micro.close()
        said: list[str] = []
        assert verify_journal(path, said.append) == 0, said

    for number, top in enumerate(("", "busy_poll = true\n")):
        folder = tmp_path / str(number)
        folder.mkdir()
        run(folder, "hmac", body, top)


def test_a_restart_in_the_middle_of_a_chase(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
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
        cancel = CancelReceived(signal_id=name, reason="enough", operator=True)
        desk.micro.runner.post(cancel)
        ended = await desk.ended(name)
        assert ended.filled == 0
        desk.books_agree()
        await desk.micro.close()
        # Its costs are read from both journals as those of one order.
        (order,), _ = orders_in(journals([tmp_path]))
        assert (order.report.signal_id, order.report.status) == (name, "canceled")
        assert [(each.child_id, bool(each.ticks)) for each in order.standing] == [
            (child.client_id, True),
            (child.client_id, False),
        ]
        assert costs_of(order).parts is not None
        assert order.rested.why_not

    run(tmp_path, "ed25519", body)


@pytest.mark.parametrize(
    "fault",
    [
        "answer-lost=once",
        "unknown-executed=once",
        "http-503-lost=once",
        "event-duplicated=always",
        "event-reordered=every:3",
        "event-first=always",
        "session-cut=nth:3",
    ],
)
def test_faults_leave_the_books_in_agreement(tmp_path: Path, fault: str) -> None:
    async def body(desk: Desk) -> None:
        desk.server.spot.venue.faults.extend([fault])
        for side in ("buy", "sell"):
            quantity = "0.01" if side == "buy" else "0.009"
            done = await desk.ended(
                desk.signal(side, quantity, time_limit_ms=3_000, on_timeout="cross_ioc")
            )
            assert done.filled <= done.target
            assert done.state in {ParentState.FILLED, ParentState.CANCELED, ParentState.EXPIRED}
        await until(lambda: desk.micro.engine.order_store.active == {})
        await until_it_holds(desk.books_agree)

    run(tmp_path, "ed25519", body)


@pytest.mark.parametrize("seed", [3, 5])
def test_many_faults_at_once_and_the_books_agree_in_the_end(tmp_path: Path, seed: int) -> None:
    async def body(desk: Desk) -> None:
        rng = random.Random(seed)
        faults = desk.server.spot.venue.faults
        faults.extend(rule for rule in MANY if rng.random() < 0.6)
        names = []
        for number in range(6):
            side: Side = "sell" if number % 2 else "buy"
            quantity = "0.008" if number % 2 else "0.01"
            on_timeout = rng.choice(["cross_ioc", "cancel"])
            names.append(desk.signal(side, quantity, time_limit_ms=1_500, on_timeout=on_timeout))
            await asyncio.sleep(rng.random())
        await until(lambda: all(desk.parent(name).closed for name in names), 90)
        faults.clear()
        for name in names:
            parent = desk.parent(name)
            assert parent.filled <= parent.target
            assert parent.state is not ParentState.ANOMALY, parent.reason
        await until_it_holds(desk.books_agree)

    run(tmp_path, "ed25519" if seed % 2 else "hmac", body)
