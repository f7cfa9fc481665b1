"""What is drawn of a live run in chaos: the exchange's faults, the configuration, the orders."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.config import EngineConfig, VenueConfig
from citadel_micro.core.model.events import (
    SignalReceived,
)
from citadel_micro.core.model.risk_limits import paper_defaults

if TYPE_CHECKING:
    from virtual_others import Market
    from virtual_venue import VirtualVenue

    from citadel_micro.core.model.events import Side

SECOND: Final = 1_000_000_000
MARK: Final = "chaos0"
LIES: Final = ("fill-after-cancel", "total-shrinks", "unknown-status", "event-unknown-status")
KNOBS: Final[dict[str, tuple[float, tuple[float, ...]]]] = {
    "request-lost": (0.15, ()),
    "request-delayed": (0.3, (0.3, 1.0, 2.5)),
    "overloaded": (0.2, ()),
    "unknown-executed": (0.2, ()),
    "unknown-lost": (0.2, ()),
    "unknown-late": (0.3, (0.5, 3.0, 9.0)),
    "http-503-executed": (0.2, ()),
    "http-503-lost": (0.2, ()),
    "answer-lost": (0.15, ()),
    "answer-delayed": (0.3, (0.2, 1.0, 12.0)),
    "answer-garbled": (0.15, ()),
    "too-many-requests": (0.05, (1.0, 5.0)),
    "too-many-orders": (0.2, (1.0, 3.0)),
    "clock-skew": (0.05, (5.0, -5.0, 1.5)),
    "query-lag": (0.5, (0.5, 2.0, 6.0)),
    "cancel-unknown": (0.3, ()),
    "fill-wins": (0.5, ()),
    "self-trade": (0.1, ()),
    "foreign-order": (0.1, ()),
    "halt": (0.1, (2.0, 5.0)),
    "server-shutdown": (0.02, (0.0, 1.0)),
    "session-cut": (0.02, ()),
    "stream-terminated": (0.03, ()),
    "event-first": (0.5, (0.05, 0.5)),
    "answer-first": (0.5, (0.2, 2.0)),
    "mute": (0.03, (0.0, 4.0, 20.0)),
    "event-lost": (0.15, ()),
    "event-duplicated": (0.5, ()),
    "event-reordered": (0.5, (0.1, 0.5)),
    "event-delayed": (0.3, (0.5, 3.0)),
    "new-delayed": (0.5, (5.0, 60.0)),
}
"""Knob -> its greatest chance, and how long it may last. Those that lie are in ``LIES``;
``half-replace`` is of a request that no adapter sends."""
RARE: Final[dict[str, tuple[float, tuple[float, ...]]]] = {
    "banned": (0.01, ()),
    "key-revoked": (0.01, ()),
}
"""What stops the trade until somebody does something: the key is given back at the end."""
MARGINED: Final[dict[str, tuple[float, tuple[float, ...]]]] = {
    "listen-key-deleted": (0.05, ()),
    "liquidated": (0.05, ()),
    "deleveraged": (0.05, ()),
}
QUERIES: Final = ("order.status", "openOrders.status", "account.status", "myTrades")
"""Whose answers may be garbled as well."""
OF_BYBIT: Final[dict[str, tuple[float, tuple[float, ...]]]] = {
    "taken-lost": (0.1, ()),
}


def draw_rules(seed: int, market: Market, *, margined: bool, lies: bool) -> tuple[str, ...]:
    """Rules of faults, as the simulator's ``--fault``."""
    # Its own: a run without one of them is else the same.
    chance, rules = Random(f"live rules {seed}"), []
    share = chance.choice((0.05, 0.15, 0.4))
    names = (*KNOBS, *LIES) if lies else tuple(KNOBS)
    for name in names:
        most, lengths = KNOBS.get(name, (0.1, ()))
        drawn = chance.random() < share or (name in LIES and chance.random() < 0.5)
        level = chance.choice((0.1, 0.4, 1.0)) * most
        length = chance.choice(lengths) if lengths else None
        if drawn:
            last = "" if length is None else f",for={length}"
            rules.append(f"{name}={level:.4f}{last}")
    more = {**RARE, **(MARGINED if margined else {})}
    if market.startswith("bybit"):
        more |= OF_BYBIT
    for name, (most, _) in more.items():
        if chance.random() < share / (2 if name in RARE else 1):
            rules.append(f"{name}={chance.choice((0.3, 1.0)) * most:.4f}")
    asked = Random(f"live queries {seed}")
    if asked.random() < share:
        rules.append(f"answer-garbled={asked.choice((0.1, 0.4)):.4f},on={asked.choice(QUERIES)}")
    return tuple(rules)


