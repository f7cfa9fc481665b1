"""A run at a glance, as plain data: what ``citadel status`` and ``citadel top`` show.

Prices, quantities and money are decimal text, exact; costs in basis points are numbers. Reading
changes nothing.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.orders.execution_reports import average, filled, position_view, status
from citadel_micro.core.orders.tca import shortfall
from citadel_micro.shell.bridge.wire import text_of
from citadel_micro.shell.ops.health import check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.shell.ops.health import Vitals

MOST_ORDERS: Final = 200
"""Open orders listed, the newest; ``open_parents`` counts all."""
LAST_ORDERS: Final = 20
"""Ended orders listed, those that traded."""


def overview(vitals: Vitals) -> dict[str, Any]:
    """Everything of ``/healthz``, and account, losses, positions, books, orders."""
    engine = vitals.engine
    now_ns = vitals.clock.now()
    store = engine.order_store
    newest = sorted(store.active.values(), key=lambda parent: -parent.number)
    return {
        **check(vitals)[1],
        "now_ns": now_ns,
        "page": vitals.page,
        "page_token": vitals.page_token,
        "account": _account(vitals),
        "losses": _losses(vitals),
        "positions": list(positions(vitals)),
        "books": list(_books(vitals, now_ns)),
        "orders": [_order(parent, vitals, now_ns) for parent in newest[:MOST_ORDERS]],
        "ended": [_order(parent, vitals, now_ns) for parent in _ended(vitals)],
    }


def _account(vitals: Vitals) -> dict[str, Any]:
    portfolio = vitals.engine.portfolio
    return {
        "currency": portfolio.reporting_currency,
        "equity": _text(portfolio.equity()),
        "profit": _text(portfolio.profit()),
        "balances": {
            venue: {
                currency: {"free": text_of(balance.free), "used": text_of(balance.used)}
                for currency, balance in portfolio.balances(venue)
            }
            for venue in vitals.engine.config.venues
        },
    }


def _losses(vitals: Vitals) -> list[dict[str, Any]]:
    """The losses that have limits, each with its limit; empty while profit cannot be measured."""
    portfolio, limits = vitals.engine.portfolio, vitals.engine.risk.limits
    profit = portfolio.profit()
    if profit is None:
        return []
    curve = portfolio.curve
    rows = (
        ("today", curve.daily_loss(profit), limits.max_daily_loss),
        ("rolling", curve.rolling_loss(profit), limits.max_rolling_loss),
        ("drawdown", curve.drawdown(profit), limits.max_drawdown),
    )
    return [
        {"name": name, "loss": text_of(loss), "limit": text_of(most)} for name, loss, most in rows
    ]


def positions(vitals: Vitals) -> Iterator[dict[str, Any]]:
    """Every position that is held or has traded."""
    engine = vitals.engine
    for position in engine.portfolio.positions():
        if not position.quantity and not position.cash:
            continue
        terms = engine.portfolio.margin.terms.get((position.venue, position.symbol))
        view = position_view(engine.portfolio, position, Decimal(1))
        mark = engine.portfolio.mark_price(position.venue, position.symbol)
        yield {
            "venue": view.venue,
            "symbol": view.symbol,
            "quantity": text_of(view.quantity),
            "entry": text_of(view.entry_price),
            "mark": _text(mark),
            "realised": text_of(view.realised),
            "unrealised": text_of(view.unrealised) if view.valued else None,
            "fees": text_of(position.fees),
            "funding": text_of(view.funding),
            "leverage": None if terms is None else terms.leverage,
            "liquidation": _text(view.liquidation_price),
            "settle": position.settle,
        }


def _books(vitals: Vitals, now_ns: int) -> Iterator[dict[str, Any]]:
    for (venue, symbol), market in vitals.engine.followed():
        best = market.best()
        yield {
            "venue": venue,
            "symbol": symbol,
            "state": market.state,
            "reason": market.reason,
            "bid": None if best is None else best[0],
            "ask": None if best is None else best[2],
            "spread_bps": None
            if best is None or best[0] + best[2] <= 0
            else 2e4 * (best[2] - best[0]) / (best[0] + best[2]),
            "age_ms": (now_ns - market.proof_ns) // 1_000_000 if market.proof_ns else None,
            "traded": (venue, symbol) in vitals.engine.inst_states,
        }


def _ended(vitals: Vitals) -> list[Parent]:
    """The newest ended orders that traded."""
    traded = (
        parent
        for parent in reversed(vitals.engine.order_store.known.values())
        if parent.terminal and parent.filled
    )
    return list(islice(traded, LAST_ORDERS))


def _order(parent: Parent, vitals: Vitals, now_ns: int) -> dict[str, Any]:
    signal = parent.signal
    inst = vitals.engine.inst_states.get((signal.venue, signal.symbol))
    cost = shortfall(parent) if parent.filled else None
    maker = sum(
        fill.quantity_lots
        for child in parent.with_fills
        for fill in child.fills
        if fill.liquidity == "maker"
    )
    return {
        "id": parent.id,
        "strategy": signal.strategy,
        "owner": signal.owner,
        "own": parent.own,
        "venue": signal.venue,
        "symbol": signal.symbol,
        "side": signal.side,
        "kind": signal.kind,
        "algo": parent.algo.name if parent.algo is not None else signal.algo,
        "tag": signal.tag,
        "status": status(parent),
        "quantity": text_of(signal.quantity),
        "filled": text_of(filled(parent)),
        "average": _average(parent),
        "limit": _text(signal.limit_price),
        "stop": _text(signal.stop_price),
        "working": working(parent),
        "touch": _touch(parent, inst),
        "reprices": parent.reprices,
        "maker": maker / parent.filled if parent.filled else None,
        "cost_bps": None if cost is None else cost.total_bps,
        "reason_code": parent.reason_code,
        "reason": parent.reason,
        "age_ms": (now_ns - parent.created_ns) // 1_000_000,
        "ended_ms": (now_ns - parent.done_ns) // 1_000_000 if parent.terminal else None,
    }


def _average(parent: Parent) -> str | None:
    rules = parent.instrument
    if rules is None or not parent.filled:
        return None
    return text_of(average(parent) or Decimal(0))


def working(parent: Parent) -> list[dict[str, str]]:
    """Price and unfilled quantity of its live orders."""
    rules = parent.instrument
    if rules is None:
        return []
    return [
        {
            "price": text_of(rules.price(child.price_ticks)),
            "quantity": text_of(rules.amount(child.quantity_lots - child.filled)),
            "state": child.state.name.lower(),
        }
        for child in parent.live
    ]


def _touch(parent: Parent, inst: InstrumentState | None) -> list[str] | None:
    """Best bid and best ask of its market; None for an ended order, or without a two-sided book."""
    touch = None if inst is None or parent.terminal else inst.touch_ticks()
    if touch is None or inst is None:
        return None
    return [text_of(inst.instrument.price(ticks)) for ticks in touch]


def _text(value: Decimal | None) -> str | None:
    return None if value is None else text_of(value)
