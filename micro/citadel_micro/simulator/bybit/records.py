"""Methods that ask: orders, executions, balances, fees, and what the key and the account are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from citadel_micro.sim.exchange.model import Order, OrderRefused
from citadel_micro.simulator.binance_spot.records import account_uid
from citadel_micro.simulator.bybit import params
from citadel_micro.simulator.bybit.envelope import params_error
from citadel_micro.simulator.bybit.order_json import (
    SPOT,
    execution_row,
    order_row,
    plain,
    wallet,
)
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.private.orders import known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from citadel_micro.sim.exchange.model import Fill
    from citadel_micro.simulator.private.venue import Call, Venue

Json = dict[str, Any]
T = TypeVar("T")
_MS_NS: Final = 1_000_000
_WEEK_MS: Final = 7 * 86_400_000
_CLOSED_KEPT: Final = 500
"""Closed orders that ``order/realtime`` still knows, the newest."""
_WALLET: Final = {
    Permission.TRANSFER: "AccountTransfer",
    Permission.INTERNAL_TRANSFER: "SubMemberTransfer",
    Permission.WITHDRAW: "Withdraw",
}


def fees_of(venue: Venue, order: Order) -> dict[str, int]:
    """Return what the fills have cost that an order counts, in 1e-8 by coin."""
    fees: dict[str, int] = {}
    left = order.filled_lots
    if left:
        for fill in venue.exchange.my_trades(
            order.account_id, order.symbol, order_id=order.order_id, limit=100_000
        ):
            if not left:
                break
            left -= fill.lots
            fees[fill.fee_asset] = fees.get(fill.fee_asset, 0) + fill.fee_e8
    return fees


class Records:
    """The methods, over one venue."""

    def __init__(self, venue: Venue, category: str) -> None:
        """Read there."""
        self._venue = venue
        self._category = category

    # ------------------------------------------------------------------ orders

    def realtime(self, call: Call) -> Json:
        """Return open orders; by an id, or with ``openOnly=1``, recently closed ones too."""
        query = call.query
        params.category(query, self._category)
        order_id, name = params.names(query, needed=False)
        by_id = bool(order_id or name)
        chosen = ("symbol", "baseCoin", "settleCoin")
        if self._category != SPOT and not by_id and not any(query.values.get(x) for x in chosen):
            raise params_error("symbol, baseCoin or settleCoin is required")
        closed_too = query.values.get("openOnly", "0") == "1"
        found = self._orders(call, order_id, name)
        shown = [order for order in found if order.open is not closed_too or by_id]
        return self._page(call, shown[:_CLOSED_KEPT], _key_of_order, self._row, (20, 50))

    def history(self, call: Call) -> Json:
        """Return closed orders."""
        query = call.query
        params.category(query, self._category)
        order_id, name = params.names(query, needed=False)
        start, end = self._span(call)
        shown = [
            order
            for order in self._orders(call, order_id, name)
            if not order.open and start <= order.time_ns // _MS_NS <= end
        ]
        return self._page(call, shown, _key_of_order, self._row, (20, 50))

    def _orders(self, call: Call, order_id: int, name: str) -> list[Order]:
        """Return the account's orders as queries know them now, newest first."""
        venue, found = self._venue, list[Order]()
        for symbol in self._symbols(call):
            if order_id or name:
                try:
                    found.append(
                        venue.exchange.order(
                            call.account, symbol, order_id=order_id, client_id=name
                        )
                    )
                except OrderRefused:
                    continue
            else:
                found += venue.exchange.all_orders(call.account, symbol, limit=10_000)
        shown = [order for each in found if (order := known(venue, each)) is not None]
        return sorted(shown, key=_key_of_order, reverse=True)

    def _row(self, order: Order) -> Json:
        return order_row(self._venue.spec(order.symbol), order, fees_of(self._venue, order))

    # ------------------------------------------------------------------ executions

    def executions(self, call: Call) -> Json:
        """Return fills, newest first."""
        query = call.query
        params.category(query, self._category)
        if query.values.get("execType", "Trade") != "Trade":
            return {"category": self._category, "list": [], "nextPageCursor": ""}
        order_id, name = params.names(query, needed=False)
        start, end = self._span(call)
        exchange = self._venue.exchange
        fills: list[Fill] = []
        for symbol in self._symbols(call):
            fills += [
                fill
                for fill in exchange.my_trades(
                    call.account, symbol, order_id=order_id, limit=100_000
                )
                if (not name or fill.client_id == name)
                and start <= fill.time_ns // _MS_NS <= end
                and self._venue.hidden.get(fill.order_id, 0) <= self._venue.now_ns
            ]
        fills.sort(key=_key_of_fill, reverse=True)
        return self._page(call, fills, _key_of_fill, self._fill_row, (50, 100))

    def _fill_row(self, fill: Fill) -> Json:
        order = self._venue.exchange.order(fill.account_id, fill.symbol, order_id=fill.order_id)
        return execution_row(self._venue.spec(fill.symbol), fill, order)

    # ------------------------------------------------------------------ pages

    def _symbols(self, call: Call) -> Iterable[str]:
        if call.query.values.get("symbol"):
            return (call.query.symbol(),)
        return tuple(self._venue.exchange.rules)

    def _span(self, call: Call) -> tuple[int, int]:
        """Return the first and last ms that are asked for: the last seven days by default."""
        start, end = params.whole(call.query, "startTime"), params.whole(call.query, "endTime")
        now = self._venue.now_ms
        if start is None:
            return (0 if end is None else end - _WEEK_MS), now if end is None else end
        end = start + _WEEK_MS if end is None else end
        if end - start > _WEEK_MS or end < start:
            raise params_error("the time range between startTime and endTime is 7 days at most")
        return start, end

    def _page(
        self,
        call: Call,
        rows: list[T],
        key: Callable[[T], int],
        shown: Callable[[T], Json],
        limits: tuple[int, int],
    ) -> Json:
        """Return a page of rows that are sorted, the newest first."""
        limit = min(params.whole(call.query, "limit") or limits[0], limits[1])
        cursor = params.whole(call.query, "cursor")
        left = [row for row in rows if cursor is None or key(row) < cursor]
        page = left[:limit]
        more = str(key(page[-1])) if len(left) > limit else ""
        return {
            "category": self._category,
            "list": [shown(row) for row in page],
            "nextPageCursor": more,
        }

    # ------------------------------------------------------------------ the account

    def wallet(self, call: Call) -> Json:
        """Return the balances of the unified account."""
        kind = call.query.values.get("accountType", "")
        if kind != "UNIFIED":
            raise params_error("accountType only support UNIFIED.")
        chosen = [coin for coin in call.query.values.get("coin", "").split(",") if coin]
        balances = self._venue.exchange.balances(call.account)
        coins = [
            (coin, free, locked)
            for coin, (free, locked) in balances.items()
            if (coin in chosen if chosen else free or locked)
        ]
        return {"list": [wallet(coins)]}

    def fee_rate(self, call: Call) -> Json:
        """Return the account's fees."""
        params.category(call.query, self._category)
        fees = self._venue.exchange.fees(call.account)
        return {
            "list": [
                {
                    "symbol": self._venue.spec(symbol).venue_symbol,
                    "baseCoin": "",
                    "takerFeeRate": plain(fees.taker_e8),
                    "makerFeeRate": plain(fees.maker_e8),
                }
                for symbol in self._symbols(call)
            ]
        }

    def key_info(self, call: Call) -> Json:
        """Return what the key may do."""
        key = call.key
        may_trade = key.may(Permission.TRADE)
        return {
            "id": account_uid(key.key_id),
            "note": "simulated",
            "apiKey": key.key_id,
            "readOnly": 0 if may_trade else 1,
            "secret": "",
            "permissions": {
                "ContractTrade": [],
                "Spot": ["SpotTrade"] if may_trade else [],
                "Wallet": [name for right, name in _WALLET.items() if key.may(right)],
                "Options": [],
                "Derivatives": [],
                "CopyTrading": [],
                "BlockTrade": [],
                "Exchange": [],
                "NFT": [],
                "Affiliate": [],
                "Earn": [],
            },
            "ips": list(key.ips) or ["*"],
            "type": 1,
            "deadlineDay": 83,
            "expiredAt": "2099-01-01T00:00:00Z",
            "createdAt": "2026-01-01T00:00:00Z",
            "unified": 0,
            "uta": 1,
            "userID": int(account_uid(key.account)),
            "inviterID": 0,
            "vipLevel": "No VIP",
            "mktMakerLevel": "0",
            "affiliateID": 0,
            "rsaPublicKey": "",
            "isMaster": True,
            "parentUid": "0",
            "kycLevel": "LEVEL_DEFAULT",
            "kycRegion": "",
        }

    def account_info(self, _call: Call) -> Json:
        """Return how the account is set up."""
        return {
            "marginMode": "REGULAR_MARGIN",
            "updatedTime": "1760000000000",
            "unifiedMarginStatus": 6,
            "dcpStatus": "OFF",
            "timeWindow": 0,
            "smpGroup": 0,
            "isMasterTrader": False,
            "spotHedgingStatus": "OFF",
        }


def _key_of_order(order: Order) -> int:
    return order.order_id


def _key_of_fill(fill: Fill) -> int:
    return fill.number
