"""A random order of any algorithm that an order may name, for the tests of the invariants."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from engine_kit import SECOND, START, signal

if TYPE_CHECKING:
    from random import Random

    from citadel_micro.core.model.events import SignalReceived
    from citadel_micro.core.orders.orders import Parent

NAMES: Final = (
    "auto", "iceberg", "scaled", "snipe", "fill_or_kill", "twap", "vwap", "pov",
)  # fmt: skip
"""Those beside the ones that ``strict_rig`` draws."""
IN_SLICES: Final = "chase_limit"
"""Drawn here with ``clip_pct``."""
TIME_MS: Final = 10_000
"""Working time of them all: they end by then, and the grace of a late crossing."""
NEED_A_LIMIT: Final = ("scaled", "snipe", "stop_limit")
HELD: Final = ("stop_limit", "trailing_stop", "oco")
"""Those of kind stop, beside the plain one."""


def most_live(parent: Parent) -> int:
    """How many orders of it may be live."""
    if parent.signal.algo == "scaled":
        return int(dict(parent.signal.params).get("levels", 5))
    return 6 if parent.signal.algo == "oco" else 1


def params_of(name: str, chance: Random, at: float = 60_000.0) -> dict[str, Any]:
    """Random parameters of an algorithm, in a market at that price."""
    parts = {
        "urgency": chance.choice(("passive", "normal", "high", "cross")),
        "late": chance.choice(("carry", "cross")),
        "late_by_end": True,
        "on_timeout": chance.choice(("cancel", "cross_ioc")),
        "max_chase_bps": chance.choice((1.0, 200.0)),
    }
    times = {"slices": chance.choice((1, 4, 30)), "random_pct": chance.choice((0, 20, 100))}
    drawn: dict[str, dict[str, Any]] = {
        "iceberg": {
            "clip_pct": chance.choice((0.1, 10.0, 100.0)),
            "random_pct": chance.choice((0, 90)),
            "price": "primary",
            "offset_ticks": chance.randint(-3, 3),
            "min_dwell_ms": chance.choice((0, 250)),
        },
        "scaled": {
            "levels": chance.choice((1, 3, 6)),
            "width_bps": chance.choice((0.0, 1.0, 20.0)),
            "weight_pct": chance.choice((10, 100, 1_000)),
        },
        "snipe": {"min_share_pct": chance.choice((0.0, 50.0, 100.0))},
        "fill_or_kill": {},
        "auto": {
            "urgency": chance.choice(("passive", "normal", "high", "cross")),
            "chase_cost_bps": chance.choice((0.0, 0.8, 50.0)),
            "on_timeout": chance.choice(("cancel", "cross_ioc")),
            "max_chase_bps": chance.choice((1.0, 50.0)),
            "advance_dwell_ms": chance.choice((0, 1_000)),
            "retreat_bps": chance.choice((0.05, 2.0)),
        },
        "twap": parts | times,
        "vwap": parts | times | chance.choice(({"profile": "3, 1,2"}, {"expected_volume": 1.0})),
        "pov": parts | {"rate_pct": 50.0, "clip_pct": chance.choice((1, 25)), "part_ms": 1_000},
    }
    drawn |= {
        "stop_limit": {},
        "trailing_stop": {"trail_bps": chance.choice((0.5, 5.0)), "step_bps": 0.0},
        "oco": {"take_profits": f"{at * chance.choice((0.9995, 1.0005)):.1f}"},
        "bracket": {
            "entry": chance.choice(("auto", "chase_limit", "marketable_limit")),
            "stop_bps": chance.choice((0.5, 5.0)),
            "take_profits_bps": chance.choice(("0.5", "1, 3", "500")),
            "time_limit_ms": TIME_MS,
        },
    }
    # In slices; as a whole it is what the strict rig draws.
    drawn["chase_limit"] = (
        {
            "clip_pct": chance.choice((0.1, 10.0, 40.0)),
            "queue_miss_bps": 0.02,
            "urgency": chance.choice(("passive", "normal", "high", "cross")),
            "on_timeout": chance.choice(("cancel", "cross_ioc")),
            "advance_dwell_ms": chance.choice((0, 1_000)),
            "post_only": chance.choice((True, False)),
        }
        if name == "chase_limit"
        else {}
    )
    return drawn[name] | ({} if name in HELD else {"time_limit_ms": TIME_MS})


def drawn_signal(name: str, chance: Random, number: int, now_ns: int) -> SignalReceived:
    """A random order of it, at prices about those of ``strict_rig.wander``."""
    limit = None
    if name in NEED_A_LIMIT or chance.random() < 0.4:
        limit = Decimal(60_000 + chance.randint(-100, 100)) / 1
    params = params_of(name, chance)
    if name == "iceberg" and limit is not None:
        params["price"] = chance.choice(("limit", "primary"))
    return signal(
        f"s{number}",
        side=chance.choice(("buy", "sell")),
        quantity=Decimal(chance.randint(1, 500)) / 1000,
        algo=name,
        params=tuple(sorted(params.items())),
        limit_price=limit,
        created_ns=now_ns,
        expires_ns=START + 1_000_000 * SECOND,
    )
