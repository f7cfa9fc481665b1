"""Market events that change nothing that anybody looks at, applied by compiled code one after the other.

Offline, most events are of no concern to the one order that is worked: they move levels behind the touch, or sizes that
no algorithm reads. Whoever looks at the market says at what, and ``pass_over`` applies events to the market
for as long as none of that has changed. What it stops at is handled as every event is without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.core.marketdata import kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Step = tuple[int, object]
    Passed = tuple[int, int, Step | None, object, int, "Skipped"]

MOST_WATCHED: Final = 16
"""Orders, and levels, that compiled code keeps an eye on at once."""


class Watched(NamedTuple):
    """What of one market's book and trades somebody looks at."""

    best: tuple[float, float, float, float] | None
    """The prices must stay these; None where nobody looks at them."""
    sizes: bool
    """And so must their sizes."""
    orders: Sequence[tuple[bool, float, float]]
    """Our resting orders: whether it is a buy, its price, the lots that are shown there. These must stay, no trade
    may reach the price, and the other side must not."""
    levels: Sequence[tuple[bool, float]]
    """Levels that must not vanish: whether it is a bid, its price."""
    lot: float
    tick: float


class QuietTicks(NamedTuple):
    """Times at which nothing is done about a market while its book is LIVE and neither old nor crossed."""

    next_ns: int
    step_ns: int
    until_ns: int
    """A tick at or after this time does something."""
    fresh_ns: int
    """So does one that comes this long after the last update of the book, or later."""
    beat_ns: int
    """The first tick at or after this time is a heartbeat, which takes the mid as the mark, and does no more."""
    beat_step_ns: int


class Skipped(NamedTuple):
    """What ticks of which nothing came leave behind."""

    next_ns: int
    """The next one."""
    beat_ns: int
    """When the next heartbeat is due."""
    mid: float | None
    """The mid at the last heartbeat among them; None where there was none."""


def _python(  # noqa: PLR0917 - by position, as the compiled one
    steps: Iterator[Step],
    inst: object,
    watched: Watched,
    ticks: QuietTicks,
    now_ns: int,
    until_ns: int,
    first: Step | None = None,
) -> Passed:
    """Pass over nothing."""
    del inst, watched, until_ns
    return (
        0,
        now_ns,
        next(steps, None) if first is None else first,
        None,
        0,
        Skipped(ticks.next_ns, ticks.beat_ns, None),
    )


pass_over: Final[
    Callable[[Iterator[Step], object, Watched, QuietTicks, int, int, Step | None], Passed]
] = _python if kernel.LIVE is None else kernel.LIVE.pass_over
"""Take frames as long as they are plain and change nothing of what is watched.

Args: (time of receipt, events) of each frame; the ``InstrumentState`` that they are of; what is watched; the
ticks of their engine; the time now; the time at which something else is due; None, or the first step, before those. Times are ns.

Returns how many frames were taken, the time of the last, and what ended it: a step that was left
alone, or else an event that was applied and what it changed (``Change``, and a bit that says that
somebody looks at it); neither at the end of the steps. Last comes what ticks leave behind that were skipped (``Skipped``).
"""
