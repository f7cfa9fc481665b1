"""Orders and their accounting: no overfill, provably.

One parent has a target T. F is what its children have filled, each counted at the larger of its
unique fills and the highest total the venue has reported (which only grows). A child reserves
U = quantity - filled until it is confirmed terminal. A new child may have at most T - F - ΣU. An
amend in flight reserves the larger of the old and the new quantity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from citadel_micro.core.model.events import SignalReceived
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.core.model.time_units import FAR, SECOND
from citadel_micro.core.orders.children import Child
from citadel_micro.core.orders.fractions import spare_lots
from citadel_micro.core.orders.open_orders import NOWHERE, PendingChanges
from citadel_micro.core.orders.order_states import (
    OUTCOMES,
    PARENT_TABLE,
    ChildState,
    ParentEvent,
    ParentPhase,
    ParentState,
    after,
    first_of,
    state_of,
)
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from citadel_micro.core.model.traits import Traits

_AT_VENUE: Final = (ChildState.PLACING, ChildState.WORKING)
SAME_BOOK_NS: Final = SECOND
"""In a quiet market no newer book may come for minutes, and an exit cannot wait that long."""


class ParentAlgorithm(Protocol):
    """What a parent and its executor need from an algorithm; ``core.algos.base.Algorithm`` is one."""

    name: ClassVar[str]
    traits: ClassVar[Traits]
    most_live: int
    armed: bool
    post_only: bool
    values: Mapping[str, str | int | float | bool]
    wake_ns: int
    working_ns: int
    grace_ns: int
    beyond_bps: float

    def forget(self) -> None:
        """Decide from scratch next time."""

    def cap(self, parent: Parent) -> int:
        """Its worst price, in ticks times the side's sign; FAR for none."""

    def trigger_ticks(self, parent: Parent) -> int | None:
        """Price at which a held one triggers now, in ticks."""

    # Its arguments and decisions are typed above this level: an instrument's state knows the parents,
    # and decisions are those of ``core.algos.base``.
    def decide(self, parent: Parent, inst: Any, now_ns: int) -> Any:  # noqa: ANN401
        """Which order should be working."""

    def unmoved(self, parent: Parent, inst: Any) -> Any:  # noqa: ANN401
        """While what of the market stays nothing is to be decided."""


IDLE: Final = ("NOT_MARKETABLE", "HALTED", "KILLED")
"""Reasons of a pause that says nothing about the other orders of the symbol."""


