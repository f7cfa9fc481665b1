"""Orders, fills and events as Binance spot writes them: REST, websocket API, user data stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.model import STOP_TYPES
from citadel_micro.sim.flow_symbols import e8_text
from citadel_micro.sim.rng import key_of

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import (
        BalanceEvent,
        Fill,
        Order,
        OrderEvent,
        Prevention,
    )
    from citadel_micro.sim.flow_symbols import SymbolSpec

Json = dict[str, Any]
MS_NS: Final = 1_000_000
_NO_LIST: Final = -1
_EXPIRY: Final = {
    "LIQUIDITY": "INSUFFICIENT_LIQUIDITY",
    "IOC": "UNFILLED_IOC_QUANTITY_EXPIRED",
    "FOK": "UNFILLED_FOK_ORDER_EXPIRED",
    "FUNDS": "REJECTED",
    "FILTER": "REJECTED",
    "OPERATOR": "EXCHANGE_CANCELED",
}


def expiry_reason(order: Order) -> str | None:
    """Return why an order expired, in Binance's words; None for self-trade prevention."""
    if order.status != "EXPIRED":
        return None
    if order.time_in_force in {"IOC", "FOK"} and order.expiry in {"LIQUIDITY", "IOC", "FOK"}:
        return _EXPIRY[order.time_in_force]
    return _EXPIRY.get(order.expiry, "EXCHANGE_CANCELED")


def ack(spec: SymbolSpec, order: Order, time_ns: int) -> Json:
    """Return what a placed order is answered with at least."""
    return {
        "symbol": spec.venue_symbol,
        "orderId": order.order_id,
        "orderListId": _NO_LIST,
        "clientOrderId": order.client_id,
        "transactTime": time_ns // MS_NS,
    }


def _state(spec: SymbolSpec, order: Order) -> Json:
    return {
        "price": spec.price_text(order.ticks),
        "origQty": spec.size_text(order.lots),
        "executedQty": spec.size_text(order.filled_lots),
        "origQuoteOrderQty": e8_text(order.quote_e8),
        "cummulativeQuoteQty": e8_text(order.filled_quote_e8),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
    }


def _extras(spec: SymbolSpec, order: Order) -> Json:
    """Return the fields that only some orders have."""
    extra: Json = {}
    if order.type in STOP_TYPES:
        extra["stopPrice"] = spec.price_text(order.stop_ticks)
    if order.visible_lots:
        extra["icebergQty"] = spec.size_text(order.visible_lots)
    if order.prevented_lots:
        extra["preventedQuantity"] = spec.size_text(order.prevented_lots)
    reason = expiry_reason(order)
    if reason is not None:
        extra["expiryReason"] = reason
    return extra


def placed(spec: SymbolSpec, order: Order, fills: tuple[Fill, ...], *, kind: str) -> Json:
    """Return the answer to a placed order: ``kind`` is ACK, RESULT or FULL."""
    body = ack(spec, order, order.update_ns)
    if kind == "ACK":
        return body
    body |= _state(spec, order)
    if order.working:
        body["workingTime"] = order.working_ns // MS_NS
    if kind == "FULL":
        body["fills"] = [
            {
                "price": spec.price_text(fill.ticks),
                "qty": spec.size_text(fill.lots),
                "commission": e8_text(fill.fee_e8),
                "commissionAsset": fill.fee_asset,
                "tradeId": fill.trade_id,
            }
            for fill in fills
        ]
    body["selfTradePreventionMode"] = order.stp
    return body | _extras(spec, order)


def canceled(spec: SymbolSpec, order: Order) -> Json:
    """Return the answer to a cancel: the cancel's own id, and the order's as the original."""
    head = {"symbol": spec.venue_symbol, "origClientOrderId": order.client_id}
    body = head | ack(spec, order, order.update_ns) | {"clientOrderId": order.cancel_id}
    return body | _state(spec, order) | {"selfTradePreventionMode": order.stp}


def queried(spec: SymbolSpec, order: Order) -> Json:
    """Return an order as queries show it."""
    body = {
        "symbol": spec.venue_symbol,
        "orderId": order.order_id,
        "orderListId": _NO_LIST,
        "clientOrderId": order.client_id,
        **_state(spec, order),
        "stopPrice": spec.price_text(order.stop_ticks),
        "icebergQty": spec.size_text(order.visible_lots),
        "time": order.time_ns // MS_NS,
        "updateTime": order.update_ns // MS_NS,
        "isWorking": order.working,
        "workingTime": order.working_ns // MS_NS if order.working else -1,
        "selfTradePreventionMode": order.stp,
    }
    return body | _extras(spec, order)


