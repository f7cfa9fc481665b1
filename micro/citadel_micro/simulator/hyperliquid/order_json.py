"""Orders, fills and positions as Hyperliquid writes them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.futures import BRACKETS, bracket_of
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.hyperliquid.universe import MAX_LEVERAGE, QUOTE, wire

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.exchange.model import Fill, Order, PositionView
    from citadel_micro.simulator.hyperliquid.universe import Perp

Json = dict[str, Any]
MS_NS: Final = 1_000_000
MARGIN_TABLE: Final = 1
_TIFS: Final = {"GTX": "Alo", "IOC": "Ioc"}
_CANCELED: Final = {"COUNTDOWN": "scheduledCancel", "LIQUIDATION": "liquidatedCanceled"}
_EXPIRED: Final = {"REDUCE_ONLY": "reduceOnlyCanceled", "STP": "selfTradeCanceled"}


def status_of(order: Order) -> str:
    """Return an order's status in the venue's words."""
    if order.open:
        return "open"
    match order.status:
        case "FILLED":
            return "filled"
        case "CANCELED":
            return _CANCELED.get(order.expiry, "canceled")
        case "EXPIRED_IN_MATCH":
            return "selfTradeCanceled"
        case "REJECTED":
            return "rejected"
    known = _EXPIRED.get(order.expiry)
    return known or ("canceled" if order.filled_lots else "iocCancelRejected")


def cloid(name: str) -> str | None:
    """Return the client id that an order was given, if it was."""
    return name if name.startswith("0x") else None


def order_row(perp: Perp, order: Order) -> Json:
    """Return an order; ``sz`` is what is left of it."""
    spec = perp.spec
    row: Json = {
        "coin": perp.coin,
        "side": "B" if order.side == "BUY" else "A",
        "limitPx": wire(order.ticks * spec.tick_e8),
        "sz": wire((order.lots - order.filled_lots) * spec.lot_e8),
        "oid": order.order_id,
        "timestamp": order.time_ns // MS_NS,
        "origSz": wire(order.lots * spec.lot_e8),
    }
    name = cloid(order.client_id)
    return row if name is None else row | {"cloid": name}


def full_row(perp: Perp, order: Order) -> Json:
    """Return an order as the front end's queries show it."""
    return order_row(perp, order) | {
        "triggerCondition": "N/A",
        "isTrigger": False,
        "triggerPx": "0.0",
        "children": [],
        "isPositionTpsl": False,
        "reduceOnly": order.reduce_only,
        "orderType": "Limit",
        "tif": _TIFS.get(order.time_in_force, "Gtc"),
        "cloid": cloid(order.client_id),
    }


def with_status(perp: Perp, order: Order, *, full: bool = True) -> Json:
    """Return an order with its status and since when it has it."""
    row = full_row(perp, order) if full else order_row(perp, order)
    return {
        "order": row,
        "status": status_of(order),
        "statusTimestamp": order.update_ns // MS_NS,
    }


def placed(perp: Perp, order: Order) -> Json:
    """Return the status of a new order: it rests, is filled, or could not be matched."""
    spec, name = perp.spec, cloid(order.client_id)
    named: Json = (
        {"oid": order.order_id} if name is None else {"oid": order.order_id, "cloid": name}
    )
    if order.open:
        return {"resting": named}
    if not order.filled_lots:
        text = "Order could not immediately match against any resting orders."
        return {"error": f"{text} asset={perp.number}"}
    average = order.filled_quote_e8 * E8 // (order.filled_lots * spec.lot_e8)
    return {
        "filled": {
            "totalSz": wire(order.filled_lots * spec.lot_e8),
            "avgPx": wire(average),
            **named,
        }
    }


def fill_row(perp: Perp, fill: Fill, before_lots: int, origin: str, owner: str) -> Json:
    """Return a fill. ``before_lots``: the position that it has changed."""
    spec = perp.spec
    sign = 1 if fill.side == "BUY" else -1
    after = before_lots + sign * fill.lots
    row: Json = {
        "coin": perp.coin,
        "px": wire(fill.ticks * spec.tick_e8),
        "sz": wire(fill.lots * spec.lot_e8),
        "side": "B" if sign > 0 else "A",
        "time": fill.time_ns // MS_NS,
        "startPosition": wire(before_lots * spec.lot_e8),
        "dir": "Auto-Deleveraging" if origin == "adl" else _direction(before_lots, after),
        "closedPnl": wire(fill.realised_e8),
        "hash": f"0x{hashlib.sha256(f'{fill.trade_id}'.encode()).hexdigest()}",
        "oid": fill.order_id,
        "crossed": not fill.maker,
        "fee": wire(fill.fee_e8),
        "tid": fill.trade_id,
        "feeToken": QUOTE if fill.fee_asset != "BNB" else fill.fee_asset,
    }
    name = cloid(fill.client_id)
    if name is not None:
        row["cloid"] = name
    if origin == "liquidation":
        row["liquidation"] = {"liquidatedUser": owner, "markPx": row["px"], "method": "market"}
    return row


