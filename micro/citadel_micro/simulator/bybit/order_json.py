"""Orders, executions and balances as Bybit writes them, over REST and on the private stream alike.

Fields of the venue's pages "Order", "Execution" and "Wallet" (websocket) and of the REST pages with the
same rows. Numbers are texts without trailing zeros, times texts of milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.flow_symbols import E8

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.sim.exchange.model import Fill, Order
    from citadel_micro.sim.flow_symbols import SymbolSpec

Json = dict[str, Any]
SPOT: Final = "spot"
LINEAR: Final = "linear"
POST_ONLY: Final = "POST_ONLY"
"""``Order.expiry`` of a post-only order that was accepted and would have taken."""
_MS_NS: Final = 1_000_000
_SIDES: Final = {"BUY": "Buy", "SELL": "Sell"}
_OPEN: Final = {"NEW": "New", "PARTIALLY_FILLED": "PartiallyFilled", "FILLED": "Filled"}
_REASONS: Final = {
    "IOC": "EC_NoImmediateQtyToFill",
    "FOK": "EC_CancelForNoFullFill",
    "LIQUIDITY": "EC_NoImmediateQtyToFill",
    POST_ONLY: "EC_PostOnlyWillTakeLiquidity",
}
_CREATED: Final = {"liquidation": "CreateByLiq", "adl": "CreateByAdl_PassThrough"}
_EXECUTED: Final = {"liquidation": "BustTrade", "adl": "AdlTrade"}
_SMP: Final = {
    "NONE": "None",
    "EXPIRE_TAKER": "CancelTaker",
    "EXPIRE_MAKER": "CancelMaker",
    "EXPIRE_BOTH": "CancelBoth",
    "DECREMENT": "None",
}


def plain(value_e8: int) -> str:
    """Return an amount in 1e-8 as text, without trailing zeros."""
    sign, value = ("-", -value_e8) if value_e8 < 0 else ("", value_e8)
    whole, rest = divmod(value, E8)
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{rest:08d}".rstrip("0")


def price(spec: SymbolSpec, ticks: int) -> str:
    """Return a price of so many ticks."""
    return plain(ticks * spec.tick_e8)


def size(spec: SymbolSpec, lots: int) -> str:
    """Return a quantity of so many lots."""
    return plain(lots * spec.lot_e8)


def link_id(order: Order) -> str:
    """Return the id that the client gave an order; empty where it gave none, or was not asked."""
    given = order.origin in {"client", "foreign"} and order.client_id != f"sim{order.order_id}"
    return order.client_id if given else ""


def status(order: Order) -> str:
    """Return an order's status in Bybit's words."""
    known = _OPEN.get(order.status)
    if known is not None:
        return known
    if order.expiry == POST_ONLY or order.status == "REJECTED":
        return "Rejected"
    return "PartiallyFilledCanceled" if order.filled_lots else "Cancelled"


def _time_in_force(order: Order) -> str:
    if order.type == "LIMIT_MAKER" or order.time_in_force == "GTX":
        return "PostOnly"
    return "IOC" if order.type == "MARKET" else order.time_in_force


def _cancel_type(order: Order) -> str:
    if order.status == "CANCELED" and not order.expiry:
        return "CancelByUser"
    if order.expiry == "REDUCE_ONLY":
        return "CancelByReduceOnly"
    return "CancelBySmp" if order.status == "EXPIRED_IN_MATCH" else "UNKNOWN"


def order_row(spec: SymbolSpec, order: Order, fees: Mapping[str, int]) -> Json:
    """Return an order. ``fees`` in 1e-8 by coin."""
    is_market = order.type == "MARKET"
    by_quote = is_market and order.quote_e8
    done = order.filled_lots * spec.lot_e8
    average = order.filled_quote_e8 * E8 // done if done else 0
    left = order.left if order.open else 0
    shown = plain(order.quote_e8) if by_quote else size(spec, order.lots)
    return {
        "symbol": spec.venue_symbol,
        "orderId": str(order.order_id),
        "orderLinkId": link_id(order),
        "blockTradeId": "",
        "side": _SIDES[order.side],
        "positionIdx": 0,
        "orderStatus": status(order),
        "createType": _CREATED.get(order.origin, "CreateByUser"),
        "cancelType": _cancel_type(order),
        "rejectReason": _REASONS.get(order.expiry, "EC_NoError"),
        "timeInForce": _time_in_force(order),
        "isLeverage": "0",
        "price": "0" if is_market else price(spec, order.ticks),
        "qty": shown,
        "avgPrice": plain(average) if done else "",
        "leavesQty": size(spec, left),
        "leavesValue": plain(left * order.ticks * spec.tick_e8 * spec.lot_e8 // E8),
        "cumExecQty": size(spec, order.filled_lots),
        "cumExecValue": plain(order.filled_quote_e8),
        "cumExecFee": plain(sum(fees.values())),
        "cumFeeDetail": {coin: plain(fee) for coin, fee in fees.items()},
        "orderType": "Market" if is_market else "Limit",
        "stopOrderType": "",
        "orderIv": "",
        "marketUnit": ("quoteCoin" if by_quote else "baseCoin") if is_market else "",
        "triggerPrice": "0.00",
        "takeProfit": "0.00",
        "stopLoss": "0.00",
        "triggerDirection": 0,
        "triggerBy": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "lastPriceOnCreated": "",
        "reduceOnly": order.reduce_only,
        "closeOnTrigger": False,
        "placeType": "",
        "smpType": _SMP[order.stp],
        "smpGroup": 0,
        "smpOrderId": "",
        "createdTime": str(order.time_ns // _MS_NS),
        "updatedTime": str(order.update_ns // _MS_NS),
    }


def execution_row(spec: SymbolSpec, fill: Fill, order: Order) -> Json:
    """Return a fill. ``order`` as it was after it, or later."""
    rate = fill.fee_e8 * E8 // max(fill.quote_e8 if fill.fee_asset == spec.quote else 1, 1)
    return {
        "symbol": spec.venue_symbol,
        "orderId": str(fill.order_id),
        "orderLinkId": link_id(order),
        "side": _SIDES[fill.side],
        "orderPrice": price(spec, order.ticks),
        "orderQty": size(spec, order.lots),
        "leavesQty": size(spec, order.left),
        "createType": _CREATED.get(order.origin, "CreateByUser"),
        "orderType": "Market" if order.type == "MARKET" else "Limit",
        "stopOrderType": "UNKNOWN",
        "execFee": plain(fill.fee_e8),
        "execId": str(fill.trade_id),
        "execPrice": price(spec, fill.ticks),
        "execQty": size(spec, fill.lots),
        "execType": _EXECUTED.get(order.origin, "Trade"),
        "execValue": plain(fill.quote_e8),
        "execTime": str(fill.time_ns // _MS_NS),
        "isMaker": fill.maker,
        "isLeverage": "0",
        "feeRate": plain(rate) if fill.fee_asset == spec.quote else "",
        "feeCurrency": fill.fee_asset,
        "feeCoin": fill.fee_asset,
        "extraFees": "",
        "tradeIv": "",
        "markIv": "",
        "markPrice": "",
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": "",
        "execPnl": "",
        "marketUnit": "",
        "seq": fill.number,
    }


def coin_row(coin: str, free: int, locked: int) -> Json:
    """Return a balance of a unified account, which owes nothing and holds no position."""
    total = plain(free + locked)
    return {
        "coin": coin,
        "equity": total,
        "usdValue": "",
        "walletBalance": total,
        "locked": plain(locked),
        "free": "",
        "availableToWithdraw": "",
        "availableToBorrow": "",
        "borrowAmount": "0",
        "spotBorrow": "0",
        "accruedInterest": "0",
        "totalOrderIM": "0",
        "totalPositionIM": "0",
        "totalPositionMM": "0",
        "unrealisedPnl": "0",
        "cumRealisedPnl": "0",
        "bonus": "0",
        "spotHedgingQty": "0",
        "marginCollateral": True,
        "collateralSwitch": True,
    }


def wallet(coins: Iterable[tuple[str, int, int]]) -> Json:
    """Return a unified account: (coin, free, locked) in 1e-8."""
    return {
        "accountType": "UNIFIED",
        "accountIMRate": "0",
        "accountMMRate": "0",
        "totalEquity": "",
        "totalWalletBalance": "",
        "totalMarginBalance": "",
        "totalAvailableBalance": "",
        "totalPerpUPL": "0",
        "totalInitialMargin": "0",
        "totalMaintenanceMargin": "0",
        "accountLTV": "0",
        "coin": [coin_row(*each) for each in coins],
    }
