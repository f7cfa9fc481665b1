"""Requests to the paper venue."""

from __future__ import annotations

from paper_kit import SYMBOL, VENUE, Bench

from citadel_micro.core.model.commands import AmendOrder, CancelOrder
from citadel_micro.core.model.events import (
    OrderRejected,
)


def rejection(bench: Bench) -> str:
    (report,) = bench.settle()
    assert isinstance(report, OrderRejected)
    return report.code


def amend(client_id: str, price: int, lots: int, *, post_only: bool = False) -> AmendOrder:
    return AmendOrder(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=client_id,
        parent_id="p",
        side="buy",
        price_ticks=price,
        quantity_lots=lots,
        post_only=post_only,
        reduce_only=False,
        expires_ns=1 << 62,
    )


def cancel(client_id: str) -> CancelOrder:
    return CancelOrder(venue=VENUE, symbol=SYMBOL, client_id=client_id)
