"""What the trial desks of every venue share: one connection for requests, and what an answer means."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from citadel_micro.core.model.commands import AmendOrder
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.account_facts import StepResult
from citadel_micro.shell.venue.order_ids import OurOrder
from citadel_micro.shell.venue.outcomes import Answered, Fate, NotSent, Refusal
from citadel_micro.shell.venue.wire import ask
from citadel_proto.errors import BadInput, Refused

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import PlaceOrder
    from citadel_micro.shell.account_facts import AccountQuery
    from citadel_micro.shell.venue.dialect import Dialect, Request, WireSession
    from citadel_micro.shell.venue.facts import Fact
    from citadel_micro.shell.venue.outcomes import Outcome

D = TypeVar("D", bound="Dialect")
WINDOW_NS: Final = 2 * SECOND
"""As the engine gives an immediate order."""


class DialectTrialDesk(Generic[D]):
    """The half of ``shell.account_facts.TrialDesk`` that is no venue's own; ``open`` comes first.

    Args:
        query: the account, and its addresses.
        dialect: of the venue, as real orders have it.
    """

    def __init__(self, query: AccountQuery, dialect: D) -> None:
        self._query = query
        self._dialect = dialect
        self._session: WireSession | None = None

    async def open(self) -> None:
        """Connect, and log on where the venue asks for it. Raises as ``AccountInspector.facts``."""
        try:
            self._session = await self._dialect.open_entry(lambda _frame: None)
        except Refused as error:
            raise BadInput(str(error), where=self._query.key.file) from error

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self._session.close()
            await asyncio.sleep(0)
        await self._dialect.close()

    # for its kinds

    async def _ask(self, request: Request) -> Outcome:
        if self._session is None or not self._session.up:
            return NotSent("there is no connection")
        return await ask(self._session, request)

    async def _said(self, request: Request) -> list[Fact] | StepResult:
        """Send a new order, a cancel or an amend: what the venue says of the order, or what went wrong."""
        outcome = await self._ask(request)
        if not isinstance(outcome, Answered):
            nothing = isinstance(outcome, NotSent)
            return StepResult(done=False, text=outcome.reason, nothing_sent=nothing)
        said = self._dialect.read(request, outcome)
        if isinstance(said, Refusal):
            certain = said.fate in {Fate.REFUSED, Fate.WAIT}
            return StepResult(done=False, text=said.text, nothing_sent=certain)
        return said

    async def _refused(self, request: Request) -> StepResult | None:
        """Send one of these; None where the venue took it."""
        said = await self._said(request)
        return said if isinstance(said, StepResult) else None

    def _smaller(self, order: PlaceOrder, quantity_lots: int) -> Request | str:
        """Less quantity at the same price, in place; or why the venue has no such request."""
        return self._dialect.amend(
            AmendOrder(
                venue=order.venue,
                symbol=order.symbol,
                client_id=order.client_id,
                parent_id=order.parent_id,
                side=order.side,
                price_ticks=order.price_ticks,
                quantity_lots=quantity_lots,
                post_only=order.post_only,
                reduce_only=order.reduce_only,
                expires_ns=self._query.now() + WINDOW_NS,
            ),
            as_ours(order),
        )


def as_ours(order: PlaceOrder) -> OurOrder:
    """The test order as one of ours."""
    return OurOrder(
        client_id=order.client_id,
        symbol=order.symbol,
        side=order.side,
        price_ticks=order.price_ticks,
        quantity_lots=order.quantity_lots,
        expires_ns=0,
        placed_ns=0,
    )
