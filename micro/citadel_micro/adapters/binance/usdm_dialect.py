"""Binance USD-M's dialect for the kit of live venues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.binance.spot_dialect import decoded
from citadel_micro.adapters.binance.spot_search import SpotSearch, asked
from citadel_micro.adapters.binance.usdm_codes import refusal
from citadel_micro.adapters.binance.usdm_margin import UsdmMargin
from citadel_micro.adapters.binance.usdm_messages import (
    Income,
    PositionRisk,
    UsdmAccount,
    UsdmReader,
    UsdmTrade,
)
from citadel_micro.adapters.binance.usdm_requests import simple
from citadel_micro.adapters.binance.usdm_session import UsdmEntry, UsdmStream
from citadel_micro.core.model.events import FundingDue
from citadel_micro.core.model.time_units import MS, SECOND
from citadel_micro.shell.venue.dialect import Survey, Unclear
from citadel_micro.shell.venue.dialect_core import DialectCore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.adapters.binance.spot_messages import Trade
    from citadel_micro.adapters.binance.spot_requests import SpotSigner
    from citadel_micro.adapters.binance.spot_session import SpotRest
    from citadel_micro.adapters.binance.usdm_requests import UsdmRequests
    from citadel_micro.core.model.account_events import FundingPayment, MarginMode
    from citadel_micro.core.model.events import Event
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Ask, Request
    from citadel_micro.shell.venue.facts import Fact, TradeFact
    from citadel_micro.shell.venue.order_ids import OrderIds, OurOrder
    from citadel_micro.shell.venue.outcomes import Answered, Refusal
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock

CONNECTING: Final = {"weight": 80}
"""What a connection costs at most: two modes at 30, the settings of a symbol, the listen key."""
ALL_AT_ONCE: Final = 40
"""From so many symbols on, querying the open orders of all costs less than of each."""
WEEK_MS: Final = 7 * 86_400_000
"""What one query of trades covers from its start on."""
KEPT_MS: Final = 183 * 86_400_000
"""How far back there are trades: half a year."""
AROUND_MS: Final = 60_000
"""For clock differences."""
TIME: Final = simple("time", 1, purpose="upkeep", signed=False)


class UsdmSearch(SpotSearch):
    """Searches for orders as on spot; trades have another form, and are told of a week at once."""

    async def _trades_of(
        self, ask: Ask, symbol: str, order_id: str, begin: int
    ) -> list[Trade] | Unclear:
        """All fills of one order: asked for by its id, the venue has those of the last week."""
        rows = await super()._trades_of(ask, symbol, order_id, begin)
        if isinstance(rows, Unclear) or begin > self._clock.venue_ns() // MS - WEEK_MS + AROUND_MS:
            return rows
        return await self._all_trades(ask, symbol, begin)

    async def _all_trades(self, ask: Ask, symbol: str, begin: int) -> list[Trade] | Unclear:
        """Every trade since a venue time in ms; one that the venue says wrongly costs no more than half a year."""
        rows: dict[tuple[int, int], Trade] = {}
        now = self._clock.venue_ns() // MS
        first = max(begin, now - KEPT_MS)
        for start in range(first, max(now, first + 1), WEEK_MS):
            request = self._requests.trades_since(symbol, startTime=start)
            page = await self._pages(ask, symbol, request)
            if isinstance(page, Unclear):
                return page
            rows |= {(row.id, row.order_id): row for row in page}
        return [rows[each] for each in sorted(rows)]

    async def page_of_trades(self, ask: Ask, request: Request) -> list[Trade] | Unclear:
        """One answer with trades of the account."""
        rows = await asked(ask, request, list[UsdmTrade])
        return rows if isinstance(rows, Unclear) else [row.as_spot() for row in rows]


class UsdmDialect(DialectCore):
    """As ``shell.venue.dialect.Dialect``.

    Args:
        venue: id.
        url: of the websocket API.
        stream_url: root of the streams.
        where: the setting that named them.
        instruments: by unified symbol.
        requests: builds requests.
        signer: signs them.
        clock: the venue's time.
        budget: of this account and address.
        rest: for what the websocket API does not have, and instead of it.
        leverage: to be set for every symbol.
        mode: the same.
        now: engine time in ns.
    """

    forgets_ns = 3 * 24 * 3_600 * SECOND
    """An order that ended unfilled (docs "Query Order")."""

    def __init__(
        self,
        *,
        venue: str,
        url: str,
        stream_url: str,
        where: str,
        instruments: Mapping[str, Instrument],
        requests: UsdmRequests,
        signer: SpotSigner,
        clock: VenueClock,
        budget: RequestBudget,
        rest: SpotRest,
        leverage: int,
        mode: MarginMode,
        now: Callable[[], int],
    ) -> None:
        self._venue = venue
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
        self._reader = UsdmReader(instruments)
        self._search = UsdmSearch(self._reader, requests, clock)
        super().__init__(TIME, requests, self._search, rest)
        self._margin = UsdmMargin(venue, requests, instruments, leverage, mode)
        self._report: Callable[[Iterable[Event]], None] = lambda _events: None

    def know(self, ids: OrderIds, report: Callable[[Iterable[Event]], None]) -> None:
        """Set the orders that are ours, and who receives marks, margin terms and funding."""
        self._search.ids = ids
        self._report = report

    # requests and answers

    def read(self, request: Request, answer: Answered) -> list[Fact] | Refusal:
        """Decode the answer about the requested order."""
        refused = refusal(answer)
        if refused is not None:
            return refused
        return decoded(self._reader, request, answer, amends="order.modify")

    def read_event(self, frame: bytes) -> list[Fact]:
        """See ``UsdmReader``."""
        funded_ns = self._reader.funds(frame)
        if funded_ns:
            self._report((FundingDue(venue=self._venue, exchange_ns=funded_ns),))
        return self._reader.event(frame)

    def _on_mark(self, frame: bytes) -> None:
        mark = self._reader.mark(frame, self._venue, self._now())
        if mark is not None:
            self._report((mark,))

    # queries

    async def survey(self, ask: Ask) -> Survey | Unclear:
        """All open orders of our symbols, all balances and positions."""
        symbols = [""] if len(self._instruments) >= ALL_AT_ONCE else list(self._instruments)
        facts = await self._search.open_orders(ask, symbols)
        if isinstance(facts, Unclear):
            return facts
        account = await asked(ask, self._requests.account(), UsdmAccount)
        if isinstance(account, Unclear):
            return account
        held = await asked(ask, self._requests.positions(), list[PositionRisk])
        if isinstance(held, Unclear):
            return held
        ours = {each.settle for each in self._instruments.values()}
        balances = []
        for each in account.assets:
            if each.asset in ours or each.wallet_balance:
                # What is free may hold profit that is not realized yet.
                free = min(each.available_balance, each.wallet_balance)
                balances.append((each.asset, free, each.wallet_balance - free))
        names = {each.venue_symbol: symbol for symbol, each in self._instruments.items()}
        known = [(names[each.symbol], each) for each in held if each.symbol in names]
        return Survey(
            open_orders=tuple(facts),
            balances=tuple(balances),
            positions=tuple((symbol, each.position_amt) for symbol, each in known),
            isolated=tuple((s, each.isolated_wallet) for s, each in known if each.isolated_wallet),
            changed=self._changed(account, dict(known)),
            unsettled=self._margin.changed(held),
        )

    def _changed(
        self, account: UsdmAccount, held: Mapping[str, PositionRisk]
    ) -> tuple[tuple[str, int], ...]:
        """When each position last changed; of one that is not listed no later than its wallet."""
        wallets = {each.asset: each.update_time for each in account.assets}
        times = {
            symbol: held[symbol].update_time if symbol in held else wallets.get(each.settle, 0)
            for symbol, each in self._instruments.items()
        }
        return tuple((symbol, time * MS) for symbol, time in times.items() if time)

    async def funding(self, ask: Ask, symbol: str, since_ns: int) -> list[FundingPayment] | Unclear:
        """Payments of funding since a time of the venue."""
        request = self._requests.funding_since(symbol, since_ns // MS)
        rows = await asked(ask, request, list[Income])
        if isinstance(rows, Unclear):
            return rows
        if len(rows) >= 1_000:  # noqa: PLR2004 - the largest page: a year of payments
            return Unclear("more payments of funding than one answer holds")
        name = self._instruments[symbol].venue_symbol
        return [row.payment() for row in rows if row.symbol == name]

    async def fills_of(
        self, ask: Ask, order: OurOrder, begin_ns: int
    ) -> Iterable[TradeFact] | Unclear:
        """See ``shell.venue.forgotten.Forgets``; by its id."""
        begin = begin_ns // MS
        return await self._search.fills_of(ask, order.symbol, order.venue_order_id, begin)

    # connections

    async def open_stream(self, on_frame: Callable[[bytes], None]) -> UsdmStream:
        """The account's modes, leverage and margin verified, then its stream."""
        self._may_connect()
        terms = await self._margin.verified(self._rest)
        stream = UsdmStream(self._rest, on_frame, self._on_mark)
        names = [each.venue_symbol.lower() for each in self._instruments.values()]
        streams = "/".join(f"{name}@markPrice@1s" for name in names)
        await stream.open(self._stream_url, f"{self._where}.private_ws_url", streams)
        self._report(terms)
        return stream

    async def open_entry(self, on_frame: Callable[[bytes], None]) -> UsdmEntry:
        """Logged on if the key permits it."""
        del on_frame
        self._may_connect()
        entry = UsdmEntry(self._signer, self._clock, self._budget, self._rest)
        await entry.open(self._url, f"{self._where}.ws_api_url", now=self._now)
        entry.keep_up(self._now, self._requests.open_orders(next(iter(self._instruments))))
        return entry

    def _may_connect(self) -> None:
        self._budget.check_connecting(CONNECTING, self._clock.venue_ns())
