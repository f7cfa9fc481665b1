"""The private methods, and the endpoints of REST and the websocket that lead to them.

Methods have the names that fault rules know. A call over REST raises the key's counter by its
``cost``; placing and canceling raise another ("API rate limits").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.simulator.kraken.records import Records
from citadel_micro.simulator.kraken.trading import Trading
from citadel_micro.simulator.private.method import Method

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.simulator.kraken.counters import Counters
    from citadel_micro.simulator.private.venue import Call, Venue

Json = dict[str, Any]
BY_SOCKET: Final[Mapping[str, str]] = {
    "add_order": "order.place",
    "amend_order": "order.modify",
    "cancel_order": "order.cancel",
    "cancel_all": "openOrders.cancelAll",
    "cancel_all_orders_after": "cancelAllAfter",
}


def _same(answer: Json) -> Json:
    return answer


def _placed(answer: Json) -> Json:
    if "order_id" not in answer:
        return answer
    return {"descr": answer["descr"], "txid": [answer["order_id"]]}


def _amended(answer: Json) -> Json:
    return {"amend_id": answer["amend_id"]} if "amend_id" in answer else answer


def _canceled(answer: Json) -> Json:
    return {"count": 1} if "order_id" in answer else answer


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of REST."""

    method: str
    cost: int = 1
    shape: Callable[[Json], Json] = _same


BY_REST: Final[Mapping[str, Endpoint]] = {
    "AddOrder": Endpoint("order.place", 0, _placed),
    "AmendOrder": Endpoint("order.modify", 0, _amended),
    "CancelOrder": Endpoint("order.cancel", 0, _canceled),
    "CancelAll": Endpoint("openOrders.cancelAll"),
    "CancelAllOrdersAfter": Endpoint("cancelAllAfter"),
    "GetWebSocketsToken": Endpoint("token"),
    "GetApiKeyInfo": Endpoint("keyInfo"),
    "OpenOrders": Endpoint("openOrders.status"),
    "ClosedOrders": Endpoint("allOrders"),
    "QueryOrders": Endpoint("order.status"),
    "TradesHistory": Endpoint("myTrades", 2),
    "QueryTrades": Endpoint("queryTrades"),
    "Balance": Endpoint("balance"),
    "BalanceEx": Endpoint("account.status"),
    "TradeVolume": Endpoint("tradeVolume"),
    "OpenPositions": Endpoint("openPositions"),
    "Ledgers": Endpoint("ledgers", 2),
}


class Methods:
    """Every method by name."""

    def __init__(self, venue: Venue, counters: Counters, token: Callable[[Call], Json]) -> None:
        """Act on one venue."""
        trading, records = Trading(venue, counters), Records(venue)
        acts: dict[str, tuple[Callable[[Call], Json], bool]] = {
            "order.place": (trading.place, True),
            "order.modify": (trading.amend, True),
            "order.cancel": (trading.cancel, True),
            "openOrders.cancelAll": (trading.cancel_all, True),
            "cancelAllAfter": (trading.cancel_all_after, True),
            "token": (token, False),
            "keyInfo": (records.key_info, False),
            "openOrders.status": (records.open_orders, False),
            "allOrders": (records.closed_orders, False),
            "order.status": (records.query_orders, False),
            "myTrades": (records.trades_history, False),
            "queryTrades": (records.query_trades, False),
            "balance": (records.balance, False),
            "account.status": (records.balance_ex, False),
            "tradeVolume": (records.trade_volume, False),
            "openPositions": (records.nothing, False),
            "ledgers": (records.ledgers, False),
        }
        self.table = {
            name: Method(name, "", answer, trades=trades) for name, (answer, trades) in acts.items()
        }
