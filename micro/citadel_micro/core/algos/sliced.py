"""What TWAP, VWAP and POV share: quantity that is released over time, each part chased.

A subclass says how many lots are released by now. What of it has not filled is due: it is worked by
a chase of its own, which grows more urgent until it has filled, and which may cross at its end.
What one part leaves is worked with the next. So the schedule is kept, as far as the market permits,
and the parent's budget is the only one.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos.base import (
    KEEP,
    Algorithm,
    Decision,
    Finish,
    Param,
    Value,
    Wait,
    Work,
    cross_price,
    unfit,
    whole_part,
)
from citadel_micro.core.algos.chase_limit import CROSS_GRACE_NS, URGENCY, ChaseLimit
from citadel_micro.core.algos.derived import WHOLE, ten_thousandths
from citadel_micro.core.model.time_units import FAR, MS, SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

CROSS_AT: Final = 0.9
"""Share of a part's time after which it crosses, with ``late = cross``."""
CROSS_NS: Final = SECOND
"""And this long before the end of the order at least: a cancel and an order take two round trips. Of a short
order a tenth of its time, as of a part."""
COMMON: Final = (
    Param("urgency", "normal", "Schedule of the chase of each part", choices=tuple(URGENCY)),
    Param("late", "carry", "What a part does at the end of its time", choices=("carry", "cross")),
    Param(
        "late_by_end",
        default=True,
        text="With late = cross: the order's end ends every part's time, and a restart begins none anew",
        before=False,
    ),
    Param("max_chase_bps", 200.0, "Worst price, from the mid at arrival", 0, 1_000),
    Param("max_cross_bps", 10.0, "Worst price of a crossing, from the touch", 0, 1_000),
    Param("on_timeout", "cancel", "At the end of its time", choices=("cancel", "cross_ioc")),
)
"""Parameters of all of them."""


