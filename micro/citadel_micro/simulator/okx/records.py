"""Requests that ask: orders, fills, balances, the account's settings, its fees.

Source: "Trade" and "Trading Account" of the venue's documentation; lists are newest first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, cast

from citadel_micro.sim.exchange.model import OrderRefused
from citadel_micro.sim.rng import key_of
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.okx import order_json
from citadel_micro.simulator.okx.errors import OkxError, parameter, refusal
from citadel_micro.simulator.okx.names import Json, number, stamp
from citadel_micro.simulator.private.orders import known

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.model import Order
    from citadel_micro.simulator.okx.auth import OkxQuery
    from citadel_micro.simulator.okx.trading import Trading
    from citadel_micro.simulator.private.venue import Call, Venue

RowT = TypeVar("RowT")
MOST_ROWS: Final = 100
_ALL: Final = 1_000_000
_MS_NS: Final = 1_000_000
PROMPT_NS: Final = 3 * 86_400 * 1_000_000_000
"""``fills`` has those of three days, ``fills-history`` those of three months (here all)."""
FORGOTTEN_NS: Final = 2 * 3_600 * 1_000_000_000
"""Canceled orders without a fill are kept for two hours."""


class Records:
    """The requests, over one venue."""

    kind = "SPOT"
    """``instType`` of what is traded."""
    permission = Permission.TRADE
    level = "1"
    """``acctLv``: Spot mode."""

    def __init__(self, venue: Venue, trading: Trading) -> None:
        """Read there."""
        self._venue = venue
        self._trading = trading

    def row(self, order: Order) -> Json:
        """Return one order."""
        fills = self._venue.exchange.my_trades(
            order.account_id, order.symbol, order_id=order.order_id, limit=_ALL
        )
        wishes = self._trading.wish(order.order_id)
        return order_json.row(self._venue.spec(order.symbol), order, wishes, fills)

    def order(self, call: Call) -> list[Json]:
        """Return one order by either id."""
        query = cast("OkxQuery", call.query)
        symbol = query.symbol()
        order_id, client_id = self._trading.named(query)
        try:
            found = self._venue.exchange.order(
                call.account, symbol, order_id=order_id, client_id=client_id
            )
        except OrderRefused as refused:
            raise refusal(refused, "query") from refused
        order = known(self._venue, found)
        if order is None or self._forgotten(order):
            raise OkxError(51603, "Order does not exist")
        return [self.row(order)]

    def _forgotten(self, order: Order) -> bool:
        idle_ns = self._venue.now_ns - order.update_ns
        return not order.open and not order.filled_lots and idle_ns > FORGOTTEN_NS

    def pending(self, call: Call) -> list[Json]:
        """Return open orders."""
        symbol = self._symbol(call)
        rows = [known(self._venue, each) for each in self._venue.exchange.open_orders(call.account)]
        chosen = [each for each in rows if each and each.open and symbol in (None, each.symbol)]
        return [self.row(each) for each in page(call, chosen, lambda each: each.order_id)]

    def history(self, call: Call) -> list[Json]:
        """Return orders that are over."""
        symbol, exchange = self._symbol(call, kind=True), self._venue.exchange
        names = list(exchange.rules) if symbol is None else [symbol]
        orders = [
            each
            for name in names
            for each in exchange.all_orders(call.account, name, limit=_ALL)
            if not each.open and not self._forgotten(each)
        ]
        orders.sort(key=lambda each: each.order_id)
        state = cast("OkxQuery", call.query).get("state")
        rows = [each for each in orders if within(call, each.time_ns)]
        if state:
            rows = [
                each for each in rows if order_json.STATES.get(each.status, "canceled") == state
            ]
        return [self.row(each) for each in page(call, rows, lambda each: each.order_id)]

    def fills(self, call: Call) -> list[Json]:
        """Return the fills of the last days."""
        return self._fills(call, self._venue.now_ns - PROMPT_NS)

    def old_fills(self, call: Call) -> list[Json]:
        """Return fills."""
        return self._fills(call, 0)

    def _fills(self, call: Call, begin_ns: int) -> list[Json]:
        query, exchange = cast("OkxQuery", call.query), self._venue.exchange
        symbol = self._symbol(call)
        names = list(exchange.rules) if symbol is None else [symbol]
        order_id = query.get("ordId")
        if order_id and not order_id.isdecimal():
            raise parameter("ordId", row=False)
        found = [
            each
            for name in names
            for each in exchange.my_trades(
                call.account, name, order_id=int(order_id or 0), limit=_ALL
            )
            if each.time_ns >= begin_ns and within(call, each.time_ns)
        ]
        found.sort(key=lambda each: each.number)
        rows = []
        for each in page(call, found, lambda fill: fill.number):
            own = each.client_id != f"sim{each.order_id}"
            order = exchange.order(call.account, each.symbol, order_id=each.order_id)
            own = own and order.origin not in order_json.CATEGORIES
            tag = self._trading.wish(each.order_id).tag
            spec = self._venue.spec(each.symbol)
            name = each.client_id if own else ""
            rows.append(order_json.fill_row(spec, each, name, tag, order.origin))
        return rows

    def _symbol(self, call: Call, *, kind: bool = False) -> str | None:
        query = cast("OkxQuery", call.query)
        wanted = query.get("instType")
        if (kind and not wanted) or wanted not in {
            "",
            "SPOT",
            "SWAP",
            "FUTURES",
            "MARGIN",
            "OPTION",
        }:
            raise parameter("instType", row=False)
        if query.get("instId"):
            return query.symbol()
        return None if wanted in {"", self.kind} else ""

    # ------------------------------------------------------------------ account

    def balance(self, call: Call) -> list[Json]:
        """Return the trading account."""
        query, exchange = cast("OkxQuery", call.query), self._venue.exchange
        asked = [each for each in query.get("ccy").split(",") if each]
        time_ns = exchange.changed_ns(call.account) or self._venue.now_ns
        details = [
            self.currency(call.account, currency, held, time_ns)
            for currency, held in exchange.balances(call.account).items()
            if any(held) and (not asked or currency in asked)
        ]
        return [order_json.account(details, time_ns)]

    def currency(self, account: str, name: str, held: tuple[int, int], time_ns: int) -> Json:
        """Return one currency of an account, of which so much is free and locked."""
        del account
        return order_json.balance(name, *held, time_ns)

    def config(self, call: Call) -> list[Json]:
        """Return the account's settings, and what the key may do."""
        key = call.key
        names = {
            self.permission: "trade",
            Permission.WITHDRAW: "withdraw",
        }
        allowed = [name for permission, name in names.items() if key.may(permission)]
        return [
            {
                "acctLv": self.level,
                "acctStpMode": "cancel_maker",
                "autoLoan": False,
                "ctIsoMode": "automatic",
                "enableSpotBorrow": False,
                "greeksType": "PA",
                "ip": ",".join(key.ips),
                "kycLv": "3",
                "label": key.account,
                "level": "Lv1",
                "levelTmp": "",
                "liquidationGear": "-1",
                "mainUid": account_uid(call.account),
                "mgnIsoMode": "automatic",
                "opAuth": "0",
                "perm": ",".join(("read_only", *allowed)),
                "posMode": self.position_mode(call.account),
                "roleType": "0",
                "settleCcy": "",
                "spotBorrowAutoRepay": False,
                "spotOffsetType": "",
                "spotRoleType": "0",
                "type": "0",
                "uid": account_uid(call.account),
            }
        ]

    def position_mode(self, account: str) -> str:
        """Return ``posMode``."""
        del account
        return "net_mode"

    def trade_fee(self, call: Call) -> list[Json]:
        """Return maker and taker fee: negative is paid. Contracts of USDT have fields of their own."""
        if cast("OkxQuery", call.query).get("instType") != self.kind:
            raise parameter("instType", row=False)
        fees = self._venue.exchange.fees(call.account)
        swap = self.kind == "SWAP"
        return [
            {
                "category": "1",
                "delivery": "",
                "exercise": "",
                "feeGroup": [],
                "fiat": [],
                "instType": self.kind,
                "level": "Lv1",
                "maker": number(-fees.maker_e8),
                "makerU": number(-fees.maker_e8) if swap else "",
                "makerUSDC": "",
                "ruleType": "normal",
                "taker": number(-fees.taker_e8),
                "takerU": number(-fees.taker_e8) if swap else "",
                "takerUSDC": "",
                "ts": stamp(self._venue.now_ns),
            }
        ]

    def currencies(self, call: Call) -> list[Json]:
        """Return the assets. Nothing is deposited or withdrawn over the protocol."""
        return [
            {
                "canDep": False,
                "canInternal": False,
                "canWd": False,
                "ccy": currency,
                "chain": f"{currency}-Simulator",
                "fee": "0",
                "mainNet": True,
                "maxWd": "0",
                "minWd": "0",
                "name": currency,
                "wdTickSz": "8",
            }
            for currency in self._venue.exchange.balances(call.account)
        ]


def account_uid(account: str) -> str:
    """Return a number that stands for the account, the same every time."""
    return str(key_of("okx uid", account) % 10**18)


def within(call: Call, time_ns: int) -> bool:
    """Return whether a time is in the period that is asked for."""
    query = cast("OkxQuery", call.query)
    begin, end = query.get("begin"), query.get("end")
    return (not begin.isdecimal() or time_ns // _MS_NS >= int(begin)) and (
        not end.isdecimal() or time_ns // _MS_NS <= int(end)
    )


def page(call: Call, rows: list[RowT], number_of: Callable[[RowT], int]) -> list[RowT]:
    """Return the newest of what the cursors leave."""
    query = cast("OkxQuery", call.query)
    after, before, limit = query.get("after"), query.get("before"), query.get("limit")
    if after.isdecimal():
        rows = [each for each in rows if number_of(each) < int(after)]
    if before.isdecimal():
        rows = [each for each in rows if number_of(each) > int(before)]
    most = min(int(limit), MOST_ROWS) if limit.isdecimal() and int(limit) else MOST_ROWS
    return rows[::-1][:most]
