"""Kraken spot's dialect for the kit of live venues."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.kraken.codes import CALLS, refusal
from citadel_micro.adapters.kraken.messages import ZERO, Held, KrakenReader, coin_of
from citadel_micro.adapters.kraken.requests import (
    AMEND,
    CANCEL,
    TIME,
    KrakenRequests,
    timer,
)
from citadel_micro.adapters.kraken.search import KrakenSearch, Open, asked
from citadel_micro.adapters.kraken.sequence import Gaps
from citadel_micro.adapters.kraken.session import KrakenSession
from citadel_micro.shell.marketdata.decode import iso_ns
from citadel_micro.shell.venue.asking import orders_in
from citadel_micro.shell.venue.dialect import Survey, Unclear
from citadel_micro.shell.venue.dialect_core import DialectCore
from citadel_micro.shell.venue.facts import OrderFact, RequestAccepted
from citadel_micro.shell.venue.outcomes import Answered, Fate, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.adapters.kraken.session import KrakenRest
    from citadel_micro.core.model.commands import AmendOrder
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Ask, Request
    from citadel_micro.shell.venue.facts import Fact
    from citadel_micro.shell.venue.order_ids import OrderIds, OurOrder
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock

CONNECTING: Final = {CALLS: 1}
"""What a connection costs: its token."""


class _Placed(msgspec.Struct, frozen=True):
    order_id: str = ""
    cl_ord_id: str = ""
    count: int = 0
    """Over REST: of canceled orders."""


class _Answer(msgspec.Struct):
    result: _Placed
    time_out: str = ""


class _Timer(msgspec.Struct):
    currentTime: str  # noqa: N815 - the venue's names
    triggerTime: str = ""  # noqa: N815


class _Armed(msgspec.Struct):
    result: _Timer


class KrakenDialect(DialectCore):
    """As ``shell.venue.dialect.Dialect``.

    Args:
        url: of the private websocket.
        where: the setting that named it.
        instruments: by unified symbol.
        clock: the venue's time.
        budget: of this account.
        rest: for queries, and cancels while the websocket is down.
        now: engine time in ns.
    """

    def __init__(
        self,
        *,
        url: str,
        where: str,
        instruments: Mapping[str, Instrument],
        clock: VenueClock,
        budget: RequestBudget,
        rest: KrakenRest,
        now: Callable[[], int],
    ) -> None:
        self._url = url
        self._where = where
        self._instruments = instruments
        self._clock = clock
        self._budget = budget
        self._rest = rest
        self._now = now
        self._gaps = Gaps(now)
        self._reader = KrakenReader(instruments)
        self._requests = KrakenRequests(instruments, str, now)
        self._search = KrakenSearch(self._reader, self._requests, clock)
        super().__init__(TIME, self._requests, self._search, rest)

    def know(self, ids: OrderIds) -> None:
        """Set the orders that are ours, and their names in the venue's form."""
        self._reader.ids = ids
        self._requests.theirs = ids.theirs

    # requests and answers

    def amend(self, command: AmendOrder, order: OurOrder | None) -> Request | str:
        """See ``KrakenRequests``."""
        if order is None or not order.side:
            return "nothing is remembered of the order"
        return self._requests.amend(command, order)

    def read(self, request: Request, answer: Answered) -> list[Fact] | Refusal:
        """Decode the answer about the requested order.

        It names the order and tells no state: that comes on the stream.
        """
        refused = refusal(answer)
        if refused is not None:
            return refused
        try:
            said = msgspec.json.decode(answer.body, type=_Answer)
            stamp = iso_ns(said.time_out) if said.time_out else self._clock.venue_ns()
        except (msgspec.MsgspecError, ValueError) as error:
            return Refusal(fate=Fate.UNKNOWN, text=f"an answer that is not understood: {error}")
        params = request.params
        named = said.result.order_id or str(params.get("order_id", ""))
        if request.method == CANCEL:
            if said.result == _Placed():
                return Refusal(fate=Fate.UNKNOWN, text="an answer that names no order")
            return [RequestAccepted(venue_order_id=named, closed=True)] if named else []
        other = (said.result.cl_ord_id, said.result.order_id)
        asked_for = (params.get("cl_ord_id"), params.get("order_id"))
        if not said.result.order_id or any(
            ours and theirs and ours != theirs
            for ours, theirs in zip(asked_for, other, strict=True)
        ):
            return Refusal(fate=Fate.UNKNOWN, text=f"an answer about another order: {other}")
        return self._acknowledged(request, named, stamp)

    def _acknowledged(self, request: Request, order_id: str, stamp: int) -> list[Fact] | Refusal:
        """What a success says of the order: it is there, as it was asked for."""
        params = request.params
        theirs = str(params.get("cl_ord_id", ""))
        client_id = self._reader.name(theirs)
        rules = self._reader.rules_of(order_id, str(params.get("symbol", "")), client_id)
        if rules is None:
            return []
        return [
            OrderFact(
                symbol=rules.symbol,
                client_id=client_id,
                venue_order_id=order_id,
                standing="open",
                price_ticks=rules.ticks(Decimal(str(params["limit_price"])), "nearest"),
                quantity_lots=rules.lots(Decimal(str(params["order_qty"]))),
                cumulative_lots=-1,
                exchange_ns=stamp,
                amended=request.method == AMEND,
            )
        ]

    def read_event(self, frame: bytes) -> list[Fact]:
        """See ``KrakenReader``."""
        return self._reader.event(frame)

    # queries

    async def survey(self, ask: Ask) -> Survey | Unclear:
        """All open orders of our pairs, and all balances.

        The orders come first: an order that fills in between is then explained by the balances.
        """
        rows = await asked(ask, self._requests.open_orders(), Open)
        if isinstance(rows, Unclear):
            return rows
        facts = orders_in(rows.open.items(), lambda row: self._reader.order(*row))
        if isinstance(facts, Unclear):
            return facts
        asked_ns = self._clock.surely_past_ns()
        held = await asked(ask, self._requests.balances(), dict[str, Held])
        if isinstance(held, Unclear):
            return held
        ours = {each.base for each in self._instruments.values()}
        ours |= {each.quote for each in self._instruments.values()}
        told = {
            coin: (coin, each.balance - each.hold_trade, each.hold_trade)
            for asset, each in held.items()
            if (coin := coin_of(asset)) in ours or each.balance
        }
        # What is not listed is not held.
        balances = (*told.values(), *((coin, ZERO, ZERO) for coin in sorted(ours - told.keys())))
        totals = [(coin, free + used) for coin, free, used in balances]
        self._reader.holdings.stated(totals, asked_ns)
        return Survey(open_orders=tuple(facts), balances=balances)

    # connections

    async def open_stream(self, on_frame: Callable[[bytes], None]) -> KrakenSession:
        """With its own token, subscribed to orders and balances."""
        session = await self._open(on_frame)
        await session.subscribe()
        session.keep_up(self._now, check=True)
        return session

    async def open_entry(self, on_frame: Callable[[bytes], None]) -> KrakenSession:
        """With its own token."""
        session = await self._open(on_frame)
        session.keep_up(self._now, check=False)
        return session

    async def _open(self, on_frame: Callable[[bytes], None]) -> KrakenSession:
        self._budget.check_connecting(CONNECTING, self._clock.venue_ns())
        session = KrakenSession(
            self._rest,
            self._clock,
            self._budget,
            self._instruments,
            on_frame,
            gaps=self._gaps,
        )
        await session.open(self._url, self._where, now=self._now)
        return session


class KrakenTimer:
    """As ``shell.venue.cancel_timer.TimerRequests``: of the whole account."""

    def arm(self, symbol: str, period_ms: int) -> Request:
        """Start it anew; 0 ends it."""
        del symbol
        return timer(period_ms // 1_000)

    def confirmed(self, request: Request, answer: Answered) -> Refusal | None:
        """Whether the venue has done it."""
        refused = refusal(answer)
        if refused is not None:
            return refused
        try:
            told = msgspec.json.decode(answer.body, type=_Armed).result
        except msgspec.MsgspecError as error:
            return Refusal(fate=Fate.UNKNOWN, text=f"{request.method}: not as documented: {error}")
        if request.params["timeout"] and told.triggerTime in {"", "0"}:
            return Refusal(fate=Fate.UNKNOWN, text=f"{request.method}: it names no time")
        return None
