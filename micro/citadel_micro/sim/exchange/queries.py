"""Queries of the exchange: accounts, orders, trades and events. Nothing here changes one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from citadel_micro.sim.exchange.event_log import EventLog
from citadel_micro.sim.exchange.model import OrderRefused

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.accounts import Account, FeePlan
    from citadel_micro.sim.exchange.model import AccountEvent, Fill, Ledger, Order, Prevention
    from citadel_micro.sim.exchange.records import Records


class Queries(ABC):
    """The read-only half of the exchange. Returned orders are copies.

    Every query raises ``OrderRefused`` (UNKNOWN_ACCOUNT) for an account that was not opened.
    """

    def __init__(self, records: Records) -> None:
        """Answer from ``records`` and from accounts yet to be opened."""
        self._records = records
        self._accounts: dict[str, Account] = {}
        self._log = EventLog()

    @property
    @abstractmethod
    def now_ns(self) -> int:
        """Return the time of the last ``advance``, at which all other methods act."""

    # ------------------------------------------------------------------ accounts

    def balances(self, account_id: str) -> dict[str, tuple[int, int]]:
        """Return (free, locked) in 1e-8 of every asset that the account ever had."""
        account = self._account(account_id)
        assets = sorted({*account.free, *account.locked})
        return {asset: account.balance(asset) for asset in assets}

    def fees(self, account_id: str) -> FeePlan:
        """Return the account's commission."""
        return self._account(account_id).fees

    def ledger(self, account_id: str) -> Ledger:
        """Return the account's opening, movements, fills and balances, for an audit."""
        return self._account(account_id).ledger()

    def order_counts(self, account_id: str) -> tuple[int, int]:
        """Return unfilled orders of the current 10 s and the current UTC day.

        Placing counts one, an order's first fill gives one back (Binance, "Unfilled order count").
        """
        return self._account(account_id).counts.now(self.now_ns)

    def _account(self, account_id: str) -> Account:
        account = self._accounts.get(account_id)
        if account is None:
            raise OrderRefused("UNKNOWN_ACCOUNT", account_id)
        return account

    # ------------------------------------------------------------------ records

    def order(
        self, account_id: str, symbol: str, *, order_id: int = 0, client_id: str = ""
    ) -> Order:
        """Return an order, open or not; by client id the newest that has had it.

        Raises:
            OrderRefused: UNKNOWN_ORDER.
        """
        self._account(account_id)
        return self._records.find(account_id, symbol, order_id, client_id).snapshot()

    def open_orders(self, account_id: str, symbol: str | None = None) -> list[Order]:
        """Return open orders, oldest first."""
        self._account(account_id)
        return [order.snapshot() for order in self._records.open_orders(account_id, symbol)]

    def all_orders(
        self,
        account_id: str,
        symbol: str,
        *,
        from_id: int = 0,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int = 500,
    ) -> list[Order]:
        """Return orders of any status in the order of their ids.

        With ``from_id`` or a start the first ``limit`` from there on, else the last ones.
        """
        self._account(account_id)
        if from_id or start_ns is not None:
            found = self._records.all_orders(account_id, symbol, from_id, (start_ns, end_ns))
            return [order.snapshot() for order in islice(found, limit)]
        if end_ns is not None:
            found = self._records.all_orders(account_id, symbol, 0, (None, end_ns))
            return [order.snapshot() for order in deque(found, maxlen=limit)]
        newest = self._records.newest_orders(account_id, symbol, limit)
        return [order.snapshot() for order in newest]

    def my_trades(
        self,
        account_id: str,
        symbol: str,
        *,
        order_id: int = 0,
        from_id: int | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int = 500,
    ) -> list[Fill]:
        """Return fills in the order of their trade ids.

        With ``from_id`` (a trade id) or a start the first ``limit`` from there on, else the last.
        """
        self._account(account_id)
        found = self._records.fills(account_id, symbol, order_id, from_id, (start_ns, end_ns))
        if from_id is not None or start_ns is not None:
            return found[:limit]
        return found[-limit:]

    def preventions(self, account_id: str, symbol: str) -> list[Prevention]:
        """Return the self-trades that were prevented, oldest first."""
        return self._records.preventions(account_id, symbol)

    # ------------------------------------------------------------------ events

    def drain(self) -> list[AccountEvent]:
        """Return (once) the events of all accounts since the last call, in order."""
        return self._log.drain()

    def events(self, account_id: str, after: int = 0) -> list[AccountEvent]:
        """Return the account's events numbered above ``after``; the newest 100,000 are kept."""
        return self._log.after(account_id, after)

    def changed_ns(self, account_id: str) -> int:
        """Return when the account's balances last changed; 0 if they never did."""
        return self._log.changed_ns.get(account_id, 0)
