"""Orders through ccxt, as a dialect of the kit of live venues: never verified at the venue itself."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.ccxt.order_errors import refusal_of
from citadel_micro.adapters.ccxt.order_rows import Frame, RowReader
from citadel_micro.adapters.ccxt.order_search import OrderSearch
from citadel_micro.adapters.ccxt.order_session import CcxtSession
from citadel_micro.shell.venue.dialect import Request, Survey, Unclear
from citadel_micro.shell.venue.facts import TERMINAL, Anomaly, OrderFact, StreamEnds
from citadel_micro.shell.venue.outcomes import Fate, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.adapters.ccxt.order_venue import CcxtVenue
    from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Ask, Finding, OwnedTrade
    from citadel_micro.shell.venue.facts import Fact
    from citadel_micro.shell.venue.order_ids import OrderIds, OurOrder
    from citadel_micro.shell.venue.outcomes import Answered
    from citadel_micro.shell.venue.venue_clock import VenueClock

ONE: Final[Mapping[str, int]] = {"requests": 1}


class CcxtDialect:
    """As ``shell.venue.dialect.Dialect``.

    Args:
        venue: the exchange and the account.
        instruments: by unified symbol.
        clock: the venue's time.
        now: engine time in ns.
    """

    def __init__(
        self,
        venue: CcxtVenue,
        instruments: Mapping[str, Instrument],
        clock: VenueClock,
        now: Callable[[], int],
    ) -> None:
        self._venue = venue
        self._instruments = instruments
        self._clock = clock
        self._now = now
        self._ids: OrderIds | None = None
        self._reader = RowReader(instruments, self._ours)
        self._search = OrderSearch(venue, self._reader, clock)
        self._sessions: dict[CcxtSession, None] = {}

    @property
    def probe(self) -> Request:
        """The venue's time."""
        return Request(purpose="upkeep", method="time", params={}, costs=ONE, signed=False)

    def know(self, ids: OrderIds) -> None:
        """Set the orders that are ours."""
        self._ids = self._search.ids = ids

    # requests

    def place(self, order: PlaceOrder) -> Request:
        """A limit order under our id."""
        rules = self._instruments[order.symbol]
        return Request(
            purpose="place",
            method="place",
            params={
                "symbol": order.symbol,
                "side": order.side,
                "amount": f"{rules.quantity(order.quantity_lots):f}",
                "price": f"{rules.price(order.price_ticks):f}",
                "name": self._theirs(order.client_id),
                "kind": "PO" if order.post_only else order.time_in_force,
            },
            costs=ONE,
            expires_ns=order.expires_ns,
        )

    def cancel(self, command: CancelOrder, order: OurOrder | None) -> Request:
        """By the venue's id where it is known, else by ours among the open orders."""
        return Request(
            purpose="cancel",
            method="cancel",
            params={
                "symbol": command.symbol,
                "order": "" if order is None else order.venue_order_id,
                "name": self._theirs(command.client_id),
            },
            costs={"requests": 2},
        )

    def amend(self, command: AmendOrder, order: OurOrder | None) -> Request | str:
        """None: what ccxt calls an edit is a cancel and another order at many venues."""
        del command, order
        return "orders are not changed through ccxt"

    # answers and events

    def read(self, request: Request, answer: Answered) -> list[Fact] | Refusal:
        """Decode the answer about the requested order."""
        frame = msgspec.json.decode(answer.body, type=Frame)
        if frame.error:
            return refusal_of(frame)
        if request.method != "place":
            return [each for each in self._reader.facts(frame) if isinstance(each, OrderFact)]
        row = frame.orders[0]
        asked = request.params
        if row.symbol != asked["symbol"] or row.name not in ("", asked["name"]):
            return Refusal(fate=Fate.UNKNOWN, text=f"an answer about order {row.name or row.id}")
        for name, told in (("amount", row.amount), ("price", row.price)):
            if told and Decimal(told) != Decimal(str(asked[name])) and name == "amount":
                what = f"order {row.id} has the {name} {told} instead of {asked[name]}"
                name_of_ours = self._ours(str(asked["name"]))
                return [Anomaly(symbol=row.symbol, client_id=name_of_ours, text=what)]
        # An answer without a status says that the venue has the order, and no more.
        row = replace_row(row, name=str(asked["name"]), status=row.status or "open")
        facts = self._reader.facts(Frame(orders=(row,), trades=frame.trades))
        for each in facts:
            if isinstance(each, StreamEnds):
                return Refusal(fate=Fate.UNKNOWN, text=each.reason)
            if isinstance(each, OrderFact) and each.standing not in TERMINAL:
                self._venue.awaited[each.symbol, each.venue_order_id] = None
        return facts

    def read_event(self, frame: bytes) -> list[Fact]:
        """Decode news of a session of ours."""
        facts = self._reader.facts(msgspec.json.decode(frame, type=Frame))
        for each in facts:
            if isinstance(each, OrderFact) and each.standing in TERMINAL:
                self._venue.awaited.pop((each.symbol, each.venue_order_id), None)
        return facts

    # queries

    async def find(self, ask: Ask, order: OurOrder, *, deep: bool) -> Finding:
        """See ``OrderSearch``."""
        return await self._search.find(ask, order, deep=deep)

    async def survey(self, ask: Ask) -> Survey | Unclear:
        """All open orders of our symbols, and all balances; the orders first."""
        facts: list[OrderFact] = []
        for symbol in self._instruments:
            rows = await self._search.open_orders(ask, symbol)
            if isinstance(rows, Unclear):
                return rows
            facts += rows
        frame = await self._search.asked(ask, "balance", wanted=" ".join(sorted(self.currencies)))
        if isinstance(frame, Unclear):
            return frame
        return Survey(
            open_orders=tuple(facts),
            balances=tuple((c, Decimal(f), Decimal(u)) for c, f, u in frame.balances),
        )

    async def trades(self, ask: Ask, symbol: str, since_ns: int) -> list[OwnedTrade] | Unclear:
        """See ``OrderSearch``."""
        return await self._search.trades(ask, symbol, since_ns)

    @property
    def currencies(self) -> frozenset[str]:
        """Of the traded symbols."""
        every = self._instruments.values()
        return frozenset({each.base for each in every} | {each.quote for each in every})

    # connections

    async def open_stream(self, on_frame: Callable[[bytes], None]) -> CcxtSession:
        """Streams of ccxt.pro, or polls."""
        session = await self.open_entry(on_frame)
        await session.listen(self.currencies)
        return session

    async def open_entry(self, on_frame: Callable[[bytes], None]) -> CcxtSession:
        """A ccxt object for requests."""
        session = CcxtSession(self._venue, self._clock, self._now, on_frame)
        self._sessions = {each: None for each in self._sessions if each.up} | {session: None}
        await session.open()
        return session

    def fallback(self) -> None:
        """None: both kinds of session make requests the same way."""

    async def close(self) -> None:
        """Close what the sessions have left open; requests under way end as unknown."""
        for session in tuple(self._sessions):
            await session.cut_short()

    # names

    def _ours(self, name: str) -> str:
        return name if self._ids is None else self._ids.ours(name)

    def _theirs(self, client_id: str) -> str:
        return client_id if self._ids is None else self._ids.theirs(client_id)


replace_row = msgspec.structs.replace
