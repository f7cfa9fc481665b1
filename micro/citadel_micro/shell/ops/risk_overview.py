"""The gate at a glance: limits in effect, how much of each is used, trips."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from citadel_micro.core.model.risk_limits import fingerprint, for_venue
from citadel_micro.shell.bridge.wire import text_of
from citadel_micro.shell.ops.health import check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.shell.ops.health import Vitals

_ZERO = Decimal(0)


def risk_overview(vitals: Vitals) -> dict[str, Any]:
    """Everything of ``citadel risk show``; money is decimal text, null where it cannot be valued."""
    engine = vitals.engine
    limits, body = engine.risk.limits, check(vitals)[1]
    return {
        "run": vitals.run_id,
        "instance": vitals.instance,
        "risk": body["risk"],
        "trips": body["trips"],
        "fingerprint": fingerprint(limits),
        "currency": limits.reporting_currency,
        "used": [
            {"name": name, "value": None if value is None else text_of(value), "limit": str(most)}
            for name, value, most in _used(engine, limits)
        ],
        "limits": {name: _shown(getattr(limits, name)) for name in limits.__dataclass_fields__},
    }


def _shown(value: object) -> object:
    if isinstance(value, Decimal):
        return text_of(value)
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _used(
    engine: Engine, limits: RiskLimits
) -> Iterator[tuple[str, Decimal | None, Decimal | int]]:
    sides = _sides(engine)
    gross = net_long = net_short = _ZERO
    by_venue: dict[str, Decimal] = {}
    for (venue, _), (up, down) in sides.items():
        worse = max(up, down)
        gross += worse
        net_long, net_short = net_long + up, net_short + down
        by_venue[venue] = by_venue.get(venue, _ZERO) + worse
    known = len(sides) == len(_keys(engine))
    yield "gross exposure", gross if known else None, limits.max_gross_exposure
    net = max(net_long, net_short)
    yield "net exposure", net if known else None, limits.max_net_exposure
    for venue in engine.config.venues:
        most = for_venue(limits.max_venue_exposure, venue)
        if most is not None:
            yield f"exposure on {venue}", by_venue.get(venue, _ZERO) if known else None, most
    for key, (up, down) in sides.items():
        if up or down:
            yield f"position in {':'.join(key)}", max(up, down), limits.max_position_notional
    yield "open orders", Decimal(engine.open_parents(None)), limits.max_open_orders
    profit, curve = engine.portfolio.profit(), engine.portfolio.curve
    for name, loss, most in (
        ("loss today", curve.daily_loss, limits.max_daily_loss),
        ("rolling loss", curve.rolling_loss, limits.max_rolling_loss),
        ("drawdown", curve.drawdown, limits.max_drawdown),
    ):
        yield name, None if profit is None else loss(profit), most


def _keys(engine: Engine) -> dict[tuple[str, str], None]:
    keys = dict.fromkeys((venue, symbol) for venue, symbol, _ in engine.view.active_symbols())
    keys.update(((each.venue, each.symbol), None) for each in engine.portfolio.positions())
    return keys


def _sides(engine: Engine) -> dict[tuple[str, str], tuple[Decimal, Decimal]]:
    """(venue, symbol) -> worst case long and short in money, of what can be valued."""
    pending = {(v, s): lots for v, s, lots in engine.view.active_symbols()}
    found: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}
    for key in _keys(engine):
        rules, mark = engine.view.instrument(*key), engine.portfolio.mark_price(*key)
        held, lots = engine.portfolio.quantity(*key), pending.get(key, {})
        if not held and not lots:
            found[key] = (_ZERO, _ZERO)
            continue
        rate = None
        if rules is not None:
            rate = engine.portfolio.rate(rules.quote if rules.kind == "spot" else rules.settle)
        if rules is None or mark is None or rate is None:
            continue
        price = 1 / mark if rules.kind == "inverse" else mark
        worth = rules.contract_size * price * rate
        up = held + rules.lot * lots.get("buy", 0)
        down = rules.lot * lots.get("sell", 0) - held
        found[key] = (up * worth, down * worth)
    return found
