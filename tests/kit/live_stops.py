"""Runs of ``live_chaos`` in which the kill switch is pulled, or micro does not renew the venue's timer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from live_chaos import LiveRun

from citadel_micro.core.model.events import OperatorCommand
from citadel_micro.core.risk.circuit_breakers import GLOBAL

if TYPE_CHECKING:
    from live_life import Life

    from citadel_micro.core.model.commands import AmendOrder, PlaceOrder


class KilledRun(LiveRun):
    """At its end the kill switch is pulled, several times, while faults, kills and restarts go on.

    Nothing is placed or changed from then on, and nothing of ours is open soon after the faults have ended.
    """

    def _operate(self) -> None:
        """Nobody resets it."""

    @property
    def killed(self) -> bool:
        """In the newest process."""
        return self.engine.risk.breakers.scope_state(GLOBAL) == "KILLED"

    def look(self, life: Life, order: PlaceOrder) -> None:
        assert not self.killed, f"placed: {order}"
        super().look(life, order)

    def look_at_amend(self, life: Life, order: AmendOrder) -> None:
        assert not self.killed, f"changed: {order}"
        super().look_at_amend(life, order)

    def pull(self) -> None:
        """From the page, the file or by the signal: all post the same."""
        self._post(OperatorCommand(action="kill", scope="", trip_id="", reason="chaos"))

    async def _drain(self) -> None:
        chance = self.chance
        for _ in range(chance.choice((1, 2, 3))):
            self.pull()
            end_s = self.loop.time() + chance.choice((0.0, 0.05, 2.0, 6.0))
            while self.loop.time() < end_s:
                self._something()
                self._check_truth()
                await asyncio.sleep(chance.choice((0.01, 0.05, 0.1, 0.4)))
        self._kill_in = -1
        self.venue.faults.clear()
        self.venue.forgive()
        for _ in range(60):
            if self.life.alive:
                break
            await asyncio.sleep(0.5)
        if not self.killed:  # the process has died of the command
            self.pull()
        self.life.network.down = False
        for _ in range(self._patience_s):
            await asyncio.sleep(1)
            if not any(order.open for order in self.records.ours()):
                break
        left = [order for order in self.records.ours() if order.open]
        assert left == [], "the kill switch has left orders"
        await super()._drain()


class HungRun(LiveRun):
    """Now and then nothing is renewed for some time, so that the venue's timer cancels our orders."""

    _until_s = 0.0

    def _something(self) -> None:
        if (
            self.life.alive
            and self.loop.time() > self._until_s + 20
            and self.chance.random() < 0.02
        ):
            self._until_s = self.loop.time() + self.chance.choice((8.0, 35.0, 70.0))
            timer = self.life.adapter.dead_man
            renew = timer.upkeep
            timer.upkeep = lambda: None if self.loop.time() < self._until_s else renew()  # type: ignore[method-assign]
            self._count("hang")
        super()._something()
