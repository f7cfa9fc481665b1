"""Metrics of risk, account and execution: what a person would put on a wall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from citadel_micro.core.risk.circuit_breakers import GLOBAL, SEVERITY
from citadel_micro.shell.ops.health import reasons_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from prometheus_client.metrics_core import Metric

    from citadel_micro.shell.ops.health import Vitals

_LABELS: Final = ("venue", "symbol")


def account_metrics(vitals: Vitals) -> Iterator[Metric]:
    """All of them. A value that is not known is left out, never 0."""
    yield from _risk(vitals)
    yield from _losses(vitals)
    yield from _positions(vitals)
    yield from _orders(vitals)


def _risk(vitals: Vitals) -> Iterator[Metric]:
    trips = vitals.engine.risk.breakers.trips
    worst = max((SEVERITY[trip.state] for trip in trips if trip.scope == GLOBAL), default=0)
    yield GaugeMetricFamily(
        "citadel_risk_rank",
        "Strictest state of the whole account: "
        + ", ".join(f"{n} {s}" for s, n in SEVERITY.items()),
        value=worst,
    )
    family = GaugeMetricFamily(
        "citadel_trip", "1 for each trip that is in force.", labels=["code", "scope", "state"]
    )
    for code, scope, state in dict.fromkeys((t.code, t.scope, t.state) for t in trips):
        family.add_metric([code, scope, state], 1.0)
    yield family
    yield GaugeMetricFamily(
        "citadel_unhealthy_reasons",
        "Reasons in /healthz; 0 when healthy.",
        value=len(reasons_of(vitals)),
    )


def _losses(vitals: Vitals) -> Iterator[Metric]:
    portfolio, limits = vitals.engine.portfolio, vitals.engine.risk.limits
    loss = GaugeMetricFamily(
        "citadel_loss",
        "Loss so far, negative for a gain, in the reporting currency.",
        labels=["over"],
    )
    limit = GaugeMetricFamily(
        "citadel_loss_limit", "The loss at which the account is halted.", labels=["over"]
    )
    profit = portfolio.profit()
    curve = portfolio.curve
    rows = (
        ("today", curve.daily_loss, limits.max_daily_loss),
        ("rolling", curve.rolling_loss, limits.max_rolling_loss),
        ("drawdown", curve.drawdown, limits.max_drawdown),
    )
    for name, measure, most in rows:
        limit.add_metric([name], float(most))
        if profit is not None:
            loss.add_metric([name], float(measure(profit)))
    yield from (loss, limit)
    family = GaugeMetricFamily(
        "citadel_profit", "Since the first fill, fees and funding included.", labels=["currency"]
    )
    _add(family, [portfolio.reporting_currency], profit)
    yield family


def _positions(vitals: Vitals) -> Iterator[Metric]:
    portfolio = vitals.engine.portfolio
    quantity = GaugeMetricFamily("citadel_position", "Signed, in base units.", labels=_LABELS)
    realised = GaugeMetricFamily(
        "citadel_realized_profit", "Less fees, in the settle currency.", labels=_LABELS
    )
    unrealised = GaugeMetricFamily(
        "citadel_unrealized_profit", "At the mid, in the settle currency.", labels=_LABELS
    )
    for position in portfolio.positions():
        key = [position.venue, position.symbol]
        mark = portfolio.mark_price(position.venue, position.symbol)
        quantity.add_metric(key, float(position.quantity * position.contract_size))
        realised.add_metric(key, float(position.realised))
        _add(unrealised, key, None if mark is None else position.unrealised(mark))
    yield from (quantity, realised, unrealised)


def _orders(vitals: Vitals) -> Iterator[Metric]:
    fills = CounterMetricFamily(
        "citadel_fills", "Fills of our orders, by what they were to the book.", labels=["liquidity"]
    )
    for liquidity, number in sorted(vitals.stats.fills.items()):
        fills.add_metric([liquidity], number)
    yield fills
    states: dict[str, int] = {}
    for parent in vitals.engine.order_store.active.values():
        for child in parent.live:
            states[child.state.value] = states.get(child.state.value, 0) + 1
    family = GaugeMetricFamily(
        "citadel_child_orders", "Live child orders by state.", labels=["state"]
    )
    for state in ("working", "unknown", "quarantined"):
        states.setdefault(state, 0)
    for state, number in sorted(states.items()):
        family.add_metric([state], number)
    yield family


def _add(family: GaugeMetricFamily, labels: list[str], value: Decimal | None) -> None:
    if value is not None:
        family.add_metric(labels, float(value))
