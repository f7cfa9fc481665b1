"""What most dialects have in common: one builds requests, one searches, and REST stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from citadel_micro.shell.venue.dialect import Unclear

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
    from citadel_micro.shell.venue.dialect import (
        Ask,
        Finding,
        OwnedTrade,
        Request,
        Wire,
    )
    from citadel_micro.shell.venue.facts import TradeFact
    from citadel_micro.shell.venue.order_ids import OurOrder
    from citadel_micro.shell.venue.wire import RestWire


class Builder(Protocol):
    """Builds requests about orders, as ``shell.venue.dialect.Dialect``."""

    def place(self, order: PlaceOrder) -> Request:
        """A new order."""

    def cancel(self, command: CancelOrder, order: OurOrder | None) -> Request:
        """Request to cancel one."""

    def amend(self, command: AmendOrder, order: OurOrder | None) -> Request | str:
        """Request to amend one, or why the venue cannot."""


class Search(Protocol):
    """Looks for orders and trades, as ``shell.venue.dialect.Dialect``."""

    async def find(self, ask: Ask, order: OurOrder, *, deep: bool) -> Finding:
        """Query an order's state."""

    async def trades(self, ask: Ask, symbol: str, since_ns: int) -> list[OwnedTrade] | Unclear:
        """Every trade of the account in one symbol."""


class DialectCore:
    """A part of ``shell.venue.dialect.Dialect``.

    Args:
        probe: a request without account data.
        builder: builds requests about orders.
        search: looks for orders and trades.
        rest: the fallback; None for none.
    """

    def __init__(
        self, probe: Request, builder: Builder, search: Search, rest: RestWire | None
    ) -> None:
        self.probe = probe
        self._builder = builder
        self._searches = search
        self._fallback = rest

    def place(self, order: PlaceOrder) -> Request:
        """A new order."""
        return self._builder.place(order)

    def cancel(self, command: CancelOrder, order: OurOrder | None) -> Request:
        """Request to cancel one."""
        return self._builder.cancel(command, order)

    def amend(self, command: AmendOrder, order: OurOrder | None) -> Request | str:
        """Request to amend one, or why the venue cannot."""
        return self._builder.amend(command, order)

    async def find(self, ask: Ask, order: OurOrder, *, deep: bool) -> Finding:
        """Query an order's state."""
        return await self._searches.find(ask, order, deep=deep)

    async def trades(self, ask: Ask, symbol: str, since_ns: int) -> list[OwnedTrade] | Unclear:
        """Every trade of the account in one symbol since a time of the venue, oldest first."""
        return await self._searches.trades(ask, symbol, since_ns)

    async def fills_of(
        self, ask: Ask, order: OurOrder, begin_ns: int
    ) -> Iterable[TradeFact] | Unclear:
        """As ``shell.venue.forgotten.Forgets``, for those that say how long they know an order."""
        found = await self.trades(ask, order.symbol, begin_ns)
        if isinstance(found, Unclear):
            return found
        return [x.fact for x in found if x.fact.venue_order_id == order.venue_order_id]

    def fallback(self) -> Wire | None:
        """REST."""
        return self._fallback

    async def close(self) -> None:
        """Close REST."""
        if self._fallback is not None:
            await self._fallback.close()
