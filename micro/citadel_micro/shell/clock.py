"""The engine's clock: wall-anchored, monotone, integer nanoseconds."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_NS: Final = 50_000_000
"""A wall clock that moves by this much against the monotonic one was set. NTP slewing makes both run
faster or slower together, so it never looks like that."""


class Clock:
    """Wall time at the start plus monotonic time since then.

    A step of the wall clock while running (NTP, a person) therefore never moves engine time, so it
    can neither expire a signal early nor revive one. How far the two have diverged is
    ``drift_ns``: a comparison of engine time with a time of another process has to add it.

    Args:
        not_before_ns: engine time never starts before this, the last stamp of the run before.
    """

    __slots__ = ("_mono", "_offset_ns", "_seen_ns", "_wall", "last_step_ns", "steps")

    def __init__(
        self,
        *,
        not_before_ns: int = 0,
        wall: Callable[[], int] | None = None,
        mono: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall = wall or _wall
        self._mono = mono
        wall_ns = self._wall()
        self._offset_ns = max(wall_ns, not_before_ns) - self._mono()
        self._seen_ns = min(wall_ns - not_before_ns, 0)
        self.steps = 0
        """How often ``check_step`` found that the wall clock was set."""
        self.last_step_ns = 0
        """Size of the last step."""

    def now(self) -> int:
        """Engine time in nanoseconds since the Unix epoch."""
        return self._mono() + self._offset_ns

    def mono(self) -> int:
        """The monotonic clock in nanoseconds."""
        return self._mono()

    def wall(self) -> int:
        """The machine's current wall clock, which can go back."""
        return self._wall()

    def drift_ns(self) -> int:
        """Wall time minus engine time: how far the wall clock was moved since the start.

        Negative from the start where the run before has ended later than this clock shows.
        """
        return self._wall() - self.now()

    def check_step(self) -> int:
        """By how much the wall clock was set since the last look, in ns; 0 when it was not."""
        drift_ns = self.drift_ns()
        step_ns = drift_ns - self._seen_ns
        if abs(step_ns) < STEP_NS:
            return 0
        self._seen_ns = drift_ns
        self.steps += 1
        self.last_step_ns = step_ns
        return step_ns


def _wall() -> int:
    # Looked up at every call, so that a test that replaces the clock of ``time`` replaces this one.
    return time.time_ns()


def goes_on_at(folder: Path, last_ns: int) -> int:
    """Engine time now, continued from the run before, whatever the wall clock was set to.

    The monotonic clock shows how long ago that run stopped, unless the machine was rebooted; then
    engine time continues directly after the last stamp.
    """
    try:
        then = msgspec.json.decode((folder / _MARK).read_bytes(), type=_Mark)
    except (OSError, msgspec.MsgspecError):
        return last_ns + 1
    since_ns = time.monotonic_ns() - then.mono_ns
    if then.boot != _boot() or not then.boot or not 0 <= last_ns - then.engine_ns <= since_ns:
        return last_ns + 1
    return max(then.engine_ns + since_ns, last_ns + 1)


def mark(folder: Path, clock: Clock) -> None:
    """Record for the next run how this run's engine time relates to the monotonic clock.

    Raises:
        BadInput: it cannot be written.
    """
    noted = _Mark(boot=_boot(), engine_ns=clock.now(), mono_ns=clock.mono())
    partial = folder / f"{_MARK}.partial"
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(noted))
        partial.replace(folder / _MARK)
    except OSError as error:
        raise BadInput(
            f"cannot be written: {error.strerror}",
            where=str(folder / _MARK),
            mend="free some space, or remove what is in its place",
        ) from error


class _Mark(msgspec.Struct, frozen=True):
    """One moment by both clocks, and the boot that it is of."""

    boot: str
    engine_ns: int
    mono_ns: int


_MARK: Final = "clock.json"


def _boot() -> str:
    """Id of this boot of the machine; empty where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
