"""The venue's time, measured by us: requests carry it, and their expiry depends on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.shell.marketdata.clock_offset import ClockOffset

if TYPE_CHECKING:
    from collections.abc import Callable

MS_NS: Final = 1_000_000
DOUBT_NS: Final = 100 * MS_NS
"""An answer that is further from what all before permit than clocks drift apart needs a second one."""
MOST_WINDOW_NS: Final = 60_000 * MS_NS


class VenueClock:
    """Engine time to venue time.

    Args:
        now: engine time in ns.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._estimator = ClockOffset()
        self.offset_ns = 0
        """The venue's clock minus ours."""
        self.error_ns = 0
        """Error bound, either way."""
        self.known = False
        self._trusted = False
        """Whether an answer must agree with the estimate."""
        self._doubted: tuple[int, int] | None = None
        """Bounds of the offset by the newest answer, where they contradict the estimate."""

    def measured(self, sent_ns: int, venue_ns: int) -> None:
        """The venue has just answered ``venue_ns`` to a question that was sent at ``sent_ns``.

        An answer bounds the offset: the venue read its clock between both. One that contradicts the
        estimate is kept, and counts when the next one agrees with it: a clock was set then. A single
        wrong one would move the estimate for a minute, and with it what counts as past.
        """
        now_ns = self._now()
        bounds = venue_ns - now_ns, venue_ns + MS_NS - sent_ns
        if self._trusted and _apart(
            bounds, (self.offset_ns - self.error_ns, self.offset_ns + self.error_ns)
        ):
            doubted, self._doubted = self._doubted, bounds
            if doubted is None or _apart(bounds, doubted):
                return
            self._estimator = ClockOffset()
        self._doubted = None
        self._estimator.round_trip(max(now_ns - sent_ns, 0), now_ns)
        self._estimator.message(venue_ns, now_ns)
        estimate = self._estimator.estimate()
        if estimate is not None:
            self.offset_ns, self.error_ns = estimate.offset_ns, estimate.error_ns
            self.known = self._trusted = True

    def forget(self) -> None:
        """One of the clocks was set: earlier measurements are void."""
        self._estimator = ClockOffset()
        self._trusted, self._doubted = False, None

    def venue_ns(self) -> int:
        """The venue's time now."""
        return self._now() + self.offset_ns

    def surely_past_ns(self) -> int:
        """A time that the venue's clock has certainly reached."""
        return self._now() + self.offset_ns - self.error_ns

    def surely_to_come_ns(self) -> int:
        """A time that the venue's clock has certainly not passed."""
        return self._now() + self.offset_ns + self.error_ns

    def stamp(self, expires_ns: int) -> tuple[int, int]:
        """(timestamp, window), both in ms, with which the venue rejects a request after its expiry.

        Both ends are earlier by the clock's error bound, at most by half of what is left: a timestamp
        that is ahead of the venue's clock is refused (Binance: by a second). The window is 0 for
        an expired request, which must not be sent.
        """
        venue_ns = self.venue_ns()
        left_ns = expires_ns + self.offset_ns - venue_ns
        if left_ns <= 0:
            return venue_ns // MS_NS, 0
        early_ns = min(self.error_ns, left_ns // 2)
        timestamp = (venue_ns - early_ns) // MS_NS
        window_ns = expires_ns + self.offset_ns - early_ns - timestamp * MS_NS
        return timestamp, min(window_ns, MOST_WINDOW_NS) // MS_NS

    def stamp_lasting(self, window_ns: int) -> tuple[int, int]:
        """As ``stamp``, for a request that may be executed at any time: a query."""
        early_ns = min(self.error_ns, MOST_WINDOW_NS - window_ns)
        timestamp = (self.venue_ns() - early_ns) // MS_NS
        return timestamp, min(window_ns + 2 * early_ns, MOST_WINDOW_NS) // MS_NS


def _apart(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two pairs of bounds contradict each other by more than clocks drift."""
    return max(one[0], other[0]) - min(one[1], other[1]) > DOUBT_NS
