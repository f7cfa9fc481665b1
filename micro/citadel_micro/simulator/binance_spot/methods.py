"""The methods of the private protocol: what a key must be allowed, what they weigh, who answers.

Names are the websocket API's; REST paths lead to them (``rest``). Weights as Binance documents
them; what places, cancels or replaces costs nothing when it succeeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.simulator.binance_spot.records import Records
from citadel_micro.simulator.binance_spot.trading import Trading
from citadel_micro.simulator.private.method import Method, by_name

if TYPE_CHECKING:
    from citadel_micro.simulator.private.venue import Venue


def methods(venue: Venue) -> dict[str, Method]:
    """Return every signed method by name."""
    trading, records = Trading(venue), Records(venue)
    return by_name(
        Method(
            "order.place", "POST /api/v3/order", trading.place, weight=1, trades=True, free=True,
        ),
        Method(
            "order.test", "POST /api/v3/order/test",
            trading.test, weight=1, trades=True, with_rates=20,
        ),
        Method(
            "order.cancel", "DELETE /api/v3/order",
            trading.cancel, weight=1, trades=True, free=True,
        ),
        Method(
            "order.cancelReplace", "POST /api/v3/order/cancelReplace",
            trading.replace, weight=1, trades=True, free=True,
        ),
        Method(
            "order.amend.keepPriority", "PUT /api/v3/order/amend/keepPriority",
            trading.amend, weight=4, trades=True,
        ),
        Method(
            "openOrders.cancelAll", "DELETE /api/v3/openOrders",
            trading.cancel_all, weight=1, trades=True, free=True,
        ),
        Method("order.status", "GET /api/v3/order", records.status, weight=4),
        Method(
            "openOrders.status", "GET /api/v3/openOrders",
            records.open_orders, weight=6, heavier=("symbol", 80),
        ),
        Method("allOrders", "GET /api/v3/allOrders", records.all_orders, weight=20),
        Method(
            "myTrades", "GET /api/v3/myTrades",
            records.my_trades, weight=5, heavier=("orderId", 20),
        ),
        Method(
            "myPreventedMatches", "GET /api/v3/myPreventedMatches",
            records.prevented, weight=2, heavier=("preventedMatchId", 20),
        ),
        Method("account.status", "GET /api/v3/account", records.account, weight=20),
        Method(
            "account.commission", "GET /api/v3/account/commission", records.commission, weight=20,
        ),
        Method(
            "account.rateLimits.orders", "GET /api/v3/rateLimit/order",
            records.order_counts, weight=40,
        ),
        Method(
            "sapi.apiRestrictions", "GET /sapi/v1/account/apiRestrictions",
            records.restrictions, weight=1, sapi=True, rest_only=True,
        ),
        Method(
            "sapi.tradeFee", "GET /sapi/v1/asset/tradeFee",
            records.trade_fee, weight=1, sapi=True, rest_only=True,
        ),
        Method(
            "sapi.coins", "GET /sapi/v1/capital/config/getall",
            records.coins, weight=10, sapi=True, rest_only=True,
        ),
        Method(
            "sapi.marginPairs", "GET /sapi/v1/margin/allPairs",
            records.nothing, weight=1, sapi=True, rest_only=True,
        ),
        Method(
            "sapi.isolatedPairs", "GET /sapi/v1/margin/isolated/allPairs",
            records.nothing, weight=1, sapi=True, rest_only=True,
        ),
    )  # fmt: skip
