"""Auto: chooses once between crossing, crossing in slices, and chasing, and says why.

Crossing now costs the difference of the fees, half the spread and what the order moves the book; chasing
costs, before fees, about ``chase_cost_bps``, however narrow the spread. The cheaper one is taken; where
only the size makes crossing dear, it crosses in slices, each of which is cheap enough, as the book
refills. The choice and its figures are durable and reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos.base import (
    KEEP,
    Algorithm,
    Decision,
    Param,
    Unmoved,
    Value,
    Work,
    cross_price,
    unfit,
)
from citadel_micro.core.algos.chase_limit import ChaseLimit
from citadel_micro.core.model.time_units import FAR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

CHASE, CROSS, SLICE = "chase", "cross", "slice"
LEVELS: Final = 200
"""So many of the other side are counted for what a crossing costs."""
BPS: Final = 10_000
_COMMON: Final = ("max_chase_bps", "max_cross_bps", "time_limit_ms", "on_timeout")
_OF_CHASE: Final = {
    param.name: param for param in ChaseLimit.params if param.before is not None
} | {param.name: param for param in ChaseLimit.params if param.name in _COMMON}


class Auto(Algorithm):
    """See the module."""

    name = "auto"
    params = (
        Param(
            "urgency",
            "normal",
            "passive never crosses at once, cross always does",
            choices=("passive", "normal", "high", "cross"),
        ),
        Param(
            "chase_cost_bps",
            0.8,
            "What chasing costs before fees, compared with the mid at arrival",
            0,
            1_000,
            source="0.7 to 1.1 bps measured on BTC, `make study`",
        ),
        *(_OF_CHASE[name] for name in _COMMON),
        Param("chase_beyond_bps", 0.0, "How far beyond the signal's limit it may go", 0, 1_000),
        *(
            _OF_CHASE[name]._replace(before=None, instead_of="", low=0)
            for name in _OF_CHASE
            if name not in _COMMON
        ),
    )

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        names = {param.name for param in ChaseLimit.params}
        given = {name: value for name, value in values.items() if name in names}
        if values["urgency"] == "high":
            given["allow_taker"] = True
        self._chase = ChaseLimit.make(given.items())
        self.beyond_bps = self.real("chase_beyond_bps")
        self.grace_ns = self._chase.grace_ns
        self._cost = self.real("chase_cost_bps")
        self._cross_bps = self.real("max_cross_bps")

    def forget(self) -> None:
        """See ``Algorithm.forget``."""
        self._chase.forget()

    def cap(self, parent: Parent) -> int:
        """See ``Algorithm.cap``."""
        return self._chase.cap(parent)

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Algorithm.decide``."""
        chosen = parent.algo_state.get("chosen")
        if chosen is None:
            if not inst.fit:
                self.wake_ns = FAR
                return unfit(inst)
            chosen, reach, why = self._choose(parent, inst)
            parent.algo_state = {"chosen": chosen, "reach_bps": reach, "why": why}
        if chosen != CHASE and now_ns - parent.accepted_ns < self.working_ns:
            self.wake_ns = FAR
            crossing = self._take(parent, inst)
            if crossing is not None:
                return crossing
        decision = self._chase.decide(parent, inst, now_ns)
        self.wake_ns = self._chase.wake_ns
        return decision

    def unmoved(self, parent: Parent, inst: InstrumentState) -> Unmoved | None:
        """See ``Algorithm.unmoved``."""
        chases = parent.algo_state.get("chosen") == CHASE
        return self._chase.unmoved(parent, inst) if chases else None

    def _choose(self, parent: Parent, inst: InstrumentState) -> tuple[str, float, str]:
        """What to do, how far from the touch a crossing order may reach (bps), and why."""
        rules, sign = parent.rules, parent.sign
        bids, asks = inst.market.top(LEVELS)
        others, own = (asks, bids) if sign > 0 else (bids, asks)
        far, near = others[0][0], own[0][0]
        mid = (far + near) / 2
        half = abs(far - near) / 2 / mid * BPS
        gap = float(rules.taker_fee - rules.maker_fee) * BPS
        left = want = rules.lot_float * parent.remaining
        paid = 0.0
        for price, size in others:
            part = min(size, left)
            paid += part * abs(price - far)
            left -= part
            if left <= 0:
                break
        impact = paid / want / mid * BPS if left <= 0 else self._cross_bps
        fees = f"taker less maker {gap:.2f} bps"
        costs = f"{fees}, half spread {half:.2f}, impact {impact:.2f}"
        urgency = self.values["urgency"]
        if sign * inst.instrument.ticks_of_float(far) > self.cap(parent):
            return CHASE, 0.0, f"chases: the worst price does not reach the other side; {costs}"
        if urgency == "cross":
            return CROSS, self._cross_bps, f"crosses as its urgency says; {costs}"
        if urgency == "passive":
            return CHASE, 0.0, f"chases as its urgency says; {costs}"
        if gap + half + impact <= self._cost:
            return CROSS, self._cross_bps, f"crosses, below {self._cost:g} bps: {costs}"
        if gap + half <= self._cost / 2 and urgency != "passive":
            reach = min(self._cross_bps, self._cost - gap - half)
            return SLICE, reach, f"crosses in slices of up to {reach:.2f} bps: {costs}"
        return CHASE, 0.0, f"chases, above {self._cost:g} bps: {costs}"

    def _take(self, parent: Parent, inst: InstrumentState) -> Decision | None:
        """Cross within reach; what is not there is tried on a newer book.

        None where the market is beyond the worst price: what is left is chased meanwhile.
        """
        if parent.live and parent.live[0].ioc:
            return KEEP
        touch = inst.touch_ticks() if inst.fit else None
        if touch is None:
            return None if parent.live else unfit(inst)
        far = touch[1] if parent.sign > 0 else -touch[0]
        reach, cap = parent.algo_state.get("reach_bps"), self.cap(parent)
        bps = reach if isinstance(reach, float) else 0.0
        price = cross_price(parent, far, bps, None if cap == FAR else cap)
        if price is None:
            return None
        return Work(parent.sign * price, post_only=False, ioc=True, capped=False)
