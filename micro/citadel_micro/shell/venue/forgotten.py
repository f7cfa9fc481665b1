"""An order that a venue has had and does not know any more: what became of it, long after.

Venues keep orders that ended without a fill for a while only (OKX for two hours). A micro that was down
for longer finds its resting order neither open nor listed. It has ended then, and what it filled is what
the account's trades show of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from citadel_micro.core.model.exact_fill import total_lots
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.dialect import Found, Unclear
from citadel_micro.shell.venue.facts import OrderFact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.shell.venue.dialect import Ask, Survey
    from citadel_micro.shell.venue.facts import TradeFact
    from citadel_micro.shell.venue.order_ids import OurOrder
    from citadel_micro.shell.venue.venue_clock import VenueClock

EARLIER_NS: Final = 10 * SECOND
"""Its fills are searched from this long before the placing, beyond the clock's error."""
AGAIN_NS: Final = 60 * SECOND
"""So long it must have been unknown, at every query: the copies that answer may lag."""


@runtime_checkable
class Forgets(Protocol):
    """A dialect of a venue that drops orders."""

    forgets_ns: int
    """How long an order that ended without a fill is known, at least."""

    async def survey(self, ask: Ask) -> Survey | Unclear:
        """As ``shell.venue.dialect.Dialect``."""

    async def fills_of(
        self, ask: Ask, order: OurOrder, begin_ns: int
    ) -> Iterable[TradeFact] | Unclear:
        """Every fill of an order, which was placed after this time of the venue."""


async def ended(dialect: Forgets, ask: Ask, order: OurOrder, clock: VenueClock) -> Found | Unclear:
    """The end of an order that no query finds by its id: neither open, nor filled beyond this."""
    survey = await dialect.survey(ask)
    if isinstance(survey, Unclear):
        return survey
    for row in survey.open_orders:
        if (row.symbol, row.venue_order_id) == (order.symbol, order.venue_order_id):
            return Unclear("it is open, and not found by its id")
    begin_ns = order.placed_at_ns(clock) - clock.error_ns - EARLIER_NS
    fills = await dialect.fills_of(ask, order, begin_ns)
    if isinstance(fills, Unclear):
        return fills
    trades = tuple({each.trade_id: each for each in fills}.values())
    fact = OrderFact(
        symbol=order.symbol,
        client_id=order.client_id,
        venue_order_id=order.venue_order_id,
        standing="canceled",
        price_ticks=order.price_ticks,
        quantity_lots=order.quantity_lots,
        cumulative_lots=total_lots((each.quantity_lots, each.exact) for each in trades),
        exchange_ns=clock.surely_past_ns(),
        reason="the venue has dropped it",
    )
    return Found(order=fact, trades=trades)
