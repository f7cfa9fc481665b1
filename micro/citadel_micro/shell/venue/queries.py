"""Queries of the engine: the state of an order, open orders and balances, trades.

An order is reported as not found only when that is certain: after the request has expired,
after the venue's own back end can have nothing of it left, and never after the venue has acknowledged it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

import structlog

from citadel_micro.core.model.account_events import AccountTrade, AccountTrades
from citadel_micro.core.model.events import OrderState, RequestTimedOut, VenueSnapshot
from citadel_micro.shell.venue.dialect import Absent, Found, PaysFunding, Unclear
from citadel_micro.shell.venue.facts import Anomaly
from citadel_micro.shell.venue.forgotten import AGAIN_NS, Forgets, ended
from citadel_micro.shell.venue.order_ids import OurOrder
from citadel_micro.shell.venue.patience import patient
from citadel_micro.shell.venue.sound_facts import no_later, not_after, of_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from citadel_micro.core.model.account_events import FundingPayment
    from citadel_micro.core.model.commands import QueryOrder, QueryTrades
    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.venue.dialect import Ask, Dialect, OwnedTrade, Survey
    from citadel_micro.shell.venue.facts import OrderFact
    from citadel_micro.shell.venue.order_ids import OrderIds
    from citadel_micro.shell.venue.order_reducer import OrderReducer
    from citadel_micro.shell.venue.outcomes import Refusal
    from citadel_micro.shell.venue.venue_clock import VenueClock

log: Final = structlog.get_logger("venue")

PUZZLE_AGAIN_NS: Final = 60_000_000_000
"""An answer that stays unreadable is reported again after this, and asked for meanwhile at the usual pace."""
MOST_PUZZLES: Final = 1_000


class VenueQueries:
    """Sends queries, one at a time about each order.

    Args:
        venue: id.
        dialect: the venue's protocol.
        ids: our orders.
        reducer: handles the answers.
        ask: sends a request.
        post: receives the reports.
        on_refusal: called with refusals that concern all requests.
        on_anomaly: called with unreadable or impossible answers.
        on_changed: called with the time of the account's last change, in ns of the venue's time.
        on_found: called with the state of an order that a query has found.
        on_survey: called with what a survey of the account has shown, and the engine time at which it began.
        now: engine time in ns.
        clock: the venue's time.
        window_ns: how long after its sending an order expires, where that is not known.
        grace_ns: beyond an order's expiry.
    """

    def __init__(
        self,
        venue: str,
        dialect: Dialect,
        *,
        ids: OrderIds,
        reducer: OrderReducer,
        ask: Ask,
        post: Callable[[Iterable[Event]], None],
        on_refusal: Callable[[Refusal], None],
        on_anomaly: Callable[[Anomaly], None],
        on_changed: Callable[[int], None],
        on_found: Callable[[OrderFact], None],
        on_survey: Callable[[Survey, int], None],
        now: Callable[[], int],
        clock: VenueClock,
        window_ns: int,
        grace_ns: int,
    ) -> None:
        self._venue = venue
        self._dialect = dialect
        self._ids = ids
        self._reducer = reducer
        self._ask = ask
        self._post = post
        self._on_refusal = on_refusal
        self._on_anomaly = on_anomaly
        self._on_changed = on_changed
        self._on_found = on_found
        self._on_survey = on_survey
        self._now = now
        self._clock = clock
        self._window_ns = window_ns
        self._grace_ns = grace_ns
        self._since_ns = now()
        self._orders: dict[str, asyncio.Task[None]] = {}
        self._trades: dict[str, asyncio.Task[None]] = {}
        self._puzzles: dict[tuple[str, str], tuple[str, int]] = {}
        """(symbol, client id) -> the last anomaly that was reported of it, and when, in engine time."""
        self._survey: asyncio.Task[None] | None = None
        self._survey_due = False

    def order(self, command: QueryOrder) -> None:
        """Query one order, unless a query is pending."""
        if command.client_id not in self._orders:
            self._orders[command.client_id] = asyncio.get_running_loop().create_task(
                self._find(command.client_id, command.symbol), name=f"find {command.client_id}"
            )

    def everything(self, *, ready: bool) -> None:
        """Query open orders and balances, as soon as the venue is up."""
        if not ready:
            self._survey_due = True
        elif self._survey is None:
            self._survey = asyncio.get_running_loop().create_task(
                self._survey_account(), name=f"{self._venue} survey"
            )

    def trades(self, command: QueryTrades) -> None:
        """Query the account's trades in one symbol, unless a query is pending."""
        if command.symbol not in self._trades:
            self._trades[command.symbol] = asyncio.get_running_loop().create_task(
                self._read_trades(command), name=f"trades {command.symbol}"
            )

    def ready(self) -> None:
        """The venue is up: send the queries that had to wait."""
        if self._survey_due:
            self._survey_due = False
            self.everything(ready=True)

    async def close(self) -> None:
        """Stop querying."""
        tasks = [*self._orders.values(), *self._trades.values()]
        if self._survey is not None:
            tasks.append(self._survey)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # one order

    async def _find(self, client_id: str, symbol: str) -> None:
        try:
            order = self._ids.find(client_id) or OurOrder(client_id, symbol, "", 0, 0, 0, 0)
            asked_ns = self._now()
            past = self._is_past(order, asked_ns)
            deep = past and not order.venue_order_id
            finding = await of_query(self._dialect.find(self._ask, order, deep=deep))
            absent = isinstance(finding, Absent)
            if absent:
                finding = await self._forgotten(order, asked_ns) or finding
            else:
                order.absent_since_ns = 0
        finally:
            self._orders.pop(client_id, None)
        if isinstance(finding, Found):
            if not absent:  # else nobody has told when it ended
                self._on_found(finding.order)
            self._found(client_id, finding, asked_ns)
            return
        if isinstance(finding, Absent):
            # An order that was acknowledged meanwhile, by the stream, exists after all.
            now_known = self._ids.find(client_id)
            named = now_known is not None and bool(now_known.venue_order_id)
            if finding.trades_too and deep and not named:
                self._post(
                    [
                        self._absent(client_id, symbol, asked_ns, source)
                        for source in ("order", "trades")
                    ]
                )
                return
            log.info("not found yet", order=client_id, why=finding.text, named=named)
        else:
            self._unclear(finding, symbol, client_id)
        self._post(
            (
                RequestTimedOut(
                    venue=self._venue, symbol=symbol, client_id=client_id, request="query"
                ),
            )
        )

    async def _forgotten(self, order: OurOrder, now_ns: int) -> Found | Unclear | None:
        """The end of an order that the venue has had, once it may have dropped it; else None."""
        dialect = self._dialect
        if not isinstance(dialect, Forgets) or not order.venue_order_id or not order.placed_ns:
            return None
        order.absent_since_ns = order.absent_since_ns or now_ns
        dropped = now_ns - order.placed_ns > dialect.forgets_ns
        if not dropped or now_ns - order.absent_since_ns < AGAIN_NS:
            return None
        return await of_query(ended(dialect, patient(self._ask), order, self._clock))

    def _is_past(self, order: OurOrder, now_ns: int) -> bool:
        """Whether the venue's "not found" for an order counts: by our clock, and by the venue's.

        Ours may have been set forward while we were down, the venue's was not.
        """
        expires_ns = order.expires_ns or self._since_ns + self._window_ns
        ours = now_ns > expires_ns + self._clock.error_ns + self._grace_ns
        return ours and self._clock.surely_past_ns() > order.expired_at_ns() + self._grace_ns

    def _found(self, client_id: str, found: Found, asked_ns: int) -> None:
        fact = found.order
        now_ns = self._now()
        # Its fills first: an end with a total beyond them would be queried again.
        facts = not_after((*found.trades, fact), self._clock)
        reports: list[Event] = [*self._reducer.take(facts, now_ns)]
        reports.append(self._state(client_id, fact, asked_ns))
        self._post(reports)

    def _state(self, client_id: str, fact: OrderFact, asked_ns: int) -> OrderState:
        return OrderState(
            venue=self._venue,
            symbol=fact.symbol,
            client_id=client_id,
            status=fact.standing,
            source="order",
            price_ticks=fact.price_ticks,
            quantity_lots=fact.quantity_lots,
            cumulative_lots=max(fact.cumulative_lots, 0),
            # When the statement was made, at the earliest; compared with times of ours.
            exchange_ns=asked_ns,
        )

    def _absent(
        self, client_id: str, symbol: str, asked_ns: int, source: Literal["order", "trades"]
    ) -> OrderState:
        return OrderState(
            venue=self._venue,
            symbol=symbol,
            client_id=client_id,
            status="not_found",
            source=source,
            price_ticks=0,
            quantity_lots=0,
            cumulative_lots=0,
            # Compared with the order's expiry, which is a time of ours.
            exchange_ns=asked_ns,
        )

    # open orders and balances

    async def _survey_account(self) -> None:
        try:
            asked_ns, since_ns = self._now(), self._clock.surely_past_ns()
            survey = await of_query(self._dialect.survey(patient(self._ask)))
        finally:
            self._survey = None
        if isinstance(survey, Unclear):
            self._unclear(survey, "", "")
            return
        rows: list[OrderState] = []
        for fact in survey.open_orders:
            owner = self._ids.owner(fact.symbol, fact.venue_order_id)
            name = fact.client_id if owner is None else owner.client_id
            rows.append(self._state(name, fact, asked_ns))
        self._on_survey(survey, asked_ns)
        if survey.updated_ns:
            self._on_changed(no_later(survey.updated_ns, self._clock))
        self._post(
            (
                VenueSnapshot(
                    venue=self._venue,
                    open_orders=tuple(rows),
                    balances=survey.balances,
                    exchange_ns=since_ns,
                    positions=survey.positions,
                    isolated=survey.isolated,
                    changed=tuple(
                        (symbol, no_later(changed_ns, self._clock))
                        for symbol, changed_ns in survey.changed
                    ),
                ),
            )
        )

    # trades

    async def _read_trades(self, command: QueryTrades) -> None:
        try:
            until_ns = self._clock.surely_past_ns()
            asked = (patient(self._ask), command.symbol, command.since_ns)
            found = await of_query(self._dialect.trades(*asked))
            funding: list[FundingPayment] | Unclear = []
            if isinstance(self._dialect, PaysFunding):
                funding = await of_query(self._dialect.funding(*asked))
        finally:
            self._trades.pop(command.symbol, None)
        if isinstance(found, Unclear):
            self._unclear(found, command.symbol, "")
            return
        if isinstance(funding, Unclear):
            self._unclear(funding, command.symbol, "")
            return
        self._post(
            (
                AccountTrades(
                    venue=self._venue,
                    symbol=command.symbol,
                    since_ns=command.since_ns,
                    trades=tuple(self._account_trade(each) for each in found),
                    exchange_ns=until_ns,
                    funding=tuple(
                        replace(each, exchange_ns=no_later(each.exchange_ns, self._clock))
                        for each in funding
                    ),
                ),
            )
        )

    def _account_trade(self, each: OwnedTrade) -> AccountTrade:
        fact = each.fact
        return AccountTrade(
            trade_id=fact.trade_id,
            venue_order_id=fact.venue_order_id,
            client_id=fact.client_id,
            side=each.side,
            price_ticks=fact.price_ticks,
            quantity_lots=fact.quantity_lots,
            fee=fact.fee,
            fee_currency=fact.fee_currency,
            liquidity=fact.liquidity,
            exchange_ns=no_later(fact.exchange_ns, self._clock),
            exact=fact.exact,
        )

    def _unclear(self, unclear: Unclear, symbol: str, client_id: str) -> None:
        log.warning("question not answered", order=client_id, symbol=symbol, why=unclear.text)
        if unclear.refusal is not None:
            self._on_refusal(unclear.refusal)
        if unclear.anomaly and self._is_news((symbol, client_id), unclear.text):
            self._on_anomaly(Anomaly(symbol=symbol, client_id=client_id, text=unclear.text))

    def _is_news(self, about: tuple[str, str], text: str) -> bool:
        """Whether this was not reported a moment ago: the engine asks at once about what is reported."""
        now_ns = self._now()
        known, told_ns = self._puzzles.pop(about, ("", 0))
        news = text != known or now_ns - told_ns >= PUZZLE_AGAIN_NS
        self._puzzles[about] = (text, now_ns if news else told_ns)
        while len(self._puzzles) > MOST_PUZZLES:
            del self._puzzles[next(iter(self._puzzles))]
        return news
