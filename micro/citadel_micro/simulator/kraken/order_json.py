"""Orders, executions and balances as Kraken writes them: v2 messages with numbers, REST with texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.simulator.kraken.names import (
    asset_id,
    decimals,
    fixed,
    number,
    order_name,
    pair_id,
    seconds,
    stamp,
    trade_name,
)

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import Fill, Order
    from citadel_micro.sim.flow_symbols import SymbolSpec

Json = dict[str, Any]
REASONS: Final = {
    "LIQUIDITY": "Order could not be filled",
    "STP": "Self trade prevention",
    "GTD": "Order expired",
    "TIMER": "Cancel all orders after timeout",
}
_NO_CLIENT_ID: Final = "sim"
"""The exchange names orders without a client id so; they have none at Kraken."""


def client_id(order: Order) -> str:
    """Return what the client called it; empty where it did not."""
    return "" if order.client_id == f"{_NO_CLIENT_ID}{order.order_id}" else order.client_id


def price(spec: SymbolSpec, ticks: int) -> str:
    """Write a price with the pair's decimals."""
    return fixed(ticks * spec.tick_e8, decimals(spec.tick_e8))


def size(spec: SymbolSpec, lots: int) -> str:
    """Write a size with eight decimals, as REST does."""
    return fixed(lots * spec.lot_e8, 8)


def kind(order: Order) -> str:
    """Return the order's type."""
    return "market" if order.type == "MARKET" else "limit"


def order_status(order: Order) -> str:
    """Return the status of v2."""
    return {
        "NEW": "new",
        "PARTIALLY_FILLED": "partially_filled",
        "FILLED": "filled",
        "EXPIRED": "expired" if order.expiry == "GTD" else "canceled",
    }.get(order.status, "canceled")


def average_e8(spec: SymbolSpec, order: Order) -> int:
    """Return the average price of its fills in 1e-8."""
    base = order.filled_lots * spec.lot_e8
    return order.filled_quote_e8 * 100_000_000 // base if base else 0


# ---------------------------------------------------------------------- the websocket


def _named(order: Order) -> Json:
    name = client_id(order)
    return {"order_id": order_name(order.order_id), "order_userref": 0} | (
        {"cl_ord_id": name} if name else {}
    )


def _sums(spec: SymbolSpec, order: Order) -> Json:
    return {
        "cum_qty": number(order.filled_lots * spec.lot_e8),
        "cum_cost": number(order.filled_quote_e8),
        "avg_price": number(average_e8(spec, order)),
    }


def whole(spec: SymbolSpec, order: Order, exec_type: str, status: str) -> Json:
    """Return a report with everything: of a new order, or in a snapshot."""
    body = _named(order) | {
        "symbol": spec.symbol,
        "side": order.side.lower(),
        "order_type": kind(order),
        "order_qty": number(order.lots * spec.lot_e8),
        "time_in_force": "GTC" if order.time_in_force == "GTX" else order.time_in_force,
        "exec_type": exec_type,
        "order_status": status,
        "limit_price_type": "static",
        "post_only": order.type == "LIMIT_MAKER",
        "reduce_only": False,
        "margin": False,
        "fee_ccy_pref": "fciq",
        "timestamp": stamp(order.update_ns),
    }
    if order.ticks:
        body["limit_price"] = number(order.ticks * spec.tick_e8)
    return body | _sums(spec, order)


def accepted(order: Order) -> Json:
    """Return the report that an order is live: it names it, and little else."""
    return {
        "order_id": order_name(order.order_id),
        "order_userref": 0,
        "exec_type": "new",
        "order_status": "new",
        "timestamp": stamp(order.update_ns),
    }


def traded(spec: SymbolSpec, order: Order, fill: Fill) -> Json:
    """Return the report of a fill: the last one, too, says ``partially_filled``."""
    return _named(order) | {
        "exec_id": trade_name(fill.trade_id, maker=fill.maker),
        "exec_type": "trade",
        "trade_id": fill.trade_id,
        "symbol": spec.symbol,
        "side": fill.side.lower(),
        "order_type": kind(order),
        "last_qty": number(fill.lots * spec.lot_e8),
        "last_price": number(fill.ticks * spec.tick_e8),
        "liquidity_ind": "m" if fill.maker else "t",
        "cost": number(fill.quote_e8),
        "order_status": "partially_filled",
        "fees": [{"asset": fill.fee_asset, "qty": number(fill.fee_e8)}],
        "timestamp": stamp(fill.time_ns),
    }


