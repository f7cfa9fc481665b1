"""Requests of one venue, on their way: within its limits, over what is up, and not after they have expired."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.commands import AmendOrder, PlaceOrder
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.outcomes import NotSent

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from citadel_micro.core.model.commands import CancelOrder
    from citadel_micro.shell.order_adapter import Send
    from citadel_micro.shell.venue.dialect import Dialect, Request, Wire, WireSession
    from citadel_micro.shell.venue.order_ids import OurOrder
    from citadel_micro.shell.venue.outcomes import Outcome
    from citadel_micro.shell.venue.reconnect import Reconnector
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock

FRESH_NS: Final = SECOND
"""For so long a signature serves. Venues refuse one of five seconds ago, and the clock seems to be wrong."""


class RequestSender:
    """Prepares requests, and sends them.

    Args:
        loop: ends what is not sent, in its next turn.
        entry: the connection for orders.
        dialect: the venue's protocol.
        why_down: why nothing is up, where nothing is.
        budget: what may be sent.
        clock: the venue's time.
        now: engine time in ns.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        entry: Reconnector[WireSession],
        dialect: Dialect,
        why_down: Callable[[], str],
        budget: RequestBudget,
        clock: VenueClock,
        now: Callable[[], int],
    ) -> None:
        self._loop = loop
        self._entry = entry
        self._dialect = dialect
        self._why_down = why_down
        self._budget = budget
        self._clock = clock
        self._now = now

    def wire(self) -> Wire | None:
        """What requests are sent by now; None where nothing is up."""
        session = self._entry.current
        if session is not None and session.up:
            return session
        return self._dialect.fallback()

    def request(
        self, command: PlaceOrder | AmendOrder | CancelOrder, order: OurOrder | None
    ) -> Request | str:
        """The request of a command; or why there is none.

        Args:
            command: what is wanted.
            order: what is known of its order.
        """
        if isinstance(command, PlaceOrder):
            return self._dialect.place(command)
        if isinstance(command, AmendOrder):
            return self._dialect.amend(command, order)
        return self._dialect.cancel(command, order)

    def prepare(self, request: Request, done: Callable[[Outcome], None]) -> Send:
        """Count, sign and write a request; what is returned sends it, or tells why it was not."""
        wire = self.wire()
        if wire is None:
            why = NotSent(f"no connection: {self._why_down()}")
            return partial(self._loop.call_soon, done, why)
        late = self._budget.take(request.purpose, request.costs, self._clock.venue_ns())
        if late is not None:
            return partial(self._loop.call_soon, done, late)
        send = wire.prepare(request, done)
        if request.expires_ns:
            return partial(self._send_in_time, request.expires_ns, send, done)
        anew = partial(wire.prepare, request, done)
        return partial(self._send_fresh, self._now() + FRESH_NS, send, anew)

    def rehearse(self, order: PlaceOrder) -> None:
        """Sign and write the request of an order that is none, and drop it."""
        wire = self.wire()
        if wire is not None:
            wire.prepare(self._dialect.place(order), _drop)

    def _send_in_time(self, expires_ns: int, send: Send, done: Callable[[Outcome], None]) -> None:
        if self._now() < expires_ns:
            send()
        else:  # the disk has taken so long
            done(NotSent("it has expired"))

    def _send_fresh(self, until_ns: int, send: Send, anew: Callable[[], Send]) -> None:
        if self._now() > until_ns:  # a cancel is wanted however long the disk has taken
            send = anew()
        send()


def _drop(_outcome: Outcome) -> None:
    """Nothing was sent."""
