"""The steps in which a venue takes prices and quantities, counted in a run's own ticks and lots."""

from __future__ import annotations

from typing import Final, NamedTuple


class Steps(NamedTuple):
    """Of prices in our ticks, of quantities in our lots; 1 where the venue takes any number of ours."""

    price: int = 1
    quantity: int = 1

    def down(self, lots: int) -> int:
        """The largest quantity up to this that the venue takes."""
        return lots - lots % self.quantity


OURS: Final = Steps()