@dataclass(slots=True, kw_only=True, eq=False)
class Parent:
    """A requested order, and everything done about it."""

    signal: SignalReceived
    instrument: Instrument | None
    """None for a signal that named an unknown one; such a parent is DENIED."""
    number: int
    """Counts parents across runs; client ids derive from it."""
    own: bool
    """Created by micro itself (a flattening)."""
    created_ns: int
    target: int = 0
    """T, in lots."""
    limit_ticks: int | None = None
    """Worst acceptable price: the signal's limit, rounded to its own side of the tick."""
    stop_ticks: int | None = None
    reduce_only: bool = False
    reducing: bool = False
    """The gate classified it, at admission, as a reduction of the position."""
    through_halt: bool = False
    """A flattening requested to pass a halt."""
    phase: ParentPhase = ParentPhase.GATING
    outcome: ParentState | None = None
    """Of one that is TERMINAL."""
    paused: bool = False
    """No order is live, and none may be placed now: ``reason`` says why."""
    children: list[Child] = field(default_factory=list)
    live: list[Child] = field(default_factory=list)
    """Children that are not confirmed terminal."""
    watched: list[Child] = field(default_factory=list)
    """Children that are not confirmed terminal, or of which not every fill is known."""
    with_fills: list[Child] = field(default_factory=list)
    """Children that have filled, in the order of ``children``."""
    unstored: dict[str, Child] = field(default_factory=dict)
    """Children that have changed since they were stored."""
    fills: int = 0
    """Number of fills of all children."""
    cost: int = 0
    """Sum of ticks times lots of these fills."""
    fractional: bool = False
    """One of them was no whole number of ticks or lots (``core.orders.fractions``)."""
    filled: int = 0
    """F, in lots."""
    unbooked: int = 0
    """The part of F that is not in the portfolio: counted by the venue, its fills not yet reported."""
    algo: ParentAlgorithm | None = None
    algo_state: Mapping[str, object] = field(default_factory=dict)
    """The algorithm's state: plain data, replaced as a whole (``Algorithm.decide``)."""
    triggered: bool = False
    reason_code: str = ""
    reason: str = ""
    permitted: int | None = None
    sized: str = ""
    """Why it was given less than it asked for: ``permitted`` lots, its target. Durable, so that a restart
    does not add the rest again."""
    verdict: ParentEvent | None = None
    """How it will end once nothing is live; None while it continues."""
    ending: list[str] | None = None
    """Event, code and reason of the end that a completion has postponed (``core.execution.completion``)."""
    updated_ns: int = 0
    accepted_ns: int = 0
    """When the working time began: admission, or the trigger of a stop."""
    ends_ns: int = FAR
    """When it expires, whichever its algorithm (``core.orders.order_life``)."""
    done_ns: int = 0
    revision: int = 0
    reprices: int = 0
    placed: int = 0
    """Children ever created, dropped ones included."""
    arrival_mid2_ticks: int = 0
    """Best bid + best ask in ticks at admission (at the trigger of a stop)."""
    arrival_traded: float = 0.0
    """Volume traded in its market by then; of this run, not stored."""
    release_mid2_ticks: int = 0
    """The same when the first child was placed."""
    final_mid2_ticks: int = 0
    # venue rejects
    rejects: int = 0
    """In a row."""
    post_only_rejects: int = 0
    resume_ns: int = 0
    """Nothing is placed before this."""
    resume_book: tuple[int, int] = (-1, 0)
    """Nothing is placed on this book (``InstrumentState.book_id``); the default is that of none at all."""
    same_book_ns: int = FAR
    """... but from this time on it is, in ns."""
    last_report_key: tuple[object, ...] = ()
    """Content of the last report, so that nothing is reported twice."""
    reported_fills: int = 0
    """Fills in the last report."""
    written: dict[str, object] | None = None
    """Its last durable form."""
    signal_row: dict[str, object] | None = None
    """The signal's part of it, built once."""
    pending_changes: PendingChanges = NOWHERE
    """Of its instrument: whatever changes ``pending`` notes it there."""

    id: str = field(init=False)
    """The signal's id."""
    sign: int = field(init=False)
    """+1 for a buy, -1 for a sell."""

    def __post_init__(self) -> None:
        """Set what is read some twenty times for an order that leaves."""
        self.id = self.signal.signal_id
        self.sign = 1 if self.signal.side == "buy" else -1

    @property
    def rank(self) -> int:
        """Exit priority: a flattening 2, a stop that has triggered 1, all others 0."""
        return 2 if self.own and self.signal.kind != "stop" else int(self.triggered)

    def precedes(self, other: Parent) -> bool:
        """Whether it has priority over another of its side where both reduce one position."""
        if self.rank != other.rank:
            return self.rank > other.rank
        return (self.accepted_ns, self.number) < (other.accepted_ns, other.number)

    @property
    def exits(self) -> bool:
        """It reduces a position: as its signal declares, or as the gate found at its admission.

        Then it does so to its end. It does not sell again what a stop has sold meanwhile.
        """
        return self.reduce_only or self.reducing

    @property
    def out(self) -> int:
        """Its lots that may still change the position: open at the venue, or filled and not booked yet."""
        return self.reserved + self.unbooked

    @property
    def choice(self) -> tuple[str, str]:
        """What its algorithm has chosen to do, as reason code and text; empty where it had no choice."""
        state = self.algo_state
        return (f"{state['chosen']}".upper(), f"{state['why']}") if "why" in state else ("", "")

    @property
    def rules(self) -> Instrument:
        """The instrument. Raises InvariantError on a parent that was denied for having none."""
        if self.instrument is None:
            raise InvariantError(f"parent {self.id}: no instrument {self.signal.symbol}")
        return self.instrument

    @property
    def terminal(self) -> bool:
        """Whether it has ended."""
        return self.phase is ParentPhase.TERMINAL

    @property
    def state(self) -> ParentState:
        """Its detailed state."""
        if self.outcome is not None:
            return self.outcome
        live = self.live
        if not live or self.phase is not ParentPhase.ACTIVE:
            return state_of(self.phase, paused=self.paused and not live)
        word = live[0].doing
        if len(live) > 1:
            for child in live:
                word = first_of(word, child.doing)
        return word

    @property
    def instrument_unknown(self) -> bool:
        """It has a live order on an instrument that this run does not know.

        It can be neither watched nor valued. It is kept unchanged, for a run that knows it again.
        """
        return self.instrument is None and bool(self.live)

    @property
    def reserved(self) -> int:
        """ΣU, in lots."""
        live = self.live
        if len(live) == 1:  # nearly always, and evaluated for every parent by every check
            return live[0].reserved
        if not live:
            return 0
        return sum(child.reserved for child in live)

    @property
    def remaining(self) -> int:
        """T - F, never below zero."""
        return max(0, self.target - self.filled)

    @property
    def available(self) -> int:
        """T - F - ΣU: the maximum for a new child."""
        spare = spare_lots(self.with_fills, self.rules) if self.fractional else 0
        return self.target - self.filled - self.reserved - spare

    @property
    def fills_complete(self) -> bool:
        """Every fill of every child is known in detail."""
        return self.unbooked == 0

    @property
    def pending(self) -> int:
        """Lots that may still change the portfolio: none while it is checked or held as a stop."""
        phase = self.phase
        if phase is ParentPhase.TERMINAL or self.verdict is not None:
            return self.reserved + self.unbooked
        if phase is ParentPhase.GATING or phase is ParentPhase.HELD:
            return 0
        rest, live = self.target - self.filled, self.live
        if live:
            child = live[0]
            # A child reserves no more than its quantity, or that of its amend: nearly always within the rest.
            if len(live) > 1 or child.quantity_lots > rest or child.amend_quantity_lots > rest:
                return max(rest, self.reserved) + self.unbooked
        elif rest < 0:
            rest = 0
        return rest + self.unbooked

    @property
    def claims(self) -> int:
        """Lots of a position that exits of lower priority have to leave to it.

        Everything that it may still fill, except for one that can place nothing, by its own limit or
        because its strategy is halted, for however long: the others would wait with it.
        """
        idle = self.state is ParentState.PAUSED and self.reason_code in IDLE
        return self.out if idle else self.pending

    @property
    def closed(self) -> bool:
        """Ended, with nothing live and every fill known: it needs no further attention."""
        return self.phase is ParentPhase.TERMINAL and not self.live and self.fills_complete

    def await_book(self, book: tuple[int, int], now_ns: int) -> None:
        """Place nothing on this book; an exit retries it once where no newer one comes."""
        self.resume_book = book
        self.same_book_ns = now_ns + SAME_BOOK_NS if self.exits else FAR

    def awaits_book(self, book: tuple[int, int], now_ns: int) -> bool:
        """Whether this is still the book to place nothing on."""
        return book == self.resume_book and now_ns < self.same_book_ns

    def step(self, event: ParentEvent) -> None:
        """Move along the table. Raises InvariantError, changing nothing, for an illegal move."""
        self.phase = after(PARENT_TABLE, self.phase, event, f"parent {self.id}")
        self.outcome = OUTCOMES.get(event)
        self.paused = False
        self.pending_changes.note()

    def rule(self, end: ParentEvent | None) -> None:
        """Set ``verdict``."""
        self.verdict = end
        self.pending_changes.note()

    def retarget(self, lots: int) -> None:
        """Set ``target``."""
        self.target = lots
        self.pending_changes.note()

    def belong(self, changes: PendingChanges) -> None:
        """It is on the instrument of these changes."""
        self.pending_changes = changes
        for child in self.children:
            child.pending_changes = changes
        changes.note()

    @property
    def most_live(self) -> int:
        """Maximum number of its live children."""
        return 1 if self.algo is None else self.algo.most_live

    @property
    def busy(self) -> bool:
        """Whether nothing can be decided: no child may be added, and no live one changed."""
        live = self.live
        if not live:
            return False  # every algorithm has at least one
        most = self.most_live
        if len(live) < most:
            return False
        return len(live) > most or all(c.state is not ChildState.WORKING for c in live)

    @property
    def taking(self) -> bool:
        """Only immediate orders are live: they end by themselves, sooner than a cancel would arrive."""
        for child in self.live:
            if not child.ioc or child.state not in _AT_VENUE:
                return False
        return bool(self.live)

    def beside(self, child: Child | None) -> tuple[int, int]:
        """Lots of all live orders but this one, and these lots times their prices in ticks."""
        lots = cost = 0
        for other in self.live:
            if other is not child:
                lots += other.reserved
                cost += other.worst_ticks * other.reserved
        return lots, cost

    def add(self, child: Child) -> None:
        """Add a new child to the budget.

        Raises InvariantError, changing nothing, when it would exceed it or too many are live.
        """
        if len(self.live) >= self.most_live:
            raise InvariantError(f"parent {self.id}: {self.live[0].client_id} is still live")
        if not 0 < child.quantity_lots <= self.available:
            raise InvariantError(
                f"parent {self.id}: child of {child.quantity_lots} lots, {self.available} available"
            )
        self.paused = False
        self.children.append(child)
        self.live.append(child)
        self.watched.append(child)
        self.placed += 1
        child.number = self.placed
        child.pending_changes = self.pending_changes
        self.pending_changes.note()
        self.changed(child)

    def changed(self, child: Child) -> None:
        """The child has to be stored again."""
        self.unstored[child.client_id] = child

    def count(self, child: Child) -> None:
        """Update F and the lists after one child has changed.

        A parent may have thousands of children, so the others are not visited.
        """
        self.pending_changes.note()
        filled, seen, fills = child.counted
        self.filled += child.filled - filled
        self.unbooked += child.filled - child.seen_lots - (filled - seen)
        for fill in child.fills[fills:]:
            self.fills += 1
            self.cost += fill.price_ticks * fill.quantity_lots
            self.fractional = self.fractional or fill.exact is not None
        child.counted = (child.filled, child.seen_lots, len(child.fills))
        _keep(self.live, child, wanted=not child.terminal)
        if self.live:
            self.paused = False
        _keep(self.watched, child, wanted=not (child.terminal and child.fills_complete))
        if fills == 0:
            _keep(self.with_fills, child, wanted=bool(child.fills))

    def recount(self) -> None:
        """Recount everything, after children were loaded."""
        self.filled = self.unbooked = self.fills = self.cost = 0
        self.live, self.watched, self.with_fills = [], [], []
        for child in self.children:
            child.counted = (0, 0, 0)
            child.pending_changes = self.pending_changes
            self.count(child)

    @property
    def overfilled(self) -> bool:
        """F + ΣU > T: the venue or we have broken a rule."""
        return self.filled + self.reserved > self.target


def _keep(rows: list[Child], child: Child, *, wanted: bool) -> None:
    """Have a child in a list or not; the list stays in the order in which they were placed."""
    if wanted is (child in rows):
        return
    if not wanted:
        rows.remove(child)
        return
    rows.append(child)
    if len(rows) > 1 and rows[-2].number > child.number:
        rows.sort(key=lambda each: each.number)
