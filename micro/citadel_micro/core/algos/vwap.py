"""VWAP: parts in proportion to the market's volume (volume-weighted average price).

Either along a profile of volume over its time, which its sender knows from candles of days before,
or with the venue's own volume since its arrival, as a share of the volume that is expected.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos.base import Param, numbers_of
from citadel_micro.core.algos.sliced import COMMON, SCHEDULE, ByVolume, Scheduled, whole_lots
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.core.algos.base import Algorithm, Value
    from citadel_micro.core.orders.orders import Parent

E9: Final = 10**9


class Vwap(Scheduled):
    """Parts in proportion to volume: along a profile of it, or with what the venue trades meanwhile.

    With ``expected_volume`` it is made as a ``VwapByVolume``.
    """

    name = "vwap"
    params = (
        Param("profile", "", "Volume in equal parts of its time, as weights", numbers=True),
        Param("expected_volume", 0.0, "Volume expected in its time, base units; 0: none given"),
        *SCHEDULE,
        Param("clip_pct", 2, "With expected_volume: smallest part, of the order", 1, 100),
        *COMMON,
    )

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        weights = numbers_of(values["profile"]) or ()
        total = sum(weights, Decimal(0))
        whole = [int(weight * E9 / total) for weight in weights] if total else []
        self._curve = [0, *accumulate(whole)]

    @classmethod
    def make(cls, given: Iterable[tuple[str, Value]]) -> Algorithm:
        """See ``Algorithm.make``. Raises BadInput where there is nothing to weigh by."""
        made = super().make(given)
        values = made.values
        volume, profile = float(values["expected_volume"]), numbers_of(values["profile"]) or ()
        if volume and profile:
            raise BadInput(
                "vwap has both a profile and an expected volume",
                where="algorithm parameters",
                mend="give profile, or expected_volume",
            )
        if profile and not sum(profile, Decimal(0)):
            raise BadInput(
                f"profile is {values['profile']!r}: no volume at all",
                where="algorithm parameters",
                allowed="at least one number above 0",
            )
        return VwapByVolume(values) if volume else made

    def check(self, signal: object) -> None:
        """See ``Algorithm.check``."""
        del signal
        if len(self._curve) == 1:
            raise BadInput(
                "vwap has no volume to weigh by",
                where="algorithm parameters",
                allowed="profile (weights such as '4, 2, 1, 3') or expected_volume (base units)",
                mend="give one of them, or use twap",
            )

    def share(self, slices: int) -> tuple[int, int]:
        """See ``Scheduled.share``: the volume of the profile by then, linear within each of its parts."""
        curve, number = self._curve, self._slices
        if len(curve) == 1:
            return slices, number
        at = min(slices, number) * (len(curve) - 1)
        part, rest = divmod(at, number)
        below = curve[part]
        more = (curve[part + 1] - below) * rest // number if rest else 0
        return below + more, curve[-1]


class VwapByVolume(ByVolume):
    """Released in proportion to the volume traded since arrival, of what is expected."""

    name = "vwap"
    params = Vwap.params

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values, int(values["time_limit_ms"]) // int(values["slices"]))
        self._expected = self.real("expected_volume")

    def lots_for(self, volume: float, parent: Parent) -> int:
        """See ``ByVolume.lots_for``."""
        seen = volume * float(parent.rules.contract_size)
        return min(parent.target, whole_lots(parent.target * (seen / self._expected)))
