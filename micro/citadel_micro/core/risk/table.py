"""The rows of the risk table in their order: of an order, and of a stop that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.risk.checks_exposure import (
    check_balance,
    check_exposure,
    check_held_count,
    check_losses,
    check_order_size,
    check_position,
)
from citadel_micro.core.risk.checks_market import (
    check_allowed,
    check_book,
    check_intent,
    check_knowledge,
    check_lease,
    check_liquidity,
    check_numbers,
    check_price,
    check_self_cross,
    check_skew,
    check_state,
    check_stop_price,
)
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import AmendOrder, PlaceOrder
    from citadel_micro.core.risk.check_context import Case
    from citadel_micro.core.risk.types import RiskRequest


def judge_all(case: Case) -> None:
    """Every check, whatever the others found."""
    # One call site each: a loop over the functions costs CPython 3.11 a third of the time.
    check_state(case)
    check_lease(case)
    check_knowledge(case)
    check_intent(case)
    check_allowed(case)
    check_numbers(case)
    check_book(case)
    check_skew(case)
    check_price(case)
    check_liquidity(case)
    check_order_size(case)
    check_self_cross(case)
    check_position(case)
    check_exposure(case)
    check_balance(case)
    check_losses(case)


def judge_held(case: Case, held_lots: int) -> None:
    """What of it does not depend on the market that will trigger a stop.

    It can only reduce, so what verified reductions skip is skipped, whether or not the position is
    there yet. ``held_lots``: of the stops that are held on its side already.
    """
    protects = 0 < case.exposure <= case.reducible - held_lots
    case.reducing = True
    check_state(case)
    check_intent(case)
    check_allowed(case)
    check_numbers(case)
    check_skew(case)
    check_stop_price(case)
    check_held_count(case, protects=protects)


def describes(request: RiskRequest, order: PlaceOrder | AmendOrder) -> None:
    """Make sure that what was judged is what will be sent. Raises InvariantError."""
    judged = (
        request.scope,
        request.venue,
        request.symbol,
        request.side,
        request.price_ticks,
        request.quantity_lots,
        request.post_only,
        request.reduce_only,
        request.parent_id,
    )
    sent = (
        "child",
        order.venue,
        order.symbol,
        order.side,
        order.price_ticks,
        order.quantity_lots,
        order.post_only,
        order.reduce_only,
        order.parent_id,
    )
    if judged != sent:
        raise InvariantError(f"the risk request {judged} does not describe the order {sent}")