def amended(spec: SymbolSpec, order: Order, original: str, execution_id: int) -> Json:
    """Return the answer to an amended quantity; ``original`` is the client id it had before."""
    return {
        "transactTime": order.update_ns // MS_NS,
        "executionId": execution_id,
        "amendedOrder": {
            "symbol": spec.venue_symbol,
            "orderId": order.order_id,
            "orderListId": _NO_LIST,
            "origClientOrderId": original,
            "clientOrderId": order.client_id,
            "price": spec.price_text(order.ticks),
            "qty": spec.size_text(order.lots),
            "executedQty": spec.size_text(order.filled_lots),
            "preventedQty": spec.size_text(order.prevented_lots),
            "quoteOrderQty": e8_text(order.quote_e8),
            "cumulativeQuoteQty": e8_text(order.filled_quote_e8),
            "status": order.status,
            "timeInForce": order.time_in_force,
            "type": order.type,
            "side": order.side,
            "workingTime": order.working_ns // MS_NS,
            "selfTradePreventionMode": order.stp,
        },
    }


def my_trade(spec: SymbolSpec, fill: Fill) -> Json:
    """Return a fill as ``myTrades`` shows it. It has no client order id."""
    return {
        "symbol": spec.venue_symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": _NO_LIST,
        "price": spec.price_text(fill.ticks),
        "qty": spec.size_text(fill.lots),
        "quoteQty": e8_text(fill.quote_e8),
        "commission": e8_text(fill.fee_e8),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ns // MS_NS,
        "isBuyer": fill.side == "BUY",
        "isMaker": fill.maker,
        "isBestMatch": True,
    }


def prevented(spec: SymbolSpec, item: Prevention) -> Json:
    """Return a prevented self-trade as ``myPreventedMatches`` shows it."""
    return {
        "symbol": spec.venue_symbol,
        "preventedMatchId": item.prevented_id,
        "takerOrderId": item.taker_order_id,
        "makerSymbol": spec.venue_symbol,
        "makerOrderId": item.maker_order_id,
        "tradeGroupId": -1,
        "selfTradePreventionMode": item.stp,
        "price": spec.price_text(item.ticks),
        "takerPreventedQuantity": spec.size_text(item.taker_lots),
        "makerPreventedQuantity": spec.size_text(item.maker_lots),
        "transactTime": item.time_ns // MS_NS,
    }


# ---------------------------------------------------------------------- user data stream


def execution_report(spec: SymbolSpec, event: OrderEvent, original: str) -> Json:
    """Return ``executionReport``; ``original`` is the id that a cancel or an amend replaced."""
    order, fill = event.order, event.fill
    time_ms = event.time_ns // MS_NS
    is_cancel = event.cause == "CANCELED"
    body: Json = {
        "e": "executionReport",
        "E": time_ms,
        "s": spec.venue_symbol,
        "c": order.cancel_id if is_cancel else order.client_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": spec.size_text(order.lots),
        "p": spec.price_text(order.ticks),
        "P": spec.price_text(order.stop_ticks),
        "F": spec.size_text(order.visible_lots),
        "g": _NO_LIST,
        "C": order.client_id if is_cancel else original,
        "x": event.cause,
        "X": order.status,
        "r": "NONE",
        "i": order.order_id,
        "l": spec.size_text(fill.lots if fill else 0),
        "z": spec.size_text(order.filled_lots),
        "L": spec.price_text(fill.ticks if fill else 0),
        "n": e8_text(fill.fee_e8) if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": time_ms,
        "t": fill.trade_id if fill else -1,
        "I": event.sequence,
        "w": order.open and order.working,
        "m": fill.maker if fill else False,
        "M": fill is not None,
        "O": order.time_ns // MS_NS,
        "Z": e8_text(order.filled_quote_e8),
        "Y": e8_text(fill.quote_e8 if fill else 0),
        "Q": e8_text(order.quote_e8),
        "V": order.stp,
    }
    if order.working:
        body["W"] = order.working_ns // MS_NS
    prevention = event.prevention
    if prevention is not None:
        is_taker = prevention.taker_order_id == order.order_id
        lots = prevention.taker_lots if is_taker else prevention.maker_lots
        counter = prevention.maker_order_id if is_taker else prevention.taker_order_id
        body |= {
            "v": prevention.prevented_id,
            "A": spec.size_text(order.prevented_lots),
            "B": spec.size_text(lots),
            "u": -1,
            "U": counter,
            "Cs": spec.venue_symbol,
            "pl": spec.size_text(lots),
            "pL": spec.price_text(prevention.ticks),
            "pY": spec.quote_text(prevention.ticks * lots),
        }
    reason = expiry_reason(order)
    if reason is not None and event.cause == "EXPIRED":
        body["eR"] = reason
    return body


def balance_events(event: BalanceEvent) -> list[Json]:
    """Return the events of a balance change: a delta if money came or went, and the balances."""
    time_ms = event.time_ns // MS_NS
    out: list[Json] = []
    if event.delta_e8:
        out.append(
            {
                "e": "balanceUpdate",
                "E": time_ms,
                "a": event.balances[0][0],
                "d": e8_text(event.delta_e8),
                "T": time_ms,
            },
        )
    out.append(
        {
            "e": "outboundAccountPosition",
            "E": time_ms,
            "u": time_ms,
            "B": [
                {"a": asset, "f": e8_text(free), "l": e8_text(locked)}
                for asset, free, locked in event.balances
            ],
        },
    )
    return out


def number_of(text: str) -> int:
    """Return a whole number of nine digits that stands for a text."""
    return 100_000_000 + key_of(text) % 900_000_000
