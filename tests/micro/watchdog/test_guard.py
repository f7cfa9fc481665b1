"""A guard goes on canceling whatever a venue answers: it is what is left when micro is gone."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
from waiting import until

from citadel_micro.shell.venue.cancel_desk import RestingOrder
from citadel_micro.watchdog import guard as guard_module
from citadel_micro.watchdog.guard import Guard
from citadel_micro.watchdog.silence import Silence
from citadel_proto.errors import PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class Desk:
    """A venue whose first answers are of no use."""

    retry_s = 0.0

    def __init__(self, listing: list[Exception], cancels: list[Exception]) -> None:
        self.listing = listing
        self.cancels = cancels
        self.open = [
            RestingOrder(symbol="BTCUSDT", venue_order_id=str(number), client_id=f"sc-{number}")
            for number in range(3)
        ]

    async def open_orders(self) -> list[RestingOrder]:
        if self.listing:
            raise self.listing.pop(0)
        return list(self.open)

    async def cancel(self, order: RestingOrder) -> str:
        if self.cancels:
            raise self.cancels.pop(0)
        self.open.remove(order)
        return ""

    async def close(self) -> None:
        """Nothing to close."""


def garbled() -> list[Exception]:
    return [
        PeerUnavailable("no answer"),
        VenueViolation("not as documented"),
        ValueError("Exceeds the limit (4300 digits) for integer string conversion"),
        msgspec.ValidationError("Expected `int`, got `str`"),
        KeyError("data"),
        ArithmeticError("a number that is none"),
    ]


def everything(_order: RestingOrder) -> bool:
    return True


def test_it_cancels_although_the_venue_answers_nonsense_at_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AGAIN_S", "FAILED_EVERY_S", "SETTLING_EVERY_S"):
        monkeypatch.setattr(guard_module, name, 0.01)
    silence = Silence(1.0)
    silence.lasted_s = 2.0

    async def scenario() -> None:
        desk = Desk(garbled(), garbled())
        choose: Callable[[], Callable[[RestingOrder], bool]] = lambda: everything  # noqa: E731
        guard = Guard("binance-spot", desk, silence, choose, time.monotonic)
        running = asyncio.ensure_future(guard.run())
        try:
            await until(lambda: not desk.open or running.done())
            assert not running.done()
            assert not desk.open
            assert guard.canceled == 3
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())