def changed(spec: SymbolSpec, order: Order, exec_type: str) -> Json:
    """Return the report of an end or an amend: what has changed, without the pair."""
    body = {
        "order_id": order_name(order.order_id),
        "order_userref": 0,
        "exec_type": exec_type,
        "order_status": order_status(order),
        "order_qty": number(order.lots * spec.lot_e8),
        "timestamp": stamp(order.update_ns),
    } | _sums(spec, order)
    if exec_type == "amended":
        body["limit_price"] = number(order.ticks * spec.tick_e8)
    if exec_type in {"canceled", "expired"}:
        body["reason"] = reason(order)
    return body


def reason(order: Order) -> str:
    """Return why an order has ended."""
    if order.cancel_id == "TIMER":
        return REASONS["TIMER"]
    return REASONS.get(order.expiry, "User requested")


def balance_row(asset: str, total_e8: int) -> Json:
    """Return one asset of a snapshot of balances."""
    held = number(total_e8)
    return {
        "asset": asset,
        "asset_class": "currency",
        "balance": held,
        "wallets": [{"type": "spot", "id": "main", "balance": held}],
    }


# ---------------------------------------------------------------------- REST


def description(spec: SymbolSpec, order: Order) -> str:
    """Return an order in a sentence."""
    text = f"{order.side.lower()} {size(spec, order.lots)} {pair_id(spec)} @ {kind(order)}"
    return f"{text} {price(spec, order.ticks)}" if order.ticks else text


def order_row(spec: SymbolSpec, order: Order, trades: list[Fill] | None) -> Json:
    """Return an order of OpenOrders, ClosedOrders or QueryOrders; ``trades`` to list its fills."""
    status = {"new": "open", "partially_filled": "open", "filled": "closed"}.get(
        order_status(order), order_status(order)
    )
    name = client_id(order)
    row: Json = {
        "refid": None,
        "userref": None,
        "status": status,
        "opentm": seconds(order.time_ns),
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": pair_id(spec),
            "type": order.side.lower(),
            "ordertype": kind(order),
            "price": price(spec, order.ticks) if order.ticks else "0",
            "price2": "0",
            "leverage": "none",
            "order": description(spec, order),
            "close": "",
        },
        "vol": size(spec, order.lots),
        "vol_exec": size(spec, order.filled_lots),
        "cost": fixed(order.filled_quote_e8, 8),
        "fee": fixed(sum(each.fee_e8 for each in trades or ()), 8),
        "price": fixed(average_e8(spec, order), 8),
        "stopprice": "0.00000",
        "limitprice": "0.00000",
        "misc": "",
        "oflags": "fciq,post" if order.type == "LIMIT_MAKER" else "fciq",
    }
    if name:
        row["cl_ord_id"] = name
    if not order.open:
        row["closetm"] = seconds(order.update_ns)
        row["reason"] = None if status == "closed" else reason(order)
    if trades is not None:
        row["trades"] = [trade_name(each.trade_id, maker=each.maker) for each in trades]
    return row


def trade_row(spec: SymbolSpec, fill: Fill, order: Order) -> Json:
    """Return a fill of TradesHistory or QueryTrades."""
    return {
        "ordertxid": order_name(fill.order_id),
        "postxid": "TKH2SE-M7IF5-CFI7LT",
        "pair": pair_id(spec),
        "aclass": "forex",
        "time": seconds(fill.time_ns),
        "type": fill.side.lower(),
        "ordertype": kind(order),
        "price": price(spec, fill.ticks),
        "cost": fixed(fill.quote_e8, 8),
        "fee": fixed(fill.fee_e8, 8),
        "vol": size(spec, fill.lots),
        "margin": "0.00000",
        "misc": "",
        "trade_id": fill.trade_id,
        "maker": fill.maker,
    }


def balances(rows: dict[str, tuple[int, int]]) -> Json:
    """Return BalanceEx."""
    return {
        asset_id(coin): {"balance": fixed(free + used, 8), "hold_trade": fixed(used, 8)}
        for coin, (free, used) in rows.items()
    }
