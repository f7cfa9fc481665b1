"""The dialect of Bybit's linear perpetuals: spot's, with margin, positions, marks and funding."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.bybit.dialect import BybitDialect
from citadel_micro.adapters.bybit.linear_margin import Position, Positions
from citadel_micro.adapters.bybit.linear_marks import LinearMarks
from citadel_micro.adapters.bybit.messages import FUNDING, Execution, number
from citadel_micro.adapters.bybit.search import asked
from citadel_micro.adapters.bybit.session import PING, TOPICS, UPKEEP_S
from citadel_micro.core.model.account_events import FundingPayment
from citadel_micro.core.model.events import FundingDue
from citadel_micro.core.model.time_units import MS
from citadel_micro.shell.venue.dialect import Survey, Unclear
from citadel_micro.shell.venue.marked_stream import MarkedStream
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from citadel_micro.adapters.bybit.linear_margin import LinearMargin
    from citadel_micro.adapters.bybit.session import BybitSocket
    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.venue.dialect import Ask
    from citadel_micro.shell.venue.facts import Fact, OrderFact

LINEAR_TOPICS: Final = (*TOPICS, "position")


class _Paid(msgspec.Struct, rename="camel"):
    topic: str = ""
    data: list[Execution] = []


class LinearStream(MarkedStream):
    """The account's stream, and the mark prices beside it: both up, or none.

    Args:
        private: logged on and subscribed.
        on_mark: receives the frames of the tickers.
    """

    def __init__(self, private: BybitSocket, on_mark: Callable[[bytes], None]) -> None:
        super().__init__(private, private, on_mark)

    async def open(self, url: str, where: str, topics: Iterable[str]) -> None:
        """Subscribe to the tickers. Raises PeerUnavailable."""
        await self._open_marks(url, where)
        for topic in topics:
            asked_for = {"op": "subscribe", "args": [topic]}
            self._marks.send(0, msgspec.json.encode(asked_for), lambda _outcome: None)
        self._begin_upkeep(self._ping())

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(UPKEEP_S)
            self._marks.send(0, PING, lambda _outcome: None)


class LinearDialect(BybitDialect):
    """As ``BybitDialect``; ``margined`` comes before the first connection."""

    def margined(
        self,
        venue: str,
        public_url: str,
        margin: LinearMargin,
        report: Callable[[Iterable[Event]], None],
    ) -> None:
        """Set what spot has not.

        Args:
            venue: id.
            public_url: of the public stream.
            margin: verifies the account's settings.
            report: receives marks, margin terms and funding.
        """
        self._venue = venue
        self._public_url = public_url
        self._margin = margin
        self._report = report
        self._marks = LinearMarks(venue, self._instruments)

    async def open_stream(self, on_frame: Callable[[bytes], None]) -> LinearStream:
        """The account's settings verified, then its stream, with the marks."""
        self._may_connect()
        await self._rest.measure(self._now)
        terms = await self._margin.verified(self._rest)
        url, where = self._stream_url, f"{self._where}.private_ws_url"
        stream = LinearStream(await self._open(url, where, on_frame, LINEAR_TOPICS), self._on_mark)
        await stream.open(self._public_url, f"{self._where}.ws_url", self._marks.topics())
        self._report(terms)
        return stream

    def _on_mark(self, frame: bytes) -> None:
        mark = self._marks.mark(frame, self._now())
        if mark is not None:
            self._report((mark,))

    def read_event(self, frame: bytes) -> list[Fact]:
        """See ``BybitReader``; payments of funding are listed with the account's trades."""
        if FUNDING.encode() in frame:
            self._report_funding(frame)
        return super().read_event(frame)

    def _report_funding(self, frame: bytes) -> None:
        try:
            paid = msgspec.json.decode(frame, type=_Paid)
        except msgspec.MsgspecError:
            return  # the reader says so
        times = [int(row.exec_time) for row in paid.data if row.exec_type == FUNDING]
        if times:
            self._report((FundingDue(venue=self._venue, exchange_ns=max(times) * MS),))

    # queries

    async def survey(self, ask: Ask) -> Survey | Unclear:
        """All open orders of our contracts, all balances and positions."""
        facts: list[OrderFact] = []
        for coin in dict.fromkeys(each.settle for each in self._instruments.values()):
            found = await self._open_orders(ask, settleCoin=coin)
            if isinstance(found, Unclear):
                return found
            facts += found
        held = await self._balances(ask, {each.settle for each in self._instruments.values()})
        if isinstance(held, Unclear):
            return held
        positions: dict[str, Position] = {}
        for symbol in self._instruments:
            shown = await asked(ask, self._requests.of_symbol("positions", symbol), Positions)
            if isinstance(shown, Unclear):
                return shown
            if len(shown.rows) != 1 or shown.rows[0].position_idx:
                return Unclear(f"{symbol} is in hedge mode, or not told", anomaly=True)
            positions[symbol] = shown.rows[0]
        try:
            return Survey(
                open_orders=tuple(facts),
                balances=held,
                positions=tuple((symbol, each.amount) for symbol, each in positions.items()),
                isolated=tuple(
                    (symbol, margin)
                    for symbol, each in positions.items()
                    if each.amount and (margin := number(each.position_balance))
                ),
                changed=tuple(
                    (symbol, int(each.updated_time or 0) * MS) for symbol, each in positions.items()
                ),
                unsettled=self._margin.changed(positions),
            )
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)

    async def funding(self, ask: Ask, symbol: str, since_ns: int) -> list[FundingPayment] | Unclear:
        """Payments of funding since a time of the venue."""
        rows = await self._search.executions(ask, symbol, since_ns, execType=FUNDING)
        if isinstance(rows, Unclear):
            return rows
        settle = self._instruments[symbol].settle
        try:
            return [
                FundingPayment(
                    payment_id=row.exec_id,
                    amount=-number(row.exec_fee),
                    currency=row.fee_coin or settle,
                    exchange_ns=int(row.exec_time) * MS,
                )
                for row in rows
                if row.exec_type == FUNDING
            ]
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