class Sliced(Algorithm):
    """See the module."""

    def __init__(self, values: Mapping[str, Value], part_ms: int) -> None:
        """``part_ms``: how long one part is chased before it crosses or is carried on."""
        super().__init__(values)
        late = values["late"] == "cross"
        self._chase = ChaseLimit.make(
            (
                ("urgency", values["urgency"]),
                ("allow_taker", late or values["urgency"] in {"high", "cross"}),
                *((("cross_at", CROSS_AT),) if late and values["urgency"] != "cross" else ()),
                ("max_chase_bps", values["max_chase_bps"]),
                ("max_cross_bps", values["max_cross_bps"]),
                ("time_limit_ms", max(100, min(part_ms, 86_400_000))),
            )
        )
        self._chase.endless = True
        part_ns = max(1, min(part_ms * MS, self.working_ns))
        least_ns = min(CROSS_NS, self.working_ns // 10)
        self._keeps_time = late and bool(values["late_by_end"])
        """The time at which a part began is durable, and none is too late to cross before the end."""
        self._before_end_ns = max(part_ns - int(part_ns * CROSS_AT), least_ns)
        self._cross_bps = self.real("max_cross_bps")
        self._crosses = values["on_timeout"] == "cross_ioc"
        self.grace_ns = CROSS_GRACE_NS if self._crosses else 0
        self.next_ns = FAR
        """When more is released without a trade; set by ``released``."""

    @abstractmethod
    def released(self, parent: Parent, inst: InstrumentState, now_ns: int) -> int:
        """Lots released by now, out of the target; never fewer than before. Sets ``next_ns``."""

    def forget(self) -> None:
        """See ``Algorithm.forget``."""
        self._chase.forget()

    def cap(self, parent: Parent) -> int:
        """See ``Algorithm.cap``."""
        return self._chase.cap(parent)

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Algorithm.decide``."""
        child = parent.live[0] if parent.live else None
        if self.working_ns and now_ns - parent.accepted_ns >= self.working_ns:
            self.wake_ns = FAR
            return self._take_rest(parent, inst) if self._crosses else KEEP
        self.next_ns = FAR
        released = min(parent.target, self.released(parent, inst, now_ns))
        due = released - parent.filled
        touch = inst.touch_ticks() if inst.fit else None
        if touch is not None:
            due = whole_part(due, parent, inst, touch)
        if self._keeps_time:
            self._chase.cross_ns = parent.accepted_ns + self.working_ns - self._before_end_ns
            self._chase.began_ns = int(str(parent.algo_state.get("began_ns", 0)))
        if due <= 0 and child is None:
            self._begin(parent, 0)
            self.wake_ns = self.next_ns
            return KEEP
        if not self._chase.began_ns:
            self._begin(parent, now_ns)
            self._chase.forget()
        decision = self._chase.decide(parent, inst, now_ns)
        self.wake_ns = min(self._chase.wake_ns, self.next_ns)
        if isinstance(decision, Work):
            out = 0 if child is None else child.reserved
            return decision._replace(quantity_lots=max(due, out))
        if isinstance(decision, Finish) and child is None:
            return Wait(decision.code, decision.reason)  # its time is not over
        return KEEP if isinstance(decision, Finish) else decision

    def _begin(self, parent: Parent, now_ns: int) -> None:
        """A part's time begins; 0: none is worked."""
        if self._keeps_time and now_ns != self._chase.began_ns:
            parent.algo_state = {**parent.algo_state, "began_ns": now_ns}
        self._chase.began_ns = now_ns

    def _take_rest(self, parent: Parent, inst: InstrumentState) -> Decision:
        """Time is up: cross with everything that is left, until the executor ends it."""
        touch = inst.touch_ticks() if inst.fit else None
        if parent.live and parent.live[0].ioc:
            return KEEP
        if touch is None:
            return KEEP if parent.live else unfit(inst)
        far = touch[1] if parent.sign > 0 else -touch[0]
        cap = self.cap(parent)
        price = cross_price(parent, far, self._cross_bps, None if cap == FAR else cap)
        if price is None:
            text = "the worst price does not reach the other side"
            return KEEP if parent.live else Wait("NOT_MARKETABLE", text)
        return Work(parent.sign * price, post_only=False, ioc=True, capped=False)


class Scheduled(Sliced):
    """Released by the clock, in ``slices`` equal times, along a curve; see ``share``.

    With ``random_pct``, when a part is released and how large it is vary by up to that share of one,
    by numbers derived from the order's id: a clockwork can be read by others.
    """

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._slices = int(values["slices"])
        limit_ms = int(values["time_limit_ms"])
        super().__init__(values, limit_ms // self._slices)
        self._vary = self.number("random_pct")

    def share(self, slices: int) -> tuple[int, int]:
        """Numerator and denominator of what is released with the first so many slices."""
        return slices, self._slices

    def released(self, parent: Parent, inst: InstrumentState, now_ns: int) -> int:
        """See ``Sliced.released``."""
        del inst
        number = self._slices
        interval_ns = self.working_ns // number
        elapsed = max(0, now_ns - parent.accepted_ns)
        slot = min(elapsed // interval_ns, number - 1)
        starts_ns = self._starts_ns(parent, slot, interval_ns)
        begun = slot + (elapsed >= starts_ns)
        following = starts_ns if begun == slot else self._starts_ns(parent, slot + 1, interval_ns)
        self.next_ns = parent.accepted_ns + min(following, self.working_ns)
        if begun >= number:
            return parent.target
        upper, lower = self.share(begun)
        lots = parent.target * upper // lower
        if begun and self._vary:
            before, after = self.share(begun - 1), self.share(begun + 1)
            least = min(upper - before[0], after[0] - upper)  # of its neighbours' parts
            swing = ten_thousandths(parent.id, begun) - WHOLE // 2
            lots += parent.target * least * swing * self._vary // (lower * WHOLE * 100)
        return lots

    def _starts_ns(self, parent: Parent, slot: int, interval_ns: int) -> int:
        """When a slice begins, from the acceptance: the first at once, later ones up to half late."""
        if slot == 0:
            return 0
        late = interval_ns * self._vary * ten_thousandths(parent.id, -slot) // (200 * WHOLE)
        return slot * interval_ns + late


SCHEDULE: Final = (
    Param("time_limit_ms", 600_000, "Time over which it is worked", 1_000, 86_400_000),
    Param("slices", 10, "Parts that are released one after the other", 1, 1_000),
    Param("random_pct", 20, "How far times and sizes of the parts vary, of one part", 0, 100),
)
"""Parameters of those released by the clock."""


class ByVolume(Sliced):
    """Released with what the venue trades since the order's arrival.

    The volume seen is durable: after a restart it counts on, without what was traded meanwhile, so
    that the order takes part in no volume that it did not see.
    """

    def __init__(self, values: Mapping[str, Value], part_ms: int) -> None:
        super().__init__(values, part_ms)
        self._clip_pct = self.number("clip_pct")
        self._volume = 0.0
        self._seen: float | None = None

    @abstractmethod
    def lots_for(self, volume: float, parent: Parent) -> int:
        """Lots released by that volume since arrival, in the units of the book."""

    def released(self, parent: Parent, inst: InstrumentState, now_ns: int) -> int:
        """See ``Sliced.released``. Grows in clips, so that not every trade makes an order."""
        del now_ns
        traded = inst.market.traded
        known = float(str(parent.algo_state.get("volume", 0.0)))
        if self._seen is None:
            self._volume = known
            # The market's own count begins anew with every run, as does that at arrival.
            self._seen = traded if "volume" in parent.algo_state else parent.arrival_traded
        self._volume += max(0.0, traded - self._seen)
        self._seen = traded
        lots = int(str(parent.algo_state.get("lots", 0)))
        more = self.lots_for(self._volume, parent)
        clip = max(1, parent.target * self._clip_pct // 100)
        if more - lots >= clip or (more >= parent.target > lots):
            lots = more
            seen = {"volume": self._volume, "lots": lots}
            parent.algo_state = {**parent.algo_state, **seen}
        return lots


def whole_lots(lots: float) -> int:
    """Rounded down; a sum of trades that is short of a lot by its binary representation only is one."""
    return math.floor(lots + 1e-6)
