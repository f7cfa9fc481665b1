"""Impossible statements of a venue about an order of ours.

Reports come late, twice and in any order, and none of that is an anomaly. An anomaly is what no
order of arrival explains. It is booked all the same where it can be: what the venue says has
filled counts as filled until a person knows better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.time_units import SECOND
from citadel_micro.core.orders.order_states import ChildState

if TYPE_CHECKING:
    from citadel_micro.core.model.events import OrderFilled, OrderState
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.orders import Parent

LATE_NS: Final = 5 * SECOND
"""A statement made this long after the confirmation of an order's end was not sent before it: venues
answer from replicas that lag by less."""
_PROVEN: Final = (ChildState.FILLED, ChildState.CANCELED, ChildState.EXPIRED)


def unbookable(report: OrderFilled) -> str:
    """Why a fill cannot be counted at all; empty where it can."""
    parts = report.exact is not None and report.exact.quantity > 0 and report.quantity_lots == 0
    if (report.quantity_lots <= 0 and not parts) or report.price_ticks <= 0:
        return (
            f"fill {report.trade_id} of {report.quantity_lots} lots at {report.price_ticks} ticks"
        )
    if not report.fee.is_finite():
        return f"fill {report.trade_id} with a fee of {report.fee}"
    return ""


def untrue_fill(parent: Parent, child: Child, report: OrderFilled, *, settled: bool) -> str:
    """Why a new fill, which was counted just now, cannot be true; empty where it can.

    ``settled``: the order was confirmed closed, with every fill that the venue had reported.
    """
    rules, what = parent.rules, f"fill {report.trade_id}"
    if settled and child.state in _PROVEN:
        return f"{what} of {report.quantity_lots} lots after the order was {child.state.value}"
    most = max(child.quantity_lots, child.amend_quantity_lots)
    if child.filled > most:
        return f"{what}: {child.filled} lots filled of an order of {most}"
    if parent.sign * report.price_ticks > parent.sign * _worst_ticks(parent, child, report):
        worse = rules.price(report.price_ticks)
        return f"{what} at {worse}, through the order's {rules.price(child.price_ticks)}"
    lots = report.quantity_lots + (report.exact is not None)  # at least as much
    worth = {
        rules.quote: rules.notional(report.price_ticks, lots),
        rules.base: rules.amount(lots),
    }.get(report.fee_currency)
    if rules.kind != "inverse" and worth is not None and abs(report.fee) > worth:
        return f"{what} of {worth} {report.fee_currency} with a fee of {report.fee}"
    return ""


def untrue_end(child: Child, cumulative_lots: int) -> str:
    """Why a final total cannot be true: totals only grow. Before it is adopted; -1 is none."""
    if 0 <= cumulative_lots < child.filled:
        return f"final total of {cumulative_lots} lots after {child.filled} had filled"
    return ""


def risen(child: Child, report: OrderState) -> bool:
    """Whether a venue says that an order is open long after it has confirmed that it was closed."""
    return (
        report.status == "open"
        and child.state in _PROVEN
        and report.exchange_ns > child.done_ns + LATE_NS
    )


def _worst_ticks(parent: Parent, child: Child, report: OrderFilled) -> int:
    """Its worst possible price: of an amended order it is not known which price was filled."""
    if not child.repriced:
        return child.price_ticks
    limit = parent.limit_ticks
    return report.price_ticks if limit is None else limit
