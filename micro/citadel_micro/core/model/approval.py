"""Approval as a type: venues accept ``Approved[...]`` and nothing else.

An approval is valid by its entry in the list of the gate that issued it (``Approvals``), not by its
content: one that was made by hand, copied, read from a file, changed, or spent already has no entry
or does not match it, and is refused. It is bound to one order with every field, to the
book's sequence that it was checked on and to the risk epoch, and any change of breakers or limits
between the check and the sending voids it.
"""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Generic, Never, TypeVar

from citadel_micro.core.model.commands import AmendOrder, PlaceOrder
from citadel_micro.core.model.events import AmendRejected, OrderRejected
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Callable

OrderT = TypeVar("OrderT", bound="PlaceOrder | AmendOrder")

VOID: Final = "VOID"
"""Code of an order that was not sent because its approval had become void."""
MOST_OPEN: Final = 1_000
"""Maximum number of unspent approvals of one call. A replay sends nothing, and would keep them all."""
_put: Final = object.__setattr__
_TERMS: Final[dict[type, attrgetter[tuple[object, ...]]]] = {
    kind: attrgetter(*(each.name for each in fields(kind))) for kind in (PlaceOrder, AmendOrder)
}


class Approved(Generic[OrderT]):
    """One order that passed every check, to be sent once. Created by ``Approvals.issue`` alone."""

    __slots__ = ("_approvals", "_book_seq", "_order", "_risk_epoch")

    _approvals: Approvals
    _book_seq: int
    _order: OrderT
    _risk_epoch: int

    def __init__(self) -> None:
        raise InvariantError("only the risk gate approves orders")

    def __init_subclass__(cls) -> None:
        """Refuse a subclass with rules of its own."""
        raise InvariantError(f"{cls.__name__}: an approval has no other kinds")

    @property
    def order(self) -> OrderT:
        """The approved order."""
        return self._order

    @property
    def given_by(self) -> Approvals:
        """The list that issued it."""
        return self._approvals

    @property
    def book_seq(self) -> int:
        """Sequence of the book that it was checked on."""
        return self._book_seq

    @property
    def risk_epoch(self) -> int:
        """The gate's epoch at the time."""
        return self._risk_epoch

    def spend(self) -> OrderT:
        """The order, once, from the list that issued it. Raises InvariantError as ``redeem``."""
        return self._approvals.redeem(self)

    def __setattr__(self, name: str, value: object) -> Never:
        """Refuse: what was checked is what is sent."""
        raise InvariantError(f"an approval cannot be changed: {name}")

    def __delattr__(self, name: str) -> Never:
        """Refuse, as above."""
        raise InvariantError(f"an approval cannot be changed: {name}")

    def __copy__(self) -> Never:
        """Refuse: it can be sent once."""
        raise InvariantError("an approval cannot be copied")

    def __deepcopy__(self, memo: object) -> Never:
        """Refuse, as above."""
        raise InvariantError("an approval cannot be copied")

    def __reduce_ex__(self, protocol: object) -> Never:
        """Refuse, as above."""
        raise InvariantError("an approval cannot be stored")

    def __repr__(self) -> str:
        return f"Approved({self.order!r}, book_seq={self.book_seq}, risk_epoch={self.risk_epoch})"


_Given = tuple[object, int, object, tuple[object, ...]]
"""The approval, the epoch, its order and the order's fields as they were checked."""


class Approvals:
    """The orders that one gate has approved and that have not been sent yet.

    Args:
        epoch: the gate's current epoch.
    """

    __slots__ = ("_epoch", "_open")

    def __init__(self, epoch: Callable[[], int]) -> None:
        self._epoch = epoch
        self._open: dict[int, _Given] = {}

    def issue(self, order: OrderT, *, book_seq: int) -> Approved[OrderT]:
        """Approve one order."""
        approved: Approved[OrderT] = object.__new__(Approved)
        epoch = self._epoch()
        _put(approved, "_approvals", self)
        _put(approved, "_order", order)
        _put(approved, "_book_seq", book_seq)
        _put(approved, "_risk_epoch", epoch)
        given = self._open
        given[id(approved)] = (approved, epoch, order, _TERMS[type(order)](order))
        if len(given) > MOST_OPEN:
            del given[next(iter(given))]
        return approved

    def valid(self, approved: Approved[PlaceOrder] | Approved[AmendOrder]) -> bool:
        """Whether it is one of these and nothing has changed since it was issued."""
        found = self._open.get(id(approved))
        return found is not None and found[0] is approved and found[1] == self._epoch()

    def redeem(self, approved: Approved[OrderT]) -> OrderT:
        """Remove its entry and return its order.

        Raises InvariantError, removing nothing, for one that was sent before, is not of this
        gate, does not match what was approved, or is void.
        """
        found = self._open.get(id(approved))
        order = approved.order
        if found is None or found[0] is not approved:
            raise InvariantError(
                f"approval of {order.client_id} was spent before, or never given by this gate"
            )
        if order is not found[2] or _TERMS[type(order)](order) != found[3]:
            raise InvariantError(f"approval of {order.client_id} was given to another order")
        if found[1] != self._epoch():
            raise InvariantError(
                f"approval of {order.client_id} is void: breakers or limits have changed since"
            )
        del self._open[id(approved)]
        return order


def not_sent(order: PlaceOrder | AmendOrder) -> OrderRejected | AmendRejected:
    """The event for an order whose approval was void: it was certainly not sent."""
    text = "not sent: breakers or limits had changed since it was approved"
    if isinstance(order, PlaceOrder):
        return OrderRejected(
            venue=order.venue,
            symbol=order.symbol,
            client_id=order.client_id,
            code=VOID,
            text=text,
        )
    return AmendRejected(
        venue=order.venue,
        symbol=order.symbol,
        client_id=order.client_id,
        code="OTHER",
        text=text,
    )
