"""The rows of the risk table in their order: for an order, and for a held stop."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Final

from citadel_micro.core.risk.checks_conduct import check_conduct
from citadel_micro.core.risk.checks_exposure import (
    check_balance,
    check_exposure,
    check_held_count,
    check_losses,
    check_order_size,
    check_position,
)
from citadel_micro.core.risk.checks_margin import check_margin
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
    from citadel_micro.core.risk.budgets import Budgets
    from citadel_micro.core.risk.check_context import Case
    from citadel_micro.core.risk.conduct import Conduct
    from citadel_micro.core.risk.types import RiskRequest


def judge_all(case: Case, conduct: Conduct, budgets: Budgets) -> None:
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
    check_exposure(case, budgets)
    check_balance(case)
    check_margin(case)
    check_losses(case)
    check_conduct(case, conduct)


def judge_held(case: Case, held_lots: int) -> None:
    """The checks that do not depend on the market at a stop's trigger.

    It can only reduce, so what verified reductions skip is skipped, whether or not the position
    exists yet. ``held_lots``: of the stops that are held on its side already.
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


_ORDER: Final = (
    *("venue", "symbol", "side", "price_ticks", "quantity_lots", "post_only", "reduce_only"),
    "parent_id",
)
_judged: Final = attrgetter("scope", *_ORDER)
_sent: Final = attrgetter(*_ORDER)


def describes(request: RiskRequest, order: PlaceOrder | AmendOrder) -> None:
    """Check that the request describes what will be sent. Raises InvariantError."""
    judged, sent = _judged(request), ("child", *_sent(order))
    if judged != sent:
        raise InvariantError(f"the risk request {judged} does not describe the order {sent}")
