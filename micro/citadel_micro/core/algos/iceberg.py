"""Iceberg: shows a small part of the order; when it has filled, the next part is placed.

Synthetic: each part is an order of its own, so it works at every venue, and its size varies by
numbers derived from the order's id. It rests at the signal's limit price, or follows its own side
of the market.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.algos.base import Algorithm, Param, Work, whole_part
from citadel_micro.core.algos.derived import varied
from citadel_micro.core.algos.limit import Limit
from citadel_micro.core.algos.peg import Peg
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.algos.base import Decision, Unmoved, Value
    from citadel_micro.core.model.events import SignalReceived
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent


class Iceberg(Algorithm):
    """See the module."""

    name = "iceberg"
    params = (
        Param("clip_pct", 10.0, "What is shown, of the order", 0.1, 100),
        Param("random_pct", 20, "How far a part's size varies", 0, 90),
        Param("price", "limit", "Where it rests", choices=("limit", "primary")),
        Param("offset_ticks", 0, "With primary: beyond the best price", -1_000_000, 1_000_000),
        Param("min_dwell_ms", 250, "With primary: shortest life of a price", 0, 3_600_000),
        Param("post_only", default=False, text="With limit: never take"),
        Param("time_limit_ms", 0, "Working time; 0: until the signal expires", 0, 86_400_000 * 365),
    )

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        self._fixed = values["price"] == "limit"
        self.post_only = self.post_only or not self._fixed
        self._clip_e3 = round(self.real("clip_pct") * 1_000)
        self._vary = self.number("random_pct")
        self._inner: Algorithm = (
            Limit.make((("post_only", values["post_only"]),))
            if self._fixed
            else Peg.make(
                (
                    ("offset_ticks", values["offset_ticks"]),
                    ("min_dwell_ms", values["min_dwell_ms"]),
                )
            )
        )

    def check(self, signal: SignalReceived) -> None:
        """See ``Algorithm.check``."""
        if self._fixed and signal.limit_price is None:
            raise BadInput(
                "an iceberg rests at the limit price, and there is none",
                mend="give limit_price, or price = primary to follow the market",
            )

    def forget(self) -> None:
        """See ``Algorithm.forget``."""
        self._inner.forget()

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Algorithm.decide``."""
        decision = self._inner.decide(parent, inst, now_ns)
        self.wake_ns = self._inner.wake_ns
        if not isinstance(decision, Work):
            return decision
        if parent.live:  # a part is moved, not made larger
            return decision._replace(quantity_lots=parent.live[0].reserved)
        clip = max(1, parent.target * self._clip_e3 // 100_000)
        clip = varied(clip, self._vary, parent.id, parent.placed)
        ticks = decision.price_ticks
        smallest = inst.instrument.min_lots_at(ticks, reduce_only=parent.reduce_only)
        clip = min(max(clip, smallest), parent.remaining)
        return decision._replace(quantity_lots=whole_part(clip, parent, inst, (ticks, ticks)))

    def unmoved(self, parent: Parent, inst: InstrumentState) -> Unmoved | None:
        """See ``Algorithm.unmoved``."""
        return self._inner.unmoved(parent, inst)
