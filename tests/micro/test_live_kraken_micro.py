"""A whole micro in live mode on simulated Kraken, over its private protocol."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from effort import campaign
from fault_chances import HARSH
from kraken_bench import KrakenDesk
from kraken_kit import SYMBOL, kraken_config, side_of
from waiting import until, until_it_holds

from citadel_micro.adapters.kraken.orders import VENUE
from citadel_micro.core.model.events import CancelReceived
from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.shell.journal.verify import verify_journal
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from citadel_micro.core.model.events import Side


def run(folder: Path, body: Callable[[KrakenDesk], Awaitable[None]], *faults: str) -> None:
    async def main() -> None:
        async with SimulatorServer(kraken_config(*faults)) as server:
            desk = KrakenDesk(server, folder, "hmac")
            try:
                await desk.start()
                await body(desk)
            finally:
                for micro in desk.started:
                    await micro.close()

    asyncio.run(main())


def test_a_chase_to_the_fill_and_out_again(tmp_path: Path) -> None:
    async def body(desk: KrakenDesk) -> None:
        bought = await desk.ended(
            desk.signal("buy", "0.01", time_limit_ms=4_000, on_timeout="cross_ioc")
        )
        assert bought.state is ParentState.FILLED
        # The fee is in quote: what was asked for is there, whole.
        coins = desk.micro.engine.portfolio.quantity(VENUE, SYMBOL)
        assert f"{coins.normalize():f}" == "0.01"
        sold = await desk.ended(desk.signal("sell", "0.01", algo="marketable_limit"))
        assert sold.state is ParentState.FILLED
        assert desk.micro.engine.portfolio.quantity(VENUE, SYMBOL) == 0
        assert await desk.micro.stop("the end") is True
        desk.books_agree()
        path = desk.micro.journal.path
        await desk.micro.close()
        said: list[str] = []
        assert verify_journal(path, said.append) == 0, said

    run(tmp_path, body)


def test_a_restart_in_the_middle_of_a_chase(tmp_path: Path) -> None:
    async def body(desk: KrakenDesk) -> None:
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
        assert (await desk.ended(name)).filled == 0
        desk.books_agree()

    run(tmp_path, body)


@pytest.mark.parametrize(
    "fault",
    [
        campaign("answer-lost=once"),
        campaign("event-reordered=every:3"),
        "session-cut=nth:9",
    ],
)
def test_faults_leave_the_books_in_agreement(tmp_path: Path, fault: str) -> None:
    async def body(desk: KrakenDesk) -> None:
        side_of(desk.server).venue.faults.extend([fault])
        for side in ("buy", "sell"):
            done = await desk.ended(
                desk.signal(side, "0.01", time_limit_ms=1_500, on_timeout="cross_ioc")
            )
            assert done.filled <= done.target
            assert done.state in {ParentState.FILLED, ParentState.CANCELED, ParentState.EXPIRED}
        await until(lambda: desk.micro.engine.order_store.active == {})
        await until_it_holds(desk.books_agree)

    run(tmp_path, body)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", [102])
def test_many_faults_at_once_and_the_books_agree_in_the_end(tmp_path: Path, seed: int) -> None:
    async def body(desk: KrakenDesk) -> None:
        rng = random.Random(seed)
        faults = side_of(desk.server).venue.faults
        faults.extend(rule for rule in HARSH if rng.random() < 0.6)
        names = []
        for number in range(6):
            side: Side = "sell" if number % 2 else "buy"
            on_timeout = rng.choice(["cross_ioc", "cancel"])
            names.append(desk.signal(side, "0.01", time_limit_ms=1_500, on_timeout=on_timeout))
            await asyncio.sleep(rng.random())
        await until(lambda: all(desk.parent(name).closed for name in names), 90)
        faults.clear()
        for name in names:
            parent = desk.parent(name)
            assert parent.filled <= parent.target
            assert parent.state is not ParentState.ANOMALY, parent.reason
        await until_it_holds(desk.books_agree)

    run(tmp_path, body)