def _direction(before: int, after: int) -> str:
    if before and after and (before > 0) is not (after > 0):
        return "Long > Short" if before > 0 else "Short > Long"
    long = (before or after) > 0
    return f"{'Open' if abs(after) > abs(before) else 'Close'} {'Long' if long else 'Short'}"


# ---------------------------------------------------------------------- money


def margin_used(exchange: FuturesExchange, view: PositionView) -> int:
    """Return what a position has of the wallet, in 1e-8: an isolated one with its profit."""
    if view.isolated:
        return view.margin_e8 + view.unrealised_e8
    return -(-notional(exchange, view) // view.leverage)


def notional(exchange: FuturesExchange, view: PositionView) -> int:
    """Return a position's value at the mark price, in 1e-8."""
    return abs(view.lots) * exchange.rules[view.symbol].spec.lot_e8 * view.mark_e8 // E8


def _position(exchange: FuturesExchange, perp: Perp, view: PositionView) -> Json:
    used = margin_used(exchange, view)
    worth = notional(exchange, view)
    leverage: Json = {
        "type": "isolated" if view.isolated else "cross",
        "value": view.leverage,
    }
    if view.isolated:
        sign = 1 if view.lots > 0 else -1
        leverage["rawUsd"] = wire(used - sign * worth)
    return {
        "type": "oneWay",
        "position": {
            "coin": perp.coin,
            "szi": wire(view.lots * perp.spec.lot_e8),
            "leverage": leverage,
            "entryPx": wire(view.entry_e8),
            "positionValue": wire(worth),
            "unrealizedPnl": wire(view.unrealised_e8),
            "returnOnEquity": wire(view.unrealised_e8 * E8 // used if used else 0),
            "liquidationPx": wire(view.liquidation_e8) if view.liquidation_e8 else None,
            "marginUsed": wire(used),
            "maxLeverage": MAX_LEVERAGE,
            "cumFunding": {"allTime": "0.0", "sinceOpen": "0.0", "sinceChange": "0.0"},
        },
    }


def clearing(exchange: FuturesExchange, account: str, perps: dict[str, Perp]) -> Json:
    """Return ``clearinghouseState``."""
    views = exchange.positions(account)
    wallet = sum(exchange.balances(account).get(QUOTE, (0, 0)))
    value = wallet + sum(view.unrealised_e8 for view in views)
    worth = sum(notional(exchange, view) for view in views)
    signed = sum(notional(exchange, view) * (1 if view.lots > 0 else -1) for view in views)
    locked = sum(order.lock_e8 for order in exchange.open_orders(account))
    used = locked + sum(margin_used(exchange, view) for view in views)
    maintenance = 0
    for view in views:
        bracket = bracket_of(notional(exchange, view))
        maintenance += notional(exchange, view) * bracket.rate_e8 // E8 - bracket.less_e8
    summary = {
        "accountValue": wire(value),
        "totalNtlPos": wire(worth),
        "totalRawUsd": wire(value - signed),
        "totalMarginUsed": wire(used),
    }
    return {
        "marginSummary": summary,
        "crossMarginSummary": dict(summary),
        "crossMaintenanceMarginUsed": wire(max(maintenance, 0)),
        "withdrawable": wire(exchange.available(account, QUOTE)),
        "assetPositions": [_position(exchange, perps[view.symbol], view) for view in views],
        "time": exchange.now_ns // MS_NS,
    }


def margin_tables() -> list[Any]:
    """Return the exchange's brackets: the maintenance rate is half of one over the leverage."""
    tiers = [{"lowerBound": wire(each.floor_e8), "maxLeverage": each.leverage} for each in BRACKETS]
    return [[MARGIN_TABLE, {"description": "tiered", "marginTiers": tiers}]]
