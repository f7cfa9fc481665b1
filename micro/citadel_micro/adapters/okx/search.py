"""Queries OKX about our orders: one order, open orders and balances, the account's trades.

Fills carry the client id of their order. A canceled order without a fill is dropped by the venue after
two hours, and fills are listed promptly for three days.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from citadel_micro.adapters.okx.codes import refusal
from citadel_micro.adapters.okx.messages import AccountRow, FillRow, OrderRow, millis
from citadel_micro.adapters.okx.requests import PAGE
from citadel_micro.core.model.time_units import MS, SECOND
from citadel_micro.shell.venue.asking import decoded_answer, orders_in
from citadel_micro.shell.venue.dialect import Absent, Found, OwnedTrade, Survey, Unclear
from citadel_micro.shell.venue.facts import Anomaly, OrderFact, TradeFact
from citadel_micro.shell.venue.outcomes import Fate
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.adapters.okx.messages import OkxReader
    from citadel_micro.adapters.okx.requests import OkxRequests
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Ask, Finding, Request
    from citadel_micro.shell.venue.order_ids import OurOrder
    from citadel_micro.shell.venue.venue_clock import VenueClock

T = TypeVar("T")
MOST_PAGES: Final = 500
PROMPT_NS: Final = 60 * 3_600 * SECOND
"""Younger fills are all in the prompt list, which has three days."""
EARLIER_NS: Final = 5 * SECOND
"""A search begins this long before the placing, beyond the clock's error."""


class _Envelope(msgspec.Struct):
    data: msgspec.Raw
    """Without it, nothing is said: no empty list."""


_envelope: Final = msgspec.json.Decoder(_Envelope).decode


async def asked(ask: Ask, request: Request, kind: type[T]) -> list[T] | Unclear:
    """The rows of one answer."""

    def decode(body: bytes) -> list[T]:
        rows: list[T] = msgspec.json.decode(_envelope(body).data, type=list[kind])  # type: ignore[valid-type]
        return rows

    return await decoded_answer(ask, request, refusal=refusal, decode=decode)


class Balances(NamedTuple):
    """Of the trading account."""

    rows: tuple[tuple[str, Decimal, Decimal], ...]
    """Currency, free, and in orders or positions."""
    updated_ns: int
    """When it last changed, on the venue's clock."""


