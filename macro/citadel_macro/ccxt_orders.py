"""Micro's execution reports as the order dicts that Freqtrade expects (ccxt's unified order).

Pure functions. The field list is what Freqtrade 2026.9 reads: ``Order.update_from_ccxt_object``,
``FreqtradeBot.get_real_amount`` and ``fee_detection_from_trades``. Two of its habits shape it: with
a ``fee`` of None it discards a cancel's result, so an order without a single-currency fee has
an empty one; and a terminal order with nothing filled deletes a new trade.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal

from citadel_proto.messages import TERMINAL_STATUSES
from citadel_proto.reason_codes import MINIMUM_CODES

if TYPE_CHECKING:
    from citadel_proto.messages import Balance, ExecutionReport, Fill, Position, Signal

OrderStatus = Literal["open", "closed", "canceled", "expired", "rejected"]

_UNJUDGED: Final = ("there is no price", "there are no trading rules")
"""Micro rejects so as well while it cannot value the minimum, which says nothing about the size."""

_STATUS: Final[dict[str, OrderStatus]] = {
    "accepted": "open",
    "working": "open",
    "paused": "open",
    "filled": "closed",
    "done_dust": "closed",
    "canceled": "canceled",
    "expired": "expired",
    "rejected": "rejected",
}


def is_terminal(report: ExecutionReport) -> bool:
    """Whether the order is closed for good."""
    return report.status in TERMINAL_STATUSES


def has_filled(report: ExecutionReport) -> bool:
    """Whether anything of an order was filled; its single fills may be dropped by then."""
    return Decimal(report.filled) > 0


def order_status(report: ExecutionReport) -> OrderStatus:
    """Status in ccxt's terms.

    An ``anomaly`` (overfill) is closed when it holds the whole quantity, else
    canceled: either way it is final and its fills count.
    """
    if report.status == "anomaly":
        return "closed" if Decimal(report.filled) >= Decimal(report.quantity) else "canceled"
    return _STATUS[report.status]


def _cost(report: ExecutionReport) -> Decimal:
    """Money in quote units; from the average where micro has dropped the single fills."""
    if report.fills or report.average is None:
        return sum((Decimal(f.price) * Decimal(f.quantity) for f in report.fills), Decimal(0))
    return Decimal(report.average) * Decimal(report.filled)


def too_small(report: ExecutionReport) -> bool:
    """Whether an order ended because its quantity is below the venue's minimum."""
    return report.reason_code in MINIMUM_CODES and not report.reason.startswith(_UNJUDGED)


def failed(report: ExecutionReport) -> bool:
    """Whether an order that closed without a fill would end the same way if it were repeated.

    An order that was canceled, or that found no price within its time, would not.
    """
    if report.status in {"rejected", "done_dust"} or report.reason_code in MINIMUM_CODES:
        return True
    return report.kind == "stop" and not report.reason_code.startswith("CANCELED_BY")


def order_dict(report: ExecutionReport, sent_ns: int | None = None) -> dict[str, Any]:
    """One parent order in ccxt's form; amounts in base units, money in quote units.

    Args:
        report: of it.
        sent_ns: when it was sent, by our clock; None: when micro says that it came.
    """
    created_ns = report.created_ns if sent_ns is None else sent_ns
    quantity, filled = Decimal(report.quantity), Decimal(report.filled)
    last = max((fill.ts_ns for fill in report.fills), default=None)
    order: dict[str, Any] = {
        "id": report.signal_id,
        "clientOrderId": report.signal_id,
        "symbol": report.symbol,
        "type": report.order_type,
        "side": report.side,
        "price": _price(report),
        "average": _float(report.average),
        "amount": float(quantity),
        "filled": float(filled),
        "remaining": float(max(quantity - filled, Decimal(0))),
        "cost": float(_cost(report)),
        "status": order_status(report),
        "fee": fee_of(report.fills),
        "trades": trade_dicts(report),
        "timestamp": _ms(created_ns),
        "datetime": _iso(created_ns),
        "lastTradeTimestamp": None if last is None else _ms(last),
        "stopPrice": _float(report.stop_price),
        "info": {
            "status": report.status,
            "revision": report.revision,
            "reason_code": report.reason_code,
            "reason": report.reason,
            "own": report.own,
        },
    }
    if report.kind == "stop" and report.triggered:
        order["status_stop"] = "triggered"
    return order


def part_of(order: dict[str, Any], share: Decimal) -> dict[str, Any]:
    """An order of which only so much is of the books that it is shown to, at its own average price."""
    filled = Decimal(repr(order["filled"]))
    if not 0 < share < filled:
        return order
    part = float(share / filled)
    trades = [
        {
            **trade,
            "amount": trade["amount"] * part,
            "cost": trade["cost"] * part,
            "fee": {**trade["fee"], "cost": trade["fee"]["cost"] * part},
        }
        for trade in order["trades"]
    ]
    fee = order["fee"] and {**order["fee"], "cost": order["fee"]["cost"] * part}
    return order | {
        "amount": float(share),
        "filled": float(share),
        "remaining": 0.0,
        "cost": order["cost"] * part,
        "fee": fee,
        "trades": trades,
    }


