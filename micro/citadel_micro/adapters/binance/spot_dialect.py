"""Binance spot's dialect for the kit of live venues."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.binance.error_codes import refusal
from citadel_micro.adapters.binance.spot_messages import (
    Account,
    Amended,
    Order,
    SpotReader,
)
from citadel_micro.adapters.binance.spot_requests import TIME
from citadel_micro.adapters.binance.spot_search import SpotSearch, asked
from citadel_micro.adapters.binance.spot_session import SpotSession
from citadel_micro.core.model.time_units import MS, SECOND
from citadel_micro.shell.venue.dialect import Survey, Unclear
from citadel_micro.shell.venue.dialect_core import DialectCore
from citadel_micro.shell.venue.facts import OrderFact
from citadel_micro.shell.venue.outcomes import Answered, Fate, Refusal
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.adapters.binance.spot_requests import SpotRequests, SpotSigner
    from citadel_micro.adapters.binance.spot_session import SpotRest
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Ask, Request
    from citadel_micro.shell.venue.facts import Fact, TradeFact
    from citadel_micro.shell.venue.order_ids import OrderIds, OurOrder
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock

CONNECTING: Final = {"weight": 9}
"""What a connection costs, with its log-on, its subscription and the time three times."""
ALL_AT_ONCE: Final = 13
"""From so many symbols on, querying the open orders of all costs less than of each."""


class SpotDialect(DialectCore):
    """As ``shell.venue.dialect.Dialect``.

    Args:
        url: of the web socket API.
        where: the setting that named it.
        instruments: by unified symbol.
        requests: builds requests.
        signer: signs them.
        clock: the venue's time.
        budget: of this account and address.
        rest: the fallback; None for none.
        now: engine time in ns.
    """

    forgets_ns = 90 * 24 * 3_600 * SECOND
    """An order that ended unfilled: it is archived then (-2026)."""

    def __init__(
        self,
        *,
        url: str,
        where: str,
        instruments: Mapping[str, Instrument],
        requests: SpotRequests,
        signer: SpotSigner,
        clock: VenueClock,
        budget: RequestBudget,
        rest: SpotRest | None,
        now: Callable[[], int],
    ) -> None:
        self._url = url
        self._where = where
        self._instruments = instruments
        self._requests = requests
        self._signer = signer
        self._clock = clock
        self._budget = budget
        self._now = now
        self._reader = SpotReader(instruments)
        self._search = SpotSearch(self._reader, requests, clock)
        super().__init__(TIME, requests, self._search, rest)

    def know(self, ids: OrderIds) -> None:
        """Set the orders that are ours."""
        self._search.ids = ids

    # requests and answers

    def read(self, request: Request, answer: Answered) -> list[Fact] | Refusal:
        """Decode the answer about the requested order."""
        refused = refusal(answer)
        if refused is not None:
            return refused
        return decoded(self._reader, request, answer, amends="order.amend.keepPriority")

    def read_event(self, frame: bytes) -> list[Fact]:
        """See ``SpotReader``."""
        return self._reader.event(frame)

    # queries

    async def survey(self, ask: Ask) -> Survey | Unclear:
        """All open orders of our symbols, and all balances.

        The orders come first: an order that fills in between is then explained by the balances.
        """
        symbols = [""] if len(self._instruments) >= ALL_AT_ONCE else list(self._instruments)
        facts = await self._search.open_orders(ask, symbols)
        if isinstance(facts, Unclear):
            return facts
        account = await asked(ask, self._requests.account(), Account)
        if isinstance(account, Unclear):
            return account
        ours = {each.base for each in self._instruments.values()}
        ours |= {each.quote for each in self._instruments.values()}
        balances = tuple(
            (each.asset, each.free, each.locked)
            for each in account.balances
            if each.asset in ours or each.free or each.locked
        )
        return Survey(
            open_orders=tuple(facts), balances=balances, updated_ns=account.update_time * MS
        )

    async def fills_of(
        self, ask: Ask, order: OurOrder, begin_ns: int
    ) -> Iterable[TradeFact] | Unclear:
        """See ``shell.venue.forgotten.Forgets``; by its id."""
        return await self._search.fills_of(ask, order.symbol, order.venue_order_id, begin_ns // MS)

    # connections

    async def open_stream(self, on_frame: Callable[[bytes], None]) -> SpotSession:
        """Logged on if the key permits it, and subscribed to the user stream."""
        session = await self.open_entry(on_frame)
        symbol = next(iter(self._instruments), "")
        check = self._requests.open_orders(symbol) if symbol else None
        await session.subscribe(now=self._now, check=check)
        return session

    async def open_entry(self, on_frame: Callable[[bytes], None]) -> SpotSession:
        """Logged on if the key permits it."""
        self._budget.check_connecting(CONNECTING, self._clock.venue_ns())
        session = SpotSession(self._signer, self._clock, self._budget, on_frame)
        await session.open(self._url, self._where, now=self._now)
        return session


def decoded(
    reader: SpotReader, request: Request, answer: Answered, *, amends: str
) -> list[Fact] | Refusal:
    """Facts of a successful answer about an order. ``amends``: name of the request that amends."""
    try:
        if request.method == "order.amend.keepPriority":
            amended = msgspec.json.decode(answer.body, type=Amended)
            order = amended.amended_order
            order.transact_time = amended.transact_time
        else:
            order = msgspec.json.decode(answer.body, type=Order)
        other = _is_other(request, order)
        if other:
            return Refusal(fate=Fate.UNKNOWN, text=f"an answer about another order: {other}")
        facts = reader.placed(order)
    except (msgspec.MsgspecError, VenueViolation) as error:
        return Refusal(fate=Fate.UNKNOWN, text=f"an answer that is not understood: {error}")
    if request.method != amends:
        return facts
    return [
        replace(fact, amended=fact.standing == "open" or "keepPriority" in amends)
        if isinstance(fact, OrderFact)
        else fact
        for fact in facts
    ]


def _is_other(request: Request, order: Order) -> str:
    """Where an answer is not about the requested order; empty when it is."""
    params = request.params
    if order.symbol != params["symbol"]:
        return f"{order.symbol} instead of {params['symbol']}"
    ours = params.get("newClientOrderId") or params.get("origClientOrderId")
    theirs = order.orig_client_order_id or order.client_order_id
    if ours is not None and theirs != ours:
        return f"{theirs} instead of {ours}"
    order_id = params.get("orderId")
    if order_id is not None and order.order_id != order_id:
        return f"{order.order_id} instead of {order_id}"
    return ""
