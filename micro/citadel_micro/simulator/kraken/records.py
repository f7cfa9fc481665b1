"""Methods that ask: orders, trades, balances, fees, the key."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.model import OrderRefused
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.kraken.errors import KrakenError, invalid
from citadel_micro.simulator.kraken.names import (
    asset_id,
    fixed,
    number_of,
    order_name,
    pair_id,
    trade_name,
)
from citadel_micro.simulator.kraken.order_json import balances, client_id, order_row, trade_row
from citadel_micro.simulator.kraken.trading import params_of
from citadel_micro.simulator.private.orders import known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.sim.exchange.model import Fill, Order
    from citadel_micro.simulator.keys import ApiKey
    from citadel_micro.simulator.private.venue import Call, Venue

Json = dict[str, Any]
PAGE: Final = 50
"""Rows of ClosedOrders and TradesHistory in one answer."""
_MOST: Final = 100_000
_MOST_IDS: Final = 50


def public_account_id(account: str) -> str:
    """Return Kraken's public id of an account, the same every time."""
    digest = hashlib.sha256(account.encode()).hexdigest().upper()
    return f"AA{digest[:2]} N84G {digest[2:6]} {digest[6:10]}"


class Records:
    """The methods, over one venue."""

    def __init__(self, venue: Venue) -> None:
        """Read there."""
        self._venue = venue

    # ------------------------------------------------------------------ orders

    def open_orders(self, call: Call) -> Json:
        """Return OpenOrders."""
        params = params_of(call)
        wanted, trades = params.client_id(), params.is_set("trades")
        rows = {}
        for order in self._shown(self._venue.exchange.open_orders(call.account)):
            if order.open and (not wanted or client_id(order) == wanted):
                rows[order_name(order.order_id)] = self._row(order, trades=trades)
        return {"open": rows}

    def closed_orders(self, call: Call) -> Json:
        """Return ClosedOrders, newest first."""
        params = params_of(call)
        wanted, trades = params.client_id(), params.is_set("trades")
        start = params.time_ns("start")
        found = [
            order
            for order in self._shown(self._all(call.account))
            if not order.open
            and (not wanted or client_id(order) == wanted)
            and (start is None or order.update_ns >= start)
        ]
        found.sort(key=lambda order: (order.update_ns, order.order_id), reverse=True)
        offset = params.whole("ofs", 0)
        page = found[offset : offset + PAGE]
        return {
            "closed": {order_name(each.order_id): self._row(each, trades=trades) for each in page},
            "count": len(found),
        }

    def query_orders(self, call: Call) -> Json:
        """Return QueryOrders."""
        params = params_of(call)
        names = params.word("txid").split(",")
        if not names[0] or len(names) > _MOST_IDS:
            raise invalid("txid")
        trades = params.is_set("trades")
        rows = {}
        wanted = {number_of(name, "O"): name for name in names}
        for order in self._shown(self._all(call.account)):
            if order.order_id in wanted:
                rows[wanted[order.order_id]] = self._row(order, trades=trades)
        if not rows:
            raise KrakenError("EOrder:Unknown order")
        return rows

    def _all(self, account: str) -> Iterable[Order]:
        exchange = self._venue.exchange
        for symbol in exchange.rules:
            yield from exchange.all_orders(account, symbol, limit=_MOST)

    def _shown(self, orders: Iterable[Order]) -> list[Order]:
        found = [known(self._venue, order) for order in orders]
        return [order for order in found if order is not None]

    def _row(self, order: Order, *, trades: bool) -> Json:
        spec = self._venue.spec(order.symbol)
        fills = self._fills_of(order)
        row = order_row(spec, order, fills)
        if not trades:
            del row["trades"]
        return row

    def _fills_of(self, order: Order) -> list[Fill]:
        return self._venue.exchange.my_trades(
            order.account_id, order.symbol, order_id=order.order_id, limit=_MOST
        )

    # ------------------------------------------------------------------ trades

    def trades_history(self, call: Call) -> Json:
        """Return TradesHistory, newest first."""
        params = params_of(call)
        start, end = params.time_ns("start"), params.time_ns("end")
        found = [
            fill
            for fill in self._fills(call.account)
            if (start is None or fill.time_ns > start) and (end is None or fill.time_ns <= end)
        ]
        found.sort(key=lambda fill: (fill.time_ns, fill.number), reverse=True)
        offset = params.whole("ofs", 0)
        page = found[offset : offset + PAGE]
        return {"trades": self._trade_rows(call.account, page), "count": len(found)}

    def query_trades(self, call: Call) -> Json:
        """Return QueryTrades."""
        names = set(params_of(call).word("txid").split(","))
        found = [
            fill
            for fill in self._fills(call.account)
            if trade_name(fill.trade_id, maker=fill.maker) in names
        ]
        return self._trade_rows(call.account, found)

    def _fills(self, account: str) -> list[Fill]:
        exchange = self._venue.exchange
        return [
            fill
            for symbol in exchange.rules
            for fill in exchange.my_trades(account, symbol, limit=_MOST)
        ]

    def _trade_rows(self, account: str, fills: Iterable[Fill]) -> Json:
        exchange, rows = self._venue.exchange, {}
        for fill in fills:
            spec = self._venue.spec(fill.symbol)
            order = exchange.order(account, fill.symbol, order_id=fill.order_id)
            name = trade_name(fill.trade_id, maker=fill.maker)
            rows[name] = trade_row(spec, fill, order)
        return rows

    # ------------------------------------------------------------------ the account

    def balance(self, call: Call) -> Json:
        """Return Balance: totals."""
        held = self._venue.exchange.balances(call.account)
        return {asset_id(coin): fixed(sum(parts), 8) for coin, parts in held.items()}

    def balance_ex(self, call: Call) -> Json:
        """Return BalanceEx: totals, and what orders hold."""
        return balances(self._venue.exchange.balances(call.account))

    def trade_volume(self, call: Call) -> Json:
        """Return TradeVolume: the account's fees."""
        params = params_of(call)
        fees = self._venue.exchange.fees(call.account)

        def tier(rate_e8: int) -> Json:
            percent = fixed(rate_e8 * 100, 4)
            return {
                "fee": percent, "minfee": percent, "maxfee": percent, "nextfee": None,
                "nextvolume": None, "tiervolume": "0.0000",
            }  # fmt: skip

        body: Json = {"currency": "ZUSD", "volume": "0.0000"}
        if params.word("pair"):
            pairs = []
            for name in params.word("pair").split(","):
                symbol = params.like({"pair": name}).symbol()
                pairs.append(pair_id(self._venue.spec(symbol)))
            body["fees"] = {pair: tier(fees.taker_e8) for pair in pairs}
            body["fees_maker"] = {pair: tier(fees.maker_e8) for pair in pairs}
        return body

    def key_info(self, call: Call) -> Json:
        """Return GetApiKeyInfo: what the key may do, and whose it is."""
        return key_info(call.key)

    def nothing(self, _call: Call) -> Json:
        """Return that there is none of it: open positions, ledgers."""
        return {}

    def ledgers(self, call: Call) -> Json:
        """Return Ledgers: deposits, withdrawals, trades and fees of the newest 50 movements."""
        try:
            ledger = self._venue.exchange.ledger(call.account)
        except OrderRefused as refused:
            raise KrakenError("EAccount:Invalid account") from refused
        rows = {}
        for number, move in enumerate(ledger.movements):
            rows[f"L{number}"] = {
                "refid": str(move.trade_id),
                "time": move.time_ns / 1e9,
                "type": "trade" if move.kind == "fee" else move.kind,
                "aclass": "currency",
                "asset": asset_id(move.asset),
                "amount": fixed(move.amount_e8, 8),
                "fee": "0.00000000",
            }
        newest = dict(list(rows.items())[-PAGE:])
        return {"ledger": newest, "count": len(rows)}


def key_info(key: ApiKey) -> Json:
    """Return a key's rights in Kraken's words."""
    rights = ["query-funds", "query-open-trades", "query-closed-trades"]
    if key.may(Permission.TRADE):
        rights += ["modify-trades", "close-trades"]
    if key.may(Permission.WITHDRAW):
        rights.append("withdraw-funds")
    return {
        "api_key_name": key.key_id[:8],
        "api_key": key.key_id,
        "nonce": "0",
        "nonce_window": 0,
        "permissions": rights,
        "iban": public_account_id(key.account),
        "valid_until": "0",
        "query_from": "0",
        "query_to": "0",
        "created_time": str(key.created_ms // 1_000),
        "modified_time": str(key.created_ms // 1_000),
        "ip_allowlist": list(key.ips),
        "last_used": "0",
    }
