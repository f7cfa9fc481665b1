"""What is drawn of a run in chaos: its configuration, its orders, its operator and its queries."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from algo_signals import HELD, NAMES, NEED_A_LIMIT, params_of
from chaos_market import MS, SECOND, VENUE, Market
from ladder_kit import MOST

from citadel_micro.core.model.config import EngineConfig, VenueConfig
from citadel_micro.core.model.events import OperatorCommand, QueryReceived, SignalReceived
from citadel_micro.core.model.risk_limits import paper_defaults

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from citadel_micro.core.model.events import Side
    from citadel_micro.core.risk.circuit_breakers import Trip
    from citadel_proto.messages import QueryKind

Action = Literal["pause", "halt", "kill", "reset", "cancel_all", "flatten"]


def draw_config(chance: Random, *, every: bool) -> EngineConfig:
    """A venue of one kind or another, and limits that may bind."""
    venue = VenueConfig(
        shows_own_orders=False,
        amend_native=chance.random() < 0.5,
        amend_down=chance.random() < 0.5,
        fill_or_kill=every,
        messages_per_second=chance.choice((5, 20, 100)),
        message_burst=chance.choice((10, 50)),
        mark="chaos0",
    )
    loose = chance.random() < 0.8
    limits = paper_defaults(
        lease_required=chance.random() < 0.7,
        max_open_orders=1_000,
        depth_participation_bps=chance.choice((10.0, 1_000.0, 10_000.0, 10_000.0)),
        max_order_notional=Decimal(10_000_000 if loose else chance.choice((9_000, 300))),
        max_position_notional=Decimal(10_000_000 if loose else 15_000),
        max_gross_exposure=Decimal(50_000_000 if loose else 40_000),
        max_net_exposure=Decimal(50_000_000 if loose else 40_000),
        max_venue_exposure={"*": Decimal(50_000_000 if loose else 40_000)},
        max_daily_loss=Decimal(chance.choice((20, 1_000_000, 1_000_000))),
        max_rolling_loss=Decimal(1_000_000),
        max_drawdown=Decimal(chance.choice((50, 1_000_000, 1_000_000))),
    )
    return EngineConfig(
        slice_entries=every,
        run_id="r0",
        instance="chaos",
        venues={VENUE: venue},
        limits=limits,
        book_publish_interval_ns=chance.choice((0, 200 * MS)),
        quarantine_ns=chance.choice((5 * SECOND, 60 * SECOND)),
        audit_ns=5 * SECOND,
    )


def draw_signal(
    chance: Random, market: Market, held: Decimal, now: int, number: int, *, every: bool
) -> SignalReceived:
    """The order of this number, in a market of which so much is held."""
    rules = market.instrument
    side: Side = chance.choice(("buy", "sell"))
    algos = ("limit", "marketable_limit", "stop", "stop", "ladder", "ladder")
    algo = chance.choice(("chase_limit",) * 4 + algos)
    lots = chance.choice(
        (2, chance.randint(1, 50), chance.randint(10, 100), chance.randint(50, 500))
    )
    price: int | None = None
    stop: int | None = None
    params: dict[str, object] = {}
    if algo == "limit" or chance.random() < 0.3:
        price = market.mid + chance.randint(-60, 60)
    if algo == "chase_limit":
        params = {
            "urgency": chance.choice(("passive", "normal", "high", "cross")),
            "on_timeout": chance.choice(("cancel", "rest", "cross_ioc")),
            "on_cap": chance.choice(("rest", "cancel", "cross")),
            "time_limit_ms": chance.choice((500, 3_000, 15_000)),
            "allow_taker": chance.random() < 0.5,
            "post_only": chance.random() < 0.7,
            "min_dwell_ms": chance.choice((0, 250)),
            "max_chase_bps": chance.choice((0.0, 1.0, 50.0, 50.0)),
            "improve_ticks": chance.choice((1, 3)),
            "retreat_ticks": chance.choice((1, 3)),
            "max_reprices": chance.choice((2, 200)),
        }
    elif algo == "limit":
        params = {
            "time_limit_ms": chance.choice((0, 4_000)),
            "post_only": chance.random() < 0.5,
        }
    elif algo == "marketable_limit":
        params = {"time_limit_ms": chance.choice((2_000, 10_000))}
    elif algo == "ladder":
        params = {
            "levels": chance.randint(1, MOST),
            "step_ticks": chance.choice((0, 1, 4)),
            "even": chance.random() < 0.5,
            "take": chance.random() < 0.2,
            "time_limit_ms": chance.choice((500, 3_000, 15_000)),
        }
    else:
        price = None
        side = "sell" if held > 0 else "buy" if held < 0 else side
        stop = market.mid + chance.randint(-40, 40)
        params = {"after": chance.choice(("ioc", "chase"))}
    if every and chance.random() < 0.7:
        algo = chance.choice((*NAMES, "bracket", *HELD))
        params = params_of(algo, chance, at=float(rules.price(market.mid)))
        stop = market.mid + chance.randint(-40, 40) if algo in HELD else None
        if algo in HELD:
            side = "sell" if held > 0 else "buy" if held < 0 else side
        if algo == "oco" and stop is not None:
            ahead = chance.randint(1, 60) * (1 if side == "sell" else -1)
            params["take_profits"] = str(rules.price(stop + ahead))
        if algo in NEED_A_LIMIT:
            price = market.mid + chance.randint(-60, 60)
        elif algo in HELD or algo == "bracket":
            price = None
    created = now - chance.choice((0,) * 12 + (5 * MS, 400 * MS, 30 * SECOND))
    return SignalReceived(
        signal_id=f"s{number}",
        strategy=chance.choice(("chaos", "other")),
        venue=VENUE,
        symbol=rules.symbol,
        side=side,
        quantity=rules.quantity(lots) + (rules.lot / 3 if chance.random() < 0.02 else 0),
        kind="order" if stop is None else "stop",
        order_type=chance.choice(("limit",) * 8 + ("market",)),
        limit_price=None if price is None else rules.price(price),
        stop_price=None if stop is None else rules.price(stop),
        time_in_force=chance.choice(("GTC",) * 8 + ("IOC", "PO")),
        reduce_only=chance.random() < 0.12,
        leverage=Decimal(1),
        algo=algo,
        params=tuple(sorted(params.items())),  # type: ignore[arg-type]
        confidence=None,
        model_id="",
        tag="",
        candle_ns=0,
        created_ns=created,
        expires_ns=created + chance.choice((10, 60)) * SECOND,
        epoch=1,
        seq=number,
    )


def draw_operation(chance: Random, trips: Sequence[Trip]) -> OperatorCommand:
    """What the operator does: mostly a reset of a breaker that has tripped."""
    if trips and chance.random() < 0.7:
        return operator("reset", trip_id=chance.choice(trips).trip_id)
    action: Action = chance.choice(("pause", "halt", "cancel_all", "flatten", "flatten"))
    if chance.random() < 0.03:
        action = "kill"
    scope = chance.choice(("", f"venue:{VENUE}", f"symbol:{VENUE}:BTC/USDT", "strategy:chaos"))
    through = action == "flatten" and chance.random() < 0.4
    return operator(action, scope=scope, through_halt=through)


def operator(
    action: Action, *, scope: str = "", trip_id: str = "", through_halt: bool = False
) -> OperatorCommand:
    return OperatorCommand(
        action=action, scope=scope, trip_id=trip_id, reason="chaos", through_halt=through_halt
    )


def draw_query(chance: Random) -> QueryReceived:
    """A question of macro's."""
    kinds: tuple[QueryKind, ...] = ("order", "orders", "balances", "positions", "limits")
    kind = chance.choice(kinds)
    signal_id = f"s{chance.randint(0, 5)}"
    return QueryReceived(
        query_id="q",
        kind=kind,
        reply_to="chaos",
        signal_id=signal_id,
        venue="",
        symbol="",
        since_ns=0,
    )
