"""Answers to questions about orders, balances, positions and limits."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.commands import PublishAnswer
from citadel_micro.core.publishing import balance_views, fills_of, position_view, report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.events import QueryReceived
    from citadel_micro.core.limits import RiskLimits
    from citadel_micro.core.orders import Parent
    from citadel_micro.core.portfolio import Portfolio
    from citadel_micro.core.register import Register

_ONE = Decimal(1)
MOST_REPORTS: Final = 500
MOST_FILLS: Final = 10_000
"""Bounds of one answer: about 1.5 MB on the wire, where a frame has at most 4 MiB."""


def answer(
    query: QueryReceived,
    register: Register,
    portfolio: Portfolio,
    *,
    venues: Iterable[str],
    limits: RiskLimits,
    error: str,
) -> PublishAnswer:
    """Answer one question from what is known now.

    ``error`` says why the answer may be incomplete; of more orders than an answer may hold, the
    newest are told, and its error says that others are not.
    """
    kind = query.kind
    chosen = [venue for venue in venues if query.venue in ("", venue)]
    parents, left_out = _parents(query, register)
    if left_out:
        text = (
            f"{left_out} older orders are left out: an answer holds the {MOST_REPORTS} newest and "
            f"{MOST_FILLS} fills; ask with a later since_ns, or for one venue and symbol"
        )
        error = f"{error}; {text}" if error else text
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


def _parents(query: QueryReceived, register: Register) -> tuple[list[Parent], int]:
    """The parents that are asked for, and how many older ones there are besides."""
    if query.kind == "order":
        parent = register.known.get(query.signal_id)
        return ([] if parent is None else [parent]), 0
    if query.kind != "orders":
        return [], 0
    found = [
        parent
        for parent in register.known.values()
        if parent.updated_ns >= query.since_ns
        and query.venue in ("", parent.signal.venue)
        and query.symbol in ("", parent.signal.symbol)
    ]
    found.sort(key=lambda parent: parent.updated_ns)
    told = fills = 0
    for parent in reversed(found):
        fills += fills_of(parent)
        if told == MOST_REPORTS or (told and fills > MOST_FILLS):
            break
        told += 1
    left_out = len(found) - told
    return found[left_out:], left_out
