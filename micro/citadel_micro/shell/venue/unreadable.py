"""Which errors mean that something a venue has sent is not understood."""

from __future__ import annotations

from typing import Final

import msgspec

from citadel_proto.errors import BadInput, VenueViolation

GARBLED: Final = (
    VenueViolation,
    msgspec.MsgspecError,
    ArithmeticError,
    LookupError,
    ValueError,
)
"""What a venue's decoder may raise at unforeseen content."""
UNREADABLE: Final = (*GARBLED, BadInput)
"""The same, and where prices and quantities are read by an instrument's rules, which call what is none a
person's mistake."""
MOST_TEXT: Final = 300


def cut(error: Exception) -> str:
    """An error in words: a number of thousands of digits is not for a log."""
    text = str(error) or type(error).__name__
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"
