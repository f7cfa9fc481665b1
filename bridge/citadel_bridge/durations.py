"""Durations as people write them on the command line."""

from __future__ import annotations

from typing import Final

from citadel_proto.errors import BadInput

_LONGEST_S: Final = 3_660 * 86_400.0
"""Longer than any run; a clock cannot add much more."""


def seconds_of(text: str, where: str) -> float:
    """Read a duration: a number of seconds, or with a unit (``ms``, ``s``, ``m``, ``h``, ``d``).

    Raises:
        BadInput: it is not a duration, or not greater than 0.
    """
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    number = text.strip().rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text.strip()[len(number) :] or "s"
    try:
        seconds = float(number) * units[unit]
    except (ValueError, KeyError) as error:
        raise BadInput(
            f"cannot read the duration {text!r}", where=where, allowed="90, 90s, 15m, 2h, 250ms, 1d"
        ) from error
    if not 0 < seconds <= _LONGEST_S:
        raise BadInput(
            f"the duration {text!r}", where=where, allowed="more than 0, and 10 years at most"
        )
    return seconds
