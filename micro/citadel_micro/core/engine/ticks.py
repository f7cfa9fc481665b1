"""What the engine does several times a second, whatever comes in between, and until when it does nothing then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.marketdata.cross_check import MUTE_NS
from citadel_micro.core.marketdata.passing import QuietTicks
from citadel_micro.core.model.commands import PublishBeat
from citadel_micro.core.model.time_units import FAR

if TYPE_CHECKING:
    from citadel_micro.core.engine.account_history import AccountHistory
    from citadel_micro.core.engine.book_monitor import BookMonitor
    from citadel_micro.core.engine.holdings import Holdings
    from citadel_micro.core.engine.margin_watch import MarginWatch
    from citadel_micro.core.engine.operator_actions import OperatorActions
    from citadel_micro.core.engine.owners import Owners
    from citadel_micro.core.engine.reconciliation import Reconciliation
    from citadel_micro.core.engine.risk_watch import RiskWatch
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.marketdata.passing import Skipped
    from citadel_micro.core.marketdata.reference_books import ReferenceBooks

FORGET_INTERVAL_NS: Final = 60_000_000_000


class Ticks:
    """Calls whatever looks at the time.

    Args:
        context: the engine's.
        account: what asks venues about it.
        markets: what looks at the age of books.
        watches: what is done once a second, with a heartbeat.
    """

    def __init__(
        self,
        context: EngineContext,
        account: tuple[Reconciliation, MarginWatch, Holdings, AccountHistory],
        markets: tuple[BookMonitor, ReferenceBooks],
        watches: tuple[RiskWatch, OperatorActions, Owners],
    ) -> None:
        self.macro_seen = ("", 0)
        """The last heartbeat: its sender and its number."""
        self.count = 0
        self._config = context.config
        self._inst_states = context.inst_states
        self._order_store = context.order_store
        self._risk = context.risk
        self._view = context.view
        self._out = context.out
        self._reconciliation, self._margin, self._holdings, self._history = account
        self._book_monitor, self._references = markets
        self._risk_watch, self._operations, self._owners = watches
        self._next_beat_ns = 0
        self._next_forget_ns = 0

    def on_tick(self, now_ns: int) -> None:
        """Do what is due."""
        self.count += 1
        config = self._config
        self._reconciliation.on_timer(now_ns)
        self._margin.on_tick(now_ns)
        self._holdings.on_tick(now_ns)
        self._history.on_tick(now_ns)
        self._book_monitor.on_tick(now_ns)
        self._references.on_tick(now_ns)
        self._order_store.report_late()
        if now_ns >= self._next_beat_ns:
            self._next_beat_ns = now_ns + config.heartbeat_ns
            self._risk_watch.on_beat(now_ns)
            self._beat(now_ns)
        if self._operations.pending:
            self._operations.on_tick(now_ns)
        if now_ns >= self._next_forget_ns:
            self._next_forget_ns = now_ns + FORGET_INTERVAL_NS
            self._order_store.forget_old(now_ns)

    def quiet(self, tick_ns: int, *, idle: bool) -> QuietTicks:
        """The ticks from one on, until one of them may do something, whatever plain events come.

        ``idle``: no parent has anything due.
        """
        if self._order_store.late or self._operations.pending:
            return self._until(tick_ns, 0)
        beats = self._risk_watch.quiet or (idle and not self._order_store.active)
        until_ns = min(
            self._account_ns(),
            self._book_monitor.due_ns(feeds=not beats),
            self._references.due_ns(feeds=not beats),
            self._next_forget_ns,
        )
        if beats:
            return self._until(tick_ns, until_ns)._replace(beat_ns=self._next_beat_ns)
        return self._until(tick_ns, min(until_ns, self._next_beat_ns))

    def ended(self, tick_ns: int, *, idle: bool) -> QuietTicks:
        """The same when no events come any more and no book matters: 0 while any order is open."""
        store = self._order_store
        if not idle or store.active or store.late or self._operations.pending:
            return self._until(tick_ns, 0)
        return self._until(tick_ns, self._account_ns())

    def skip_beats(self, skipped: Skipped) -> None:
        """As if there had been heartbeats of which nothing came but a mark; of the only market."""
        if skipped.mid is not None:
            self._next_beat_ns = skipped.beat_ns
            for key in self._inst_states:
                self._view.portfolio.mark(*key, skipped.mid)

    def _until(self, tick_ns: int, until_ns: int) -> QuietTicks:
        config = self._config
        fresh_ns = min(self._risk.limits.stale_ns, MUTE_NS)
        return QuietTicks(tick_ns, config.tick_ns, until_ns, fresh_ns, FAR, config.heartbeat_ns)

    def _account_ns(self) -> int:
        """When a venue is asked about its account next."""
        return min(
            self._reconciliation.due_ns,
            self._margin.due_ns,
            self._holdings.due_ns,
            self._history.due_ns,
        )

    def _beat(self, now_ns: int) -> None:
        self._out.commands.append(
            PublishBeat(
                state="recovering" if self._view.reconciling else self._risk.beat_state(),
                working=len(self._order_store.active),
                macro_instance_seen=self.macro_seen[0],
                macro_seq_seen=self.macro_seen[1],
                macros_refused=self._owners.refused(now_ns),
            )
        )
