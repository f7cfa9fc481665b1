"""Pauses between orders of one parent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.time_units import MS

if TYPE_CHECKING:
    from citadel_micro.core.orders.orders import Parent

CROSS_PAUSE_NS: Final = 50 * MS
"""Between immediate orders, which also wait for a newer book."""
CROSS_PAUSE_DOUBLINGS: Final = 4
"""Doublings of that pause, one per immediate order in a row that found nothing: 800 ms at most."""


def cross_pause_ns(parent: Parent) -> int:
    """Pause after an immediate order: an empty book is not hit twenty times a second.

    A stop retries until it is done, and every try is an order to be remembered.
    """
    fruitless = 0
    for child in reversed(parent.children):
        if not child.ioc or child.filled or fruitless > CROSS_PAUSE_DOUBLINGS:
            break
        fruitless += 1
    return CROSS_PAUSE_NS << max(0, min(fruitless - 1, CROSS_PAUSE_DOUBLINGS))
