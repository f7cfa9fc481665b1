"""Sends one test order to OKX, with the requests and the connection of real orders."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.okx.dialect import OkxDialect
from citadel_micro.adapters.okx.messages import OrderRow, amount
from citadel_micro.adapters.okx.orders import okx_dialect
from citadel_micro.adapters.okx.search import asked
from citadel_micro.shell.account_facts import StepResult
from citadel_micro.shell.venue.addresses import address_of
from citadel_micro.shell.venue.dialect import Request, Unclear
from citadel_micro.shell.venue.trial_desk import DialectTrialDesk
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from decimal import Decimal

    from citadel_micro.core.model.commands import CancelOrder, PlaceOrder
    from citadel_micro.shell.account_facts import AccountQuery

SETTLE_S: Final = 3.0
"""An answer only says that a request was taken: so long for the order to show what came of it."""
CHECK_S: Final = 0.1


class _Ticker(msgspec.Struct):
    last: str


class OkxTrialDesk(DialectTrialDesk[OkxDialect]):
    """As ``shell.account_facts.TrialDesk``; ``open`` comes first.

    Args:
        query: the account, and its addresses.
    """

    def __init__(self, query: AccountQuery) -> None:
        dialect, _ = okx_dialect(
            query.venue,
            query.instruments,
            query.key,
            VenueClock(query.now),
            query.now,
            rest_url=address_of(query, "private_rest_url"),
            ws_url=address_of(query, "ws_api_url"),
            mode=query.section.margin_mode,
        )
        dialect.name(_letters, lambda name: name)
        super().__init__(query, dialect)
        self._requests = dialect.requests

    async def last_price(self, symbol: str) -> Decimal:
        """Of the last trade."""
        request = Request(
            purpose="query",
            method="market/ticker",
            params={"instId": self._query.instruments[symbol].venue_symbol},
            signed=False,
        )
        rows = await asked(self._ask, request, _Ticker)
        if isinstance(rows, Unclear):
            if rows.refusal is None and not rows.anomaly:
                raise PeerUnavailable(f"{symbol}: {rows.text}")
            raise VenueViolation(f"{symbol}: {rows.text}")
        if not rows:
            raise VenueViolation(f"{symbol}: no ticker")
        return amount(rows[0].last)

    async def place(self, order: PlaceOrder) -> StepResult:
        """Place it."""
        refused = await self._refused(self._dialect.place(order))
        return refused or await self._until(order.client_id, order.symbol, "live", 0)

    async def query(self, order: PlaceOrder, *, rests: bool) -> StepResult:
        """Query it by our id."""
        wanted = "live" if rests else "canceled"
        return await self._until(order.client_id, order.symbol, wanted, 0, tries=1)

    async def reduce(self, order: PlaceOrder, quantity_lots: int) -> StepResult | None:
        """Less quantity at the same price, in place."""
        request = self._smaller(order, quantity_lots)
        if isinstance(request, str):
            return None
        refused = await self._refused(request)
        if refused is not None:
            return refused
        return await self._until(order.client_id, order.symbol, "live", quantity_lots)

    async def cancel(self, command: CancelOrder) -> StepResult:
        """Cancel it by our id."""
        refused = await self._refused(self._dialect.cancel(command, None))
        return refused or await self._until(command.client_id, command.symbol, "canceled", 0)

    # inside

    async def _until(
        self, client_id: str, symbol: str, state: str, lots: int, *, tries: int = 0
    ) -> StepResult:
        """The order, once it is in this state, of ``lots`` where that is not 0, with nothing filled."""
        rules = self._query.instruments[symbol]
        request = self._requests.order(symbol, self._requests.name_of(client_id, None))
        text = ""
        for _ in range(tries or int(SETTLE_S / CHECK_S)):
            rows = await asked(self._ask, request, OrderRow)
            if isinstance(rows, Unclear) or not rows:
                text = rows.text if isinstance(rows, Unclear) else "no order"
            else:
                row = rows[0]
                filled = amount(row.accFillSz)
                text = f"{row.state}, {row.accFillSz} of {row.sz} filled, as {row.ordId}"
                size = not lots or rules.lots(amount(row.sz)) == lots
                if row.state == state and size:
                    return StepResult(done=not filled, text=text)
            await asyncio.sleep(CHECK_S)
        return StepResult(done=False, text=text)


def _letters(client_id: str) -> str:
    """The test order's name in letters and digits alone: the venue takes nothing else."""
    return client_id.replace("-", "")
