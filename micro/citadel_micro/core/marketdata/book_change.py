"""What an update did to a book."""

from __future__ import annotations

from typing import Final


class Change:
    """What an update did to a MarketBook: plain ints that are joined with ``|``."""

    NONE: Final = 0
    """No visible change."""
    UPDATED: Final = 1
    """The levels changed."""
    GAP: Final = 2
    """The book has a gap: request a snapshot."""
    STATE: Final = 4
    """``state`` or its reason changed."""
