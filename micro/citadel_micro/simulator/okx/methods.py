"""OKX's private requests: their paths, and their names for faults and limits.

Names are those that ``--fault …,on=`` knows, so that one rule is good for every venue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.simulator.private.method import Method, by_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.simulator.okx.records import Records
    from citadel_micro.simulator.okx.trading import Trading

OPERATIONS: Final[Mapping[str, str]] = {
    "order": "order.place",
    "batch-orders": "order.place",
    "cancel-order": "order.cancel",
    "batch-cancel-orders": "order.cancel",
    "amend-order": "order.modify",
    "batch-amend-orders": "order.modify",
}
"""``op`` of the websocket -> name."""
BATCHES: Final[Mapping[str, str]] = {
    "/api/v5/trade/batch-orders": "order.place",
    "/api/v5/trade/cancel-batch-orders": "order.cancel",
    "/api/v5/trade/amend-batch-orders": "order.modify",
}
MOST_IN_BATCH: Final = 20


def methods(trading: Trading, records: Records) -> dict[str, Method]:
    """Return every signed request by name."""
    return by_name(
        Method("order.place", "POST /api/v5/trade/order", trading.place, trades=True),
        Method("order.cancel", "POST /api/v5/trade/cancel-order", trading.cancel, trades=True),
        Method("order.modify", "POST /api/v5/trade/amend-order", trading.amend, trades=True),
        Method(
            "cancelAllAfter", "POST /api/v5/trade/cancel-all-after",
            trading.cancel_all_after, trades=True,
        ),
        Method("order.status", "GET /api/v5/trade/order", records.order),
        Method("openOrders.status", "GET /api/v5/trade/orders-pending", records.pending),
        Method("allOrders", "GET /api/v5/trade/orders-history", records.history),
        Method("allOrders.archive", "GET /api/v5/trade/orders-history-archive", records.history),
        Method("myTrades", "GET /api/v5/trade/fills", records.fills),
        Method("trades.history", "GET /api/v5/trade/fills-history", records.old_fills),
        Method("account.status", "GET /api/v5/account/balance", records.balance),
        Method("account.config", "GET /api/v5/account/config", records.config),
        Method("account.fees", "GET /api/v5/account/trade-fee", records.trade_fee),
        Method("asset.currencies", "GET /api/v5/asset/currencies", records.currencies),
    )  # fmt: skip
