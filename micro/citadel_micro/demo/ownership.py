"""Which of micro's orders belong into one set of Freqtrade's books, and which to somebody else's."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.demo.running import base_fee

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from citadel_micro.core.model.commands import PublishReport
    from citadel_micro.demo.freqtrade_books import BookedOrder, BookedTrade

FLATTENS: Final = re.compile(r"^(?P<orphan>.+)-flat\d+$")
"""Ids of the orders by which macro sells an orphan again."""


def owners_of(
    named: Collection[str],
    by_trade: Mapping[int, list[tuple[BookedOrder, PublishReport]]],
    differences: list[str],
) -> frozenset[str]:
    """Whose books these are; notes every order in them that is somebody else's."""
    legs = [
        (order, report) for each in by_trade.values() for order, report in each if not report.own
    ]
    found = {report.owner for _, report in legs if report.owner}
    if not named:
        if len(found) > 1:
            counts = (
                f"{owner} ({sum(report.owner == owner for _, report in legs)} orders)"
                for owner in sorted(found)
            )
            differences.append(f"these books hold orders of several owners: {', '.join(counts)}")
        return frozenset(found)
    differences += [
        f"order {order.order_id} ({order.pair} {order.side}): of owner {report.owner}, these are "
        f"the books of {', '.join(sorted(named))}"
        for order, report in legs
        if report.owner and report.owner not in named
    ]
    return frozenset(named)


def of_others(
    report: PublishReport,
    ours: frozenset[str],
    trades: list[BookedTrade],
    missing: Mapping[str, PublishReport],
) -> bool:
    """Whether an order that these books do not have belongs to somebody else's."""
    if not ours:
        return False
    if not report.own:
        return bool(report.owner) and report.owner not in ours
    # Micro's own orders name no owner: they are ours while we hold what they could have sold.
    held = any(trade.open and trade.pair == report.symbol for trade in trades)
    theirs = any(
        other.symbol == report.symbol and other.owner and other.owner not in ours
        for other in missing.values()
    )
    return theirs and not held


def flattened(missing: Mapping[str, PublishReport]) -> set[str]:
    """Orphans, and the orders that sold all of them again but for less than a step."""
    found: set[str] = set()
    for name, orphan in missing.items():
        sales = {
            other: report
            for other, report in missing.items()
            if (match := FLATTENS.match(other)) is not None and match["orphan"] == name
        }
        if not sales:
            continue
        kept = base_fee(orphan, orphan.symbol.partition("/")[0])
        sold = sum((report.filled for report in sales.values()), Decimal(0))
        step = max(Decimal(1).scaleb(int(r.quantity.as_tuple().exponent)) for r in sales.values())
        if 0 <= orphan.filled - kept - sold < step:
            found |= {name, *sales}
    return found
