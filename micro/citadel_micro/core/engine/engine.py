"""The entry point: every event goes in here, every command comes out.

``handle`` is synchronous and deterministic. It reads no clock, draws no random number, opens
nothing; the same events at the same times give the same commands, byte for byte.
"""

from __future__ import annotations

from decimal import getcontext, localcontext, setcontext
from typing import TYPE_CHECKING, Any, cast

from citadel_micro.core.engine.account_history import AccountHistory
from citadel_micro.core.engine.book_monitor import BookMonitor
from citadel_micro.core.engine.holdings import Holdings
from citadel_micro.core.engine.limit_changes import run_time_changes
from citadel_micro.core.engine.margin_watch import MarginWatch
from citadel_micro.core.engine.operator_actions import OperatorActions
from citadel_micro.core.engine.owners import Owners, unwatched
from citadel_micro.core.engine.query_answers import answer
from citadel_micro.core.engine.reconciliation import Reconciliation
from citadel_micro.core.engine.risk_watch import RiskWatch
from citadel_micro.core.engine.signal_intake import SignalIntake
from citadel_micro.core.engine.ticks import Ticks
from citadel_micro.core.execution.engine_context import EngineContext
from citadel_micro.core.execution.executor import SmartOrderExecutor
from citadel_micro.core.execution.report_handler import CHILD_REPORTS
from citadel_micro.core.execution.risk_view import EngineRiskView
from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.order_flow import FlowFeatures
from citadel_micro.core.marketdata.plain_events import OTHER, QUIET, market_events
from citadel_micro.core.marketdata.reference_books import ReferenceBooks
from citadel_micro.core.marketdata.streams import WHOLE_VENUE, Streams
from citadel_micro.core.model.arithmetic import DECISIONS
from citadel_micro.core.model.command_buffer import Command, CommandBuffer
from citadel_micro.core.model.events import (
    AccountTrades,
    BalancesUpdated,
    BookLook,
    CancelReceived,
    DepthUpdate,
    FeedStatus,
    MacroBeat,
    OperatorCommand,
    OrderAccepted,
    OrderFilled,
    QueryReceived,
    QuoteTick,
    SignalReceived,
    SignalRefused,
    Started,
    StreamProof,
    TimerFired,
    TradeTick,
    VenueAnomaly,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.orders.instrument_state import InstrumentState
from citadel_micro.core.orders.open_orders import OpenOrders
from citadel_micro.core.orders.order_store import OrderStore
from citadel_micro.core.portfolio.portfolio import Portfolio
from citadel_micro.core.risk.manager import RiskManager
from citadel_proto.errors import BadInput
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.execution.report_handler import ChildReport
    from citadel_micro.core.marketdata.passing import QuietTicks, Skipped
    from citadel_micro.core.model.commands import PublishReport
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.events import Event
    from citadel_micro.core.model.instrument import Instrument

__all__ = ["Command", "Engine"]


class Engine:
    """Makes every decision of micro.

    Args:
        config: see ``EngineConfig``.
        instruments: (venue, symbol) -> trading rules of everything that is traded or published.

    Raises BadInput for an instrument of a venue that is not configured.
    """

    def __init__(
        self, config: EngineConfig, instruments: Mapping[tuple[str, str], Instrument]
    ) -> None:
        self.config = config
        self.markets: dict[tuple[str, str], MarketBook] = {}
        self._inst_states: dict[tuple[str, str], InstrumentState] = {}
        open_orders = OpenOrders[InstrumentState]()
        for key, instrument in instruments.items():
            venue = config.venues.get(key[0])
            if venue is None:
                raise BadInput(
                    f"instrument {key[1]} is on {key[0]}, which is not configured",
                    where="engine configuration",
                    allowed=", ".join(config.venues) or "no venue",
                )
            market = MarketBook(key[0], key[1], venue.integrity)
            self.markets[key] = market
            self._inst_states[key] = InstrumentState(
                instrument,
                market,
                venue,
                stale_cancel_ns=config.stale_cancel_ns,
                features=FlowFeatures(market) if config.book_publish_interval_ns > 0 else None,
                open_orders=open_orders,
            )
        limits = config.limits
        self._market_event = market_events(self._inst_states)
        self.portfolio = Portfolio(
            limits.reporting_currency,
            par_currencies=limits.par_currencies,
            rolling_window_ns=limits.rolling_window_ns,
            two_hop_rates=config.wide_valuation,
        )
        self.risk = RiskManager(limits)
        self.view = EngineRiskView(self._inst_states, self.portfolio, open_orders)
        self._out = CommandBuffer()
        traded = [(each.instrument, each.market) for each in self._inst_states.values()]
        self.references = ReferenceBooks(config, traded, self._out)
        self.markets.update(self.references.markets)
        self._streams = Streams()
        for (venue_id, _), market in self.markets.items():
            market.stream = self._streams.of(venue_id, WHOLE_VENUE)
        self.view.references = self.references
        self.order_store = OrderStore(config, self._inst_states, self.portfolio, self._out)
        context = EngineContext(
            config, self._inst_states, self.order_store, self.risk, self.view, self._out
        )
        self.reports_apart = False
        """Whoever passes the events asks for ``reports`` himself: nothing that a venue is sent depends on them."""
        self.unreported = self.order_store.unreported
        """Orders that are still to be reported then."""
        self.executor = SmartOrderExecutor(context)
        self._book_monitor = BookMonitor(context, self.executor)
        self._owners = Owners(self._out)
        self._intake = SignalIntake(context, self.executor, self._owners)
        self._history = AccountHistory(context, self.executor)
        self._holdings = Holdings(context, self.executor, self._history)
        self._margin = MarginWatch(context, self._history)
        self._reconciliation = Reconciliation(
            context, self.executor, self._intake, self._holdings, self._history
        )
        self._operations = OperatorActions(context, self.executor, self._intake)
        self._risk_watch = RiskWatch(context, self.executor, self._book_monitor, self._operations)
        self._now_ns = 0
        self._tick_ns = FAR
        self._damaged = ""
        self._ticks = Ticks(
            context,
            (self._reconciliation, self._margin, self._holdings, self._history),
            (self._book_monitor, self.references),
            (self._risk_watch, self._operations, self._owners),
        )
        self._handlers = self._table(context)

    def handle(self, event: Event, now_ns: int) -> list[Command]:
        """Handle one event at its time; returns the resulting commands, in order.

        A time before the last one counts as the last one. Raises InvariantError for an impossible
        state (halt), BadInput for an unknown event.
        """
        if now_ns < self._now_ns:  # noqa: PLR1730 - max() takes three times as long
            now_ns = self._now_ns
        self._now_ns = now_ns
        change = self._market_event(event)
        if change == QUIET and now_ns < self._tick_ns and now_ns < self.executor.due_ns:
            out = self._out
            if not (out.commands or out.durable or self.order_store.changed):
                return []
        return self.go_on(event, now_ns, change)

    def go_on(self, event: Event, now_ns: int, change: int) -> list[Command]:
        """Handle an event that its market has already; ``change`` is what that was to it (``pass_over``)."""
        self._now_ns = now_ns
        others = getcontext()
        if others is not DECISIONS:
            setcontext(DECISIONS)
        try:
            if change == OTHER:
                self._dispatch(event, now_ns)
            elif change != QUIET:
                inst = self._inst_states[cast("DepthUpdate", event)[:2]]
                self._book_monitor.on_change(inst, change, now_ns)
                if (inst.parents or inst.held.waiting) and not self.view.reconciling:
                    self.executor.on_market(inst, now_ns)
            if now_ns >= self._tick_ns or now_ns >= self.executor.due_ns:
                self._time(now_ns)
            out = self._out
            if out.commands or out.durable or self.order_store.changed:
                self._settle(now_ns)
                if self.unreported and not self.reports_apart:
                    out.commands += self.order_store.reports()
                return out.take()
            return []
        finally:
            if others is not DECISIONS:
                setcontext(others)

    def reports(self) -> list[PublishReport]:
        """The last commands of an event, where ``reports_apart`` is set: to be taken before the next event."""
        with localcontext(DECISIONS):
            return self.order_store.reports()

    def next_timer(self) -> int | None:
        """When to send a TimerFired at the latest, in ns; None before the first event."""
        due_ns, tick_ns = self.executor.due_ns, self._tick_ns
        if tick_ns < due_ns:
            return tick_ns
        return None if due_ns == FAR else due_ns

    def quiet_ticks(self, *, ended: bool = False) -> QuietTicks:
        """The next ticks, as far as nothing comes of them under plain market events; ``ended``: under none."""
        until = self._ticks.ended if ended else self._ticks.quiet
        return until(self._tick_ns, idle=self.executor.due_ns == FAR)

    def skip_ticks(self, skipped: Skipped) -> None:
        """Go on at a later tick: nothing that matters came of those before it."""
        self._tick_ns = skipped.next_ns
        self._ticks.skip_beats(skipped)

    @property
    def ticks(self) -> int:
        """How many ticks were not skipped."""
        return self._ticks.count

    def open_parents(self, venue: str | None) -> int:
        """Parents with something pending, on one venue or on all."""
        return self.view.open_parents(venue)

    def unwatched(self, now_ns: int) -> int:
        """Open parents whose macro was silent for longer than the soft lease."""
        active = self.order_store.active.values()
        return unwatched(active, self.risk.limits, self.view.leases, now_ns)

    @property
    def reconciling(self) -> bool:
        """Recovery is not complete."""
        return self.view.reconciling

    def foreign_orders(self) -> dict[str, tuple[str, ...]]:
        """By venue: client ids of the open orders of others on the account."""
        return self._reconciliation.foreign_orders()

    def followed(self) -> list[tuple[tuple[str, str], MarketBook]]:
        """The markets that are meant to have a feed now, sorted by (venue, symbol)."""
        its = self._inst_states
        return [
            (key, market)
            for key, market in sorted(self.markets.items())
            if key not in its or its[key].followed
        ]

    @property
    def inst_states(self) -> Mapping[tuple[str, str], InstrumentState]:
        """Markets together with our parents on them, to be read only."""
        return self._inst_states

    # dispatch

    def _dispatch(self, event: Event, now_ns: int) -> None:
        handler = self._handlers.get(type(event))
        if handler is None:
            raise BadInput(f"{type(event).__name__} is not an event of the engine")
        handler(event, now_ns)

    def _table(self, context: EngineContext) -> dict[type, Callable[[Any, int], None]]:
        return {
            DepthUpdate: self._on_depth,
            QuoteTick: self._on_quote,
            TradeTick: self._on_trade,
            FeedStatus: self._on_feed,
            StreamProof: self._streams.on_proof,
            BookLook: self._on_poll,
            SignalReceived: self._intake.on_signal,
            SignalRefused: self._intake.on_refused,
            CancelReceived: self._intake.on_cancel,
            QueryReceived: self._on_query,
            MacroBeat: self._on_beat,
            **dict.fromkeys(CHILD_REPORTS, self._on_report),
            AccountTrades: self._reconciliation.on_trades,
            VenueAnomaly: self.executor.on_anomaly,
            VenueSnapshot: self._reconciliation.on_snapshot,
            BalancesUpdated: self._on_balances,
            VenueStatus: self._on_venue,
            **self._margin.handlers(),
            TimerFired: lambda _event, _now_ns: None,  # whatever is due happens in every call
            OperatorCommand: self._operations.on_operator,
            **run_time_changes(context, self.references),
            Started: self._on_started,
        }

    # markets

    def _on_depth(self, update: DepthUpdate, now_ns: int) -> None:
        inst = self._inst_states.get(update[:2])
        if inst is None:
            self.references.on_market(update, now_ns)
            return
        change = inst.market.on_depth(update)
        if inst.features is not None:
            inst.features.on_book(update.recv_ns)
        if change == Change.UPDATED:
            inst.dirty = True
        elif change == Change.NONE:
            return
        else:
            inst.dirty = True
            self._book_monitor.on_change(inst, change, now_ns)
        if (inst.parents or inst.held.waiting) and not self.view.reconciling:
            self.executor.on_market(inst, now_ns)

    def _on_quote(self, quote: QuoteTick, now_ns: int) -> None:
        inst = self._inst_states.get(quote[:2])
        if inst is None:
            self.references.on_market(quote, now_ns)
            return
        news = inst.market.on_quote(quote)
        if inst.features is not None:
            inst.features.on_book(quote.recv_ns)
        if not news:
            return
        inst.dirty = True
        if (inst.parents or inst.held.waiting) and not self.view.reconciling:
            self.executor.on_market(inst, now_ns)

    def _on_trade(self, trade: TradeTick, now_ns: int) -> None:
        inst = self._inst_states.get(trade[:2])
        if inst is None:
            self.references.on_market(trade, now_ns)
            return
        if not inst.market.on_trade(trade):
            return
        held = inst.held
        if held.waiting:
            held.on_trade(trade)
        if (inst.parents or held.waiting) and not self.view.reconciling:
            self.executor.on_market(inst, now_ns)

    def _on_feed(self, status: FeedStatus, now_ns: int) -> None:
        market = self.markets.get((status.venue, status.symbol))
        if market is not None and status.up:
            market.stream = self._streams.of(status.venue, status.stream)
        self._book_monitor.on_feed(status, now_ns)
        self.references.on_feed(status, now_ns)

    def _on_poll(self, look: BookLook, _now_ns: int) -> None:
        market = self.markets.get(look[:2])
        if market is not None:
            market.on_poll(look)

    # macro

    def _on_beat(self, beat: MacroBeat, now_ns: int) -> None:
        if not self._owners.on_beat(beat, now_ns):
            return
        self.view.leases.beat(beat, now_ns)
        self._ticks.macro_seen = (beat.instance, beat.seq)

    def _on_query(self, query: QueryReceived, now_ns: int) -> None:
        self._settle(now_ns)  # answers must not be ahead of what is stored
        self._out.commands += self.order_store.reports()
        error = ""
        halted = any(
            trip.code == RiskCode.JOURNAL_FAULT and trip.state == "HALTED"
            for trip in self.risk.breakers.trips
        )
        if self._damaged and halted:
            # Once a person has compared with the venue and reset it, the known state counts again.
            error = f"the journal was damaged: {self._damaged}"
        self._out.commands.append(
            answer(
                query,
                self.order_store,
                self.portfolio,
                venues=self.config.venues,
                limits=self.risk.limits,
                error=error or self._owners.second(query.owner, query.epoch, now_ns),
                foreign=self._history.reports.answer(query),
            )
        )

    # venues

    def _on_report(self, event: ChildReport | OrderFilled, now_ns: int) -> None:
        if event.client_id not in self.order_store.children:
            self._history.on_stray(event, now_ns)
        elif isinstance(event, OrderAccepted):
            self._risk_watch.on_accepted(event, now_ns)
        self.executor.on_report(event, now_ns)
        if self.view.reconciling:
            self._reconciliation.check(now_ns)

    def _on_balances(self, event: BalancesUpdated, _now_ns: int) -> None:
        self.portfolio.set_balances(event.venue, event.balances, event.exchange_ns or None)
        self.order_store.holdings_changed()

    def _on_venue(self, event: VenueStatus, now_ns: int) -> None:
        self._out.note(
            "info" if event.up else "warning",
            "venue",
            venue=event.venue,
            up=event.up,
            reason=event.reason,
        )
        self.risk.set_dms_armed(event.venue, armed=event.up and event.dms_armed)
        missed = self._reconciliation.on_venue(event, now_ns)
        down = None if event.up else event.reason
        self.executor.on_venue(event.venue, down, now_ns, missed=missed)
        self._reconciliation.on_timer(now_ns)

    # time

    def _on_started(self, event: Started, now_ns: int) -> None:
        self._damaged = event.damaged
        self._tick_ns = now_ns
        self._owners.restore(event.state, now_ns)
        self._reconciliation.begin(event, now_ns)
        self._operations.restore(event.state)
        self._risk_watch.begin()
        self._out.commands.extend(self.risk.publish_all())

    def _time(self, now_ns: int) -> None:
        if now_ns >= self.executor.due_ns:
            self.executor.on_timer(now_ns)
            if self.view.reconciling:
                self._reconciliation.check(now_ns)
        if now_ns >= self._tick_ns:
            self._tick_ns = now_ns + self.config.tick_ns
            self._ticks.on_tick(now_ns)

    def _settle(self, now_ns: int) -> None:
        """After a fill: losses. After a trip: working orders. Then store and report."""
        if self.order_store.fills:
            self._risk_watch.after_fills(now_ns)
            self._intake.protect(tuple(self.order_store.fills), now_ns)
        self._risk_watch.take_back(now_ns)
        self._operations.enforce(now_ns)
        if self._operations.pending:
            self._operations.on_tick(now_ns)
        self.order_store.flush(now_ns)
