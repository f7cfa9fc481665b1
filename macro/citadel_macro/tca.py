"""What an order cost, computed from its execution report alone."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING, Any

from citadel_proto.shortfall import Traded, costs, fee_in_quote

if TYPE_CHECKING:
    from citadel_proto.messages import ExecutionReport


def summary(report: ExecutionReport) -> dict[str, Any]:
    """Fills and costs of one order as plain JSON, small enough for Freqtrade's database.

    ``shortfall_bps`` is the implementation shortfall of the filled part against the mid at arrival,
    fees apart (``citadel_proto.shortfall``: Perold 1988): positive is a cost. ``fees_bps`` is its part
    of fees in base and in quote currency, so that both add up; of the filled part at its average
    price where no arrival mid is known, and None where a fee was paid in a third currency.
    ``maker_share`` is by quantity. ``first_fill_ms`` and ``last_fill_ms`` are after the order's arrival at
    micro.
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
    fees = [
        fee_in_quote(Decimal(f.fee), f.fee_currency, base=base, quote=quote, price=Decimal(f.price))
        for f in report.fills
    ]
    known = isfinite(report.arrival_mid) and report.arrival_mid > 0
    cost = costs(
        [
            Traded(Fraction(f.price), Fraction(f.quantity), fee=fee or 0)
            for f, fee in zip(report.fills, fees, strict=True)
        ],
        sign=1 if report.side == "buy" else -1,
        # The shortest text of the float is the mid that micro rounded it from.
        arrival=Fraction(repr(report.arrival_mid)) if known else Fraction(average),
    ).shortfall()
    if known:
        result["shortfall_bps"] = round(float(cost.prices), 4)
    if None not in fees:
        result["fees_bps"] = round(float(cost.fees), 4)
    maker = sum((Decimal(f.quantity) for f in report.fills if f.liquidity == "maker"), Decimal(0))
    result["maker_share"] = round(float(maker / filled), 6)
    result["first_fill_ms"], result["last_fill_ms"] = (
        round(each / 1e6, 3) for each in _fill_times(report)
    )
    return result


def _fill_times(report: ExecutionReport) -> tuple[int, int]:
    """From the order's arrival at micro to its first and its last fill, in ns.

    Fills bear the venue's time, and the order micro's: what lies between two of them is of one clock. The
    fill that completed an order came with its last update; of others this is as near as both clocks are,
    and within the order's life.
    """
    life = max(report.updated_ns - report.created_ns, 0)
    times = [fill.ts_ns for fill in report.fills]
    near = min(max(max(times) - report.created_ns, 0), life)
    last = life if report.status == "filled" else near
    return max(last - (max(times) - min(times)), 0), last
