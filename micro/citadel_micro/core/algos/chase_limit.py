"""ChaseLimit: rest at the best price, follow it within a cap, grow more urgent as time runs out.

All prices in here are ticks times the side's sign, so that every side is a buy: ``near`` is the
best price of the own side without our own orders, ``far`` the best opposite one, and a
higher number is always more aggressive.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Self

from citadel_micro.core.algos.base import (
    KEEP,
    Algorithm,
    Decision,
    Finish,
    Param,
    Unmoved,
    Value,
    Withdraw,
    Work,
    cross_price,
    resting_price,
    unfit,
    whole_part,
)
from citadel_micro.core.algos.queue_value import QueueValue
from citadel_micro.core.model.time_units import FAR, MS, SECOND
from citadel_micro.core.orders.order_states import ParentEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

JOIN, IMPROVE, MID, CROSS = range(4)
_NEVER: Final = 2.0
URGENCY: Final = {
    "passive": (_NEVER, _NEVER, _NEVER),
    "normal": (0.5, 0.75, _NEVER),
    "high": (0.0, 0.25, 0.75),
    "cross": (0.0, 0.0, 0.0),
}
"""Shares of the time limit at which IMPROVE, MID and CROSS begin; above 1 is never."""
_WHOLE_E3: Final = 100_000
"""``clip_pct`` of a whole order, in thousandths."""
CROSS_ATTEMPTS: Final = 5
CROSS_GRACE_NS: Final = 5_000 * MS
"""For the crossing that follows the time limit."""
_ALBERS: Final = "Albers et al. 2025: likely fills are bad fills"
_IMBALANCE: Final = "Cont, Kukanov, Stoikov 2014; Stoikov 2018, whose microprice is as far from the mid, in half spreads"
_NO_BEST: Final = (math.nan, 0.0, math.nan, 0.0)


class ChaseLimit(Algorithm):
    """See the module. Reads ``accepted_ns``, ``reprices`` and the children from the parent."""

    name = "chase_limit"
    params = (
        Param("urgency", "normal", "Schedule", choices=tuple(URGENCY)),
        Param("improve_at", -1.0, "Share of the time limit, -1: by urgency", -1, 2),
        Param("mid_at", -1.0, "Share of the time limit, -1: by urgency", -1, 2),
        Param("cross_at", -1.0, "Share of the time limit, -1: by urgency", -1, 2),
        Param("improve_ticks", 1, "How far IMPROVE goes beyond the best", 1, 1_000),
        Param("max_chase_bps", 50.0, "Worst price, from the mid at arrival", 0, 1_000),
        Param("chase_beyond_bps", 0.0, "How far beyond the signal's limit it may go", 0, 1_000),
        Param(
            "on_cap", "rest", "When the market moves beyond it", choices=("rest", "cancel", "cross")
        ),
        Param("time_limit_ms", 60_000, "Working time", 100, 86_400_000),
        Param("on_timeout", "cancel", "And then", choices=("cancel", "rest", "cross_ioc")),
        Param("max_cross_bps", 10.0, "Worst price of a crossing, from the touch", 0, 1_000),
        Param("allow_taker", default=False, text="CROSS before the time limit"),
        Param("post_only", default=True, text="Resting orders never take"),
        Param("retreat_ticks", 3, "Gap behind us before we move back", 1, 1_000_000),
        Param(
            "retreat_bps",
            0.05,
            "The same gap, at least a tick; -1: retreat_ticks",
            -1,
            1_000,
            source="ticks are no unit across instruments: 3 are 0.05 bps of BTC, 24 of SHIB",
            before=-1.0,
            instead_of="retreat_ticks",
        ),
        Param("min_dwell_ms", 250, "Minimum time at a price", 0, 3_600_000),
        Param(
            "advance_dwell_ms",
            1_000,
            "Minimum time at a price before a better one; -1: min_dwell_ms",
            -1,
            3_600_000,
            source=f"{_ALBERS}; measured on four captures",
            before=-1,
            instead_of="min_dwell_ms",
        ),
        Param(
            "retreat_dwell_ms",
            0,
            "Minimum time at a price before a worse one; -1: min_dwell_ms",
            -1,
            3_600_000,
            source=f"{_ALBERS}; measured on four captures",
            before=-1,
            instead_of="min_dwell_ms",
        ),
        Param("min_move_ticks", 1, "Smallest change worth a reprice", 1, 1_000_000),
        Param(
            "min_move_bps",
            -1.0,
            "The same, at least a tick; -1: min_move_ticks",
            -1,
            1_000,
            instead_of="min_move_ticks",
        ),
        Param(
            "cross_imbalance",
            2.0,
            "Cross where the touch leans so far away from us, from 0 to 1; 2: never. Needs allow_taker",
            0,
            2,
            source=f"{_IMBALANCE}",
        ),
        Param(
            "cross_fee_bps",
            0.5,
            "Largest difference of taker's and maker's fee for that",
            0,
            100,
            source="crossing gains 0.3 to 0.8 bps there before fees",
        ),
        Param(
            "queue_miss_bps",
            -1.0,
            "It stays behind a better price while its place in the queue is worth more: what being missed there costs; -1: never",
            -1,
            1_000,
            source="Moallemi and Yuan 2016; not confirmed by `make study`",
        ),
        Param("max_reprices", 200, "Then it rests", 0, 100_000),
        Param(
            "clip_pct",
            100.0,
            "Most of the order that rests at once, in percent of it",
            0.1,
            100,
            source=f"{_ALBERS}; slices of 20 % were not cheaper beyond the error",
        ),
    )

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        limit = self._limit_ns = self.working_ns
        schedule = URGENCY[str(values["urgency"])]
        given = [self.real(name) for name in ("improve_at", "mid_at", "cross_at")]
        starts = [g if g >= 0 else s for g, s in zip(given, schedule, strict=True)]
        taker = bool(values["allow_taker"]) or values["urgency"] == "cross"
        if not taker:
            starts[2] = _NEVER
        self._starts = tuple(FAR if share > 1 else int(limit * share) for share in starts)
        self._improve = self.number("improve_ticks")
        self._chase_bps = self.real("max_chase_bps")
        self.beyond_bps = self.real("chase_beyond_bps")
        self._on_cap = str(values["on_cap"])
        self._on_timeout = str(values["on_timeout"])
        self.grace_ns = {"cross_ioc": CROSS_GRACE_NS, "rest": FAR}.get(self._on_timeout, 0)
        self._cross_bps = self.real("max_cross_bps")
        self._retreat = self.number("retreat_ticks")
        dwell_ms = self.number("min_dwell_ms")
        dwells = [self.number(name) for name in ("advance_dwell_ms", "retreat_dwell_ms")]
        self._advance_ns, self._retreat_ns = (
            (dwell_ms if each < 0 else each) * MS for each in dwells
        )
        self._retreat_part = self.real("retreat_bps") / 10_000
        self._move_part = self.real("min_move_bps") / 10_000
        self._lean = self.real("cross_imbalance")
        self._lean_fee = self.real("cross_fee_bps")
        self._sizes = taker and self._lean <= 1
        """Sizes at the touch may change the decision, not prices alone."""
        self._min_move = self.number("min_move_ticks")
        self._max_reprices = self.number("max_reprices")
        self._clip_e3 = round(self.real("clip_pct") * 1_000)
        self._best = _NO_BEST
        miss_bps = self.real("queue_miss_bps")
        self._queue = QueueValue(miss_bps) if miss_bps >= 0 else None
        self.began_ns = 0
        """When it began, where that is not the parent's acceptance: a part of a larger order."""
        self.endless = False
        """It goes on at its last stage after the time limit; something else ends it."""
        self.cross_ns = FAR
        """CROSS begins then at the latest."""

    @classmethod
    def make(cls, given: Iterable[tuple[str, Value]]) -> ChaseLimit:
        """See ``Algorithm.make``."""
        made = super().make(given)
        assert isinstance(made, ChaseLimit)  # noqa: S101 - narrows the type, nothing else
        return made

    def again(self) -> Self:
        """See ``Algorithm.again``; what the parameters say is not worked out for each order."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        if self._queue is not None:
            made._queue = QueueValue(self.real("queue_miss_bps"))
        return made

    def forget(self) -> None:
        """See ``Algorithm.forget``."""
        self._best = _NO_BEST

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Algorithm.decide``. A market event that changes nothing returns early."""
        market = inst.market
        best = market.best()
        seen = self._best
        if (
            best is not None
            and best[0] == seen[0]
            and best[2] == seen[2]
            and now_ns < self.wake_ns
            and market.state == "LIVE"
            and (best == seen or not (inst.venue.shows_own_orders or self._sizes))
        ):
            return KEEP
        elapsed = now_ns - self._start_ns(parent)
        child = parent.live[0] if parent.live else None
        self._best = _NO_BEST
        self.wake_ns = FAR
        if elapsed >= self._limit_ns and not self.endless:
            if self._on_timeout == "cross_ioc":
                return self._cross_late(parent, inst, child, now_ns)
            if child is not None and self._starts[2] == FAR:
                return KEEP
        if best is None or market.state != "LIVE" or best[0] >= best[2]:
            limit_ns = self._start_ns(parent) + self._limit_ns
            self.wake_ns = limit_ns if limit_ns > now_ns else FAR
            return self.on_unfit_book(child, inst, now_ns)
        self.on_fit_book()
        self._best = best
        decision = self._price(parent, inst, child, best, elapsed=elapsed, now_ns=now_ns)
        cross_ns = self.cross_ns if now_ns < self.cross_ns else FAR
        self.wake_ns = min(self.wake_ns, self._next_stage(parent, elapsed), cross_ns)
        return decision

    def unmoved(self, parent: Parent, inst: InstrumentState) -> Unmoved | None:  # noqa: ARG002
        """See ``Algorithm.unmoved``: the early return of ``decide``."""
        if self._best is _NO_BEST:
            return None
        return Unmoved(self._best, inst.venue.shows_own_orders or self._sizes)

    # a fit market

    def _price(
        self,
        parent: Parent,
        inst: InstrumentState,
        child: Child | None,
        best: tuple[float, float, float, float],
        *,
        elapsed: int,
        now_ns: int,
    ) -> Decision:
        sign = parent.sign
        bid, ask = inst.instrument.ticks_of_float(best[0]), inst.instrument.ticks_of_float(best[2])
        near, far = (bid, ask) if sign > 0 else (-ask, -bid)
        cap = self.cap(parent)
        external = inst.external_best(parent.signal.side, best)
        if external is None:
            if child is not None:
                return KEEP
        else:
            near = sign * external
        stage = CROSS if now_ns >= self.cross_ns else self._stage(elapsed)
        if (
            stage == CROSS
            or (self._on_cap == "cross" and far <= cap < far + self._retreat)
            or (self._sizes and self._leans(parent, best))
        ):
            price = cross_price(parent, far, self._cross_bps, cap)
            if price is not None:
                return Work(sign * price, post_only=False, ioc=True, capped=False)
        target = near
        if stage == IMPROVE:
            target = near + self._improve
        elif stage >= MID:
            target = max(near, (near + far) // 2)
        if target >= far or self.post_only:
            resting = resting_price(parent, target, far)
            if isinstance(resting, Finish):
                return resting if child is None else KEEP  # what rests has been hit
            target = resting
        capped = target > cap
        if capped:
            if self._on_cap == "cancel":
                return Finish(
                    ParentEvent.CANCEL,
                    "CAP_REACHED",
                    f"the market is beyond the worst price {inst.instrument.price(sign * cap)}",
                )
            target = cap
        if self._queue is not None:
            self._queue.look(parent, inst, child, near, now_ns)
        if child is not None and not self._worth(parent, inst, child, target, now_ns):
            return KEEP
        work = Work(sign * target, post_only=self.post_only, ioc=False, capped=capped)
        return work if self._clip_e3 == _WHOLE_E3 else self._clipped(work, parent, inst, child)

    def _clipped(
        self, work: Work, parent: Parent, inst: InstrumentState, child: Child | None
    ) -> Work:
        """A part of the order; what rests is moved, not made larger."""
        if child is not None:
            return work._replace(quantity_lots=child.reserved)
        ticks = work.price_ticks
        smallest = inst.instrument.min_lots_at(ticks, reduce_only=parent.reduce_only)
        clip = max(1, parent.target * self._clip_e3 // _WHOLE_E3, smallest)
        clip = min(clip, parent.remaining)
        return work._replace(quantity_lots=whole_part(clip, parent, inst, (ticks, ticks)))

    def cap(self, parent: Parent) -> int:
        """See ``Algorithm.cap``: the signal's limit and the longest chase from arrival."""
        sign = parent.sign
        cap = super().cap(parent)
        if parent.arrival_mid2_ticks:
            half = parent.arrival_mid2_ticks
            reach = half + sign * half * self._chase_bps / 10_000
            cap = min(cap, math.floor(sign * reach / 2))
        return cap

    def _worth(
        self, parent: Parent, inst: InstrumentState, child: Child, target: int, now_ns: int
    ) -> bool:
        """Whether a reprice is worth losing the place in the queue."""
        own = parent.sign * child.price_ticks
        gain = target - own
        if gain == 0 or parent.reprices >= self._max_reprices:
            return False
        move, back = self._min_move, self._retreat
        if self._move_part >= 0:
            move = max(1, int(child.price_ticks * self._move_part))
        if self._retreat_part >= 0:
            back = max(1, int(child.price_ticks * self._retreat_part))
        if gain < move and gain > -back:
            return False
        dwelt_ns = child.changed_ns + (self._advance_ns if gain > 0 else self._retreat_ns)
        if now_ns < dwelt_ns:
            self.wake_ns = min(self.wake_ns, dwelt_ns)
            return False
        queue = self._queue
        if gain > 0 and queue is not None and queue.holds(parent, inst, child, gain, now_ns):
            self.wake_ns = min(self.wake_ns, now_ns + SECOND)
            return False
        return True

    def _leans(self, parent: Parent, best: tuple[float, float, float, float]) -> bool:
        """Whether the other side is about to move away, and the fees permit to take it before."""
        rules = parent.rules
        if (rules.taker_fee - rules.maker_fee) * 10_000 > self._lean_fee:
            return False
        whole = best[1] + best[3]
        return whole > 0 and parent.sign * (best[1] - best[3]) >= self._lean * whole

    def _stage(self, elapsed: int) -> int:
        improve, mid, cross = self._starts
        if elapsed >= cross:
            return CROSS
        if elapsed >= mid:
            return MID
        return IMPROVE if elapsed >= improve else JOIN

    def _next_stage(self, parent: Parent, elapsed: int) -> int:
        following = self._limit_ns if elapsed < self._limit_ns else FAR
        for start in self._starts:
            if elapsed < start < following:
                following = start
        return FAR if following == FAR else self._start_ns(parent) + following

    def _start_ns(self, parent: Parent) -> int:
        return self.began_ns or parent.accepted_ns

    # the end

    def _cross_late(
        self, parent: Parent, inst: InstrumentState, child: Child | None, now_ns: int
    ) -> Decision:
        """Time is up: take the rest from the book as far as permitted."""
        tries = 0
        for late in reversed(parent.children):
            if late.placed_ns - parent.accepted_ns < self._limit_ns:
                break
            tries += late.ioc
        if tries >= CROSS_ATTEMPTS:
            return _late(self._limit_ns)
        if child is not None:
            return KEEP if child.ioc else Withdraw("TIME_LIMIT", "withdrawn to cross")
        touch = inst.touch_ticks() if inst.fit else None
        if touch is None:
            return unfit(inst)
        if now_ns < parent.accepted_ns:
            return KEEP
        far = touch[1] if parent.sign > 0 else -touch[0]
        price = cross_price(parent, far, self._cross_bps, self.cap(parent))
        if price is None:
            return _late(self._limit_ns)
        return Work(parent.sign * price, post_only=False, ioc=True, capped=False)


def _late(limit_ns: int) -> Finish:
    return Finish(ParentEvent.EXPIRE, "TIME_LIMIT", f"not done within {limit_ns / 1e9:g} s")
