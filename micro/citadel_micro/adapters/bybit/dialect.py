"""Bybit's dialect for the kit of live venues.

An answer without an error says only that a request was taken, so it yields no state of the order: that
comes with the stream, or with a query when the stream does not tell in time.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.bybit.codes import refusal
from citadel_micro.adapters.bybit.messages import BybitReader, Named, Wallet, balances, taken
from citadel_micro.adapters.bybit.requests import TIME, WALLET
from citadel_micro.adapters.bybit.search import BybitSearch, asked
from citadel_micro.adapters.bybit.session import TOPICS, BybitSocket
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.asking import orders_in
from citadel_micro.shell.venue.dialect import Survey, Unclear
from citadel_micro.shell.venue.dialect_core import DialectCore
from citadel_micro.shell.venue.outcomes import Fate, Refusal
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.adapters.bybit.requests import BybitRequests, BybitSigner
    from citadel_micro.adapters.bybit.session import BybitRest
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Ask, Request, WireSession
    from citadel_micro.shell.venue.facts import Fact, OrderFact
    from citadel_micro.shell.venue.outcomes import Answered
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock

NONE: Final = Decimal(0)
CONNECTING: Final = {"queries": 5, "requests": 8}
"""What a connection costs."""


class _Wallets(msgspec.Struct):
    rows: list[Wallet] = msgspec.field(name="list")


class _OverRest(msgspec.Struct):
    result: Named


class _OverWebsocket(msgspec.Struct):
    data: Named


class BybitDialect(DialectCore):
    """As ``shell.venue.dialect.Dialect``.

    Args:
        url: of the trade websocket.
        stream_url: of the private stream.
        where: the settings that named them, ``venues.NAME``.
        instruments: by unified symbol.
        requests: builds requests.
        signer: signs them.
        clock: the venue's time.
        budget: of this account and address.
        rest: for queries, and for orders while there is no websocket.
        now: engine time in ns.
    """

    forgets_ns = 24 * 3_600 * SECOND
    """An order that ended unfilled (docs "Get Order History")."""

    def __init__(
        self,
        *,
        url: str,
        stream_url: str,
        where: str,
        instruments: Mapping[str, Instrument],
        requests: BybitRequests,
        signer: BybitSigner,
        clock: VenueClock,
        budget: RequestBudget,
        rest: BybitRest,
        now: Callable[[], int],
    ) -> None:
        self._url = url
        self._stream_url = stream_url
        self._where = where
        self._instruments = instruments
        self._requests = requests
        self._signer = signer
        self._clock = clock
        self._budget = budget
        self._rest = rest
        self._now = now
        self._reader = BybitReader(instruments, requests.category)
        self._search = BybitSearch(self._reader, requests, clock)
        super().__init__(TIME, requests, self._search, rest)

    # requests and answers

    def read(self, request: Request, answer: Answered) -> list[Fact] | Refusal:
        """Whether the request was taken: the ids that it names must be those of the answer."""
        refused = refusal(answer)
        if refused is not None:
            # Each kind of request is counted on its own: cancels go on.
            new = request.purpose in {"place", "amend"} and not refused.banned
            return replace(refused, orders_only=new and refused.fate is Fate.WAIT)
        try:
            if answer.status:
                named = msgspec.json.decode(answer.body, type=_OverRest).result
            else:
                named = msgspec.json.decode(answer.body, type=_OverWebsocket).data
        except msgspec.MsgspecError as error:
            return Refusal(fate=Fate.UNKNOWN, text=f"an answer that is not understood: {error}")
        asked_for = request.params
        for told, name in ((named.order_link_id, "orderLinkId"), (named.order_id, "orderId")):
            if name in asked_for and told != asked_for[name]:
                text = f"an answer about another order: {told} instead of {asked_for[name]}"
                return Refusal(fate=Fate.UNKNOWN, text=text)
        return [taken(named, closed=request.purpose == "cancel")]

    def read_event(self, frame: bytes) -> list[Fact]:
        """See ``BybitReader``."""
        return self._reader.event(frame)

    # queries

    async def survey(self, ask: Ask) -> Survey | Unclear:
        """All open orders of our symbols, and all balances.

        The orders come first: an order that fills in between is then explained by the balances.
        """
        facts = await self._open_orders(ask)
        if isinstance(facts, Unclear):
            return facts
        ours = [(each.base, each.quote) for each in self._instruments.values()]
        held = await self._balances(ask, {coin for pair in ours for coin in pair})
        if isinstance(held, Unclear):
            return held
        return Survey(open_orders=tuple(facts), balances=held)

    async def _open_orders(self, ask: Ask, **chosen: str) -> list[OrderFact] | Unclear:
        rows = await self._search.open_orders(ask, **chosen)
        if isinstance(rows, Unclear):
            return rows
        facts = orders_in(rows, self._reader.order)
        if isinstance(facts, Unclear):
            return facts
        return [fact for fact in facts if fact.standing == "open"]

    async def _balances(
        self, ask: Ask, ours: set[str]
    ) -> tuple[tuple[str, Decimal, Decimal], ...] | Unclear:
        """Of all currencies that are held, and of ours."""
        wallets = await asked(ask, WALLET, _Wallets)
        if isinstance(wallets, Unclear):
            return wallets
        if len(wallets.rows) != 1:
            # Without the account nothing is said of what it holds.
            several = len(wallets.rows) > 1
            return Unclear(f"{len(wallets.rows)} accounts in one answer", anomaly=several)
        try:
            held = {coin: (free, used) for coin, free, used in balances(wallets.rows)}
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        for coin in sorted(ours):
            held.setdefault(coin, (NONE, NONE))  # nothing of it is held: it is not listed
        return tuple((coin, free, used) for coin, (free, used) in held.items())

    # connections

    async def open_stream(self, on_frame: Callable[[bytes], None]) -> WireSession:
        """The account's stream: orders, executions, wallet."""
        url, where = self._stream_url, f"{self._where}.private_ws_url"
        return await self._open(url, where, on_frame, TOPICS)

    async def open_entry(self, on_frame: Callable[[bytes], None]) -> BybitSocket:
        """The websocket for orders, which carries nothing else."""
        return await self._open(self._url, f"{self._where}.ws_api_url", on_frame, ())

    async def _open(
        self, url: str, where: str, on_frame: Callable[[bytes], None], topics: tuple[str, ...]
    ) -> BybitSocket:
        self._may_connect()
        socket = BybitSocket(
            self._rest, self._signer, self._clock, self._budget, on_frame, topics=topics
        )
        await socket.open(url, where, self._now)
        return socket

    def _may_connect(self) -> None:
        """Raise PeerUnavailable where the venue's limits do not allow it now."""
        self._budget.check_connecting(CONNECTING, self._clock.venue_ns())
