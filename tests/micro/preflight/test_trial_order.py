"""One far post-only order, whose end is proven whatever happens on the way."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from preflight_kit import RULES

from citadel_micro.preflight.trial_order import walk
from citadel_micro.shell.account_facts import StepResult

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import CancelOrder, PlaceOrder
    from citadel_micro.preflight.checks import Check

DONE = StepResult(done=True, text="done")
LOST = StepResult(done=False, text="no answer")


class Desk:
    """Does what it is told; ``fails`` names the steps that fail, and how."""

    def __init__(self, **fails: StepResult) -> None:
        self.fails = fails
        self.calls: list[str] = []
        self.orders: list[PlaceOrder] = []

    async def last_price(self, symbol: str) -> Decimal:
        assert symbol == "BTC/USDT"
        return Decimal("50000.01")

    async def place(self, order: PlaceOrder) -> StepResult:
        self.orders.append(order)
        return self._step("place")

    async def query(self, order: PlaceOrder, *, rests: bool) -> StepResult:
        assert order == self.orders[0]
        return self._step("query" if rests else "gone")

    async def reduce(self, order: PlaceOrder, quantity_lots: int) -> StepResult | None:
        assert quantity_lots < order.quantity_lots
        assert quantity_lots >= RULES.min_lots_at(order.price_ticks)
        return self._step("reduce")

    async def cancel(self, command: CancelOrder) -> StepResult:
        assert command.client_id == self.orders[0].client_id
        return self._step("cancel")

    async def close(self) -> None:
        self.calls.append("close")

    def _step(self, name: str) -> StepResult:
        self.calls.append(name)
        return self.fails.get(name, DONE)


def checks(desk: Desk) -> dict[str, Check]:
    async def run() -> dict[str, Check]:
        return {each.name: each async for each in walk(desk, RULES, lambda: 10**18)}

    return asyncio.run(run())


def test_the_whole_walk() -> None:
    desk = Desk()
    found = checks(desk)
    assert [each.verdict for each in found.values()] == ["ok"] * 5
    assert desk.calls == ["place", "query", "reduce", "cancel", "gone"]


def test_the_order_is_far_small_and_post_only() -> None:
    desk = Desk()
    checks(desk)
    (order,) = desk.orders
    assert order.post_only
    assert order.side == "buy"
    assert RULES.price(order.price_ticks) == Decimal("40000.00")
    notional = RULES.notional(order.price_ticks, order.quantity_lots)
    assert RULES.min_notional <= notional < RULES.min_notional * 2
    assert len(order.client_id) <= 36
    assert order.client_id.replace("-", "").isalnum()


def test_what_was_certainly_not_sent_is_not_cancelled() -> None:
    desk = Desk(place=StepResult(done=False, text="-1013", nothing_sent=True))
    assert checks(desk)["place"].verdict == "failed"
    assert desk.calls == ["place"]


@pytest.mark.parametrize("step", ["place", "query", "reduce"])
def test_whatever_fails_it_is_cancelled(step: str) -> None:
    desk = Desk(**{step: LOST})
    found = checks(desk)
    name = {"reduce": "amend"}.get(step, step)
    assert found[name].verdict == "failed"
    assert found["cancel"].verdict == "ok"
    assert desk.calls[-2:] == ["cancel", "gone"]


def test_a_cancel_without_an_answer_is_asked_about_and_repeated() -> None:
    desk = Desk(cancel=LOST, gone=LOST)
    found = checks(desk)
    assert desk.calls.count("cancel") == 3
    assert found["cancel"].verdict == "failed"
    assert desk.orders[0].client_id in found["cancel"].mend


def test_a_cancel_whose_answer_was_lost_is_proven_by_a_query() -> None:
    desk = Desk(cancel=LOST)
    found = checks(desk)
    assert desk.calls.count("cancel") == 1
    assert found["cancel"].verdict == "ok"


def test_an_interruption_cancels_it_too() -> None:
    class Slow(Desk):
        asked = asyncio.Event()

        async def query(self, order: PlaceOrder, *, rests: bool) -> StepResult:
            if rests:
                self.asked.set()
                await asyncio.sleep(60)
            return await super().query(order, rests=rests)

    desk = Slow()

    async def run() -> None:
        async for _ in walk(desk, RULES, lambda: 10**18):
            pass

    async def main() -> None:
        task = asyncio.create_task(run())
        await desk.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert desk.calls == ["place", "cancel"]
