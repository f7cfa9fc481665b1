"""Answers to queries about orders, balances, positions and limits."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.commands import PublishAnswer
from citadel_micro.core.model.risk_limits import listed_limits
from citadel_micro.core.orders.execution_reports import (
    WHOLE_FILLS,
    balance_views,
    position_view,
    report,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.model.commands import PublishReport
    from citadel_micro.core.model.events import QueryReceived
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.orders.order_store import OrderStore
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.core.portfolio.portfolio import Portfolio

_ONE = Decimal(1)
MOST_REPORTS: Final = 500
MOST_FILLS: Final = 10_000
"""Bounds of one answer: about 1.5 MB on the wire, where a frame has at most 4 MiB. A query may ask
for less per answer."""
MOST_WEIGHT: Final = 3_000_000
REPORT_BYTES: Final = 1_500
FILL_BYTES: Final = 200
"""Maximum size of a page, with the longest names and texts that its orders have."""


def answer(
    query: QueryReceived,
    order_store: OrderStore,
    portfolio: Portfolio,
    *,
    venues: Iterable[str],
    limits: RiskLimits,
    error: str,
    foreign: tuple[PublishReport, ...] = (),
) -> PublishAnswer:
    """Answer one query from the current state.

    ``error`` is why the answer may be wrong, ``foreign`` what others have traded that it asks for. Of more orders than an answer may hold, the newest
    are in it; then it is ``truncated``, and the rest follows to a query with its ``cursor``.
    """
    kind = query.kind
    chosen = [venue for venue in venues if query.venue in ("", venue)]
    parents: list[Parent] = []
    reports: list[PublishReport] = []
    more = False
    if kind == "orders":
        parents, more = _page(query, order_store)
        reports = [report(parent, portfolio) for parent in parents]
    elif kind == "order":
        reports = _one(query.signal_id, order_store, portfolio)
    reports.extend(foreign)
    return PublishAnswer(
        query_id=query.query_id,
        kind=kind,
        reply_to=query.reply_to,
        found=kind != "order" or bool(reports),
        reports=tuple(reports),
        balances=tuple(row for venue in chosen for row in balance_views(portfolio, venue))
        if kind == "balances"
        else (),
        positions=tuple(
            position_view(portfolio, position, _ONE)
            for position in portfolio.positions()
            if position.venue in chosen and query.symbol in ("", position.symbol)
        )
        if kind == "positions"
        else (),
        limits=tuple(listed_limits(limits)) if kind == "limits" else (),
        error=error,
        truncated=more,
        cursor=str(parents[0].number) if more else "",
    )


def _one(signal_id: str, order_store: OrderStore, portfolio: Portfolio) -> list[PublishReport]:
    parent = order_store.known.get(signal_id)
    if parent is not None:
        return [report(parent, portfolio)]
    ended = order_store.remembered.ended.get(signal_id)
    return [] if ended is None else [ended.report(signal_id)]


def _page(query: QueryReceived, order_store: OrderStore) -> tuple[list[Parent], bool]:
    """The newest matching orders, oldest first, and whether there are older ones.

    An order's number never changes, so pages neither overlap nor leave out any, whatever happens
    between them. Orders created after the first page are published by their own reports.
    """
    below = int(query.cursor) if query.cursor.isdecimal() else None
    most = min(query.limit or MOST_REPORTS, MOST_REPORTS)
    pool = order_store.active if query.working else order_store.known
    found: list[Parent] = []
    fills = weight = 0
    # ``active`` holds those that became active again after younger ones.
    for parent in sorted(pool.values(), key=_number, reverse=True):
        if not _asked_for(parent, query, below):
            continue
        fills += parent.fills
        weight += _weight(parent)
        if len(found) == most or (found and (fills > MOST_FILLS or weight > MOST_WEIGHT)):
            return found[::-1], True
        found.append(parent)
    return found[::-1], False


def _weight(parent: Parent) -> int:
    """Maximum size of its report in bytes."""
    return REPORT_BYTES + 4 * len(parent.reason) + FILL_BYTES * min(parent.fills, WHOLE_FILLS)


def _number(parent: Parent) -> int:
    return parent.number


def _asked_for(parent: Parent, query: QueryReceived, below: int | None) -> bool:
    signal = parent.signal
    return (
        (below is None or parent.number < below)
        and (query.working or parent.updated_ns >= query.since_ns)
        and query.venue in ("", signal.venue)
        and query.symbol in ("", signal.symbol)
        and not (query.working and parent.terminal)
        and not (query.mine and signal.owner and signal.owner != query.owner)
    )
