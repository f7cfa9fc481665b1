"""POV: a share of what the venue trades (percentage of volume), each part chased.

Counted from the trades since its arrival. On an exchange its own fills are among them, so the share is
that of all volume; where nothing trades, nothing is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.algos.base import Param
from citadel_micro.core.algos.sliced import COMMON, ByVolume, whole_lots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.algos.base import Value
    from citadel_micro.core.orders.orders import Parent


class Pov(ByVolume):
    """See the module."""

    name = "pov"
    params = (
        Param("rate_pct", 10.0, "Share of the venue's volume", 0.1, 50),
        Param("clip_pct", 2, "Smallest part, of the order", 1, 100),
        Param("part_ms", 10_000, "How long a part is chased until it is late", 100, 86_400_000),
        Param("time_limit_ms", 3_600_000, "Working time", 1_000, 86_400_000),
        *COMMON,
    )

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values, int(values["part_ms"]))
        self._rate = self.real("rate_pct") / 100

    def lots_for(self, volume: float, parent: Parent) -> int:
        """See ``ByVolume.lots_for``."""
        return min(parent.target, whole_lots(volume * self._rate / parent.rules.lot_float))
