"""Steps of a capture without those that nobody looks at: the same outcome as with all of them, sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from citadel_micro.core.execution.attention import attention
from citadel_micro.core.marketdata import kernel
from citadel_micro.core.marketdata.passing import QuietTicks, Skipped, Watched, pass_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citadel_micro.core.model.events import MarketEvent
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.offline.driver import OfflineDriver
    from citadel_micro.offline.prepared import Step

WORTH: Final = 2
"""Frames passed over for which it was worth to find out what is watched."""
MOST_WAIT: Final = 32
SOON_NS: Final = 60_000_000_000
"""Between two steps what is due is done at once; whether a longer gap is one the caller must say."""


class Passing:
    """The steps of a capture of one instrument, of which those are handed out that a driver must be given.

    Args:
        steps: all of them.
    """

    def __init__(self, steps: Iterator[Step]) -> None:
        self.frames = 0
        """That were not handed out."""
        self.now_ns = 0
        """Time of the last of them."""
        self._steps = steps
        self._of: tuple[OfflineDriver, InstrumentState] | None = None
        self._at = (-1, 0, "")
        self._seen: tuple[Watched, int] | None = None
        self._ticks = QuietTicks(0, 1, 0, 0, 0, 1)
        self._ticks_at = (-1, 0)
        """What is watched, and until when, as found when the driver had changed so often."""
        self._wait = self._left = 0
        """Steps to hand out without looking: after a look that was in vain, twice as many each time."""

    def play(self, driver: OfflineDriver, key: tuple[str, str]) -> None:
        """From now on a driver plays what is handed out; one with a journal must be given every step."""
        if kernel.LIVE is not None and not driver.journals:
            self._of = driver, driver.engine.inst_states[key]

    def next(self, now_ns: int, until_ns: int) -> Step | None:
        """The next step that matters, or that happens at or after ``until_ns``; None at the end.

        ``now_ns`` is the driver's time, before which no step happens.
        """
        step: tuple[int, object] | None = None
        while self._of is not None and now_ns < until_ns:
            if self._left:
                self._left -= 1
                break
            driver, inst = self._of
            engine = driver.engine
            at = (driver.changes, engine.executor.due_ns, inst.market.state)
            if at != self._at:
                self._at, self._seen = at, _watched(driver, inst, now_ns)
            if (driver.changes, engine.ticks) != self._ticks_at:
                self._ticks_at, self._ticks = (driver.changes, engine.ticks), engine.quiet_ticks()
            watched = self._seen
            if watched is None:
                self._looked(0)
                break
            due_ns = min(watched[1], driver.next_ns, until_ns)
            ticks = self._ticks
            frames, now_ns, step, event, change, skipped = pass_over(
                self._steps, inst, watched[0], ticks, now_ns, due_ns, step
            )
            if skipped[0] != ticks.next_ns:
                driver.skip_ticks(Skipped(*skipped))
                self._ticks = ticks._replace(next_ns=skipped[0], beat_ns=skipped[1])
            self.frames += frames
            self.now_ns = now_ns
            if event is not None:
                self._looked(frames)
                driver.market(cast("MarketEvent", event), now_ns, change)
            elif step is None:
                return None
            elif driver.due_ns <= step[0] < until_ns and step[0] - now_ns < SOON_NS:
                driver.advance(step[0])  # as it would before it
                now_ns = step[0]
            else:
                break
        return next(self._steps, None) if step is None else cast("Step", step)

    def _looked(self, frames: int) -> None:
        """After a look: how many steps to wait for the next one."""
        self._left = self._wait = 0 if frames > WORTH else min(2 * self._wait + 1, MOST_WAIT)


def _watched(
    driver: OfflineDriver, inst: InstrumentState, now_ns: int
) -> tuple[Watched, int] | None:
    """What somebody looks at, and until when; None while that may be anything."""
    book = driver.paper.book(inst.key[1])
    if book is None or driver.engine.reconciling:
        return None
    ours = attention(driver.engine.executor, inst, now_ns)
    theirs = None if ours is None else book.watched()
    if ours is None or theirs is None:
        return None
    rules = inst.instrument
    watched = Watched(ours.best, ours.sizes, *theirs, rules.lot_float, rules.tick_float)
    return watched, ours.until_ns
