"""Hyperliquid's dialect for the kit of live venues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.hyperliquid.codes import NOT_MATCHED, is_done, refusal, succeeded
from citadel_micro.adapters.hyperliquid.messages import (
    Clearing,
    Funding,
    HyperReader,
    Order,
    OrderState,
    head,
)
from citadel_micro.adapters.hyperliquid.requests import TIME, action
from citadel_micro.adapters.hyperliquid.search import MOST_PAGES, HyperSearch, asked, facts_of
from citadel_micro.adapters.hyperliquid.session import HyperSession, KeyCheck
from citadel_micro.core.model.events import FundingDue
from citadel_micro.core.model.time_units import MS
from citadel_micro.shell.venue.dialect import Survey, Unclear
from citadel_micro.shell.venue.dialect_core import DialectCore
from citadel_micro.shell.venue.facts import OrderFact, RequestAccepted
from citadel_micro.shell.venue.outcomes import Answered, Fate, Refusal
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.adapters.hyperliquid.margin import HyperMargin
    from citadel_micro.adapters.hyperliquid.requests import HyperRequests
    from citadel_micro.adapters.hyperliquid.session import HyperRest
    from citadel_micro.adapters.hyperliquid.signing import ActionSigner
    from citadel_micro.core.model.account_events import FundingPayment
    from citadel_micro.core.model.events import Event
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Ask, Request
    from citadel_micro.shell.venue.facts import Fact
    from citadel_micro.shell.venue.order_ids import OrderIds
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock

CONNECTING: Final = {"weight": 86, "messages": 8}
"""What a connection costs: the key's role, the time three times, the list of perpetuals. Each request
counts when it is sent."""
MOST_PAYMENTS: Final = 500
"""Of funding in one answer."""


class HyperDialect(DialectCore):
    """As ``shell.venue.dialect.Dialect``.

    Args:
        venue: id.
        url: of the websocket.
        where: the setting that named it.
        instruments: by unified symbol.
        requests: builds requests.
        margin: leverage and margin mode.
        signer: signs actions.
        clock: the venue's time.
        budget: of this address.
        rest: the same requests over HTTP.
        now: engine time in ns.
    """

    def __init__(
        self,
        *,
        venue: str,
        url: str,
        where: str,
        instruments: Mapping[str, Instrument],
        requests: HyperRequests,
        margin: HyperMargin,
        signer: ActionSigner,
        clock: VenueClock,
        budget: RequestBudget,
        rest: HyperRest,
        now: Callable[[], int],
    ) -> None:
        self._venue = venue
        self._url = url
        self._where = where
        self._instruments = instruments
        self._requests = requests
        self._margin = margin
        self._signer = signer
        self._clock = clock
        self._budget = budget
        self._now = now
        self._reader = HyperReader(instruments, requests.account)
        self._key = KeyCheck(signer, requests.account, now)
        self._search = HyperSearch(self._reader, requests, clock)
        super().__init__(TIME, requests, self._search, rest)
        self._report: Callable[[Iterable[Event]], None] = lambda _events: None

    def know(self, ids: OrderIds, report: Callable[[Iterable[Event]], None]) -> None:
        """Set the orders that are ours, and who receives marks, margin terms and funding."""
        self._requests.ids = ids
        self._reader.ours = ids.ours
        self._reader.is_ours = ids.is_ours
        self._report = report

    # requests and answers

    def read(self, request: Request, answer: Answered) -> list[Fact] | Refusal:
        """Decode the answer about the requested order."""
        refused = refusal(answer)
        if refused is not None:
            if request.method == "order" and refused.text.startswith(NOT_MATCHED):
                return [self._unmatched(request)]
            return refused
        if request.method != "order":
            return self._canceled(request, answer)
        try:
            return self._reader.placed(answer.body, request, self._clock.venue_ns())
        except (msgspec.MsgspecError, VenueViolation, IndexError) as error:
            return _not_understood(str(error))

    @staticmethod
    def _canceled(request: Request, answer: Answered) -> list[Fact] | Refusal:
        """It is canceled. With what total filled, the stream says, or a query."""
        if not succeeded(answer):
            return _not_understood("no success")
        named = request.params.get("oid")
        return [] if named is None else [RequestAccepted(venue_order_id=str(named), closed=True)]

    def _unmatched(self, request: Request) -> OrderFact:
        """An immediate order of which nothing could fill: the answer gives it no id."""
        params = request.params
        rules = self._instruments[self._symbols[str(params["coin"])]]
        return OrderFact(
            symbol=rules.symbol,
            client_id=self._reader.ours(str(params["cloid"])),
            venue_order_id="",
            standing="expired",
            price_ticks=0,
            quantity_lots=0,
            cumulative_lots=0,
            exchange_ns=self._clock.venue_ns(),
            reason=NOT_MATCHED,
        )

    @property
    def _symbols(self) -> dict[str, str]:
        return {each.venue_symbol: symbol for symbol, each in self._instruments.items()}

    def read_event(self, frame: bytes) -> list[Fact]:
        """See ``HyperReader``; marks and funding go to the engine directly."""
        try:
            about = head(frame)
        except msgspec.MsgspecError:
            return self._reader.event(frame)
        if about.channel == "activeAssetCtx":
            venue_ns = self._clock.venue_ns()
            mark = self._reader.mark(bytes(about.data), self._venue, venue_ns, self._now())
            if mark is not None:
                self._report((mark,))
            return []
        if about.channel == "userFundings":
            funded_ns = self._reader.funded_ns(bytes(about.data))
            if funded_ns:
                self._report((FundingDue(venue=self._venue, exchange_ns=funded_ns),))
            return []
        return self._reader.event(frame)

    # queries

    async def survey(self, ask: Ask) -> Survey | Unclear:
        """All open orders, the money and all positions.

        The orders come first: an order that fills in between is then explained by the positions.
        """
        rows = await asked(ask, self._requests.of_user("frontendOpenOrders"), list[Order])
        if isinstance(rows, Unclear):
            return rows
        facts = facts_of(self._reader, [OrderState(row, "open", row.timestamp) for row in rows])
        if isinstance(facts, Unclear):
            return facts
        state = await asked(ask, self._requests.of_user("clearinghouseState"), Clearing)
        if isinstance(state, Unclear):
            return state
        wallet = state.wallet
        free = min(state.withdrawable, wallet)
        symbols = self._symbols
        held = [
            (symbols[each.position.coin], each.position)
            for each in state.asset_positions
            if each.position.coin in symbols
        ]
        return Survey(
            open_orders=tuple(facts),
            balances=(("USDC", free, wallet - free),),
            positions=tuple((symbol, each.szi) for symbol, each in held),
            isolated=tuple(
                (symbol, each.margin_used - each.unrealized_pnl)
                for symbol, each in held
                if each.leverage.type == "isolated"
            ),
            unsettled=self._margin.changed(dict(held)),
        )

    async def funding(self, ask: Ask, symbol: str, since_ns: int) -> list[FundingPayment] | Unclear:
        """Payments of funding since a time of the venue."""
        rows = await self._payments(ask, since_ns // MS)
        if isinstance(rows, Unclear):
            return rows
        coin = self._instruments[symbol].venue_symbol
        return [row.payment() for row in rows if row.delta.coin == coin]

    async def _payments(self, ask: Ask, start_ms: int) -> list[Funding] | Unclear:
        """Of all perpetuals that the account holds, by the hour, oldest first."""
        found: dict[tuple[str, int], Funding] = {}
        for _ in range(MOST_PAGES):
            request = self._requests.of_user("userFunding", startTime=start_ms)
            page = await asked(ask, request, list[Funding])
            if isinstance(page, Unclear):
                return page
            known = len(found)
            found.update({(row.delta.coin, row.time): row for row in page})
            # As with fills: the last page is the one after which there is nothing new.
            if len(found) == known and len(page) < MOST_PAYMENTS:
                return list(found.values())
            if len(found) == known:
                break
            start_ms = max(row.time for row in page)
        return Unclear("more payments of funding than can be read")

    # connections

    async def open_stream(self, on_frame: Callable[[bytes], None]) -> HyperSession:
        """Leverage and margin verified, then the account's events and the marks."""
        session = await self.open_entry(on_frame)
        try:
            terms = await self._margin.verified(session)
        except BaseException:
            session.close()
            raise
        user = self._requests.account
        listed = [self._instruments[each.symbol] for each in terms]
        await session.subscribe(
            [
                *({"type": kind, "user": user} for kind in ("orderUpdates", "userFills")),
                {"type": "userFundings", "user": user},
                *({"type": "activeAssetCtx", "coin": each.venue_symbol} for each in listed),
            ]
        )
        self._report(terms)
        return session

    async def open_entry(self, on_frame: Callable[[bytes], None]) -> HyperSession:
        """A connection whose key was seen to act for the account."""
        self._budget.check_connecting(CONNECTING, self._clock.venue_ns())
        session = HyperSession(self._signer, self._clock, self._budget, self._key, on_frame)
        await session.open(self._url, self._where, now=self._now)
        try:
            await self._margin.listed(session)
        except BaseException:
            session.close()
            raise
        return session


class HyperTimer:
    """As ``shell.venue.cancel_timer.TimerRequests``: ``scheduleCancel``, of the whole account.

    Args:
        clock: the venue's time.
    """

    def __init__(self, clock: VenueClock) -> None:
        self._clock = clock

    def arm(self, symbol: str, period_ms: int) -> Request:
        """At a time of the venue; without one it is taken back."""
        del symbol
        if not period_ms:
            return action("upkeep", "scheduleCancel")
        return action("upkeep", "scheduleCancel", time=self._clock.venue_ns() // MS + period_ms)

    def confirmed(self, request: Request, answer: Answered) -> Refusal | None:
        """Whether the venue has done it."""
        del request
        refused = refusal(answer)
        if refused is None and not is_done(answer):
            return _not_understood("no success")
        return refused


def _not_understood(why: str) -> Refusal:
    return Refusal(fate=Fate.UNKNOWN, text=f"an answer that is not understood: {why}")
