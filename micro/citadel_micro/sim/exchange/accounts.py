"""Accounts: balances free and locked, commission, order counts, and a ledger that adds up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.sim.exchange.model import Fill, Ledger, Movement, OrderRefused, Permission
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Mapping

FeeAsset = Literal["received", "quote", "bnb"]

_TEN_SECONDS_NS: Final = 10_000_000_000
_DAY_NS: Final = 86_400_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FeePlan:
    """Commission of an account: rates and the BNB discount in 1e-8 (100_000 is 0.1 %).

    ``received``: in the asset that a fill brings (Binance without BNB). ``quote``: always in quote,
    as other venues do; a buy then locks its fee as well. ``bnb``: in BNB at the last price, less
    ``discount_e8``; a fill without enough BNB or without its price falls back to ``received``.
    Commission is cut to 1e-8, never rounded up.
    """

    maker_e8: int = 100_000
    taker_e8: int = 100_000
    asset: FeeAsset = "received"
    discount_e8: int = 25_000_000


class OrderCounts:
    """Orders of an account in two running windows: spot's unfilled ones in 10 s and the UTC day."""

    __slots__ = ("_counts", "_gives_back", "_lengths", "_windows")

    def __init__(
        self, lengths: tuple[int, int] = (_TEN_SECONDS_NS, _DAY_NS), *, gives_back: bool = True
    ) -> None:
        """``lengths`` of the windows in ns. ``gives_back``: an order that fills counts no more."""
        self._lengths = lengths
        self._gives_back = gives_back
        self._windows = [0, 0]
        self._counts = [0, 0]

    def add(self, now_ns: int) -> None:
        """Count a placed order."""
        self._roll(now_ns)
        self._counts = [count + 1 for count in self._counts]

    def give_back(self, now_ns: int) -> None:
        """Take one off for an order that was filled, where that is done."""
        if not self._gives_back:
            return
        self._roll(now_ns)
        self._counts = [max(count - 1, 0) for count in self._counts]

    def now(self, now_ns: int) -> tuple[int, int]:
        """Return the counts of both windows."""
        self._roll(now_ns)
        return self._counts[0], self._counts[1]

    def _roll(self, now_ns: int) -> None:
        for place, length in enumerate(self._lengths):
            window = now_ns // length
            if window != self._windows[place]:
                self._windows[place] = window
                self._counts[place] = 0


@dataclass(slots=True)
class Account:
    """Balances of one account in 1e-8, and all movements of them.

    ``free`` and ``locked`` are never negative. ``sequence`` numbers its events.
    """

    account_id: str
    fees: FeePlan
    permissions: frozenset[Permission]
    free: dict[str, int]
    opening: dict[str, int] = field(default_factory=dict)
    locked: dict[str, int] = field(default_factory=dict)
    movements: list[Movement] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    counts: OrderCounts = field(default_factory=OrderCounts)
    sequence: int = 0

    @classmethod
    def opened(
        cls,
        account_id: str,
        balances: Mapping[str, int],
        fees: FeePlan,
        permissions: frozenset[Permission],
    ) -> Account:
        """Open an account with its balances.

        Raises:
            InvariantError: for a negative balance.
        """
        if any(amount < 0 for amount in balances.values()):
            msg = f"account {account_id} is opened with a negative balance"
            raise InvariantError(msg)
        return cls(account_id, fees, permissions, dict(balances), dict(balances))

    def lock(self, asset: str, amount: int) -> None:
        """Move free to locked (negative: back).

        Raises:
            OrderRefused: when that much is not free; nothing was changed.
        """
        free = self.free.get(asset, 0)
        if amount > free:
            detail = f"{amount} of 1e-8 {asset} needed, {free} free"
            raise OrderRefused("INSUFFICIENT_BALANCE", detail)
        self.free[asset] = free - amount
        self.locked[asset] = self.locked.get(asset, 0) + amount

    def move(self, movement: Movement) -> None:
        """Book a movement into the free balance.

        Raises:
            InvariantError: when it would leave the balance negative.
        """
        free = self.free.get(movement.asset, 0) + movement.amount_e8
        if free < 0:
            msg = f"account {self.account_id} would hold {free} of 1e-8 {movement.asset}"
            raise InvariantError(msg)
        self.free[movement.asset] = free
        self.movements.append(movement)

    def balance(self, asset: str) -> tuple[int, int]:
        """Return (free, locked)."""
        return self.free.get(asset, 0), self.locked.get(asset, 0)

    def ledger(self) -> Ledger:
        """Return the book of this account."""
        return Ledger(
            self.account_id,
            dict(self.opening),
            tuple(self.movements),
            tuple(self.fills),
            {asset: sum(self.balance(asset)) for asset in sorted({*self.free, *self.locked})},
        )