def draw_config(chance: Random, venue: type[VirtualVenue], integrity: str) -> EngineConfig:
    """Limits that do not bind, and audits that come soon."""
    return EngineConfig(
        run_id="r0",
        instance="chaos",
        venues={venue.name: VenueConfig.of(venue.abilities, integrity=integrity, mark=MARK)},
        limits=paper_defaults(
            reporting_currency=venue.money,
            lease_required=False,
            max_open_orders=1_000,
            depth_participation_bps=10_000.0,
            max_order_notional=Decimal(10_000_000),
            max_position_notional=Decimal(50_000_000),
            max_gross_exposure=Decimal(50_000_000),
            max_net_exposure=Decimal(50_000_000),
            max_venue_exposure={"*": Decimal(50_000_000)},
            max_daily_loss=Decimal(1_000_000),
            max_rolling_loss=Decimal(1_000_000),
            max_drawdown=Decimal(1_000_000),
        ),
        book_publish_interval_ns=0,
        quarantine_ns=chance.choice((15, 30)) * SECOND,
        audit_ns=5 * SECOND,
        compare_ns=chance.choice((5, 20)) * SECOND,
        late_reject_ends=True,
    )


def draw_signal(chance: Random, venue: VirtualVenue, now: int, number: int) -> SignalReceived:
    """The order of this number, at the prices of now."""
    symbol = chance.choice(venue.symbols)
    rules = venue.instruments[symbol]
    book = venue.feed.book(venue.listed(symbol))
    mid = (book.bids[-1] + book.asks[0]) // 2
    side: Side = chance.choice(("buy", "sell"))
    small = not venue.margined
    # Where prices are changed in place, some follow the market that often.
    often = "peg" if venue.abilities.amends == "in_place" else "chase_limit"
    algo = chance.choice(("chase_limit", often, "limit", "marketable_limit"))
    notional = chance.choice((6, 20, 300, 5_000) if small else (60, 200, 900, 5_000))
    lots = max(1, int(Decimal(notional) / (rules.price(mid) * rules.amount(1))))
    price = None
    params: dict[str, str | int | float | bool] = {}
    wide = max(mid // 2_000, 3)
    if algo in ("chase_limit", "peg"):
        # A market order would be one limit order within a cap, whatever algorithm it names.
        price = mid + 10 * wide * (1 if side == "buy" else -1)
    if algo == "limit":
        price = mid + chance.randint(-wide, wide)
        params = {
            "time_limit_ms": chance.choice((0, 4_000)),
            "post_only": chance.random() < 0.5,
        }
    elif algo == "peg":
        params = {
            "offset_ticks": chance.choice((-40, -5, 0)),
            "min_dwell_ms": chance.choice((0, 250)),
            "time_limit_ms": chance.choice((2_000, 8_000)),
        }
    elif algo == "marketable_limit":
        params = {"time_limit_ms": chance.choice((2_000, 10_000))}
    else:
        params = {
            "urgency": chance.choice(("passive", "normal", "high", "cross")),
            "on_timeout": chance.choice(("cancel", "rest", "cross_ioc")),
            "time_limit_ms": chance.choice((500, 3_000, 15_000)),
            "allow_taker": chance.random() < 0.5,
            "min_dwell_ms": chance.choice((0, 250)),
            "max_chase_bps": 50.0,
        }
    return SignalReceived(
        signal_id=f"s{number}",
        strategy="chaos",
        venue=venue.name,
        symbol=symbol,
        side=side,
        quantity=rules.amount(lots),
        kind="order",
        order_type="market" if price is None else "limit",
        limit_price=None if price is None else rules.price(price),
        stop_price=None,
        time_in_force="GTC",
        reduce_only=not small and chance.random() < 0.1,
        leverage=Decimal(1),
        algo=algo,
        params=tuple(sorted(params.items())),
        confidence=None,
        model_id="",
        tag="",
        candle_ns=0,
        created_ns=now,
        expires_ns=now + chance.choice((10, 60)) * SECOND,
        epoch=1,
        seq=number,
    )
