"""Answers to questions about orders, balances, positions and limits."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import TYPE_CHECKING

from citadel_micro.core.commands import PublishAnswer
from citadel_micro.core.publishing import balance_views, position_view, report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.events import QueryReceived
    from citadel_micro.core.limits import RiskLimits
    from citadel_micro.core.orders import Parent
    from citadel_micro.core.portfolio import Portfolio
    from citadel_micro.core.register import Register

_ONE = Decimal(1)


def answer(
    query: QueryReceived,
    register: Register,
    portfolio: Portfolio,
    *,
    venues: Iterable[str],
    limits: RiskLimits,
    error: str,
) -> PublishAnswer:
    """Answer one question from what is known now. ``error`` says why it may be incomplete."""
    kind = query.kind
    chosen = [venue for venue in venues if query.venue in ("", venue)]
    parents = _parents(query, register)
    return PublishAnswer(
        query_id=query.query_id,
        kind=kind,
        reply_to=query.reply_to,
        found=kind != "order" or bool(parents),
        reports=tuple(report(parent, portfolio) for parent in parents),
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
        limits=tuple((each.name, str(getattr(limits, each.name))) for each in fields(limits))
        if kind == "limits"
        else (),
        error=error,
    )


def _parents(query: QueryReceived, register: Register) -> list[Parent]:
    if query.kind == "order":
        parent = register.known.get(query.signal_id)
        return [] if parent is None else [parent]
    if query.kind != "orders":
        return []
    return [
        parent
        for parent in register.known.values()
        if parent.updated_ns >= query.since_ns
        and query.venue in ("", parent.signal.venue)
        and query.symbol in ("", parent.signal.symbol)
    ]
