"""What an order of each side has come to, read from what that side says of it.

Freqtrade passes on what ccxt made of an exchange's answer, where almost anything may be missing or None:
what cannot be read stays unknown, and nothing here raises for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from citadel_macro.shadow.table import fees_text

if TYPE_CHECKING:
    from citadel_macro.shadow.table import ShadowOrder
    from citadel_proto.messages import ExecutionReport

ENDED: Final = frozenset({"closed", "canceled", "expired", "rejected"})
"""Final statuses of ccxt."""
_NS_OF_MS: Final = 1_000_000
_SAME: Final = Decimal("1e-9")
"""Relative difference of two sums of binary floats that are the same number."""


def take_order(row: ShadowOrder, order: object, now_ns: int) -> None:
    """Take over what Freqtrade has read of its order."""
    if not isinstance(order, Mapping):
        return
    before = Decimal(row.filled)
    filled = _number(order.get("filled"))
    if filled is not None and filled >= before:
        row.filled = _text(filled)
        _take_average(row, order, filled)
    if Decimal(row.filled) > before or (not row.filled_ns and Decimal(row.filled)):
        row.filled_ns = _ns(order.get("lastTradeTimestamp")) or now_ns
    status = order.get("status")
    if isinstance(status, str) and row.status not in ENDED:
        row.status = status
    trades = order.get("trades")
    if isinstance(trades, list) and trades:
        take_trades(row, trades)
    if not row.fees and Decimal(row.filled):
        fees = _fees([order])
        row.fees = "" if fees is None else fees_text(fees)


def take_trades(row: ShadowOrder, trades: object) -> None:
    """Take over the fills of Freqtrade's order, where they are all of them."""
    if not isinstance(trades, list) or not all(isinstance(each, Mapping) for each in trades):
        return
    amounts = [_number(each.get("amount")) for each in trades]
    costs = [_number(each.get("cost")) for each in trades]
    filled = Decimal(row.filled)
    total = sum((each for each in amounts if each is not None), Decimal(0))
    if not filled or None in amounts or abs(total - filled) > filled * _SAME:
        return
    if None not in costs:
        row.average = _text(sum((each for each in costs if each is not None), Decimal(0)) / total)
    row.filled_ns = max((_ns(each.get("timestamp")) for each in trades), default=0) or row.filled_ns
    fees = _fees(trades)
    if fees is not None:
        row.fees = fees_text(fees)


def take_report(row: ShadowOrder, report: ExecutionReport) -> None:
    """Take over micro's report of its order."""
    row.micro_status = report.status
    row.micro_code, row.micro_reason = report.reason_code, report.reason
    row.micro_filled = _text(Decimal(report.filled))
    row.micro_average = report.average or ""
    row.micro_got_ns = report.created_ns
    if math.isfinite(report.arrival_mid) and report.arrival_mid > 0:
        # The shortest text of the float is the mid that micro rounded it from.
        row.arrival_mid = repr(report.arrival_mid)
    fees: dict[str, Decimal] = {}
    maker = Decimal(0)
    for fill in report.fills:
        fees[fill.fee_currency] = fees.get(fill.fee_currency, Decimal(0)) + Decimal(fill.fee)
        maker += Decimal(fill.quantity) if fill.liquidity == "maker" else 0
    if report.fills:
        row.micro_fees = fees_text(fees)
        row.micro_filled_ns = max(fill.ts_ns for fill in report.fills)
        row.maker_share = _text((maker / Decimal(report.filled)).quantize(Decimal("0.0001")))


def _take_average(row: ShadowOrder, order: Mapping[str, Any], filled: Decimal) -> None:
    if not filled:
        return
    cost = _number(order.get("cost"))
    # What was paid is exact where exchanges round the average.
    average = cost / filled if cost else _number(order.get("average"))
    if average:
        row.average = _text(average)


def _fees(parts: list[Any]) -> dict[str, Decimal] | None:
    """Fees by currency of orders or trades; None where one of them does not say."""
    found: dict[str, Decimal] = {}
    for part in parts:
        each = part.get("fee")
        given = [each] if each else (part.get("fees") or [])
        if not given:
            return None
        for fee in given:
            cost = _number(fee.get("cost")) if isinstance(fee, Mapping) else None
            currency = fee.get("currency") if isinstance(fee, Mapping) else None
            if cost is None or not isinstance(currency, str):
                return None
            found[currency] = found.get(currency, Decimal(0)) + cost
    return found


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Decimal(repr(value)) if math.isfinite(value) else None


def _ns(value: object) -> int:
    number = _number(value)
    return 0 if number is None or number <= 0 else int(number) * _NS_OF_MS


def _text(value: Decimal) -> str:
    return f"{value.normalize():f}" if value else "0"
