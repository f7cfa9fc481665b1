"""Groups, orders and fills as plain rows: for JSON, CSV, Parquet, and the page."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from citadel_micro.offline.tca.orders import HORIZONS_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.offline.tca.groups import Group
    from citadel_micro.offline.tca.market_past import Best
    from citadel_micro.offline.tca.order_costs import OrderCosts

PARTS = ("delay", "spread", "impact", "fees", "opportunity")
"""Of a cost; they add up to it."""


def horizon_name(horizon_ns: int) -> str:
    """``100ms``, ``5s``."""
    return f"{horizon_ns // 10**6}ms" if horizon_ns < 10**9 else f"{horizon_ns // 10**9}s"


def group_row(group: Group, by: Sequence[str]) -> dict[str, Any]:
    """One group; money and prices are exact decimal text, the rest numbers."""
    cost = group.shortfall
    row: dict[str, Any] = dict(zip(by, group.names, strict=True))
    row |= {
        "currency": group.currency,
        "orders": group.orders,
        "not_compared": group.not_compared,
        "worth": _money(group.parts.worth),
        "filled": group.filled,
        "cost_bps": None if cost is None else cost.total_bps,
    }
    for part in PARTS:
        row[f"{part}_bps"] = None if cost is None else float(getattr(cost, part))
        row[part] = _money(getattr(group.parts, part))
    row |= {
        "maker": group.maker,
        "effective_spread_bps": group.effective,
        "realised_spread_bps": group.realised,
    }
    for horizon in HORIZONS_NS:
        mid, micro = group.markouts.get(horizon, (None, None))
        row[f"markout_{horizon_name(horizon)}_bps"] = mid
        row[f"markout_micro_{horizon_name(horizon)}_bps"] = micro
    return row | {
        "seconds_to_last_fill": group.seconds,
        "reprices_per_fill": group.reprices,
        "saved_against_crossing_bps": group.against_crossing,
        "saved_against_resting_bps": group.against_resting,
        "saved_against_freqtrade_alone_bps": group.against_alone,
        "freqtrade_alone_compared": group.alone_compared,
        "freqtrade_alone_gave_up": group.alone_gave_up,
    }


def order_row(one: OrderCosts) -> dict[str, Any]:
    """One order."""
    order, report = one.order, one.order.report
    rules = order.instrument
    cost = None if one.parts is None else one.parts.shortfall(one.unpriced_fees)
    row: dict[str, Any] = {
        "run": order.run,
        "order": report.signal_id,
        "strategy": report.strategy,
        "tag": report.tag,
        "algo": report.algo,
        "venue": report.venue,
        "symbol": report.symbol,
        "side": report.side,
        "status": report.status,
        "reason_code": report.reason_code,
        "quantity": str(rules.quantity(order.target)),
        "filled": str(rules.quantity(order.filled)),
        "currency": rules.quote,
        "arrived_ns": order.arrived_ns,
        "first_fill_ns": order.fills[0].at_ns if order.fills else None,
        "last_fill_ns": order.fills[-1].at_ns if order.fills else None,
        "arrival_mid": _mid(one, order.arrival),
        "reprices": report.reprices,
        "worth": None if one.parts is None else _money(one.parts.worth),
        "cost_bps": None if cost is None else cost.total_bps,
        "not_compared": one.why_not,
    }
    for part in PARTS:
        row[f"{part}_bps"] = None if cost is None else float(getattr(cost, part))
        row[part] = None if one.parts is None else _money(getattr(one.parts, part))
    for way, value, got in (
        ("crossing", one.crossed, order.crossed),
        ("resting", one.rested, order.rested),
        ("freqtrade_alone", one.alone, order.alone),
    ):
        known = value is not None and one.parts is not None
        row[f"{way}_bps"] = (
            float(value * 10_000 / one.parts.worth) if known else None  # type: ignore[operator, union-attr] # known
        )
        row[f"{way}_why_not"] = got.why_not
    return row | {
        "unpriced_fees": " ".join(f"{amount} {currency}" for currency, amount in one.unpriced_fees)
    }


def fill_rows(one: OrderCosts) -> list[dict[str, Any]]:
    """Every fill of one order."""
    order = one.order
    rules = order.instrument
    rows = []
    for fill in order.fills:
        row: dict[str, Any] = {
            "run": order.run,
            "order": order.report.signal_id,
            "child": fill.child_id,
            "trade_id": fill.trade_id,
            "at_ns": fill.at_ns,
            "price": str(rules.price(fill.price_ticks)),
            "quantity": str(rules.quantity(fill.lots)),
            "fee": str(fill.fee),
            "fee_currency": fill.fee_currency,
            "liquidity": fill.liquidity,
            "mid_before": _mid(one, fill.before),
        }
        for horizon in HORIZONS_NS:
            row[f"mid_{horizon_name(horizon)}"] = _mid(one, fill.later.get(horizon))
        rows.append(row)
    return rows


def _mid(one: OrderCosts, best: Best | None) -> str | None:
    if best is None or best.mid2 is None:
        return None
    return _money(Fraction(one.order.instrument.tick) * best.mid2 / 2)


def _money(amount: Fraction) -> str:
    """Exact where its decimals end, which those of ticks, lots and fees do."""
    whole, rest = divmod(abs(amount).numerator, amount.denominator)
    digits = ""
    while rest and len(digits) < 40:  # noqa: PLR2004 - a fee over a price may never end
        digit, rest = divmod(rest * 10, amount.denominator)
        digits += str(digit)
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole}{'.' if digits else ''}{digits}"
