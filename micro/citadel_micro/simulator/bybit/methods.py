"""The methods of the private protocol: who answers, what a key must be allowed, how often a second.

Limits as the page "Rate limit" has them for one account: each method counts on its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.simulator.bybit.envelope import TOO_OFTEN, BybitError
from citadel_micro.simulator.bybit.order_json import SPOT
from citadel_micro.simulator.bybit.records import Records
from citadel_micro.simulator.bybit.trading import Trading
from citadel_micro.simulator.private.method import Method, by_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.simulator.private.venue import Venue

A_SECOND: Final[Mapping[str, int]] = {
    "order.place": 20,
    "order.modify": 20,
    "order.cancel": 20,
    "openOrders.cancelAll": 20,
    "order.status": 50,
    "openOrders.status": 50,
    "allOrders": 50,
    "myTrades": 50,
    "account.status": 50,
    "account.commission": 10,
    "key.info": 10,
    "account.info": 50,
    "position.list": 50,
    "leverage": 10,
    "marginType": 10,
}
OPERATIONS: Final[Mapping[str, str]] = {
    "order.create": "order.place",
    "order.amend": "order.modify",
    "order.cancel": "order.cancel",
}
"""``op`` of the trade websocket -> method."""
REALTIME: Final = "openOrders.status"
ONE_ORDER: Final = "order.status"
"""``order/realtime`` with an id, for fault rules."""


def methods(
    venue: Venue, category: str = SPOT, records: Records | None = None
) -> dict[str, Method]:
    """Return every signed method by name; names are those that fault rules use for all venues."""
    trading, records = Trading(venue, category), records or Records(venue, category)
    return by_name(
        Method("order.place", "POST /v5/order/create", trading.place, weight=1, trades=True),
        Method("order.modify", "POST /v5/order/amend", trading.amend, weight=1, trades=True),
        Method("order.cancel", "POST /v5/order/cancel", trading.cancel, weight=1, trades=True),
        Method(
            "openOrders.cancelAll", "POST /v5/order/cancel-all",
            trading.cancel_all, weight=1, trades=True,
        ),
        Method(REALTIME, "GET /v5/order/realtime", records.realtime, weight=1),
        Method(ONE_ORDER, "", records.realtime, weight=1),
        Method("allOrders", "GET /v5/order/history", records.history, weight=1),
        Method("myTrades", "GET /v5/execution/list", records.executions, weight=1),
        Method("account.status", "GET /v5/account/wallet-balance", records.wallet, weight=1),
        Method("account.commission", "GET /v5/account/fee-rate", records.fee_rate, weight=1),
        Method("key.info", "GET /v5/user/query-api", records.key_info, weight=1),
        Method("account.info", "GET /v5/account/info", records.account_info, weight=1),
    )  # fmt: skip


class Visits:
    """How often each account has used each method in this second."""

    def __init__(self) -> None:
        """Start with none."""
        self._used: dict[tuple[str, str], tuple[int, int]] = {}

    def take(self, account: str, method: str, now_ms: int) -> dict[str, str]:
        """Count one; return what the headers say.

        Raises:
            BybitError: 10006 with the end of the second.
        """
        second, limit = now_ms // 1000, A_SECOND[method]
        known, used = self._used.get((account, method), (0, 0))
        used = used + 1 if known == second else 1
        self._used[account, method] = (second, used)
        if used > limit:
            raise BybitError(
                TOO_OFTEN,
                "Too many visits. Exceeded the API Rate Limit.",
                retry_at_ms=(second + 1) * 1000,
            )
        return {
            "X-Bapi-Limit": str(limit),
            "X-Bapi-Limit-Status": str(limit - used),
            "X-Bapi-Limit-Reset-Timestamp": str(now_ms),
        }
