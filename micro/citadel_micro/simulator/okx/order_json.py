"""Orders, fills and balances as OKX writes them: REST and the private channels."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.okx.names import (
    Json,
    SwapSpec,
    inst_code,
    inst_id,
    inst_type,
    number,
    size,
    stamp,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from citadel_micro.sim.exchange.model import Fill, Order, OrderEvent
    from citadel_micro.sim.flow_symbols import SymbolSpec

STATES: Final[Mapping[str, str]] = {
    "NEW": "live",
    "PARTIALLY_FILLED": "partially_filled",
    "FILLED": "filled",
}
"""Every other status is ``canceled``."""
TYPES: Final[Mapping[str, str]] = {"LIMIT_MAKER": "post_only", "MARKET": "market"}
IN_FORCE: Final[Mapping[str, str]] = {"GTX": "post_only", "IOC": "ioc", "FOK": "fok"}
_SOURCES: Final[Mapping[str, str]] = {
    "FOK": "13",
    "IOC": "14",
    "LIQUIDITY": "14",
    "POST_ONLY": "31",
    "STP": "32",
}
CATEGORIES: Final[Mapping[str, str]] = {"liquidation": "full_liquidation", "adl": "adl"}
"""Of the exchange's own orders against a position."""
_FORCED: Final[Mapping[tuple[str, str], str]] = {
    ("liquidation", "SELL"): "104",
    ("liquidation", "BUY"): "105",
    ("adl", "SELL"): "125",
    ("adl", "BUY"): "126",
}
"""Origin and side -> ``subType``: a long, or a short, is closed."""
BY_USER: Final = "1"
BY_TIMER: Final = "20"
"""``cancelSource``: cancel-all-after; a cancel keeps it as its own id."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a client sent with an order that the exchange has no use for."""

    tag: str = ""
    target: str = ""
    """``tgtCcy``."""
    mode: str = "cash"
    """``tdMode``."""


NONE: Final = Wishes()


def order_type(order: Order) -> str:
    """Return ``ordType``."""
    found = TYPES.get(order.type)
    if found is not None:
        return found
    return IN_FORCE.get(order.time_in_force, "limit")


def cancel_source(order: Order) -> str:
    """Return who or what canceled an order; empty while it is open or filled."""
    if order.open or order.status == "FILLED":
        return ""
    if order.status == "CANCELED" and order.expiry != "POST_ONLY":
        return order.cancel_id or BY_USER
    if order.status == "EXPIRED_IN_MATCH":
        return "32"
    return _SOURCES.get(order.expiry, "0")


def fee_side(spec: SymbolSpec, order: Order) -> str:
    """Return the currency that an order without a fill will pay its fee in."""
    if isinstance(spec, SwapSpec):
        return spec.quote
    return spec.base if order.side == "BUY" else spec.quote


def average(spec: SymbolSpec, order: Order) -> str:
    """Return the average price of an order's fills; empty without any."""
    if not order.filled_lots:
        return ""
    price = Decimal(order.filled_quote_e8) / (order.filled_lots * spec.lot_e8)
    return f"{price:.10f}".rstrip("0").rstrip(".")


def order_size(spec: SymbolSpec, order: Order) -> str:
    """Return ``sz``: in quote currency for a market order that gave it so."""
    return number(order.quote_e8) if order.quote_e8 else size(spec, order.lots)


def row(spec: SymbolSpec, order: Order, wishes: Wishes, fills: Sequence[Fill]) -> Json:
    """Return an order as queries show it; ``fills`` are all of it."""
    last = fills[-1] if fills else None
    fee = sum(each.fee_e8 for each in fills)
    currency = last.fee_asset if last else fee_side(spec, order)
    return {
        "accFillSz": size(spec, order.filled_lots),
        "algoClOrdId": "",
        "algoId": "",
        "attachAlgoClOrdId": "",
        "attachAlgoOrds": [],
        "avgPx": average(spec, order),
        "cTime": stamp(order.time_ns),
        "cancelSource": cancel_source(order),
        "cancelSourceReason": "",
        "category": CATEGORIES.get(order.origin, "normal"),
        "ccy": "",
        "clOrdId": _client_id(order),
        "fee": number(-fee),
        "feeCcy": currency,
        "fillPx": number(last.ticks * spec.tick_e8) if last else "",
        "fillSz": size(spec, last.lots) if last else "0",
        "fillTime": stamp(last.time_ns) if last else "",
        "instId": inst_id(spec),
        "instType": inst_type(spec),
        "isTpLimit": "false",
        "lever": "",
        "linkedAlgoOrd": {"algoId": ""},
        "ordId": str(order.order_id),
        "ordType": order_type(order),
        "pnl": number(sum(each.realised_e8 for each in fills)),
        "posSide": "net",
        "px": number(order.ticks * spec.tick_e8) if order.ticks else "",
        "pxType": "",
        "pxUsd": "",
        "pxVol": "",
        "quickMgnType": "",
        "rebate": "0",
        "rebateCcy": spec.quote if order.side == "BUY" else spec.base,
        "reduceOnly": "true" if order.reduce_only else "false",
        "side": order.side.lower(),
        "slOrdPx": "",
        "slTriggerPx": "",
        "slTriggerPxType": "",
        "source": "",
        "state": STATES.get(order.status, "canceled"),
        "stpId": "",
        "stpMode": "cancel_maker",
        "sz": order_size(spec, order),
        "tag": wishes.tag,
        "tdMode": wishes.mode,
        "tgtCcy": wishes.target,
        "tpOrdPx": "",
        "tpTriggerPx": "",
        "tpTriggerPxType": "",
        "tradeId": str(last.trade_id) if last else "",
        "tradeQuoteCcy": spec.quote,
        "uTime": stamp(order.update_ns),
    }


