"""Account events, numbered per account, for the user streams."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from citadel_micro.sim.exchange.model import (
    AccountEvent,
    BalanceEvent,
    BalanceReason,
    Cause,
    Fill,
    Order,
    OrderEvent,
    PositionView,
    Prevention,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.accounts import Account

KEPT: Final = 100_000
"""Events of an account that can be queried again."""


class EventLog:
    """Events of all accounts. A transaction ends with one balance event per account it touched."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[AccountEvent]] = {}
        self._new: list[AccountEvent] = []
        self.changed_ns: dict[str, int] = {}
        """When the balances of each account last changed."""
        self._touched: dict[str, tuple[Account, dict[str, None]]] = {}
        self._moved: dict[str, dict[str, None]] = {}
        self.view: Callable[[Account, str], PositionView] | None = None
        """Where positions exist: the state of one."""

    def order(
        self,
        account: Account,
        cause: Cause,
        order: Order,
        *,
        fill: Fill | None = None,
        prevention: Prevention | None = None,
    ) -> None:
        """Log an order event, with the order's state after it."""
        account.sequence += 1
        self._add(
            OrderEvent(
                account.sequence, account.account_id, order.update_ns, cause, order.snapshot(),
                fill, prevention,
            )
        )  # fmt: skip

    def touch(self, account: Account, *assets: str) -> None:
        """Note that balances of these assets have changed in this transaction."""
        entry = self._touched.get(account.account_id)
        if entry is None:
            entry = self._touched[account.account_id] = (account, {})
        for asset in assets:
            entry[1][asset] = None

    def touch_position(self, account: Account, symbol: str) -> None:
        """Note that a futures position has changed in this transaction."""
        self._moved.setdefault(account.account_id, {})[symbol] = None
        self.touch(account)

    def end(self, time_ns: int, delta_e8: int = 0, reason: BalanceReason = "order") -> None:
        """End a transaction: log the balances that it changed."""
        if not self._touched:
            return
        for account, assets in self._touched.values():
            account.sequence += 1
            self.changed_ns[account.account_id] = time_ns
            balances = tuple((asset, *account.balance(asset)) for asset in sorted(assets))
            view = self.view
            moved = self._moved.get(account.account_id, {})
            positions = () if view is None else tuple(view(account, each) for each in moved)
            self._add(
                BalanceEvent(
                    account.sequence, account.account_id, time_ns, balances, delta_e8, reason,
                    positions,
                )
            )  # fmt: skip
        self._touched.clear()
        self._moved.clear()

    def _add(self, event: AccountEvent) -> None:
        self._new.append(event)
        kept = self._kept.get(event.account_id)
        if kept is None:
            kept = self._kept[event.account_id] = deque(maxlen=KEPT)
        kept.append(event)

    def drain(self) -> list[AccountEvent]:
        """Return (once) what is new, in order."""
        new = self._new
        self._new = []
        return new

    def after(self, account_id: str, sequence: int) -> list[AccountEvent]:
        """Return an account's events above a number."""
        return [each for each in self._kept.get(account_id, ()) if each.sequence > sequence]
