"""Which of micro's orders belong to one set of Freqtrade's books, and which to another owner."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.engine.foreign_reports import is_foreign
from citadel_micro.demo.running import base_fee

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from citadel_micro.core.model.commands import PublishReport
    from citadel_micro.demo.freqtrade_books import BookedOrder, BookedTrade

Held = tuple[int, float, str]
"""Venue's times between which a trade was held, in ns, and the side that opened it."""
FLATTENS: Final = re.compile(r"^(?P<orphan>.+)-flat\d+$")
"""Ids of the orders by which macro sells an orphan again."""


def part(order: BookedOrder, report: PublishReport, named: Collection[str]) -> PublishReport:
    """What these books have of an order of others: it may have sold more than a trade of theirs held."""
    of_theirs = report.owner in named if report.owner else not report.own
    booked = Decimal(repr(order.filled))
    if of_theirs or not 0 < booked < report.filled:
        return report
    share = booked / report.filled
    fills = tuple(
        replace(fill, quantity=fill.quantity * share, fee=fill.fee * share) for fill in report.fills
    )
    return replace(report, filled=booked, fills=fills)


def owners_of(
    named: Collection[str],
    by_trade: Mapping[int, list[tuple[BookedOrder, PublishReport]]],
    exits: Collection[str],
    differences: list[str],
) -> frozenset[str]:
    """The owners of these books; notes every order in them that is another owner's.

    Another owner's order among ``exits`` has closed what a trade held, and is no difference.
    """
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
        if report.owner and report.owner not in named and order.order_id not in exits
    ]
    return frozenset(named)


def of_others(
    report: PublishReport,
    ours: frozenset[str],
    held: Mapping[str, list[Held]],
) -> bool:
    """Whether an order missing in these books belongs to another owner, or to nobody.

    Args:
        report: of the order.
        ours: owners of these books.
        held: by pair, when these books held something of it.
    """
    if not ours:
        return False
    if is_foreign(report):
        return True  # a person at the exchange: in these books only what closed something of theirs
    if not report.own:
        return bool(report.owner) and report.owner not in ours
    if report.owner:
        return report.owner not in ours
    # A flattening names no owner: it is ours if it closed what these books held then. One that buys back
    # what somebody has sold too much of closes nothing of a long trade.
    first_ns = min((fill.ts_ns for fill in report.fills), default=report.created_ns)
    return not any(
        since < first_ns < until and report.side != opened
        for since, until, opened in held.get(report.symbol, ())
    )


def held_when(
    trades: list[BookedTrade],
    by_trade: Mapping[int, list[tuple[BookedOrder, PublishReport]]],
    exits: Collection[str],
) -> dict[str, list[Held]]:
    """By pair: from the first fill of each trade to its last, or without an end; and its entries' side."""
    found: dict[str, list[Held]] = {}
    for trade in trades:
        legs = by_trade.get(trade.trade_id, [])
        opening = [(o.side, f.ts_ns) for o, r in legs if o.order_id not in exits for f in r.fills]
        until = [f.ts_ns for o, r in legs if o.order_id in exits for f in r.fills]
        if opening:
            end = math.inf if trade.open or not until else max(until)
            side, since = opening[0][0], min(ns for _, ns in opening)
            found.setdefault(trade.pair, []).append((since, end, side))
    return found


def flattened(missing: Mapping[str, PublishReport]) -> set[str]:
    """Orphans, and the orders that sold all of them again except less than a step."""
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
