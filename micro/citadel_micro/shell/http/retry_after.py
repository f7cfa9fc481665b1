"""How long a venue asks to wait."""

from __future__ import annotations

from typing import Final

LONGEST_S: Final = 3 * 86_400.0
"""The longest known ban. More is a mistake of the venue: it is treated as not given."""


def seconds(text: str) -> float:
    """Of a header ``Retry-After``; 0 for none, for a date, and for what cannot be."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 < value <= LONGEST_S else 0.0
