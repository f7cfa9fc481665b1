"""Recovery: nothing is traded before our orders and holdings at the venues are known and explained.

The engine starts RECONCILING. The durable state of the last run is loaded; every order that was not
confirmed terminal is unknown, and its venue is queried; every venue is queried for its open
orders and balances. Known orders continue as they are found, orders of ours that are not
remembered are canceled, foreign orders are left alone, and every difference is logged.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from citadel_micro.core.execution.admission import Algorithms, set_reach, set_terms
from citadel_micro.core.model.commands import CancelOrder, QueryVenue
from citadel_micro.core.model.events import OrderFilled
from citadel_micro.core.model.exact_fill import ExactFill
from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.orders.execution_reports import report_key, status, status_in
from citadel_micro.core.orders.order_life import life_ends_ns
from citadel_micro.core.orders.order_records import (
    CHILD_KEY,
    PARENT_KEY,
    fill_key,
    load_child,
    load_fill,
    load_parent,
)
from citadel_micro.core.orders.order_states import ChildState, ParentEvent, ParentState
from citadel_micro.core.risk.circuit_breakers import GLOBAL
from citadel_proto.errors import BadInput
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.engine.account_history import AccountHistory
    from citadel_micro.core.engine.holdings import Holdings
    from citadel_micro.core.engine.signal_intake import SignalIntake
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.executor import SmartOrderExecutor
    from citadel_micro.core.model.events import (
        AccountTrades,
        OrderState,
        Started,
        VenueSnapshot,
        VenueStatus,
    )
    from citadel_micro.core.orders.orders import Parent

REPEATED_NS: Final = 60_000_000_000
"""Parents that changed in this last part of the previous run are reported again."""


class Reconciliation:
    """Loads the last run's state, reconciles it with the venues, then lets the engine trade."""

    def __init__(
        self,
        context: EngineContext,
        executor: SmartOrderExecutor,
        intake: SignalIntake,
        holdings: Holdings,
        history: AccountHistory,
    ) -> None:
        self.due_ns = FAR
        self._history = history
        self._holdings = holdings
        self._config = context.config
        self._algorithms = Algorithms(context.config.algo_defaults)
        self._inst_states = context.inst_states
        self._executor = executor
        self._intake = intake
        self._order_store = context.order_store
        self._risk = context.risk
        self._view = context.view
        self._out = context.out
        self._awaited: dict[str, None] = {}
        self._away: dict[str, None] = {}
        """Venues that could not be reached, or did not report, until now."""
        self._returning: dict[str, None] = {}
        """Those that are back, and have not sent their open orders and balances yet."""
        self._foreign: dict[str, dict[str, None]] = {}
        """By venue: the orders of others in its last answer."""

    def begin(self, started: Started, now_ns: int) -> None:
        """Load the state, mark open orders unknown, query the venues."""
        state = started.state
        if "risk" in state:
            self._out.commands.extend(self._risk.restore(cast("dict[str, object]", state["risk"])))
        self._load_orders(state)
        self._load_portfolio(state, now_ns)
        self._history.reports.restore(state)
        if started.damaged:
            text = f"{started.damaged}; inspect it with `citadel tape info` before resetting"
            self._out.note("error", "journal_damaged", text=text)
            self._out.commands.extend(
                self._risk.trip(RiskCode.JOURNAL_FAULT, GLOBAL, f"journal: {text}", now_ns)
            )
        working = 0
        self._repeat_recent()
        for parent in tuple(self._order_store.active.values()):
            for child in parent.live:
                working += 1
                if parent.instrument is not None:
                    venue = self._config.venues[parent.signal.venue]
                    child.amends_until_ns = now_ns + venue.order_window_ns
                self._executor.sender.mark_unknown(parent, child, now_ns, "restart")
            for child in parent.watched:
                child.query_due_ns = now_ns
            self._executor.advance(parent, now_ns)
        if working:
            # These had a macro before; its lease starts again.
            self._view.leases.begin_anew(now_ns)
        self._awaited = dict.fromkeys(self._config.venues)
        self._history.begin(now_ns)
        self._ask(now_ns)
        self._out.note(
            "info",
            "reconciling",
            venues=len(self._awaited),
            parents=len(self._order_store.active),
            orders_in_doubt=working,
        )
        self.check(now_ns)

    def on_timer(self, now_ns: int) -> None:
        """Query again the venues that have not answered."""
        if now_ns >= self.due_ns:
            self._ask(now_ns)

    def on_venue(self, status: VenueStatus, now_ns: int) -> bool:
        """Let nothing be placed at a venue that does not report, or is not reconciled again yet.

        True when it is back, and may have done things without a report.
        """
        venue, blind = status.venue, self._executor.sender.blind
        if not status.up:
            self._away[venue] = None
        elif status.blind:
            self._away[venue] = None
            blind[venue] = status.reason
        elif venue in self._away:
            del self._away[venue]
            self._returning[venue] = None
            blind[venue] = "it is back, and is asked what it holds of ours"
            self._history.want_traded(venue, now_ns)
            self.due_ns = now_ns
            return True
        return False

    def on_trades(self, answer: AccountTrades, now_ns: int) -> None:
        """Handle the account's trades in one symbol. Also after recovery."""
        self._history.on_trades(answer, now_ns)
        self.check(now_ns)

    def foreign_orders(self) -> dict[str, tuple[str, ...]]:
        """By venue: client ids of the open orders of others, as of its last answer."""
        return {venue: tuple(ids) for venue, ids in self._foreign.items() if ids}

    def on_snapshot(self, snapshot: VenueSnapshot, now_ns: int) -> None:
        """Handle a venue's open orders and balances. Also after recovery."""
        if self._view.reconciling:
            self._history.on_first_snapshot(snapshot, now_ns)
        foreign: dict[str, None] = {}
        for row in snapshot.open_orders:
            if row.client_id in self._order_store.children:
                self._executor.on_report(row, now_ns)
            elif self._executor.sender.is_own(row.venue, row.client_id):
                self._forgotten_order(row)
            else:
                foreign[row.client_id] = None
                self._foreign_order(row)
                self._history.on_foreign_order(row, now_ns)
        self._foreign[snapshot.venue] = foreign
        self._holdings.on_snapshot(snapshot, now_ns)
        for currency, free, used in snapshot.balances:
            balance = self._view.portfolio.balance(snapshot.venue, currency)
            if balance is not None and balance.total != free + used:
                self._out.note(
                    "info",
                    "balance_differs",
                    venue=snapshot.venue,
                    currency=currency,
                    ours=str(balance.total),
                    venue_says=str(free + used),
                )
        self._view.portfolio.set_balances(
            snapshot.venue, snapshot.balances, snapshot.exchange_ns or None
        )
        for symbol, margin in snapshot.isolated:
            position = self._view.portfolio.position(snapshot.venue, symbol)
            if position is not None:
                self._view.portfolio.margin.state_isolated(position, margin)
        self._order_store.holdings_changed()
        self._awaited.pop(snapshot.venue, None)
        if snapshot.venue in self._returning and snapshot.venue not in self._away:
            del self._returning[snapshot.venue]
            self._executor.sender.blind.pop(snapshot.venue, None)
            self._executor.resume(snapshot.venue, now_ns)
        self.check(now_ns)

    def check(self, now_ns: int) -> None:
        """End recovery when every venue has answered and every order is explained."""
        if not self._view.reconciling or self._awaited or self._history.waiting:
            return
        for parent in self._order_store.active.values():
            unknown = any(child.state is ChildState.UNKNOWN for child in parent.live)
            if unknown or not parent.fills_complete:
                return
        self._view.reconciling = False
        for venue in self._config.venues:
            self._out.commands.extend(self._risk.on_reconciled(venue))
        self._out.note("info", "reconciled", parents=len(self._order_store.active))
        self._holdings.begin(now_ns)
        self._intake.on_reconciled(now_ns)
        for parent in tuple(self._order_store.active.values()):
            if parent.state is ParentState.GATING and parent.verdict is None:
                self._intake.admit(parent, now_ns)
            else:
                self._executor.advance(parent, now_ns)

    # inside

    def _ask(self, now_ns: int) -> None:
        wanted = {**self._awaited, **self._returning}
        for venue in wanted:
            sender = self._executor.sender
            if venue not in sender.down and not sender.buckets[venue].take_question(now_ns):
                self._out.commands.append(QueryVenue(venue=venue))
        self.due_ns = now_ns + self._config.reconcile_retry_ns if wanted else FAR

    def _repeat_recent(self) -> None:
        """Report again what continues, and what may have ended without the report arriving."""
        known = self._order_store.known.values()
        newest_ns = max((parent.updated_ns for parent in known), default=0)
        for parent in known:
            recent = parent.updated_ns >= newest_ns - REPEATED_NS
            if recent or parent.id in self._order_store.active:
                self._order_store.repeat(parent)

    def _foreign_order(self, row: OrderState) -> None:
        """An order of another: logged once, and left alone."""
        if row.client_id not in self._foreign.get(row.venue, {}):
            self._out.note(
                "info", "foreign_order", venue=row.venue, symbol=row.symbol, client_id=row.client_id
            )

    def _forgotten_order(self, row: OrderState) -> None:
        self._out.note(
            "warning",
            "forgotten_order_cancelled",
            venue=row.venue,
            symbol=row.symbol,
            client_id=row.client_id,
            filled_lots=row.cumulative_lots,
        )
        self._out.commands.append(
            CancelOrder(venue=row.venue, symbol=row.symbol, client_id=row.client_id)
        )

    def _load_orders(self, state: dict[str, object]) -> None:
        order_store = self._order_store
        order_store.count = cast("int", state.get("seq", 0))
        rows = [cast("dict[str, Any]", v) for k, v in state.items() if k.startswith(PARENT_KEY)]
        stored: dict[str, ParentState] = {}
        for row in sorted(rows, key=lambda row: cast("int", row["number"])):
            parent = load_parent(row)
            stored[parent.id] = ParentState(row["state"])
            order_store.count = max(order_store.count, parent.number)
            order_store.known[parent.id] = parent
            order_store.remembered.names.add(parent.signal.owner)
        self._load_children(state)
        for parent in order_store.known.values():
            self._revive(parent, stored[parent.id])
        order_store.remembered.restore(state, order_store.known)

    def _load_children(self, state: dict[str, object]) -> None:
        order_store = self._order_store
        rows = [
            (key, cast("dict[str, Any]", value))
            for key, value in state.items()
            if key.startswith(CHILD_KEY)
        ]
        numbered = [(int(key.rpartition("-")[2], 36), key, row) for key, row in rows]
        numbered.sort(key=lambda each: each[0])
        for number, key, row in numbered:
            owner = order_store.known.get(cast("str", row["parent"]))
            if owner is None:
                # Written in the same call as its parent and lost with it: it was never sent.
                self._out.note("warning", "child_without_parent", key=key)
                self._out.durable[key] = None
                continue
            child = load_child(row)
            child.number = number
            while (fill := state.get(fill_key(child, child.stored_fills))) is not None:
                load_fill(child, cast("dict[str, Any]", fill))
            owner.children.append(child)
            order_store.index(owner, child)

    def _revive(self, parent: Parent, stored: ParentState) -> None:
        """Instrument, algorithm and counts of a loaded parent."""
        signal = parent.signal
        inst = self._inst_states.get((signal.venue, signal.symbol))
        parent.recount()
        # Its order may have been lost in the crash, and its last report is old then.
        same = status(parent) == status_in(stored, parent)
        if parent.reported_fills == parent.fills and same:
            parent.last_report_key = report_key(
                parent
            )  # as its last revision was; what changes now is a new one
        else:
            self._order_store.touch(parent)
        if parent.state is ParentState.GATING:
            parent.ends_ns = life_ends_ns(parent, self._config.max_signal_skew_ns)
        if inst is not None and parent.state is not ParentState.GATING:
            try:
                set_terms(parent, inst.instrument)
                parent.algo = self._algorithms.choose(
                    signal, fill_or_kill=self._config.venues[signal.venue].fill_or_kill
                )
                set_reach(parent)
                parent.ends_ns = life_ends_ns(parent, self._config.max_signal_skew_ns)
            except BadInput as error:
                if not parent.terminal:
                    self._lost(parent, str(error))
            if parent.ending is not None and not parent.terminal:
                parent.rule(ParentEvent(parent.ending[0]))  # its time is over
                parent.reason_code = ""
        elif inst is None and not parent.terminal and parent.state is not ParentState.GATING:
            self._lost(parent, f"{signal.venue} {signal.symbol} is no longer configured")
        if parent.closed:
            return
        self._order_store.active[parent.id] = self._order_store.awake[parent.id] = parent
        self._order_store.touch(parent)
        if parent.instrument is None or inst is None:
            return
        if parent.state is ParentState.HELD and not parent.live:
            self._order_store.hold(parent, inst)
        else:
            inst.admit(parent)

    def _lost(self, parent: Parent, why: str) -> None:
        text = f"order {parent.id} was working and cannot be taken up: {why}; restore it"
        self._out.note("error", "parent_lost", signal_id=parent.id, text=text)
        self._out.commands.extend(
            self._risk.trip(RiskCode.JOURNAL_FAULT, GLOBAL, text, parent.updated_ns)
        )

    def _load_portfolio(self, state: dict[str, object], now_ns: int) -> None:
        row = cast("dict[str, Any] | None", state.get("portfolio"))
        if row is None:
            return
        self._view.portfolio.load(row["holdings"])
        # The portfolio is written before the orders. Fills that it holds and whose order lost them
        # in the crash are restored there, otherwise they would be counted twice.
        for fill in row["last_fills"]:
            client_id, rest = fill["client_id"], dict(fill)
            found = self._order_store.children.get(client_id)
            if found is None:
                continue
            parent, child = found
            mid = rest.pop("mid_half_ticks")
            rest["fee"] = Decimal(rest["fee"])
            rest["exact"] = ExactFill.of_row(rest.get("exact"))
            if child.note_fill(OrderFilled(**rest), now_ns, mid) is not None:
                parent.changed(child)
                parent.count(child)
                self._order_store.touch(parent)
