"""One far post-only order: placed, queried, reduced, canceled, and queried again.

It rests a fifth below the last price, at the smallest size that can still be reduced. Whatever
goes wrong on the way, it is canceled in the end, and the result says where that is not certain.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.commands import CancelOrder, PlaceOrder
from citadel_micro.core.model.time_units import MS, SECOND
from citadel_micro.preflight.checks import Check
from citadel_proto.base36 import base36

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.account_facts import StepResult, TrialDesk

BELOW: Final = Decimal("0.8")
"""Of the last price: venues reject what is much farther away, and prices rarely fall so far at once."""
SPARE: Final = Decimal("1.2")
"""Above the minimum, so that a smaller order is still valid."""
WINDOW_NS: Final = 2 * SECOND
CANCEL_ATTEMPTS: Final = 3


async def walk(desk: TrialDesk, rules: Instrument, now: Callable[[], int]) -> AsyncIterator[Check]:
    """Every step as it is done. Raises as ``TrialDesk.last_price``; nothing is placed by then.

    Args:
        desk: sends it.
        rules: of the symbol.
        now: this machine's clock.
    """
    last = await desk.last_price(rules.symbol)
    ticks = rules.ticks(last * BELOW, "floor")
    least = rules.min_lots_at(ticks)
    lots = max(least + 1, int(least * SPARE))
    order = PlaceOrder(
        venue=rules.venue,
        symbol=rules.symbol,
        client_id=f"check-{base36(now() // MS)}",
        parent_id="check",
        side="buy",
        price_ticks=ticks,
        quantity_lots=lots,
        post_only=True,
        time_in_force="GTC",
        reduce_only=False,
        expires_ns=now() + WINDOW_NS,
    )
    what = (
        f"buy {rules.quantity(lots).normalize():f} {rules.symbol} at {rules.price(ticks).normalize():f} "
        f"({rules.notional(ticks, lots).normalize():f} {rules.quote}), last {last.normalize():f}"
    )
    placed = await desk.place(order)
    yield _check("place", placed, what)
    if placed.nothing_sent:
        return
    try:
        yield _check("query", await desk.query(order, rests=True))
        reduced = await desk.reduce(order, least)
        if reduced is None:
            yield Check(name="amend", verdict="ok", text="the venue has none; micro cancels first")
        else:
            yield _check("amend", reduced, f"to {rules.quantity(least).normalize():f}")
    finally:
        cancelled = await _cancel(desk, order)
    yield _check("cancel", cancelled, mend=f"cancel order {order.client_id} by hand")
    yield _check(
        "query again",
        await desk.query(order, rests=False),
        mend=f"see that order {order.client_id} is gone",
    )


async def _cancel(desk: TrialDesk, order: PlaceOrder) -> StepResult:
    command = CancelOrder(venue=order.venue, symbol=order.symbol, client_id=order.client_id)
    result = await desk.cancel(command)
    for _ in range(CANCEL_ATTEMPTS - 1):
        if result.done:
            break
        found = await desk.query(order, rests=False)
        if found.done:
            return found
        result = await desk.cancel(command)
    return result


def _check(name: str, result: StepResult, what: str = "", *, mend: str = "") -> Check:
    text = f"{what}: {result.text}" if what else result.text
    return Check(
        name=name,
        verdict="ok" if result.done else "failed",
        text=text,
        mend="" if result.done else mend,
    )
