"""Which instruments have open orders, and what is pending on each, counted again only where something changed.

Everything that changes what a parent may still fill notes it in the ``PendingChanges`` of its instrument: the methods
of ``Child`` and ``Parent``, and ``InstrumentState.admit`` and ``release``. So whoever sums up over the instruments can
tell at once which sums are still true.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

State = TypeVar("State")


class OpenOrders(Generic[State]):
    """Of one engine, whose instruments have states of this type."""

    __slots__ = ("busy", "changes")

    def __init__(self) -> None:
        self.busy: dict[tuple[str, str], State] = {}
        """The instruments with open parents that are not held."""
        self.changes = 0
        """Those of all instruments together."""


class PendingChanges:
    """Counts what may have changed what is pending on one instrument.

    The changes of all *other* instruments are those of all less these.
    """

    __slots__ = ("buys", "count", "counted", "of_all", "sells")

    def __init__(self, of_all: OpenOrders[Any]) -> None:
        self.count = 0
        self.of_all = of_all
        self.counted = -1
        """``count`` when ``buys`` and ``sells`` were: the lots that they may still fill."""
        self.buys = self.sells = 0

    def __deepcopy__(self, memo: dict[int, object]) -> PendingChanges:
        """A copy of an order is on the same instrument."""
        return self

    def note(self) -> None:
        """Something of a parent there has changed."""
        self.count += 1
        self.of_all.changes += 1


NOWHERE: Final = PendingChanges(OpenOrders[Any]())
"""Of orders that no instrument has; nobody reads it."""