def unacknowledged_order(signal: Signal, status: OrderStatus = "open") -> dict[str, Any]:
    """An order that was sent and is not acknowledged by micro yet."""
    quantity = float(Decimal(signal.quantity))
    return {
        "id": signal.signal_id,
        "clientOrderId": signal.signal_id,
        "symbol": signal.symbol,
        "type": signal.order_type,
        "side": signal.side,
        "price": _float(signal.limit_price),
        "average": None,
        "amount": quantity,
        "filled": 0.0,
        "remaining": quantity,
        "cost": 0.0,
        "status": status,
        "fee": {},
        "trades": [],
        "timestamp": _ms(signal.created_ns),
        "datetime": _iso(signal.created_ns),
        "lastTradeTimestamp": None,
        "stopPrice": _float(signal.stop_price),
        "info": {"status": "unacknowledged", "own": False},
    }


def trade_dicts(report: ExecutionReport) -> list[dict[str, Any]]:
    """One ccxt trade for each fill of each child order, with its own fee."""
    return [
        {
            "id": fill.trade_id,
            "order": report.signal_id,
            "symbol": report.symbol,
            "side": report.side,
            "type": report.order_type,
            "takerOrMaker": fill.liquidity,
            "price": float(Decimal(fill.price)),
            "amount": float(Decimal(fill.quantity)),
            "cost": float(Decimal(fill.price) * Decimal(fill.quantity)),
            "fee": {"currency": fill.fee_currency, "cost": float(Decimal(fill.fee))},
            "timestamp": _ms(fill.ts_ns),
            "datetime": _iso(fill.ts_ns),
            "info": {"child_id": fill.child_id},
        }
        for fill in report.fills
    ]


def fee_of(fills: tuple[Fill, ...]) -> dict[str, Any]:
    """Total fee if all fills paid in one currency; empty otherwise, and before the first fill."""
    currencies = sorted({fill.fee_currency for fill in fills})
    if len(currencies) != 1:
        return {}
    total = sum((Decimal(fill.fee) for fill in fills), Decimal(0))
    return {"currency": currencies[0], "cost": float(total)}


def balances_dict(balances: tuple[Balance, ...]) -> dict[str, dict[str, float]]:
    """Balances by currency, as ``Exchange.get_balances`` returns them."""
    return {
        row.currency: {
            "free": float(Decimal(row.free)),
            "used": float(Decimal(row.used)),
            "total": float(Decimal(row.total)),
        }
        for row in balances
    }


def position_dict(position: Position, contract_size: float) -> dict[str, Any]:
    """One perpetual position in ccxt's form; ``contracts`` is never negative.

    ``initialMargin`` is notional at entry over leverage, the isolated-margin definition.
    """
    quantity = Decimal(position.quantity)
    entry = Decimal(position.entry_price)
    leverage = Decimal(position.leverage)
    margin = float(abs(quantity) * entry / leverage) if leverage > 0 else 0.0
    return {
        "symbol": position.symbol,
        "side": None if quantity == 0 else "long" if quantity > 0 else "short",
        "contracts": float(abs(quantity)) / contract_size,
        "contractSize": contract_size,
        "entryPrice": float(entry),
        "notional": float(abs(quantity) * entry),
        "leverage": float(leverage),
        "initialMargin": margin,
        "collateral": margin,
        "unrealizedPnl": float(Decimal(position.unrealised)) if position.valued else None,
        "liquidationPrice": _float(position.liquidation_price),
        "info": {"realised": position.realised},
    }


def text(value: float) -> str:
    """Shortest decimal text of a number that Freqtrade has already rounded to the venue's grid."""
    return format(Decimal(repr(float(value))).normalize(), "f")


def _price(report: ExecutionReport) -> float | None:
    """Price of the order itself; never None for an order that filled.

    Freqtrade's column for it is mandatory, and an order that it finds on the exchange (a flattening
    by micro) has no price of Freqtrade's own.
    """
    for text_ in (report.limit_price, report.average, report.stop_price):
        if text_ is not None:
            return float(Decimal(text_))
    return report.arrival_mid if isfinite(report.arrival_mid) else None


def _float(value: str | None) -> float | None:
    return None if value is None else float(Decimal(value))


def _ms(ns: int) -> int:
    return ns // 1_000_000


def _iso(ns: int) -> str:
    moment = datetime.fromtimestamp(ns / 1e9, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
