"""What the page shows over time: the curve of equity, and the course of each order.

Both are sampled by a timer beside the event loop's work, never by an event's handling, and both are
bounded: the curve doubles its interval when it is full, a course drops its oldest points.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import structlog

from citadel_micro.core.model.exact_fill import traded
from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.orders.execution_reports import mid

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.shell.ops.health import Vitals

log: Final = structlog.get_logger("page")

COURSE_EVERY_S: Final = 0.25
"""How often a working order is looked at."""
COURSE_POINTS: Final = 480
"""Two minutes at that interval when everything moves; far longer when little does."""
COURSES: Final = 64
"""Orders whose courses are kept, those that ended included."""
WORKING: Final = 24
"""Orders sampled at a time, the newest."""
CURVE_POINTS: Final = 720
CURVE_EVERY_NS: Final = 1_000_000_000
KEEP_EVERY_S: Final = 60.0
"""A crash loses this much of the kept curve; a stop nothing."""
MOST_FILLS: Final = 200
"""Fills of one order that are shown, the newest."""

Point = tuple[int, float, float, float | None, float | None]
"""(ms, best bid, best ask, our best price, our other extreme); None where nothing is working."""


@dataclass(slots=True)
class Course:
    """The touch and our own price while an order was working."""

    points: deque[Point] = field(default_factory=lambda: deque(maxlen=COURSE_POINTS))
    last_ms: int = 0
    """When it was last looked at; the last point holds until then."""

    def add(self, point: Point) -> None:
        """Add a point; one that repeats the last one only extends it."""
        self.last_ms = point[0]
        if not self.points or self.points[-1][1:] != point[1:]:
            self.points.append(point)

    def after(self, ms: int) -> list[Point]:
        """Points later than a time, in ms."""
        if not self.points or self.points[-1][0] <= ms:
            return []
        return [point for point in self.points if point[0] > ms]


class Curve:
    """Equity over the whole run, and those before it, in at most ``CURVE_POINTS`` points."""

    def __init__(
        self, points: list[tuple[int, float, float]] | None = None, every_ns: int = CURVE_EVERY_NS
    ) -> None:
        self.points = points or []
        """(ms, equity, profit)."""
        self.thinned = 0
        """How often it was thinned: older points are then no longer those that were sent."""
        self.every_ns = every_ns
        self._next_ns = 0

    def due(self, now_ns: int) -> bool:
        """Whether it wants a point."""
        return now_ns >= self._next_ns

    def add(self, now_ns: int, equity: float, profit: float) -> None:
        """Add a point; a full curve drops every second one."""
        self._next_ns = now_ns + self.every_ns
        if self.points and self.points[-1][0] >= now_ns // 1_000_000:
            return  # of the same millisecond: the run before has ended within it
        self.points.append((now_ns // 1_000_000, equity, profit))
        if len(self.points) >= CURVE_POINTS:
            del self.points[1::2]
            self.every_ns *= 2
            self.thinned += 1


class History:
    """Samples one run. Starts with ``start``, ends with ``close``.

    Args:
        vitals: of the run.
        loop: that it runs on.
        curve: of the runs before.
        keep: writes the curve, where it is kept.
    """

    def __init__(
        self,
        vitals: Vitals,
        loop: asyncio.AbstractEventLoop,
        *,
        curve: Curve | None = None,
        keep: Callable[[Curve], None] | None = None,
    ) -> None:
        self._vitals = vitals
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self.courses: dict[str, Course] = {}
        """By parent's id, the oldest first."""
        self.curve = Curve() if curve is None else curve
        self._keep = keep

    def start(self) -> None:
        """Take the first sample soon, and go on.

        As a task, whose failure ends the samples; that of a timer would be taken for a fault of the
        run, which halts it.
        """
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(_log_failure)

    def close(self) -> None:
        """Stop, and keep the curve. Safe to repeat."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self._keep_curve()

    def _keep_curve(self) -> None:
        if self._keep is not None and self.curve.points:
            self._keep(self.curve)

    async def _run(self) -> None:
        kept_s = self._loop.time()
        while True:
            self.sample()
            await asyncio.sleep(COURSE_EVERY_S)
            if self._loop.time() - kept_s >= KEEP_EVERY_S:
                kept_s = self._loop.time()
                self._keep_curve()

    def sample(self) -> None:
        """Look at equity and at the working orders once."""
        vitals = self._vitals
        engine = vitals.engine
        now_ns = vitals.clock.now()
        if self.curve.due(now_ns):
            equity, profit = equity_of(engine), engine.portfolio.profit()
            if equity is not None and profit is not None:
                self.curve.add(now_ns, float(equity), float(profit))
        active = engine.order_store.active
        if active:
            for parent in islice(reversed(active.values()), WORKING):
                self._sample_order(parent, now_ns)

    def _sample_order(self, parent: Parent, now_ns: int) -> None:
        rules = parent.instrument
        if rules is None or parent.terminal:
            return
        inst = self._vitals.engine.inst_states.get((rules.venue, rules.symbol))
        touch = None if inst is None else inst.touch_ticks()
        if touch is None:
            return
        prices = [child.price_ticks for child in parent.live]
        best = worst = None
        if prices:
            best = max(prices) if parent.sign > 0 else min(prices)
            worst = min(prices) if parent.sign > 0 else max(prices)
        course = self.courses.get(parent.id)
        if course is None:
            course = self.courses[parent.id] = Course()
            while len(self.courses) > COURSES:
                del self.courses[next(iter(self.courses))]
        course.add(
            (
                now_ns // 1_000_000,
                _price(rules, touch[0]),
                _price(rules, touch[1]),
                None if best is None else _price(rules, best),
                None if worst is None else _price(rules, worst),
            )
        )


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("the page's history ends here", error=repr(task.exception()))


def equity_of(engine: Engine) -> Decimal | None:
    """Equity in the reporting currency; None also before any balance is known."""
    portfolio = engine.portfolio
    if not any(portfolio.balances(venue) for venue in engine.config.venues):
        return None
    return portfolio.equity()


def course_row(parent: Parent, course: Course | None, after_ms: int) -> dict[str, Any]:
    """The course of one order for its chart: new points, and all of its newest fills."""
    rules = parent.instrument
    if rules is None:
        return {"points": [], "fills": []}
    fills = [
        fill for child in parent.with_fills[-MOST_FILLS:] for fill in child.fills[-MOST_FILLS:]
    ]
    limit = parent.limit_ticks
    cap = None if parent.algo is None or parent.terminal else parent.algo.cap(parent)
    return {
        "from": parent.created_ns // 1_000_000,
        "to": parent.done_ns // 1_000_000 if parent.terminal else None,
        "until": 0 if course is None else course.last_ms,
        "arrival": mid(parent, parent.arrival_mid2_ticks) or None,
        "limit": None if limit is None else _price(rules, limit),
        "worst": None if cap is None or abs(cap) >= FAR else _price(rules, abs(cap)),
        "points": [] if course is None else course.after(after_ms),
        "fills": [
            (
                fill.recv_ns // 1_000_000,
                _price(rules, fill.price_ticks),
                float(traded(rules, fill)[1] * rules.contract_size),
                fill.liquidity,
            )
            for fill in fills[-MOST_FILLS:]
        ],
    }


def _price(rules: Instrument, ticks: int) -> float:
    """The nearest float of the exact price: it prints as the venue writes it."""
    return float(rules.price(ticks))
