"""Integer ticks and lots as the exact decimal text of a price or quantity."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal


class DecimalText:
    """Writes multiples of one step, without an exponent and with the step's decimals.

    Args:
        step: above 0: tick or lot.
    """

    __slots__ = ("_decimals", "_scale", "_units")

    def __init__(self, step: Decimal) -> None:
        exponent = step.normalize().as_tuple().exponent
        assert isinstance(exponent, int)  # noqa: S101 - an instrument's steps are finite
        self._decimals = max(0, -exponent)
        self._scale = 10**self._decimals
        self._units = int(step.scaleb(self._decimals))

    def text(self, count: int) -> str:
        """Of so many steps, 0 or more."""
        whole, rest = divmod(count * self._units, self._scale)
        return f"{whole}.{rest:0{self._decimals}d}" if self._decimals else str(whole)
