"""How much of every limit is used: the same worst case as the gate's.

Every pending order counts as filled on its own side and as unfilled on the other
(``core.risk.checks_exposure``). What cannot be valued is None, never 0.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from citadel_micro.core.model.risk_limits import for_symbol, for_venue, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.model.risk_limits import RiskLimits

_ZERO = Decimal(0)
_HUGE = Decimal(10) ** 9
"""A limit in units of this much only says that the one in money decides."""


def headroom(engine: Engine) -> Iterator[dict[str, Any]]:
    """One row per limit: name, scope, what is used, the limit, its unit."""
    limits = engine.risk.limits
    yield from _losses(engine, limits)
    yield from _exposures(engine, limits)
    view = engine.view
    yield _row("open orders", "", Decimal(view.open_parents(None)), limits.max_open_orders, "")
    held = view.held_orders()
    if held:
        yield _row("held stops", "", Decimal(held), limits.max_held_orders, "")
    money = limits.reporting_currency
    yield _row("one order", "", None, limits.max_order_notional, money, per_order=True)


def _losses(engine: Engine, limits: RiskLimits) -> Iterator[dict[str, Any]]:
    profit = engine.portfolio.profit()
    curve = engine.portfolio.curve
    rows = (
        ("loss today", curve.daily_loss, limits.max_daily_loss),
        ("rolling loss", curve.rolling_loss, limits.max_rolling_loss),
        ("drawdown", curve.drawdown, limits.max_drawdown),
    )
    for name, measure, most in rows:
        used = None if profit is None else max(measure(profit), _ZERO)
        yield _row(name, "", used, most, limits.reporting_currency)


def _exposures(engine: Engine, limits: RiskLimits) -> Iterator[dict[str, Any]]:
    money = limits.reporting_currency
    gross: Decimal | None = _ZERO
    up_all = down_all = _ZERO
    by_venue: dict[str, Decimal] = dict.fromkeys(engine.config.venues, _ZERO)
    by_group: dict[str, Decimal] = dict.fromkeys(limits.groups, _ZERO)
    symbols: list[dict[str, Any]] = []
    for venue, symbol, up, down in _sides(engine):
        inst = engine.inst_states.get((venue, symbol))
        if inst is None:  # held, and nothing tells what it is worth
            symbols.append(_row("position", symbol, None, limits.max_position_notional, money))
            gross = None
            continue
        rules = inst.instrument
        most = for_symbol(limits.max_position_quantity, venue, symbol)
        if most is not None and most < _HUGE:
            unit = rules.base if rules.kind == "spot" else "contracts"
            symbols.append(_row("position", symbol, max(up, down), most, unit))
        worth = _worth(engine, rules)
        if worth is None:
            symbols.append(_row("position", symbol, None, limits.max_position_notional, money))
            gross = None
            continue
        value = max(up, down) * worth
        symbols.append(_row("position", symbol, value, limits.max_position_notional, money))
        up_all += up * worth
        down_all += down * worth
        by_venue[venue] = by_venue.get(venue, _ZERO) + value
        for name, members in limits.groups.items():
            if listed(members, venue, symbol):
                by_group[name] += value
        gross = None if gross is None else gross + value
    known = gross is not None
    yield _row("gross exposure", "", gross, limits.max_gross_exposure, money)
    net = max(up_all, down_all, _ZERO) if known else None
    yield _row("net exposure", "", net, limits.max_net_exposure, money)
    for venue, used in by_venue.items():
        most = for_venue(limits.max_venue_exposure, venue)
        if most is not None:
            yield _row("venue exposure", venue, used if known else None, most, money)
    for name, used in by_group.items():
        most = limits.max_group_exposure[name]
        yield _row("group exposure", name, used if known else None, most, money)
    yield from symbols


def _sides(engine: Engine) -> Iterator[tuple[str, str, Decimal, Decimal]]:
    """Worst case long and short of every symbol that has a position or something pending."""
    portfolio = engine.portfolio
    seen: dict[tuple[str, str], None] = {}
    for venue, symbol, pending in engine.view.active_symbols():
        seen[venue, symbol] = None
        held = portfolio.quantity(venue, symbol)
        lot = engine.inst_states[venue, symbol].instrument.lot
        yield venue, symbol, held + lot * pending["buy"], lot * pending["sell"] - held
    for position in portfolio.positions():
        key = (position.venue, position.symbol)
        if position.quantity and key not in seen:
            yield *key, position.quantity, -position.quantity


def _worth(engine: Engine, rules: Instrument) -> Decimal | None:
    """One unit of quantity at its mark, in the reporting currency."""
    portfolio = engine.portfolio
    mark = portfolio.mark_price(rules.venue, rules.symbol)
    rate = portfolio.rate(rules.quote if rules.kind == "spot" else rules.settle)
    if mark is None or rate is None:
        return None
    each = rules.contract_size * rate
    return each / mark if rules.kind == "inverse" else each * mark


def _row(
    name: str,
    scope: str,
    used: Decimal | None,
    most: Decimal | int,
    unit: str,
    *,
    per_order: bool = False,
) -> dict[str, Any]:
    return {
        "name": name,
        "scope": scope,
        "used": None if used is None else float(used),
        "limit": float(most),
        "unit": unit,
        "per_order": per_order,
    }