def push(
    spec: SymbolSpec, event: OrderEvent, wishes: Wishes, fills: Sequence[Fill], last_ticks: int
) -> Json:
    """Return an order as its channel reports it; ``fills`` are those up to this event."""
    fill = event.fill
    order = event.order
    body = row(spec, order, wishes, fills)
    body |= {
        "amendResult": "0" if event.cause == "REPLACED" else "",
        "amendSource": "1" if event.cause == "REPLACED" else "",
        "code": "0",
        "execType": "",
        "fillFee": "0",
        "fillFeeCcy": "",
        "fillFwdPx": "",
        "fillMarkPx": "",
        "fillMarkVol": "",
        "fillNotionalUsd": "",
        "fillPnl": "0",
        "fillPx": "",
        "fillPxUsd": "",
        "fillPxVol": "",
        "fillSz": "0",
        "fillTime": "",
        "instIdCode": inst_code(spec),
        "lastPx": number(last_ticks * spec.tick_e8),
        "msg": "",
        "notionalUsd": number(order.lots * order.ticks * spec.tick_e8 * spec.lot_e8 // E8),
        "reqId": "",
        "tradeId": "",
    }
    del body["cancelSourceReason"]
    if fill is not None:
        body |= {
            "execType": "M" if fill.maker else "T",
            "fillFee": number(-fill.fee_e8),
            "fillFeeCcy": fill.fee_asset,
            "fillNotionalUsd": number(fill.quote_e8),
            "fillPnl": number(fill.realised_e8),
            "fillPx": number(fill.ticks * spec.tick_e8),
            "fillSz": size(spec, fill.lots),
            "fillTime": stamp(fill.time_ns),
            "tradeId": str(fill.trade_id),
        }
    return body


def fill_row(spec: SymbolSpec, fill: Fill, client_id: str, tag: str, origin: str) -> Json:
    """Return one fill as ``trade/fills`` lists it; ``origin`` is that of its order."""
    usual = "1" if fill.side == "BUY" else "2"
    return {
        "billId": str(fill.number),
        "clOrdId": client_id,
        "execType": "M" if fill.maker else "T",
        "fee": number(-fill.fee_e8),
        "feeCcy": fill.fee_asset,
        "feeRate": "",
        "fillFwdPx": "",
        "fillIdxPx": "",
        "fillMarkPx": "",
        "fillMarkVol": "",
        "fillPnl": number(fill.realised_e8),
        "fillPx": number(fill.ticks * spec.tick_e8),
        "fillPxUsd": "",
        "fillPxVol": "",
        "fillSz": size(spec, fill.lots),
        "fillTime": stamp(fill.time_ns),
        "instId": inst_id(spec),
        "instType": inst_type(spec),
        "ordId": str(fill.order_id),
        "posSide": "net",
        "side": fill.side.lower(),
        "subType": _FORCED.get((origin, fill.side), usual),
        "tag": tag,
        "tradeId": str(fill.trade_id),
        "tradeQuoteCcy": spec.quote,
        "ts": stamp(fill.time_ns),
    }


def balance(currency: str, free_e8: int, locked_e8: int, time_ns: int) -> Json:
    """Return one currency of ``account/balance`` and of the account channel, in Spot mode."""
    total = number(free_e8 + locked_e8)
    empty = (
        "availEq", "borrowFroz", "crossLiab", "imr", "interest", "isoEq", "isoLiab", "isoUpl",
        "liab", "maxLoan", "mgnRatio", "mmr", "notionalLever", "smtSyncEq", "spotInUseAmt", "twap",
        "upl", "uplLiab",
    )  # fmt: skip
    return {
        **dict.fromkeys(empty, ""),
        "availBal": number(free_e8),
        "cashBal": total,
        "ccy": currency,
        "disEq": total,
        "eq": total,
        "eqUsd": "",
        "fixedBal": "0",
        "frozenBal": number(locked_e8),
        "ordFrozen": number(locked_e8),
        "spotBal": total,
        "uTime": stamp(time_ns),
    }


def account(details: list[Json], time_ns: int) -> Json:
    """Return the account around its currencies."""
    empty = ("adjEq", "borrowFroz", "imr", "isoEq", "mgnRatio", "mmr", "notionalUsd", "ordFroz")
    return {
        **dict.fromkeys(empty, ""),
        "details": details,
        "totalEq": "",
        "uTime": stamp(time_ns),
    }


def _client_id(order: Order) -> str:
    """Return the id that a client gave; the exchange's own stand-in is none."""
    own = order.client_id == f"sim{order.order_id}" or order.origin in CATEGORIES
    return "" if own else order.client_id
