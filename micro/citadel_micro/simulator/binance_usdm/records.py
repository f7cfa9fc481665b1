"""Methods that ask about orders and money that moved: orders, trades, income, counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.model import OrderRefused
from citadel_micro.sim.flow_symbols import e8_text
from citadel_micro.simulator.binance_usdm import order_json
from citadel_micro.simulator.binance_usdm.refusals import refusal
from citadel_micro.simulator.binance_usdm.trading import which_order
from citadel_micro.simulator.private.orders import known
from citadel_micro.simulator.private.params import order_number
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.exchange.model import Movement, Order
    from citadel_micro.simulator.private.venue import Call, Venue
    from citadel_micro.simulator.query import Query

Json = dict[str, Any]
_MS_NS: Final = 1_000_000
_WEEK_MS: Final = 7 * 86_400_000
_OURS: Final = {"liquidation": "LIQUIDATION", "adl": "ADL"}
_INCOME: Final = {
    "pnl": "REALIZED_PNL",
    "fee": "COMMISSION",
    "funding": "FUNDING_FEE",
    "deposit": "TRANSFER",
    "withdrawal": "TRANSFER",
    "liquidation": "INSURANCE_CLEAR",
}


class Records:
    """The methods, over one venue."""

    def __init__(self, venue: Venue, exchange: FuturesExchange) -> None:
        """Read there."""
        self._venue = venue
        self._exchange = exchange

    def _one(self, call: Call) -> Order:
        symbol, order_id, name = which_order(call.query)
        try:
            found = self._exchange.order(call.account, symbol, order_id=order_id, client_id=name)
        except OrderRefused as refused:
            raise refusal(refused, "query") from refused
        order = known(self._venue, found)
        if order is None:
            raise ApiError(-2013, "Order does not exist.")
        return order

    def status(self, call: Call) -> Json:
        """Return one order."""
        order = self._one(call)
        return order_json.queried(self._venue.spec(order.symbol), order)

    def open_order(self, call: Call) -> Json:
        """Return one order that is open."""
        order = self._one(call)
        if not order.open:
            raise ApiError(-2013, "Order does not exist.")
        return order_json.queried(self._venue.spec(order.symbol), order)

    def _rows(self, orders: Iterable[Order]) -> list[Json]:
        shown = [known(self._venue, order) for order in orders]
        spec = self._venue.spec
        return [order_json.queried(spec(order.symbol), order) for order in shown if order]

    def open_orders(self, call: Call) -> list[Json]:
        """Return the open orders of a symbol, or of all."""
        query = call.query
        symbol = None if query.optional("symbol") is None else query.symbol()
        rows = self._rows(self._exchange.open_orders(call.account, symbol))
        return [row for row in rows if row["status"] != "CANCELED"]

    def all_orders(self, call: Call) -> list[Json]:
        """Return orders of any status, a week at most."""
        query = call.query
        start, end = _span(query)
        orders = self._exchange.all_orders(
            call.account,
            query.symbol(),
            from_id=order_number(query, "orderId"),
            start_ns=start,
            end_ns=end,
            limit=query.limit(500, 1000),
        )
        return self._rows(orders)

    def user_trades(self, call: Call) -> list[Json]:
        """Return fills of a week at most, without a time or an id to begin at of the last one."""
        query = call.query
        symbol = query.symbol()
        start, end = _span(query)
        from_id = query.integer("fromId")
        if from_id is not None and (start is not None or end is not None):
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        if from_id is None:
            start, end = _week(start, end, self._venue.now_ns)
        fills = self._exchange.my_trades(
            call.account,
            symbol,
            order_id=order_number(query, "orderId"),
            from_id=from_id,
            start_ns=start,
            end_ns=end,
            limit=query.limit(500, 1000),
        )
        spec = self._venue.spec(symbol)
        return [order_json.user_trade(spec, fill) for fill in fills]

    def force_orders(self, call: Call) -> list[Json]:
        """Return the orders with which the exchange has closed positions."""
        query = call.query
        symbols = query.symbols()
        kind = query.optional("autoCloseType")
        start, end = _span(query)
        found = [
            order
            for symbol in symbols
            for order in self._exchange.all_orders(
                call.account, symbol, start_ns=start or 0, end_ns=end, limit=1000
            )
            if order.origin in _OURS and kind in {None, _OURS[order.origin]}
        ]
        return self._rows(found[-query.limit(50, 100) :])

    def order_counts(self, call: Call) -> list[dict[str, object]]:
        """Return the counts of orders."""
        return self._venue.order_counts(call.account)

    # ------------------------------------------------------------------ income

    def income(self, call: Call) -> list[Json]:
        """Return what has changed the wallet: profit, commission, funding, transfers."""
        query = call.query
        symbol = None if query.optional("symbol") is None else query.symbol()
        kind = query.optional("incomeType")
        start, end = query.integer("startTime"), query.integer("endTime")
        rows = [
            self._income(number, item)
            for number, item in enumerate(self._exchange.ledger(call.account).movements, 1)
            if symbol in {None, item.symbol}
            and item.amount_e8
            and kind in {None, _INCOME[item.kind]}
            and (start is None or item.time_ns // _MS_NS >= start)
            and (end is None or item.time_ns // _MS_NS <= end)
        ]
        limit = query.limit(100, 1000)
        page = max(query.integer("page") or 1, 1)
        if start is None:
            return rows[-limit:]
        return rows[(page - 1) * limit : page * limit]

    def _income(self, number: int, item: Movement) -> Json:
        name = self._venue.spec(item.symbol).venue_symbol if item.symbol else ""
        return {
            "symbol": name,
            "incomeType": _INCOME[item.kind],
            "income": e8_text(item.amount_e8),
            "asset": item.asset,
            "info": str(item.trade_id) if item.trade_id else _INCOME[item.kind],
            "time": item.time_ns // _MS_NS,
            "tranId": number,
            "tradeId": str(item.trade_id) if item.trade_id else "",
        }


def _week(start: int | None, end: int | None, now_ns: int) -> tuple[int, int | None]:
    """Return begin and end in ns of what is listed: from the begin, to the end, or the last week."""
    week_ns = _WEEK_MS * _MS_NS
    if start is not None:
        return start, start + week_ns if end is None else end
    return (now_ns if end is None else end) - week_ns, end


def _span(query: Query) -> tuple[int | None, int | None]:
    """Return start and end in ns, the end's millisecond included.

    Raises:
        ApiError: -4166 for more than a week, -1128 for an end before its start.
    """
    start, end = query.integer("startTime"), query.integer("endTime")
    if start is not None and end is not None:
        if end < start:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        if end - start > _WEEK_MS:
            raise ApiError(-4166, "Search window is restricted to recent 7 days only.")
    begin = None if start is None else start * _MS_NS
    return begin, None if end is None else (end + 1) * _MS_NS - 1
