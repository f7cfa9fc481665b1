"""Requests between their signature and their sending, while the disk takes its time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.outcomes import NotSent
from citadel_micro.shell.venue.sending import RequestSender

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.shell.venue.outcomes import Outcome


class Signing:
    """A wire whose requests carry the time of their signature; and what of the adapter it needs."""

    up = True

    def __init__(self) -> None:
        self.now_ns = 100 * SECOND
        self.sent: list[int] = []
        self.counted = 0
        self.told: list[Outcome] = []

    @property
    def current(self) -> Signing:
        return self

    def now(self) -> int:
        return self.now_ns

    def take(self, *_: object) -> None:
        self.counted += 1

    def prepare(self, _request: Request, _done: Callable[[Outcome], None]) -> Callable[[], None]:
        signed_ns = self.now_ns
        return lambda: self.sent.append(signed_ns)

    def prepared(self, loop: asyncio.AbstractEventLoop, expires_ns: int) -> Callable[[], object]:
        its = cast("Any", self)
        clock = cast("Any", SimpleNamespace(venue_ns=self.now))
        sender = RequestSender(
            loop, entry=its, dialect=its, why_down=str, budget=its, clock=clock, now=self.now
        )
        request = Request(purpose="cancel", method="cancel", params={}, expires_ns=expires_ns)
        return sender.prepare(request, self.told.append)


@pytest.mark.parametrize(("waited_ns", "signed_after_ns"), [(SECOND, 0), (6 * SECOND, 6 * SECOND)])
def test_a_cancel_that_has_waited_for_the_disk_is_signed_anew_and_counted_once(
    waited_ns: int, signed_after_ns: int
) -> None:
    async def scenario() -> None:
        wire = Signing()
        send = wire.prepared(asyncio.get_running_loop(), 0)
        signed_ns = wire.now_ns
        wire.now_ns += waited_ns
        send()
        assert wire.sent == [signed_ns + signed_after_ns]
        assert wire.counted == 1

    asyncio.run(scenario())


def test_an_order_keeps_its_signature_until_it_expires() -> None:
    async def scenario() -> None:
        wire = Signing()
        signed_ns = wire.now_ns
        sends = [wire.prepared(asyncio.get_running_loop(), signed_ns + 6 * SECOND) for _ in "ab"]
        wire.now_ns += 6 * SECOND - 1
        sends[0]()
        wire.now_ns += 1
        sends[1]()
        assert wire.sent == [signed_ns]
        assert wire.told == [NotSent("it has expired")]

    asyncio.run(scenario())