class OkxSearch:
    """See the module.

    Args:
        reader: decodes orders and fills.
        requests: builds queries.
        instruments: by unified symbol.
        clock: the venue's time.
    """

    def __init__(
        self,
        reader: OkxReader,
        requests: OkxRequests,
        instruments: Mapping[str, Instrument],
        clock: VenueClock,
    ) -> None:
        self._reader = reader
        self._requests = requests
        self._instruments = instruments
        self._clock = clock

    async def find(self, ask: Ask, order: OurOrder, *, deep: bool) -> Finding:
        """See ``shell.venue.dialect.Dialect.find``."""
        requests = self._requests
        name = requests.name_of(order.client_id, order)
        rows = await asked(ask, requests.order(order.symbol, name), OrderRow)
        if isinstance(rows, Unclear):
            if rows.refusal is None or rows.refusal.fate is not Fate.NOT_FOUND:
                return rows
            return (
                await self._absent(ask, order, rows.text)
                if deep
                else Absent(trades_too=False, text=rows.text)
            )
        if len(rows) != 1:
            return Unclear(f"{len(rows)} orders for one id", anomaly=len(rows) > 1)
        try:
            fact = self._reader.order(rows[0])
            if fact is None or isinstance(fact, Anomaly):
                text = f"an order of {rows[0].instId}" if fact is None else fact.text
                return Unclear(text, anomaly=True)
            other = fact.symbol != order.symbol or (
                fact.client_id != order.client_id and fact.venue_order_id != order.venue_order_id
            )
            if other:
                return Unclear("an answer about another order", anomaly=True)
            trades: list[TradeFact] = []
            if fact.cumulative_lots:
                found = await self._fills_of(ask, fact)
                if isinstance(found, Unclear):
                    return found
                trades = found
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        return Found(order=fact, trades=tuple(trades))

    async def _fills_of(self, ask: Ask, fact: OrderFact) -> list[TradeFact] | Unclear:
        """Of one order: those that the prompt list has dropped are in the other one."""
        symbol, order_id = fact.symbol, fact.venue_order_id
        rows = await self._fills(ask, symbol, order_id=order_id)
        if isinstance(rows, Unclear):
            return rows
        known = self._trades(rows)
        if sum(each.quantity_lots for each in known.values()) < fact.cumulative_lots:
            old = await self._pages(
                ask, lambda after: self._requests.old_fills(symbol, order_id=order_id, after=after)
            )
            if isinstance(old, Unclear):
                return old
            known = self._trades(old) | known
        return list(known.values())

    def _trades(self, rows: Iterable[FillRow]) -> dict[str, TradeFact]:
        """By trade id. Raises VenueViolation."""
        facts = (self._reader.fill(row) for row in rows)
        return {each.trade_id: each for each in facts if each is not None}

    async def _absent(self, ask: Ask, order: OurOrder, text: str) -> Finding:
        """Not among the orders: whether the fills know it."""
        placed_ns = order.placed_at_ns(self._clock) or self._clock.venue_ns() - PROMPT_NS
        begin_ns = placed_ns - self._clock.error_ns - EARLIER_NS
        fills = await self._since(ask, order.symbol, begin_ns)
        if isinstance(fills, Unclear):
            return fills
        if any(self._reader.ours(row.clOrdId) == order.client_id for row in fills):
            return Unclear("its fills are listed, and the order is not")
        return Absent(trades_too=True, text=text)

    async def survey(self, ask: Ask) -> Survey | Unclear:
        """All open orders of our instruments, and all balances.

        The orders come first: an order that fills in between is then explained by the balances.
        """
        facts = await self.open_orders(ask)
        if isinstance(facts, Unclear):
            return facts
        ours = [each.base for each in self._instruments.values()]
        ours += [each.quote for each in self._instruments.values()]
        held = await self.balances(ask, ours)
        if isinstance(held, Unclear):
            return held
        return Survey(open_orders=tuple(facts), balances=held.rows, updated_ns=held.updated_ns)

    async def open_orders(self, ask: Ask) -> list[OrderFact] | Unclear:
        """All of our instruments."""
        rows = await self._pending(ask)
        return rows if isinstance(rows, Unclear) else orders_in(rows, self._reader.order)

    async def balances(self, ask: Ask, ours: Iterable[str]) -> Balances | Unclear:
        """All balances, with those of ``ours`` that the venue does not list: there is nothing of them."""
        accounts = await asked(ask, self._requests.balance(), AccountRow)
        if isinstance(accounts, Unclear):
            return accounts
        if len(accounts) != 1:
            return Unclear(f"{len(accounts)} accounts in one answer", anomaly=len(accounts) > 1)
        try:
            told = {each.ccy: each.parts() for each in accounts[0].details}
            updated_ns = millis(accounts[0].uTime)
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        none = {ccy: (ccy, Decimal(0), Decimal(0)) for ccy in ours}
        return Balances(tuple({**none, **told}.values()), updated_ns)

    async def trades(self, ask: Ask, symbol: str, since_ns: int) -> list[OwnedTrade] | Unclear:
        """Every trade of the account in one symbol since a time of the venue, oldest first."""
        rows = await self._since(ask, symbol, since_ns)
        if isinstance(rows, Unclear):
            return rows
        found: dict[tuple[str, str], OwnedTrade] = {}
        try:
            for row in rows:
                fact = self._reader.fill(row)
                if fact is not None:
                    found[row.ordId, row.tradeId] = OwnedTrade(fact=fact, side=row.side)
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        return sorted(found.values(), key=lambda each: each.fact.exchange_ns)

    # pages

    async def _pending(self, ask: Ask) -> list[OrderRow] | Unclear:
        rows: list[OrderRow] = []
        after = ""
        for _ in range(MOST_PAGES):
            page = await asked(ask, self._requests.pending(after), OrderRow)
            if isinstance(page, Unclear):
                return page
            rows += page
            if len(page) < PAGE:
                return rows
            after = page[-1].ordId
        return Unclear("more open orders than can be read")

    async def _since(self, ask: Ask, symbol: str, since_ns: int) -> list[FillRow] | Unclear:
        """Every fill since a time of the venue, some of them twice."""
        begin_ms = max(since_ns // MS, 1)
        rows = await self._fills(ask, symbol, begin_ms=begin_ms)
        if isinstance(rows, Unclear) or self._clock.venue_ns() - since_ns <= PROMPT_NS:
            return rows
        old = await self._pages(
            ask, lambda after: self._requests.old_fills(symbol, begin_ms=begin_ms, after=after)
        )
        return old if isinstance(old, Unclear) else [*old, *rows]

    async def _fills(
        self, ask: Ask, symbol: str, *, begin_ms: int = 0, order_id: str = ""
    ) -> list[FillRow] | Unclear:
        """Oldest first."""
        return await self._pages(
            ask,
            lambda after: self._requests.fills(
                symbol, begin_ms=begin_ms, order_id=order_id, after=after
            ),
        )

    async def _pages(self, ask: Ask, request: Callable[[str], Request]) -> list[FillRow] | Unclear:
        rows: list[FillRow] = []
        after = ""
        for _ in range(MOST_PAGES):
            page = await asked(ask, request(after), FillRow)
            if isinstance(page, Unclear):
                return page
            rows += page
            if len(page) < PAGE:
                return rows[::-1]
            after = page[-1].billId
        return Unclear("more fills than can be read")
