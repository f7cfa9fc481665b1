"""Shadow orders: how both sides know an order that micro may work on paper only.

A shadow order repeats one that Freqtrade has placed itself. Worked with real money it would trade twice,
so its owner's id says what it is, and a micro that is not on paper refuses it.
"""

from __future__ import annotations

from typing import Final

SHADOW_OWNER: Final = "shadow-"
"""Begins the owner id of an intent log that holds shadow orders only."""
SHADOW_NEEDS_PAPER: Final = "SHADOW_NEEDS_PAPER"
"""Reject code of a shadow order at a micro that does not trade on paper."""
PAPER: Final = "paper"
"""Micro's mode, as in its heartbeats, in which no order reaches a venue."""


def is_shadow(owner: str) -> bool:
    """Whether orders of this owner may be worked on paper only."""
    return owner.startswith(SHADOW_OWNER)
