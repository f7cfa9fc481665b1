"""The one door: everything that happens goes in here, everything micro does comes out.

``handle`` is synchronous and deterministic. It reads no clock, draws no random number, opens
nothing; the same events at the same times give the same commands, byte for byte.
"""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.commands import (
    PublishAnswer,
    PublishBeat,
    PublishBook,
    PublishFeed,
    RequestSnapshot,
)
from citadel_micro.core.desk import Desk
from citadel_micro.core.events import (
    AmendRejected,
    BalancesUpdated,
    CancelReceived,
    CancelRejected,
    DepthUpdate,
    FeedStatus,
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
    TimerFired,
    TradeTick,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.core.executor import SmartOrderExecutor
from citadel_micro.core.market import Change, MarketBook
from citadel_micro.core.operations import Operations
from citadel_micro.core.outbox import Outbox
from citadel_micro.core.portfolio import Portfolio
from citadel_micro.core.publishing import balance_views, position_view, report
from citadel_micro.core.recovery import Recovery
from citadel_micro.core.register import Register
from citadel_micro.core.risk import RiskManager
from citadel_micro.core.times import FAR
from citadel_micro.core.view import EngineView
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.config import EngineConfig
    from citadel_micro.core.events import Event
    from citadel_micro.core.instrument import Instrument
    from citadel_micro.core.outbox import Command
    from citadel_micro.core.venue_reports import ChildReport

SNAPSHOT_RETRY_NS: Final = 10_000_000_000
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
        self._desks: dict[tuple[str, str], Desk] = {}
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
            self._desks[key] = Desk(
                instrument, market, venue, stale_cancel_ns=config.stale_cancel_ns
            )
        limits = config.limits
        self.portfolio = Portfolio(
            limits.reporting_currency,
            par_currencies=limits.par_currencies,
            rolling_window_ns=limits.rolling_window_ns,
        )
        self.risk = RiskManager(limits)
        self.view = EngineView(self._desks, self.portfolio)
        self._out = Outbox()
        self.register = Register(config, self._desks, self.portfolio, self._out)
        self.executor = SmartOrderExecutor(
            config, self._desks, self.register, risk=self.risk, view=self.view, out=self._out
        )
        self._recovery = Recovery(
            config, self._desks, self.executor, risk=self.risk, view=self.view, out=self._out
        )
        self._operations = Operations(
            config, self._desks, self.executor, risk=self.risk, view=self.view, out=self._out
        )
        self._now_ns = 0
        self._tick_ns = FAR
        self._next_book_ns = 0
        self._next_beat_ns = 0
        self._next_feed_ns = 0
        self._next_forget_ns = 0
        self._damaged = ""
        self._macro_seen = ("", 0)
        self._handlers = self._table()

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
        if out.commands or out.durable or self.register.changed:
            self._settle(now_ns)
            return out.take()
        return []

    def next_timer(self) -> int | None:
        """When to send a TimerFired at the latest, in ns; None before the first event."""
        due_ns = min(self._tick_ns, self.executor.due_ns)
        return None if due_ns == FAR else due_ns

    def open_parents(self, venue: str | None) -> int:
        """Parents with something pending, on one venue or on all."""
        return self.view.open_parents(venue)

    @property
    def reconciling(self) -> bool:
        """Recovery is not complete."""
        return self.view.reconciling

    @property
    def desks(self) -> Mapping[tuple[str, str], Desk]:
        """Markets together with our parents on them, to be read only."""
        return self._desks

    # the table

    def _table(self) -> dict[type, Callable[[Any, int], None]]:
        report = self._on_report
        return {
            DepthUpdate: self._on_depth,
            QuoteTick: self._on_quote,
            TradeTick: self._on_trade,
            FeedStatus: self._on_feed,
            SignalReceived: self.executor.on_signal,
            SignalRefused: self._on_refused,
            CancelReceived: self._on_cancel,
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
            VenueSnapshot: self._recovery.on_snapshot,
            BalancesUpdated: self._on_balances,
            VenueStatus: self._on_venue,
            TimerFired: self._on_timer,
            OperatorCommand: self._operations.on_operator,
            Started: self._on_started,
        }

    # markets

    def _on_depth(self, update: DepthUpdate, now_ns: int) -> None:
        desk = self._desks.get(update[:2])
        if desk is None:
            return
        change = desk.market.on_depth(update)
        if change == Change.UPDATED:
            desk.dirty = True
        elif change == Change.NONE:
            return
        else:
            desk.dirty = True
            self._market_changed(desk, change, now_ns)
        if desk.parents and not self.view.reconciling:
            self.executor.on_market(desk, now_ns)

    def _on_quote(self, quote: QuoteTick, now_ns: int) -> None:
        desk = self._desks.get(quote[:2])
        if desk is None or not desk.market.on_quote(quote):
            return
        desk.dirty = True
        if desk.parents and not self.view.reconciling:
            self.executor.on_market(desk, now_ns)

    def _on_trade(self, trade: TradeTick, now_ns: int) -> None:
        desk = self._desks.get(trade[:2])
        if desk is None:
            return
        desk.market.on_trade(trade)
        if desk.parents and not self.view.reconciling:
            self.executor.on_market(desk, now_ns)

    def _on_feed(self, status: FeedStatus, now_ns: int) -> None:
        desk = self._desks.get((status.venue, status.symbol))
        if desk is None:
            return
        before = (desk.market.state, desk.market.reason)
        desk.market.on_status(status)
        desk.dirty = True
        if status.up and desk.market.state == "SYNCING":
            self._request_snapshot(desk, status.reason or "connected", now_ns)
        if (desk.market.state, desk.market.reason) != before:
            self._feed_changed(desk, now_ns)

    def _market_changed(self, desk: Desk, change: int, now_ns: int) -> None:
        if change & Change.GAP:
            self._out.note(
                "warning", "gap", venue=desk.key[0], symbol=desk.key[1], why=desk.market.reason
            )
            self._request_snapshot(desk, desk.market.reason, now_ns)
        if change & Change.STATE:
            self._feed_changed(desk, now_ns)

    def _request_snapshot(self, desk: Desk, reason: str, now_ns: int) -> None:
        desk.asked_ns = now_ns
        venue, symbol = desk.key
        self._out.commands.append(RequestSnapshot(venue=venue, symbol=symbol, reason=reason))

    def _feed_changed(self, desk: Desk, now_ns: int) -> None:
        self._publish_feed(desk)
        market = desk.market
        self._out.commands.extend(
            self.risk.on_feed(*desk.key, now_ns, live=market.state == "LIVE", reason=market.reason)
        )

    def _publish_feed(self, desk: Desk) -> None:
        market = desk.market
        self._out.commands.append(
            PublishFeed(
                venue=desk.key[0],
                symbol=desk.key[1],
                state=market.state,
                reason=market.reason,
                last_seq=market.last_seq,
                last_recv_ns=market.last_recv_ns,
                gaps=market.gaps,
                resyncs=market.resyncs,
            )
        )

    # macro

    def _on_refused(self, refused: SignalRefused, now_ns: int) -> None:
        known = self.register.known.get(refused.signal_id)
        if known is not None:
            self.register.repeat(known)
            return
        zero = Decimal(0)
        signal = SignalReceived(
            signal_id=refused.signal_id,
            strategy=refused.strategy,
            venue=refused.venue,
            symbol=refused.symbol,
            side=refused.side,
            quantity=zero,
            kind="order",
            order_type="limit",
            limit_price=None,
            stop_price=None,
            time_in_force="GTC",
            reduce_only=False,
            leverage=Decimal(1),
            algo="",
            params=(),
            confidence=None,
            model_id="",
            tag="",
            candle_ns=0,
            created_ns=now_ns,
            expires_ns=now_ns,
            epoch=0,
            seq=0,
        )
        parent = self.register.open(signal, now_ns, own=False)
        self.executor.refuse(parent, refused.code, refused.reason, now_ns)

    def _on_cancel(self, cancel: CancelReceived, now_ns: int) -> None:
        self.executor.on_cancel(cancel.signal_id, cancel.reason, now_ns)

    def _on_beat(self, beat: MacroBeat, now_ns: int) -> None:
        self.view.last_beat_ns = now_ns
        self.view.skew_ns = beat.skew_ns
        self._macro_seen = (beat.instance, beat.seq)

    def _on_query(self, query: QueryReceived, now_ns: int) -> None:
        kind = query.kind
        reports = []
        if kind == "order":
            parent = self.register.known.get(query.signal_id)
            reports = [] if parent is None else [parent]
        elif kind == "orders":
            reports = [
                parent
                for parent in self.register.known.values()
                if parent.updated_ns >= query.since_ns
                and query.venue in ("", parent.signal.venue)
                and query.symbol in ("", parent.signal.symbol)
            ]
        self._settle(now_ns)  # what is told must not be ahead of what is stored
        venues = [v for v in self.config.venues if query.venue in ("", v)]
        one = Decimal(1)
        self._out.commands.append(
            PublishAnswer(
                query_id=query.query_id,
                kind=kind,
                reply_to=query.reply_to,
                found=kind != "order" or bool(reports),
                reports=tuple(report(parent, self.portfolio) for parent in reports),
                balances=tuple(row for v in venues for row in balance_views(self.portfolio, v))
                if kind == "balances"
                else (),
                positions=tuple(
                    position_view(self.portfolio, position, one)
                    for position in self.portfolio.positions()
                    if position.venue in venues and query.symbol in ("", position.symbol)
                )
                if kind == "positions"
                else (),
                limits=tuple(
                    (f.name, str(getattr(self.risk.limits, f.name)))
                    for f in fields(self.risk.limits)
                )
                if kind == "limits"
                else (),
                error=f"the journal was damaged: {self._damaged}" if self._damaged else "",
            )
        )

    # venues

    def _on_report(self, event: ChildReport | OrderFilled, now_ns: int) -> None:
        self.executor.on_report(event, now_ns)
        if self.view.reconciling:
            self._recovery.check(now_ns)

    def _on_balances(self, event: BalancesUpdated, now_ns: int) -> None:
        del now_ns
        self.portfolio.set_balances(event.venue, event.balances, event.exchange_ns or None)
        self.register.portfolio_changed = True

    def _on_venue(self, event: VenueStatus, now_ns: int) -> None:
        self._out.note(
            "info" if event.up else "warning",
            "venue",
            venue=event.venue,
            up=event.up,
            reason=event.reason,
        )
        self.executor.on_venue(event.venue, None if event.up else event.reason, now_ns)

    # time

    def _on_started(self, event: Started, now_ns: int) -> None:
        self._damaged = event.damaged
        self._tick_ns = now_ns
        self._recovery.begin(event, now_ns)
        self._out.commands.extend(self.risk.publish_all())

    def _on_timer(self, event: TimerFired, now_ns: int) -> None:
        """Nothing by itself: whatever is due happens in every call."""

    def _time(self, now_ns: int) -> None:
        if now_ns >= self.executor.due_ns:
            self.executor.on_timer(now_ns)
            if self.view.reconciling:
                self._recovery.check(now_ns)
        if now_ns >= self._tick_ns:
            self._tick_ns = now_ns + self.config.tick_ns
            self._tick(now_ns)

    def _tick(self, now_ns: int) -> None:
        config = self.config
        self._recovery.on_timer(now_ns)
        books_due = config.book_publish_interval_ns > 0 and now_ns >= self._next_book_ns
        if books_due:
            self._next_book_ns = now_ns + config.book_publish_interval_ns
        for desk in self._desks.values():
            self._tick_desk(desk, now_ns, publish=books_due)
        if now_ns >= self._next_beat_ns:
            self._next_beat_ns = now_ns + config.heartbeat_ns
            self._judge_risk(now_ns)
            self._beat()
        if now_ns >= self._next_feed_ns:
            self._next_feed_ns = now_ns + config.feed_publish_interval_ns
            for desk in self._desks.values():
                self._publish_feed(desk)
        if self._operations.pending:
            self._operations.on_tick(now_ns)
        if now_ns >= self._next_forget_ns:
            self._next_forget_ns = now_ns + FORGET_INTERVAL_NS
            self.register.forget_old(now_ns)

    def _tick_desk(self, desk: Desk, now_ns: int, *, publish: bool) -> None:
        market = desk.market
        if market.check_age(now_ns, self.config.limits.stale_ns):
            desk.dirty = True
            self._feed_changed(desk, now_ns)
            if desk.parents and not self.view.reconciling:
                self.executor.on_market(desk, now_ns)
        if market.state == "LIVE" and market.crossed:
            if not desk.crossed_since_ns:
                desk.crossed_since_ns = now_ns
            elif now_ns - desk.crossed_since_ns >= self.config.crossed_resync_ns:
                self.executor.resync(desk, "crossed or locked for too long", now_ns)
                self._feed_changed(desk, now_ns)
        else:
            desk.crossed_since_ns = 0
        waiting = market.state == "SYNCING" and desk.asked_ns > 0
        if waiting and now_ns - desk.asked_ns >= SNAPSHOT_RETRY_NS:
            self._request_snapshot(desk, f"no snapshot yet: {market.reason}", now_ns)
        if publish and desk.dirty:
            desk.dirty = False
            self.portfolio.mark(*desk.key, market.mid())
            self._out.commands.append(PublishBook(venue=desk.key[0], symbol=desk.key[1]))

    def _judge_risk(self, now_ns: int) -> None:
        for desk in self._desks.values():
            self.portfolio.mark(*desk.key, desk.market.mid())
        self._out.commands.extend(self.risk.on_tick(self.view, now_ns))
        self._operations.enforce(now_ns)

    def _beat(self) -> None:
        self._out.commands.append(
            PublishBeat(
                state="recovering" if self.view.reconciling else self.risk.beat_state(),
                working=len(self.register.active),
                macro_instance_seen=self._macro_seen[0],
                macro_seq_seen=self._macro_seen[1],
            )
        )

    def _settle(self, now_ns: int) -> None:
        """After a fill: losses. After a trip: working orders. Then store and tell."""
        if self.register.fills:
            self._after_fills(now_ns)
        self._operations.enforce(now_ns)
        if self._operations.pending:
            self._operations.on_tick(now_ns)
        self.register.flush(now_ns)

    def _after_fills(self, now_ns: int) -> None:
        """Losses are judged at once when a fill may have made one."""
        for fill in self.register.fills:
            key = (fill.venue, fill.symbol)
            self.portfolio.mark(*key, self.markets[key].mid())
        self._out.commands.extend(self.risk.on_tick(self.view, now_ns))
