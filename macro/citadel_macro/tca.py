"""What an order cost, computed from its execution report alone."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from citadel_proto.messages import ExecutionReport


def summary(report: ExecutionReport) -> dict[str, Any]:
    """Fills and costs of one order as plain JSON, small enough for Freqtrade's database.

    ``shortfall_bps`` is the implementation shortfall of the filled part against the mid at arrival
    (Perold 1988): positive is a cost. ``fees_bps`` counts fees in base and in quote currency at the
    average price; None where a fee was paid in a third currency. ``maker_share`` is by quantity.
    """
    base, _, rest = report.symbol.partition("/")
    quote = rest.partition(":")[0]
    filled = Decimal(report.filled)
    result: dict[str, Any] = {
        "status": report.status,
        "side": report.side,
        "algo": report.algo,
        "quantity": report.quantity,
        "filled": report.filled,
        "average": report.average,
        "arrival_mid": report.arrival_mid if isfinite(report.arrival_mid) else None,
        "reprices": report.reprices,
        "reason_code": report.reason_code,
        "shortfall_bps": None,
        "fees_bps": None,
        "maker_share": None,
        "first_fill_ms": None,
        "last_fill_ms": None,
        "fills": [
            [f.ts_ns, f.price, f.quantity, f.fee, f.fee_currency, f.liquidity] for f in report.fills
        ],
    }
    if report.average is None or filled == 0 or not report.fills:
        return result
    average = Decimal(report.average)
    if isfinite(report.arrival_mid) and report.arrival_mid > 0:
        sign = 1 if report.side == "buy" else -1
        move = (float(average) - report.arrival_mid) / report.arrival_mid
        result["shortfall_bps"] = round(sign * move * 1e4, 4)
    worth = {base: average, quote: Decimal(1)}
    if all(f.fee_currency in worth for f in report.fills):
        fees = sum((Decimal(f.fee) * worth[f.fee_currency] for f in report.fills), Decimal(0))
        result["fees_bps"] = round(float(fees / (average * filled)) * 1e4, 4)
    maker = sum((Decimal(f.quantity) for f in report.fills if f.liquidity == "maker"), Decimal(0))
    result["maker_share"] = round(float(maker / filled), 6)
    times = sorted(f.ts_ns for f in report.fills)
    result["first_fill_ms"] = round((times[0] - report.created_ns) / 1e6, 3)
    result["last_fill_ms"] = round((times[-1] - report.created_ns) / 1e6, 3)
    return result
