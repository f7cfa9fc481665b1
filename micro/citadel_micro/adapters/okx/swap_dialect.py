"""The dialect of OKX's perpetuals: spot's, with leverage, positions, marks and funding."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.okx.dialect import OkxDialect
from citadel_micro.adapters.okx.messages import amount, millis
from citadel_micro.adapters.okx.requests import PAGE, SWAP
from citadel_micro.adapters.okx.search import MOST_PAGES, asked
from citadel_micro.adapters.okx.swap_margin import NET, PositionRow, hedged
from citadel_micro.adapters.okx.swap_marks import SwapMarks, SwapStream
from citadel_micro.core.model.account_events import FundingPayment
from citadel_micro.core.model.events import FundingDue
from citadel_micro.core.model.time_units import MS, SECOND
from citadel_micro.shell.venue.dialect import Survey, Unclear
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.adapters.okx.messages import ConfigRow
    from citadel_micro.adapters.okx.swap_margin import SwapMargin
    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.venue.dialect import Ask
    from citadel_micro.shell.venue.facts import Fact

CHANNELS: Final[tuple[Mapping[str, str], ...]] = (
    {"channel": "orders", "instType": SWAP},
    {"channel": "account"},
    {"channel": "balance_and_position"},
)
FUTURES: Final = "2"
"""``acctLv``: Futures mode, in which each currency is margin for its own contracts alone."""
WEEK_NS: Final = 6 * 86_400 * SECOND
"""Younger bills are all in the first list, which has seven days."""
_FUNDED: Final = b'"funding_fee"'
"""``eventType`` of a settlement of funding."""


class _Change(msgspec.Struct):
    eventType: str = ""  # noqa: N815 - the venue's names, here and below
    pTime: str = ""  # noqa: N815


class _Changes(msgspec.Struct):
    data: list[_Change] = []


class _Bill(msgspec.Struct):
    billId: str  # noqa: N815
    instId: str  # noqa: N815
    ccy: str
    ts: str
    balChg: str = ""  # noqa: N815
    posBalChg: str = ""  # noqa: N815

    def payment(self) -> FundingPayment:
        """What was received, or where negative paid. Raises VenueViolation."""
        return FundingPayment(
            payment_id=self.billId,
            amount=amount(self.balChg) or amount(self.posBalChg),
            currency=self.ccy,
            exchange_ns=millis(self.ts),
        )


def why_not(config: ConfigRow, venue: str) -> str:
    """Why perpetuals are not traded on an account that spot pairs might be; empty where they are."""
    if config.acctLv != FUTURES:
        return f"the account mode is {config.acctLv}, in which there are no contracts; set it to Futures mode"
    return hedged(venue) if config.posMode != NET else ""


class SwapDialect(OkxDialect):
    """As ``OkxDialect``; ``margined`` comes before the first connection."""

    def margined(
        self,
        venue: str,
        public_url: str,
        margin: SwapMargin,
        report: Callable[[Iterable[Event]], None],
    ) -> None:
        """Set what spot has not.

        Args:
            venue: id.
            public_url: of the public websocket.
            margin: verifies the account's settings.
            report: receives marks, margin terms and funding.
        """
        self._venue = venue
        self._public_url = public_url
        self._margin = margin
        self._report = report
        self._marks = SwapMarks(venue, self._instruments)

    def _wrong(self, config: ConfigRow) -> str:
        return super()._wrong(config) or why_not(config, self._venue)

    async def open_stream(self, on_frame: Callable[[bytes], None]) -> SwapStream:
        """The account's settings verified, then its stream, with the marks."""
        session = await self._session(on_frame)
        try:
            await self._check_account()
            terms = await self._margin.verified()
        except BaseException:
            session.close()
            raise
        await session.subscribe(*CHANNELS)
        stream = SwapStream(session, self._on_mark)
        await stream.open(self._public_url, f"{self._section}.ws_url", self._marks.names())
        self._report(terms)
        return stream

    def _on_mark(self, frame: bytes) -> None:
        marks = self._marks.marks(frame, self._now())
        if marks:
            self._report(marks)

    def read_event(self, frame: bytes) -> list[Fact]:
        """See ``OkxReader``; payments of funding are listed with the account's trades."""
        if _FUNDED in frame:
            self._report_funding(frame)
        return super().read_event(frame)

    def _report_funding(self, frame: bytes) -> None:
        try:
            told = msgspec.json.decode(frame, type=_Changes)
            times = [millis(row.pTime) for row in told.data if row.eventType == "funding_fee"]
        except (msgspec.MsgspecError, VenueViolation):
            return  # asked for all the same when the next funding is told
        if times:
            self._report((FundingDue(venue=self._venue, exchange_ns=max(times)),))

    # queries

    async def survey(self, ask: Ask) -> Survey | Unclear:
        """All open orders of our contracts, all balances and positions."""
        facts = await self._search.open_orders(ask)
        if isinstance(facts, Unclear):
            return facts
        held = await self._search.balances(ask, [x.settle for x in self._instruments.values()])
        if isinstance(held, Unclear):
            return held
        rows = await asked(ask, self.requests.positions(), PositionRow)
        if isinstance(rows, Unclear):
            return rows
        symbols = {each.venue_symbol: symbol for symbol, each in self._instruments.items()}
        # In the other margin mode a symbol may have a second one, which somebody else has opened.
        quantities = dict.fromkeys(self._instruments, Decimal(0))
        margins: dict[str, Decimal] = {}
        changed: dict[str, int] = {}
        try:
            for row in rows:
                symbol = symbols.get(row.instId)
                if row.posSide != "net":
                    return Unclear(hedged(self._venue), anomaly=True)
                if symbol is None:
                    continue
                quantities[symbol] += amount(row.pos)
                if amount(row.margin):
                    margins[symbol] = amount(row.margin)
                changed[symbol] = max(millis(row.uTime), changed.get(symbol, 0))
            unsettled = await self._margin.changed(ask, quantities)
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        if isinstance(unsettled, Unclear):
            return unsettled
        return Survey(
            open_orders=tuple(facts),
            balances=held.rows,
            positions=tuple(quantities.items()),
            isolated=tuple(margins.items()),
            changed=tuple(changed.items()),
            updated_ns=held.updated_ns,
            unsettled=unsettled,
        )

    async def funding(self, ask: Ask, symbol: str, since_ns: int) -> list[FundingPayment] | Unclear:
        """Payments of funding since a time of the venue."""
        name = self._instruments[symbol].venue_symbol
        lists = [False] if self._clock.venue_ns() - since_ns <= WEEK_NS else [True, False]
        found: dict[str, FundingPayment] = {}
        for old in lists:
            rows = await self._bills(ask, since_ns, old=old)
            if isinstance(rows, Unclear):
                return rows
            try:
                found |= {row.billId: row.payment() for row in rows if row.instId == name}
            except VenueViolation as error:
                return Unclear(str(error), anomaly=True)
        return [each for each in found.values() if each.amount]

    async def _bills(self, ask: Ask, since_ns: int, *, old: bool) -> list[_Bill] | Unclear:
        rows: list[_Bill] = []
        begin_ms, after = max(since_ns // MS, 1), ""
        for _ in range(MOST_PAGES):
            page = await asked(
                ask, self.requests.bills(begin_ms=begin_ms, old=old, after=after), _Bill
            )
            if isinstance(page, Unclear):
                return page
            rows += page
            if len(page) < PAGE:
                return rows
            after = page[-1].billId
        return Unclear("more payments of funding than can be read")
