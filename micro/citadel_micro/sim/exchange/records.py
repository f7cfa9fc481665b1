"""Order and trade records: by order id, by client id, open ones, and what queries return."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from citadel_micro.sim.exchange.model import Fill, Order, OrderRefused, Prevention

if TYPE_CHECKING:
    from collections.abc import Iterable

DEAD_KEPT: Final = 100_000
"""Orders closed unfilled are archived (dropped) beyond this many, the oldest first."""


class Records:
    """Every order and fill of all accounts. Orders here are live: callers return copies."""

    def __init__(self, first_id: int) -> None:
        """Give the first order the id ``first_id + 1``."""
        self.last_id = first_id
        self.orders: dict[int, Order] = {}
        self._by_symbol: dict[tuple[str, str], dict[int, Order]] = {}
        self._open: dict[tuple[str, str], dict[int, Order]] = {}
        self._open_client: dict[tuple[str, str], Order] = {}
        self._newest_client: dict[tuple[str, str, str], int] = {}
        self._fills: dict[tuple[str, str], list[Fill]] = {}
        self._preventions: dict[tuple[str, str], list[Prevention]] = {}
        self._dead: deque[int] = deque()

    def next_id(self) -> int:
        """Return a new order id: rising over all symbols and accounts."""
        self.last_id += 1
        return self.last_id

    def add(self, order: Order) -> None:
        """Keep a new open order."""
        account_id, symbol = order.account_id, order.symbol
        self.orders[order.order_id] = order
        self._by_symbol.setdefault((account_id, symbol), {})[order.order_id] = order
        self._open.setdefault((account_id, symbol), {})[order.order_id] = order
        self._name(order)

    def _name(self, order: Order) -> None:
        account_id, client_id = order.account_id, order.client_id
        self._open_client[account_id, client_id] = order
        self._newest_client[account_id, order.symbol, client_id] = order.order_id

    def rename(self, order: Order, client_id: str) -> None:
        """Give an open order another client id; by the old one it is still found."""
        self._open_client.pop((order.account_id, order.client_id), None)
        order.client_id = client_id
        self._name(order)

    def close(self, order: Order) -> None:
        """Remove an order from the open ones."""
        self._open[order.account_id, order.symbol].pop(order.order_id, None)
        key = (order.account_id, order.client_id)
        if self._open_client.get(key) is order:
            del self._open_client[key]
        if order.filled_lots == 0:
            self._dead.append(order.order_id)
            if len(self._dead) > DEAD_KEPT:
                self._archive(self._dead.popleft())

    def _archive(self, order_id: int) -> None:
        order = self.orders.pop(order_id)
        del self._by_symbol[order.account_id, order.symbol][order_id]
        key = (order.account_id, order.symbol, order.client_id)
        if self._newest_client.get(key) == order_id:
            del self._newest_client[key]

    def add_fill(self, fill: Fill) -> None:
        """Keep a fill."""
        self._fills.setdefault((fill.account_id, fill.symbol), []).append(fill)

    def add_prevention(self, account_id: str, prevention: Prevention) -> None:
        """Keep a self-trade that was prevented."""
        self._preventions.setdefault((account_id, prevention.symbol), []).append(prevention)

    # ------------------------------------------------------------------ queries

    def taken(self, account_id: str, client_id: str) -> bool:
        """Return whether an open order has this client id."""
        return (account_id, client_id) in self._open_client

    def find(self, account_id: str, symbol: str, order_id: int, client_id: str) -> Order:
        """Return an order by its id, or else the newest with this client id.

        Raises:
            OrderRefused: UNKNOWN_ORDER, also when both are given and do not agree.
        """
        if not order_id:
            order_id = self._newest_client.get((account_id, symbol, client_id), 0)
            client_id = ""
        order = self._by_symbol.get((account_id, symbol), {}).get(order_id)
        if order is None or (client_id and order.client_id != client_id):
            raise OrderRefused("UNKNOWN_ORDER")
        return order

    def find_open(self, account_id: str, symbol: str, order_id: int, client_id: str) -> Order:
        """Return an open order; by client id the open one that has it now.

        Raises:
            OrderRefused: UNKNOWN_ORDER.
        """
        if order_id:
            order = self.find(account_id, symbol, order_id, client_id)
        else:
            named = self._open_client.get((account_id, client_id))
            if named is None or named.symbol != symbol:
                raise OrderRefused("UNKNOWN_ORDER")
            order = named
        if not order.open:
            raise OrderRefused("UNKNOWN_ORDER")
        return order

    def open_of(self, account_id: str, symbol: str) -> Iterable[Order]:
        """Return the open orders of one symbol, oldest first."""
        return self._open.get((account_id, symbol), {}).values()

    def open_orders(self, account_id: str, symbol: str | None) -> list[Order]:
        """Return open orders, oldest first."""
        if symbol is not None:
            return list(self.open_of(account_id, symbol))
        found = [
            order
            for (owner, _), orders in self._open.items()
            if owner == account_id
            for order in orders.values()
        ]
        return sorted(found, key=lambda order: order.order_id)

    def all_orders(
        self, account_id: str, symbol: str, from_id: int, span: tuple[int | None, int | None]
    ) -> Iterable[Order]:
        """Return orders from an id or within a span of placing times, in the order of ids."""
        start, end = span
        return (
            order
            for order in self._by_symbol.get((account_id, symbol), {}).values()
            if order.order_id >= from_id
            and (start is None or order.time_ns >= start)
            and (end is None or order.time_ns <= end)
        )

    def newest_orders(self, account_id: str, symbol: str, limit: int) -> list[Order]:
        """Return the last ``limit`` orders, oldest first."""
        newest = reversed(self._by_symbol.get((account_id, symbol), {}).values())
        return list(islice(newest, limit))[::-1]

    def fills(
        self,
        account_id: str,
        symbol: str,
        order_id: int,
        from_id: int | None,
        span: tuple[int | None, int | None],
    ) -> list[Fill]:
        """Return fills from a trade id on, or within a span of times, in the order of trade ids."""
        start, end = span
        fills = self._fills.get((account_id, symbol), [])
        first = 0 if from_id is None else bisect_left(fills, from_id, key=lambda f: f.trade_id)
        return [
            fill
            for fill in islice(fills, first, None)
            if (not order_id or fill.order_id == order_id)
            and (start is None or fill.time_ns >= start)
            and (end is None or fill.time_ns <= end)
        ]

    def preventions(self, account_id: str, symbol: str) -> list[Prevention]:
        """Return the self-trades that were prevented."""
        return list(self._preventions.get((account_id, symbol), ()))
