"""Numbers that look random and are derived from the order: the same ones at every replay and restart."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

WHOLE: Final = 10_000
"""Of ``ten_thousandths``."""


def ten_thousandths(name: str, number: int) -> int:
    """From 0 to 9,999, evenly, for the part of that number of the order of that name."""
    digest = blake2b(f"{name}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % WHOLE


def varied(lots: int, percent: int, name: str, number: int) -> int:
    """``lots``, varied by up to ``percent`` in both directions, at least 1."""
    swing = 2 * ten_thousandths(name, number) - WHOLE
    return max(1, lots + lots * percent * swing // (100 * WHOLE))
