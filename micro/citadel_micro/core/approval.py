"""Approval as a type: venues accept ``Approved[...]`` and nothing else.

Only the risk gate can make one: the constructor asks for the key that ``open_gate`` hands out once
in the life of each gate. An approval is bound to one order (side, price, quantity, flags), to the
book sequence it was judged on and to the risk epoch, and it can be spent once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from citadel_micro.core.commands import AmendOrder, PlaceOrder

OrderT = TypeVar("OrderT", bound="PlaceOrder | AmendOrder")


class GateKey:
    """Proof of being a risk gate. Compared by identity; made by the gate's module only."""

    __slots__ = ()


_GATE_KEY = GateKey()


def open_gate(module: str) -> GateKey:
    """Hand the key to the one module that judges orders.

    Raises InvariantError for any other caller, so that a second gate cannot appear unnoticed.
    """
    if module != "citadel_micro.core.risk":
        msg = f"{module} asked for the key of the risk gate"
        raise InvariantError(msg)
    return _GATE_KEY


class Approved(Generic[OrderT]):
    """One order that passed every check, to be sent once."""

    __slots__ = ("_spent", "book_seq", "order", "risk_epoch")

    def __init__(self, key: GateKey, order: OrderT, *, book_seq: int, risk_epoch: int) -> None:
        if key is not _GATE_KEY:
            msg = "only the risk gate approves orders"
            raise InvariantError(msg)
        self.order: OrderT = order
        self.book_seq = book_seq
        self.risk_epoch = risk_epoch
        self._spent = False

    def spend(self) -> OrderT:
        """Return the order for sending. Raises InvariantError when it was sent before."""
        if self._spent:
            msg = f"approval of {self.order.client_id} was spent before"
            raise InvariantError(msg)
        self._spent = True
        return self.order

    def __repr__(self) -> str:
        return f"Approved({self.order!r}, book_seq={self.book_seq}, risk_epoch={self.risk_epoch})"
