"""A chase on an engine."""

from __future__ import annotations

from typing import Any

from engine_kit import MS, Rig, signal


def chase(rig: Rig, **params: object) -> None:
    changes: dict[str, Any] = {}
    for name in ("side", "limit_price", "quantity"):
        if name in params:
            changes[name] = params.pop(name)
    rig.send(signal(params=tuple(sorted(params.items())), **changes))
    rig.run(10 * MS)


def prices(rig: Rig) -> list[int]:
    return [order.price_ticks for order in rig.venue.placed]
