"""State of one of our orders at Hyperliquid, and the account's trades with the ids of their orders.

An order is found by the venue's id or by ours. Where neither is known, it is looked for among the
last orders and among all fills since: each unknown order among these is queried.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from citadel_micro.adapters.hyperliquid.codes import refusal
from citadel_micro.adapters.hyperliquid.messages import Fill, OrderState, StatusAnswer
from citadel_micro.core.model.time_units import MS, SECOND
from citadel_micro.shell.venue.asking import decoded_answer, orders_in
from citadel_micro.shell.venue.dialect import Absent, Found, OwnedTrade, Unclear
from citadel_micro.shell.venue.facts import Anomaly
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from citadel_micro.adapters.hyperliquid.messages import HyperReader
    from citadel_micro.adapters.hyperliquid.requests import HyperRequests
    from citadel_micro.shell.venue.dialect import Ask, Finding, Request
    from citadel_micro.shell.venue.facts import OrderFact, TradeFact
    from citadel_micro.shell.venue.order_ids import OurOrder
    from citadel_micro.shell.venue.venue_clock import VenueClock

T = TypeVar("T")
PAGE: Final = 2_000
"""Maximum number of fills in one answer."""
MOST_PAGES: Final = 20
MOST_LOOKED_UP: Final = 20
"""Orders of others that one search asks about; the next one goes on."""
MOST_NAMES: Final = 5_000
BEFORE_NS: Final = 10 * SECOND
"""For clock differences: search from this long before the placing."""
DAY_NS: Final = 86_400 * SECOND
"""How far back an order without a known time is searched."""


class HyperSearch:
    """Searches for orders.

    Args:
        reader: decodes answers.
        requests: builds requests.
        clock: the venue's time.
    """

    def __init__(
        self,
        reader: HyperReader,
        requests: HyperRequests,
        clock: VenueClock,
    ) -> None:
        self._reader = reader
        self._requests = requests
        self._clock = clock
        self._names: dict[int, str] = {}
        """Client ids of others' orders that were queried."""

    async def find(self, ask: Ask, order: OurOrder, *, deep: bool) -> Finding:
        """See ``shell.venue.dialect.Dialect.find``."""
        name = int(order.venue_order_id) if order.venue_order_id else self._cloid(order)
        found = await self._by_name(ask, order, name)
        if not isinstance(found, Absent) or not deep:
            return found
        return await self._among_all(ask, order)

    def _cloid(self, order: OurOrder) -> str:
        return order.their_id or self._requests.cloid(order.client_id)

    async def _by_name(self, ask: Ask, order: OurOrder, name: str | int) -> Finding:
        answer = await asked(ask, self._requests.status(name), StatusAnswer)
        if isinstance(answer, Unclear):
            return answer
        if answer.status == "unknownOid":
            return Absent(trades_too=False, text="unknownOid")
        if answer.status != "order" or answer.order is None:
            return Unclear(f"orderStatus is {answer.status!r}")
        return await self._with_trades(ask, order, answer.order)

    async def _with_trades(self, ask: Ask, order: OurOrder, state: OrderState) -> Finding:
        """A found order, with its fills where some were not reported yet."""
        try:
            fact = self._reader.order(state.order, state.status, state.status_timestamp)
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        if fact is None or isinstance(fact, Anomaly):
            return Unclear("another coin" if fact is None else fact.text, anomaly=True)
        named = order.venue_order_id or fact.venue_order_id
        other = not order.venue_order_id and fact.client_id not in {"", order.client_id}
        if other or fact.venue_order_id != named:
            return Unclear(f"an answer about another order: {fact.venue_order_id}")
        # Found by our name: an answer need not repeat it.
        fact = replace(fact, client_id=order.client_id)
        if fact.standing == "open" and fact.cumulative_lots <= order.filled_lots:
            return Found(order=fact, trades=())
        if fact.standing != "open" and fact.cumulative_lots == order.filled_lots:
            return Found(order=fact, trades=())
        rows = await self._fills(ask, state.order.timestamp)
        if isinstance(rows, Unclear):
            return rows
        try:
            its = [self._reader.trade(row) for row in rows if row.oid == state.order.oid]
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        return Found(order=fact, trades=tuple(each for each in its if each is not None))

    # among all

    async def _among_all(self, ask: Ask, order: OurOrder) -> Finding:
        cloid = self._cloid(order)
        history = await asked(ask, self._requests.of_user("historicalOrders"), list[OrderState])
        if isinstance(history, Unclear):
            return history
        mine = [state for state in history if state.order.cloid == cloid]
        if mine:
            newest = max(mine, key=lambda state: state.status_timestamp)
            return await self._with_trades(ask, order, newest)
        rows = await self._fills(ask, self._since_ms(order))
        if isinstance(rows, Unclear):
            return rows
        known = {state.order.oid for state in history}
        strangers = dict.fromkeys(
            row.oid for row in rows if row.oid not in known and self._owner(row) is None
        )
        mine_after_all = [oid for oid in strangers if self._names.get(oid) == order.client_id]
        unseen = [oid for oid in strangers if oid not in self._names]
        for oid in (*mine_after_all, *unseen[:MOST_LOOKED_UP]):
            answer = await asked(ask, self._requests.status(oid), StatusAnswer)
            if isinstance(answer, Unclear):
                return answer
            if answer.order is not None and answer.order.order.cloid == cloid:
                return await self._with_trades(ask, order, answer.order)
            self._know(oid, None if answer.order is None else answer.order.order.cloid)
        if len(unseen) > MOST_LOOKED_UP:
            left = len(unseen) - MOST_LOOKED_UP
            return Unclear(
                f"{left} orders of others that have filled since are yet to be looked at"
            )
        return Absent(trades_too=True, text="neither among the last orders nor among all fills")

    def _since_ms(self, order: OurOrder) -> int:
        placed_ns = order.placed_at_ns(self._clock) or self._clock.venue_ns() - DAY_NS
        return (placed_ns - BEFORE_NS) // MS

    def _owner(self, row: Fill) -> OurOrder | None:
        rules, ids = self._reader.rules(row.coin), self._requests.ids
        return None if rules is None or ids is None else ids.owner(rules.symbol, str(row.oid))

    async def _fills(self, ask: Ask, start_ms: int) -> list[Fill] | Unclear:
        """Every fill of the account since a time of the venue in ms, oldest first."""
        found: dict[tuple[int, int], Fill] = {}
        for _ in range(MOST_PAGES):
            page = await asked(ask, self._requests.fills_since(start_ms), list[Fill])
            if isinstance(page, Unclear):
                return page
            known = len(found)
            found.update({(row.oid, row.tid): row for row in page})
            # A page may end early: it is the last one when the next has nothing new.
            if len(found) == known and len(page) < PAGE:
                return sorted(found.values(), key=lambda row: (row.time, row.tid))
            if len(found) == known:
                break
            start_ms = max(row.time for row in page)
        return Unclear(f"more than {MOST_PAGES * PAGE} fills since then")

    # trades

    async def trades(self, ask: Ask, symbol: str, since_ns: int) -> list[OwnedTrade] | Unclear:
        """Every trade of the account, each with the client id of its order, which is queried."""
        rows = await self._fills(ask, since_ns // MS)
        if isinstance(rows, Unclear):
            return rows
        made: list[OwnedTrade] = []
        for row in rows:
            rules = self._reader.rules(row.coin)
            if rules is None or rules.symbol != symbol:
                continue
            try:
                fact = self._reader.trade(row)
            except VenueViolation as error:
                return Unclear(str(error), anomaly=True)
            name = await self._name(ask, row, fact)
            if isinstance(name, Unclear):
                return name
            if fact is not None:
                side: str = "buy" if row.side == "B" else "sell"
                made.append(
                    OwnedTrade(
                        fact=replace(fact, client_id=name),
                        side="buy" if side == "buy" else "sell",
                    )
                )
        return made

    async def _name(self, ask: Ask, row: Fill, fact: TradeFact | None) -> str | Unclear:
        """Client id of a fill's order."""
        owner = self._owner(row)
        if owner is not None:
            return owner.client_id
        if fact is not None and fact.client_id:
            return fact.client_id
        if row.oid not in self._names:
            answer = await asked(ask, self._requests.status(row.oid), StatusAnswer)
            if isinstance(answer, Unclear):
                return answer
            self._know(row.oid, None if answer.order is None else answer.order.order.cloid)
        return self._names[row.oid]

    def _know(self, oid: int, cloid: str | None) -> None:
        """Remember whose an order is."""
        if len(self._names) >= MOST_NAMES:
            del self._names[next(iter(self._names))]
        self._names[oid] = self._reader.ours(cloid) if cloid else f"oid:{oid}"


def facts_of(reader: HyperReader, rows: list[OrderState]) -> list[OrderFact] | Unclear:
    """Open orders, those without a name of their own under a stand-in."""

    def read(row: OrderState) -> OrderFact | Anomaly | None:
        return reader.order(row.order, row.status, row.status_timestamp, stand_in=True)

    return orders_in(rows, read)


async def asked(ask: Ask, request: Request, kind: type[T]) -> T | Unclear:
    """The answer to a query, or why there is none."""
    return await decoded_answer(
        ask, request, refusal=refusal, decode=lambda body: msgspec.json.decode(body, type=kind)
    )
