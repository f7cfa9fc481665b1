"""The curve of equity over restarts: one small private file in the run folder.

Nothing is decided by it, so it is written now and then, without a sync, and a file that cannot be read, or is
of another account, is replaced: the curve then begins anew. What losses are judged by (the day's first
profit, the highest) is durable with the portfolio itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import structlog

from citadel_micro.shell.journal.run_index import replace_whole
from citadel_micro.shell.page.history import CURVE_EVERY_NS, CURVE_POINTS, Curve

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.shell.ops.health import Vitals

log: Final = structlog.get_logger("page")

CURVE_FILE: Final = "page.curve"
_LARGEST: Final = 256 * 1024
_LONGEST_NS: Final = 366 * 86_400 * 1_000_000_000


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's content."""

    account: list[str]
    every_ns: Annotated[int, msgspec.Meta(ge=CURVE_EVERY_NS, le=_LONGEST_NS)]
    points: Annotated[list[tuple[int, float, float]], msgspec.Meta(max_length=CURVE_POINTS)]


class KeptCurve:
    """The file of one run's curve."""

    def __init__(self, path: Path, vitals: Vitals) -> None:
        self._path = path
        engine = vitals.engine
        self._account = [
            vitals.instance,
            vitals.mode,
            engine.portfolio.reporting_currency,
            *sorted(engine.config.venues),
        ]
        self._told = False

    def load(self, now_ns: int) -> Curve:
        """The curve of the runs before, up to now; an empty one where there is none to go on from."""
        try:
            with self._path.open("rb") as file:
                data = file.read(_LARGEST + 1)
            kept = msgspec.json.decode(data[:_LARGEST], type=_Kept)
        except FileNotFoundError:
            return Curve()
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            log.warning("the curve of equity begins anew", file=str(self._path), error=str(error))
            return Curve()
        if kept.account != self._account:
            return Curve()
        return Curve(_sound(kept.points, now_ns // 1_000_000), kept.every_ns)

    def keep(self, curve: Curve) -> None:
        """Write it; a disk that takes nothing is told of once."""
        kept = _Kept(self._account, curve.every_ns, curve.points)
        try:
            replace_whole(self._path, msgspec.json.encode(kept))
        except OSError as error:
            if not self._told:
                self._told = True
                log.warning(
                    "the curve of equity cannot be kept", file=str(self._path), error=str(error)
                )


def _sound(points: list[tuple[int, float, float]], now_ms: int) -> list[tuple[int, float, float]]:
    """Those whose time grows and has been, with numbers that can be drawn."""
    found: list[tuple[int, float, float]] = []
    last = 0
    for point in points:
        if last < point[0] <= now_ms and math.isfinite(point[1]) and math.isfinite(point[2]):
            found.append(point)
            last = point[0]
    return found
