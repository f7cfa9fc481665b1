"""Methods that ask: orders, trades, balances, commission, counts of unfilled orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.model import OrderRefused
from citadel_micro.sim.flow_symbols import e8_text
from citadel_micro.simulator.binance_spot import order_json
from citadel_micro.simulator.binance_spot.refusals import refusal
from citadel_micro.simulator.binance_spot.trading import commission
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.private.orders import known
from citadel_micro.simulator.private.params import SIGNED, client_id, order_number
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import Order
    from citadel_micro.simulator.private.venue import Call, Venue
    from citadel_micro.simulator.query import Query

Json = dict[str, Any]
_DAY_MS: Final = 86_400_000
_MS_NS: Final = 1_000_000
_MICROSECONDS_FROM: Final = 10**14


class Records:
    """The methods, over one venue."""

    def __init__(self, venue: Venue) -> None:
        """Read there."""
        self._venue = venue

    def status(self, call: Call) -> Json:
        """Return one order."""
        call.only("symbol", "orderId", "origClientOrderId", *SIGNED)
        query, venue = call.query, self._venue
        symbol = query.symbol()
        order_id = order_number(query, "orderId")
        name = client_id(query, "origClientOrderId")
        if not order_id and not name:
            text = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            raise ApiError(-1102, text)
        try:
            found = venue.exchange.order(call.account, symbol, order_id=order_id, client_id=name)
        except OrderRefused as refused:
            raise refusal(refused, "query") from refused
        order = known(venue, found)
        if order is None:
            raise ApiError(-2013, "Order does not exist.")
        return order_json.queried(venue.spec(symbol), order)

    def _rows(self, orders: list[Order]) -> list[Json]:
        shown = [known(self._venue, order) for order in orders]
        spec = self._venue.spec
        return [order_json.queried(spec(order.symbol), order) for order in shown if order]

    def open_orders(self, call: Call) -> list[Json]:
        """Return the open orders of a symbol, or of all."""
        call.only("symbol", *SIGNED)
        query = call.query
        symbol = None if query.optional("symbol") is None else query.symbol()
        rows = self._rows(self._venue.exchange.open_orders(call.account, symbol))
        return [row for row in rows if row["status"] != "CANCELED"]

    def all_orders(self, call: Call) -> list[Json]:
        """Return orders of any status."""
        call.only("symbol", "orderId", "startTime", "endTime", "limit", *SIGNED)
        query = call.query
        start, end = _span(query)
        orders = self._venue.exchange.all_orders(
            call.account,
            query.symbol(),
            from_id=order_number(query, "orderId"),
            start_ns=start,
            end_ns=end,
            limit=query.limit(500, 1000),
        )
        return self._rows(orders)

    def my_trades(self, call: Call) -> list[Json]:
        """Return fills."""
        call.only("symbol", "orderId", "startTime", "endTime", "fromId", "limit", *SIGNED)
        query = call.query
        symbol = query.symbol()
        start, end = _span(query)
        from_id = query.integer("fromId")
        order_id = order_number(query, "orderId")
        if (start is not None or end is not None) and (from_id is not None or order_id):
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        fills = self._venue.exchange.my_trades(
            call.account,
            symbol,
            order_id=order_id,
            from_id=from_id,
            start_ns=start,
            end_ns=end,
            limit=query.limit(500, 1000),
        )
        spec = self._venue.spec(symbol)
        return [order_json.my_trade(spec, fill) for fill in fills]

    def prevented(self, call: Call) -> list[Json]:
        """Return self-trades that were prevented."""
        names = ("symbol", "preventedMatchId", "orderId", "fromPreventedMatchId", "limit")
        call.only(*names, *SIGNED)
        query = call.query
        symbol = query.symbol()
        one, order_id = query.integer("preventedMatchId"), query.integer("orderId")
        if one is None and order_id is None:
            text = "Param 'preventedMatchId' or 'orderId' must be sent, but both were empty/null!"
            raise ApiError(-1102, text)
        first = query.integer("fromPreventedMatchId") or 0
        found = [
            item
            for item in self._venue.exchange.preventions(call.account, symbol)
            if (one is None or item.prevented_id == one)
            and (order_id is None or order_id in {item.taker_order_id, item.maker_order_id})
            and item.prevented_id >= first
        ]
        spec = self._venue.spec(symbol)
        return [order_json.prevented(spec, item) for item in found[: query.limit(500, 1000)]]

    # ------------------------------------------------------------------ account

    def account(self, call: Call) -> Json:
        """Return balances and what the account may do."""
        call.only("omitZeroBalances", *SIGNED)
        exchange = self._venue.exchange
        skip = call.query.optional("omitZeroBalances") == "true"
        fees = exchange.fees(call.account)
        text = e8_text
        return {
            "makerCommission": fees.maker_e8 // 10_000,
            "takerCommission": fees.taker_e8 // 10_000,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": {
                "maker": text(fees.maker_e8),
                "taker": text(fees.taker_e8),
                "buyer": text(0),
                "seller": text(0),
            },
            "canTrade": True,
            "canWithdraw": True,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": exchange.changed_ns(call.account) // _MS_NS,
            "accountType": "SPOT",
            "balances": [
                {"asset": asset, "free": text(free), "locked": text(locked)}
                for asset, (free, locked) in exchange.balances(call.account).items()
                if free or locked or not skip
            ],
            "permissions": ["SPOT"],
            "uid": account_uid(call.account),
        }

    def commission(self, call: Call) -> Json:
        """Return the account's commission on a symbol."""
        call.only("symbol", *SIGNED)
        symbol = call.query.symbol()
        spec = self._venue.spec(symbol)
        return {"symbol": spec.venue_symbol, **commission(self._venue, call.account)}

    def order_counts(self, call: Call) -> list[dict[str, object]]:
        """Return the counts of unfilled orders."""
        call.only(*SIGNED)
        return self._venue.order_counts(call.account)

    # ------------------------------------------------------------------ /sapi

    def restrictions(self, call: Call) -> Json:
        """Return what the key may do."""
        call.only(*SIGNED)
        key = call.key
        return {
            "ipRestrict": bool(key.ips),
            "createTime": key.created_ms,
            "enableReading": True,
            "enableWithdrawals": key.may(Permission.WITHDRAW),
            "enableInternalTransfer": key.may(Permission.INTERNAL_TRANSFER),
            "enableMargin": False,
            "enableFutures": key.may(Permission.FUTURES),
            "permitsUniversalTransfer": key.may(Permission.TRANSFER),
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
            "enableSpotAndMarginTrading": key.may(Permission.TRADE),
            "enablePortfolioMarginTrading": False,
        }

    def trade_fee(self, call: Call) -> list[Json]:
        """Return maker and taker commission of a symbol, or of all."""
        call.only("symbol", *SIGNED)
        fees = self._venue.exchange.fees(call.account)
        maker, taker = e8_text(fees.maker_e8), e8_text(fees.taker_e8)
        return [
            {
                "symbol": self._venue.spec(symbol).venue_symbol,
                "makerCommission": maker,
                "takerCommission": taker,
            }
            for symbol in call.query.symbols()
        ]

    def coins(self, call: Call) -> list[Json]:
        """Return the assets of the account. Nothing is deposited or withdrawn over the protocol."""
        call.only(*SIGNED)
        text = e8_text
        zero = text(0)
        return [
            {
                "coin": asset,
                "name": asset,
                "depositAllEnable": False,
                "withdrawAllEnable": False,
                "free": text(free),
                "locked": text(locked),
                "freeze": zero,
                "withdrawing": zero,
                "ipoing": zero,
                "ipoable": zero,
                "storage": zero,
                "isLegalMoney": False,
                "trading": True,
                "networkList": [],
            }
            for asset, (free, locked) in self._venue.exchange.balances(call.account).items()
        ]

    def nothing(self, call: Call) -> list[Json]:
        """Answer that there are none: margin pairs."""
        call.only("symbol", *SIGNED)
        return []


def account_uid(account: str) -> int:
    """Return a number that stands for the account, the same every time."""
    return order_json.number_of(account)


def _time_ns(query: Query, name: str) -> int | None:
    value = query.integer(name)
    if value is None:
        return None
    return value * 1000 if value >= _MICROSECONDS_FROM else value * _MS_NS


def _span(query: Query) -> tuple[int | None, int | None]:
    """Return start and end in ns, the end's millisecond included.

    Raises:
        ApiError: -1127 for more than a day, -1128 for an end before its start.
    """
    start, end = _time_ns(query, "startTime"), _time_ns(query, "endTime")
    if start is not None and end is not None:
        if end < start:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        if end - start > _DAY_MS * _MS_NS:
            raise ApiError(-1127, "More than 24 hours between startTime and endTime.")
    return start, None if end is None else end + _MS_NS - 1
