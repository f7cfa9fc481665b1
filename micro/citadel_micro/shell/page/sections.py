"""The rows of the page, read from a run. Reading changes nothing; times are engine time in ms."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.orders.execution_reports import average, status
from citadel_micro.core.orders.tca import shortfall
from citadel_micro.core.risk.circuit_breakers import GLOBAL, SEVERITY
from citadel_micro.shell.bridge.wire import text_of
from citadel_micro.shell.ops.health import reasons_of
from citadel_micro.shell.ops.overview import positions, working
from citadel_micro.shell.page.costs import MOST_FILLS, maker_lots
from citadel_micro.shell.page.history import equity_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.core.risk.circuit_breakers import Trip
    from citadel_micro.shell.ops.health import Vitals
    from citadel_micro.shell.page.board import Row

Key = tuple[str, str]
Ended = dict[str, tuple[float | None, float | None]]
"""By order: its cost in basis points, and its share of maker fills."""

LEVELS: Final = 12
"""Of each side of a book that is on the screen."""
OPEN_ORDERS: Final = 50
"""Open orders listed, the newest; their number counts all."""
ENDED_ORDERS: Final = 30
_MS: Final = 1_000_000


def run_row(vitals: Vitals) -> Row:
    """State, health and account."""
    engine = vitals.engine
    portfolio = engine.portfolio
    breakers = engine.risk.breakers
    worst = max(
        (trip.state for trip in breakers.trips), key=lambda state: SEVERITY[state], default="ACTIVE"
    )
    equity, profit = equity_of(engine), portfolio.profit()
    fills = vitals.stats.fills
    return {
        "run": vitals.run_id,
        "instance": vitals.instance,
        "mode": vitals.mode,
        "execution": dict(vitals.execution),
        "state": vitals.state,
        "risk": breakers.scope_state(GLOBAL),
        "worst": worst,
        "reasons": [[each.key, each.text, each.grave] for each in reasons_of(vitals)],
        "open": vitals.open_parents(),
        "held": engine.view.held_orders(),
        "currency": portfolio.reporting_currency,
        "equity": None if equity is None else float(equity),
        "profit": None if profit is None else float(profit),
        "maker": fills.get("maker", 0),
        "taker": fills.get("taker", 0),
        "venues": list(engine.config.venues),
    }


def trip_rows(engine: Engine) -> dict[str, Row]:
    """Every trip, and how it is reset."""
    limits = engine.risk.limits
    return {
        trip.trip_id: {
            "id": trip.trip_id,
            "state": trip.state,
            "phase": trip.phase,
            "scope": trip.scope,
            "code": trip.code,
            "reason": trip.reason,
            "since": trip.since_ns // _MS,
            "reset": trip.reset_class,
            "by_hand": by_hand(trip),
            "until": (trip.since_ns + limits.cooldown_ns) // _MS
            if trip.reset_class == "timed" and trip.phase == "tripped"
            else None,
            "how": how_to_reset(trip, limits.healthy_ns, limits.cooldown_ns),
        }
        for trip in engine.risk.breakers.trips
    }


def by_hand(trip: Trip) -> bool:
    """Whether a reset by a person would be accepted now."""
    if trip.phase == "probation" or trip.reset_class in ("automatic", "timed"):
        return False
    return trip.reset_class != "reconcile" or trip.reconciled


def how_to_reset(trip: Trip, healthy_ns: int, cooldown_ns: int) -> str:
    """What ends it, in words."""
    if trip.phase == "probation":
        orders = "order" if trip.clean_left == 1 else "orders"
        return f"ends after {trip.clean_left} more clean {orders}; entries are smaller until then"
    if trip.reset_class == "automatic":
        return f"resets by itself after {healthy_ns / 1e9:g} s in good order"
    if trip.reset_class == "timed":
        return f"resets by itself {cooldown_ns / 1e9:g} s after the last time"
    if trip.reset_class == "reconcile" and not trip.reconciled:
        return "wait for a complete reconciliation with the venue, then reset it with a reason"
    if trip.reset_class == "kill" and trip.phase == "tripped":
        return "reset it twice, each time with a reason: from KILLED to HALTED, then to probation"
    return "reset it with a reason; trading goes on in probation"


def instrument_rows(engine: Engine) -> dict[str, Row]:
    """What a viewer needs to write prices and quantities of a symbol."""
    rows: dict[str, Row] = {}
    for (venue, symbol), inst in engine.inst_states.items():
        rules = inst.instrument
        rows[f"{venue}:{symbol}"] = {
            "tick": text_of(rules.tick),
            "lot": text_of(rules.lot),
            "base": rules.base,
            "quote": rules.quote,
            "settle": rules.settle,
            "kind": rules.kind,
        }
    return rows


def book_row(engine: Engine, key: Key, market: MarketBook, *, levels: int) -> Row:
    """The book of one symbol; with its depth where ``levels`` are asked for."""
    best = market.best()
    trade = market.last_trade
    row: Row = {
        "venue": key[0],
        "symbol": key[1],
        "state": market.state,
        "reason": market.reason,
        "bid": None,
        "ask": None,
        "spread": None,
        "proof": market.proof_ns // _MS if market.proof_ns else None,
        "traded": key in engine.inst_states,
        "last": None if trade is None else [trade.price, trade.side],
    }
    if best is not None and best[0] + best[2] > 0:
        row["bid"], row["ask"] = [best[0], best[1]], [best[2], best[3]]
        row["spread"] = round(2e4 * (best[2] - best[0]) / (best[0] + best[2]), 3)
    if levels:
        row["depth"] = market.book.top(levels)
    return row


def order_rows(engine: Engine, ended: Ended) -> dict[str, Row]:
    """The newest open orders."""
    active = engine.order_store.active
    newest = islice(reversed(active.values()), OPEN_ORDERS)
    return {parent.id: order_row(parent, ended) for parent in newest if not parent.terminal}


def ended_rows(engine: Engine, ended: Ended) -> dict[str, Row]:
    """The newest orders that have ended."""
    rows: dict[str, Row] = {}
    # Among many that are open (held stops), not every one is looked at.
    for parent in islice(reversed(engine.order_store.known.values()), 50 * ENDED_ORDERS):
        if parent.terminal:
            rows[parent.id] = order_row(parent, ended)
            if len(rows) == ENDED_ORDERS:
                break
    for order in [order for order in ended if order not in rows]:
        del ended[order]
    return rows


def order_row(parent: Parent, ended: Ended) -> Row:
    """One order; ``ended`` keeps what is expensive of those that have ended: it does not change."""
    cost, maker = _outcome(parent, ended)
    signal, rules = parent.signal, parent.instrument
    return {
        "id": parent.id,
        "number": parent.number,
        "strategy": signal.strategy,
        "own": parent.own,
        "venue": signal.venue,
        "symbol": signal.symbol,
        "side": signal.side,
        "kind": signal.kind,
        "algo": parent.algo.name if parent.algo is not None else signal.algo,
        "tag": signal.tag,
        "status": status(parent),
        "quantity": float(signal.quantity),
        "filled": 0.0 if rules is None else float(rules.amount(parent.filled)),
        "average": None if rules is None else _number(average(parent)),
        "limit": _number(signal.limit_price),
        "stop": _number(signal.stop_price),
        "working": [
            [float(each["price"]), float(each["quantity"]), each["state"]]
            for each in working(parent)
        ],
        "reprices": parent.reprices,
        "fills": parent.fills,
        "maker": maker,
        "cost": cost,
        "code": parent.reason_code,
        "reason": parent.reason,
        "created": parent.created_ns // _MS,
        "done": parent.done_ns // _MS if parent.terminal else None,
    }


def _outcome(parent: Parent, ended: Ended) -> tuple[float | None, float | None]:
    """Cost in basis points against its arrival, and the share that rested, of an ended order."""
    if not parent.terminal or not parent.filled or parent.fills > MOST_FILLS:
        return None, None
    if parent.id not in ended:
        found = shortfall(parent)
        maker = maker_lots(parent) / parent.filled
        ended[parent.id] = (None if found is None else found.total_bps, maker)
    return ended[parent.id]


def position_rows(vitals: Vitals) -> dict[str, Row]:
    """Every position that is held or has traded."""
    return {f"{row['venue']}:{row['symbol']}": row for row in positions(vitals)}


def balance_rows(engine: Engine) -> dict[str, Row]:
    """Balances by venue and currency, without those of nothing."""
    return {
        f"{venue}:{currency}": {
            "venue": venue,
            "currency": currency,
            "free": text_of(balance.free),
            "used": text_of(balance.used),
        }
        for venue in engine.config.venues
        for currency, balance in engine.portfolio.balances(venue)
        if balance.free or balance.used
    }


def feed_rows(vitals: Vitals) -> dict[str, Row]:
    """Every connection of the feeds."""
    return {
        f"{each.venue}:{each.number}": {
            "venue": each.venue,
            "number": each.number,
            "up": each.up,
            "symbols": len(each.symbols),
            "connects": each.connects,
            "frames": each.frames,
            "overloaded": each.load.overloaded,
            "behind": each.load.behind_ns // _MS,
            "conflated": each.load.conflated,
        }
        for each in vitals.connections()
    }


def macro_rows(vitals: Vitals) -> dict[str, Row]:
    """Every macro that sends heartbeats."""
    now_ns = vitals.clock.now()
    limit_ns = vitals.engine.risk.limits.max_skew_ns
    return {
        peer.instance: {
            "instance": peer.instance,
            "address": peer.address,
            "heard": peer.beat_ns // _MS,
            "hears": peer.receives_us,
            "skew": round(peer.skew.skew_ns / _MS),
            "skewed": abs(peer.skew.skew_ns) > limit_ns,
        }
        for peer in vitals.uplink.peers.alive(now_ns)
    }


def limit_rows(rows: Iterable[dict[str, Any]]) -> dict[str, Row]:
    """Headroom by name and scope, in its order."""
    return {
        f"{row['name']}|{row['scope']}|{row['unit']}": {**row, "place": place}
        for place, row in enumerate(rows)
    }


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
