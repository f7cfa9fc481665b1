"""Orders, fills and events as Binance USD-M writes them: REST, websocket API, user data stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.flow_symbols import E8, e8_text
from citadel_micro.simulator.binance_usdm.texts import cut, decimals, price, size

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import Fill, Order, OrderEvent
    from citadel_micro.sim.flow_symbols import SymbolSpec

Json = dict[str, Any]
MS_NS: Final = 1_000_000
_CAUSES: Final = {"REPLACED": "AMENDMENT", "TRADE_PREVENTION": "EXPIRED", "REJECTED": "EXPIRED"}
_EXPIRY: Final = {"LIQUIDITY": 5, "GTD": 1, "REDUCE_ONLY": 3, "STP": 8}
_OURS: Final = {"liquidation", "adl"}


def average(spec: SymbolSpec, order: Order) -> str:
    """Return the average price of an order's fills."""
    base = order.filled_lots * spec.lot_e8
    value = order.filled_quote_e8 * E8 // base if base else 0
    return cut(value, max(decimals(spec.tick_e8), 2) if not base else 8)


def _good_till(order: Order) -> int:
    return order.good_till_ns // MS_NS


def state(spec: SymbolSpec, order: Order) -> Json:
    """Return what all answers about an order have."""
    return {
        "orderId": order.order_id,
        "symbol": spec.venue_symbol,
        "status": order.status,
        "clientOrderId": order.client_id,
        "price": price(spec, order.ticks),
        "avgPrice": average(spec, order),
        "origQty": size(spec, order.lots),
        "executedQty": size(spec, order.filled_lots),
        "cumQuote": e8_text(order.filled_quote_e8),
        "timeInForce": order.time_in_force,
        "type": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": False,
        "side": order.side,
        "positionSide": "BOTH",
        "stopPrice": price(spec, order.stop_ticks),
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": order.type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.stp,
        "goodTillDate": _good_till(order),
    }


def placed(spec: SymbolSpec, order: Order, *, result: bool) -> Json:
    """Return the answer to a placed order: with its ``result``, or as it came."""
    if not result:
        order = order.snapshot()
        order.status, order.filled_lots, order.filled_quote_e8 = "NEW", 0, 0
    return changed(spec, order)


def changed(spec: SymbolSpec, order: Order) -> Json:
    """Return the answer to an order that was placed, modified or canceled."""
    body = state(spec, order)
    body["cumQty"] = body["executedQty"]
    return body | {"updateTime": order.update_ns // MS_NS}


def queried(spec: SymbolSpec, order: Order) -> Json:
    """Return an order as queries show it."""
    times = {"time": order.time_ns // MS_NS, "updateTime": order.update_ns // MS_NS}
    return state(spec, order) | times


def user_trade(spec: SymbolSpec, fill: Fill) -> Json:
    """Return a fill as ``userTrades`` shows it. It has no client order id."""
    return {
        "symbol": spec.venue_symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": fill.side,
        "price": price(spec, fill.ticks),
        "qty": size(spec, fill.lots),
        "realizedPnl": e8_text(fill.realised_e8),
        "quoteQty": e8_text(fill.quote_e8),
        "commission": e8_text(fill.fee_e8),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ns // MS_NS,
        "positionSide": "BOTH",
        "buyer": fill.side == "BUY",
        "maker": fill.maker,
    }


# ---------------------------------------------------------------------- user data stream


def order_update(spec: SymbolSpec, event: OrderEvent) -> Json:
    """Return ``ORDER_TRADE_UPDATE``."""
    order, fill = event.order, event.fill
    time_ms = event.time_ns // MS_NS
    cause: str = _CAUSES.get(event.cause, event.cause)
    if event.cause == "TRADE" and order.origin in _OURS:
        cause = "CALCULATED"
    body: Json = {
        "s": spec.venue_symbol,
        "c": order.client_id,
        "S": order.side,
        "o": "LIQUIDATION" if order.origin in _OURS else order.type,
        "f": order.time_in_force,
        "q": size(spec, order.lots),
        "p": price(spec, order.ticks),
        "ap": average(spec, order),
        "sp": price(spec, order.stop_ticks),
        "x": cause,
        "X": order.status,
        "i": order.order_id,
        "l": size(spec, fill.lots if fill else 0),
        "z": size(spec, order.filled_lots),
        "L": price(spec, fill.ticks if fill else 0),
    }
    if fill is not None:
        body |= {"n": e8_text(fill.fee_e8), "N": fill.fee_asset}
    body |= {
        "T": time_ms,
        "t": fill.trade_id if fill else 0,
        "b": "0",
        "a": "0",
        "m": fill.maker if fill else False,
        "R": order.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": order.type,
        "ps": "BOTH",
        "cp": False,
        "rp": e8_text(fill.realised_e8 if fill else 0),
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": order.stp,
        "pm": "NONE",
        "gtd": _good_till(order),
        "er": str(_EXPIRY.get(order.expiry, 0)) if order.status.startswith("EXPIRED") else "0",
    }
    return {"e": "ORDER_TRADE_UPDATE", "E": time_ms, "T": time_ms, "o": body}


def trade_lite(spec: SymbolSpec, order: Order, fill: Fill) -> Json:
    """Return ``TRADE_LITE``: the fill alone, without fee and totals."""
    time_ms = fill.time_ns // MS_NS
    return {
        "e": "TRADE_LITE",
        "E": time_ms,
        "T": time_ms,
        "s": spec.venue_symbol,
        "q": size(spec, order.lots),
        "p": price(spec, order.ticks),
        "m": fill.maker,
        "c": order.client_id,
        "S": order.side,
        "L": price(spec, fill.ticks),
        "l": size(spec, fill.lots),
        "t": fill.trade_id,
        "i": order.order_id,
    }


def force_order(spec: SymbolSpec, order: Order, fill: Fill) -> Json:
    """Return the public event of a liquidation."""
    time_ms = fill.time_ns // MS_NS
    return {
        "e": "forceOrder",
        "E": time_ms,
        "o": {
            "s": spec.venue_symbol,
            "S": order.side,
            "o": "LIMIT",
            "f": "IOC",
            "q": size(spec, order.lots),
            "p": price(spec, fill.ticks),
            "ap": average(spec, order),
            "X": order.status,
            "l": size(spec, fill.lots),
            "z": size(spec, order.filled_lots),
            "T": time_ms,
        },
    }
