"""The one door: everything that happens goes in here, everything micro does comes out.

``handle`` is synchronous and deterministic. It reads no clock, draws no random number, opens
nothing; the same events at the same times give the same commands, byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.engine.book_monitor import BookMonitor
from citadel_micro.core.engine.holdings import Holdings
from citadel_micro.core.engine.limit_changes import LimitChanges
from citadel_micro.core.engine.operator_actions import OperatorActions
from citadel_micro.core.engine.owners import Owners
from citadel_micro.core.engine.query_answers import answer
from citadel_micro.core.engine.reconciliation import Reconciliation
from citadel_micro.core.engine.signal_intake import SignalIntake
from citadel_micro.core.execution.engine_context import EngineContext
from citadel_micro.core.execution.executor import SmartOrderExecutor
from citadel_micro.core.execution.risk_view import EngineRiskView
from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.order_flow import FlowFeatures
from citadel_micro.core.marketdata.reference_books import ReferenceBooks
from citadel_micro.core.marketdata.streams import WHOLE_VENUE, Streams
from citadel_micro.core.model.approval import Approved, not_sent
from citadel_micro.core.model.command_buffer import Command, CommandBuffer
from citadel_micro.core.model.commands import PublishBeat
from citadel_micro.core.model.events import (
    AmendRejected,
    BalancesUpdated,
    BookLook,
    CancelReceived,
    CancelRejected,
    DepthUpdate,
    FeedStatus,
    LimitsChanged,
    MacroBeat,
    OperatorCommand,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderRejected,
    OrderState,
    QueryReceived,
    QuoteTick,
    RequestTimedOut,
    SignalReceived,
    SignalRefused,
    Started,
    StreamProof,
    TimerFired,
    TradeTick,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.orders.instrument_state import InstrumentState
from citadel_micro.core.orders.order_store import OrderStore
from citadel_micro.core.portfolio.portfolio import Portfolio
from citadel_micro.core.risk.leases import COMMAND_LINE
from citadel_micro.core.risk.manager import RiskManager
from citadel_proto.errors import BadInput
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.execution.report_handler import ChildReport
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.events import Event
    from citadel_micro.core.model.instrument import Instrument

__all__ = ["Command", "Engine"]

FORGET_INTERVAL_NS: Final = 60_000_000_000


class Engine:
    """All of micro's judgement.

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
            )
        limits = config.limits
        self.portfolio = Portfolio(
            limits.reporting_currency,
            par_currencies=limits.par_currencies,
            rolling_window_ns=limits.rolling_window_ns,
        )
        self.risk = RiskManager(limits)
        self.view = EngineRiskView(self._inst_states, self.portfolio)
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
        self.executor = SmartOrderExecutor(context)
        self._book_monitor = BookMonitor(context, self.executor)
        self._owners = Owners(self._out)
        self._intake = SignalIntake(context, self.executor, self._owners)
        self._holdings = Holdings(context, self.executor)
        self._reconciliation = Reconciliation(context, self.executor, self._intake, self._holdings)
        self._operations = OperatorActions(context, self.executor, self._intake)
        self._now_ns = 0
        self._tick_ns = FAR
        self._next_beat_ns = 0
        self._next_forget_ns = 0
        self._damaged = ""
        self._epoch = self.risk.risk_epoch
        self._unvalued: tuple[str, ...] = ()
        self._anchors = self.portfolio.curve.anchors
        self._macro_seen = ("", 0)
        self._handlers = self._table(context)

    def handle(self, event: Event, now_ns: int) -> list[Command]:
        """Take one event at its time; returns what to do about it, in order.

        A time before the last one counts as the last one. Raises InvariantError for a state that
        must not be (halt), BadInput for something that is no event.
        """
        if now_ns > self._now_ns:
            self._now_ns = now_ns
        else:
            now_ns = self._now_ns
        handler = self._handlers.get(type(event))
        if handler is None:
            raise BadInput(f"{type(event).__name__} is not an event of the engine")
        handler(event, now_ns)
        if now_ns >= self._tick_ns or now_ns >= self.executor.due_ns:
            self._time(now_ns)
        out = self._out
        if out.commands or out.durable or self.order_store.changed:
            self._settle(now_ns)
            return out.take()
        return []

    def next_timer(self) -> int | None:
        """When to send a TimerFired at the latest, in ns; None before the first event."""
        due_ns, tick_ns = self.executor.due_ns, self._tick_ns
        if tick_ns < due_ns:
            return tick_ns
        return None if due_ns == FAR else due_ns

    def open_parents(self, venue: str | None) -> int:
        """Parents with something pending, on one venue or on all."""
        return self.view.open_parents(venue)

    def unwatched(self, now_ns: int) -> int:
        """Parents that have not ended, and whose macro was silent for longer than the soft lease."""
        limits, leases = self.risk.limits, self.view.leases
        return sum(
            leases.instrument_unknown(
                parent.signal.owner,
                parent.signal.epoch,
                now_ns,
                limits.lease_soft_ns,
                required=False,
            )
            for parent in self.order_store.active.values()
            if not parent.own and parent.signal.strategy != COMMAND_LINE
        )

    @property
    def reconciling(self) -> bool:
        """Recovery is not complete."""
        return self.view.reconciling

    @property
    def inst_states(self) -> Mapping[tuple[str, str], InstrumentState]:
        """Markets together with our parents on them, to be read only."""
        return self._inst_states

    # the table

    def _table(self, context: EngineContext) -> dict[type, Callable[[Any, int], None]]:
        report = self._on_report
        return {
            DepthUpdate: self._on_depth,
            QuoteTick: self._on_quote,
            TradeTick: self._on_trade,
            FeedStatus: self._on_feed,
            StreamProof: self._streams.on_proof,
            BookLook: self._on_look,
            SignalReceived: self._intake.on_signal,
            SignalRefused: self._intake.on_refused,
            CancelReceived: self._intake.on_cancel,
            QueryReceived: self._on_query,
            MacroBeat: self._on_beat,
            OrderAccepted: report,
            OrderRejected: report,
            OrderFilled: report,
            OrderDone: report,
            CancelRejected: report,
            OrderAmended: report,
            AmendRejected: report,
            RequestTimedOut: report,
            OrderState: report,
            VenueSnapshot: self._reconciliation.on_snapshot,
            BalancesUpdated: self._on_balances,
            VenueStatus: self._on_venue,
            TimerFired: self._on_timer,
            OperatorCommand: self._operations.on_operator,
            LimitsChanged: LimitChanges(context, self.references).on_limits,
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

    def _on_look(self, look: BookLook, now_ns: int) -> None:
        del now_ns
        market = self.markets.get(look[:2])
        if market is not None:
            market.on_look(look)

    # macro

    def _on_beat(self, beat: MacroBeat, now_ns: int) -> None:
        if not self._owners.on_beat(beat, now_ns):
            return
        self.view.leases.beat(beat, now_ns)
        self._macro_seen = (beat.instance, beat.seq)

    def _on_query(self, query: QueryReceived, now_ns: int) -> None:
        self._settle(now_ns)  # what is told must not be ahead of what is stored
        error = ""
        halted = any(
            trip.code == RiskCode.JOURNAL_FAULT and trip.state == "HALTED"
            for trip in self.risk.breakers.trips
        )
        if self._damaged and halted:
            # Once a person has compared with the venue and reset it, what is known counts again.
            error = f"the journal was damaged: {self._damaged}"
        self._out.commands.append(
            answer(
                query,
                self.order_store,
                self.portfolio,
                venues=self.config.venues,
                limits=self.risk.limits,
                error=error or self._owners.second(query.owner, query.epoch, now_ns),
            )
        )

    # venues

    def _on_report(self, event: ChildReport | OrderFilled, now_ns: int) -> None:
        self.executor.on_report(event, now_ns)
        if self.view.reconciling:
            self._reconciliation.check(now_ns)

    def _on_balances(self, event: BalancesUpdated, now_ns: int) -> None:
        del now_ns
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
        self.executor.on_venue(event.venue, None if event.up else event.reason, now_ns)

    # time

    def _on_started(self, event: Started, now_ns: int) -> None:
        self._damaged = event.damaged
        self._tick_ns = now_ns
        self._owners.restore(event.state, now_ns)
        self._reconciliation.begin(event, now_ns)
        self._operations.restore(event.state)
        self._anchors = self.portfolio.curve.anchors
        self._out.commands.extend(self.risk.publish_all())

    def _on_timer(self, event: TimerFired, now_ns: int) -> None:
        """Nothing by itself: whatever is due happens in every call."""

    def _time(self, now_ns: int) -> None:
        if now_ns >= self.executor.due_ns:
            self.executor.on_timer(now_ns)
            if self.view.reconciling:
                self._reconciliation.check(now_ns)
        if now_ns >= self._tick_ns:
            self._tick_ns = now_ns + self.config.tick_ns
            self._tick(now_ns)

    def _tick(self, now_ns: int) -> None:
        config = self.config
        self._reconciliation.on_timer(now_ns)
        self._holdings.on_tick(now_ns)
        self._book_monitor.on_tick(now_ns)
        self.references.on_tick(now_ns)
        self.order_store.tell_late()
        if now_ns >= self._next_beat_ns:
            self._next_beat_ns = now_ns + config.heartbeat_ns
            self._judge_risk(now_ns)
            self._beat()
        if self._operations.pending:
            self._operations.on_tick(now_ns)
        if now_ns >= self._next_forget_ns:
            self._next_forget_ns = now_ns + FORGET_INTERVAL_NS
            self.order_store.forget_old(now_ns)

    def _judge_risk(self, now_ns: int) -> None:
        for inst in self._inst_states.values():
            self._book_monitor.mark(inst, now_ns)
        self._out.commands.extend(self.risk.on_tick(self.view, now_ns))
        unvalued = self.portfolio.unvalued_fees
        if unvalued != self._unvalued:
            self._unvalued = unvalued
            self._out.note(
                "warning", "fees_not_in_losses", currencies=", ".join(unvalued) or "none"
            )
        anchors = self.portfolio.curve.anchors
        if anchors != self._anchors:
            # A peak or a midnight that only this process knew would be forgotten by its crash.
            self._anchors = anchors
            self.order_store.holdings_changed()
        self._operations.watch_owners(now_ns)
        self._operations.enforce(now_ns)

    def _beat(self) -> None:
        self._out.commands.append(
            PublishBeat(
                state="recovering" if self.view.reconciling else self.risk.beat_state(),
                working=len(self.order_store.active),
                macro_instance_seen=self._macro_seen[0],
                macro_seq_seen=self._macro_seen[1],
                macros_refused=self._owners.refused(self._now_ns),
            )
        )

    def _settle(self, now_ns: int) -> None:
        """After a fill: losses. After a trip: working orders. Then store and tell."""
        if self.order_store.fills:
            self._after_fills(now_ns)
        if self.risk.risk_epoch != self._epoch:
            self._epoch = self.risk.risk_epoch
            self._take_back(now_ns)
        self._operations.enforce(now_ns)
        if self._operations.pending:
            self._operations.on_tick(now_ns)
        self.order_store.flush(now_ns)

    def _take_back(self, now_ns: int) -> None:
        """Orders that were approved in this call before something in it tripped do not leave."""
        out, valid = self._out, self.risk.still_valid
        void = [each for each in out.commands if type(each) is Approved and not valid(each)]
        if void:
            out.commands = [each for each in out.commands if not any(each is one for one in void)]
        for approved in void:
            self.executor.on_report(not_sent(approved.order), now_ns)

    def _after_fills(self, now_ns: int) -> None:
        """Losses are judged at once when a fill may have made one."""
        for fill in self.order_store.fills:
            self._book_monitor.mark(self._inst_states[fill.venue, fill.symbol], now_ns)
        self._out.commands.extend(self.risk.on_tick(self.view, now_ns))
