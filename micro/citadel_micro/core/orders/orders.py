"""Orders and their accounting: never more than asked, and provably so.

One parent has a target T. F is what its children have filled, each counted at the larger of its
unique fills and the highest total the venue has named (which only grows). A child reserves
U = quantity - filled until it is proven terminal. A new child may have at most T - F - ΣU. An
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
from citadel_micro.core.orders.order_states import (
    OUTCOMES,
    PARENT_TABLE,
    ParentEvent,
    ParentPhase,
    ParentState,
    after,
    state_of,
)
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from citadel_micro.core.model.traits import Traits

SAME_BOOK_NS: Final = SECOND
"""In a quiet market no newer book may come for minutes, and an exit has not that long."""


class ParentAlgorithm(Protocol):
    """What a parent and its executor ask of an algorithm; ``core.algos.base.Algorithm`` is one."""

    name: ClassVar[str]
    traits: ClassVar[Traits]
    armed: bool
    post_only: bool
    values: Mapping[str, str | int | float | bool]
    wake_ns: int
    working_ns: int
    grace_ns: int

    def forget(self) -> None:
        """Decide afresh next time."""

    def cap(self, parent: Parent) -> int:
        """Worst price that it would pay, in ticks times the side's sign; FAR for none."""

    # What it looks at, and what it answers, is above: an instrument's state knows the parents, and
    # decisions are those of ``core.algos.base``.
    def decide(self, parent: Parent, inst: Any, now_ns: int) -> Any:  # noqa: ANN401
        """What should be out now."""


IDLE: Final = ("NOT_MARKETABLE", "HALTED", "KILLED")
"""Reasons of a pause that says nothing about the other orders of the symbol."""


@dataclass(slots=True, kw_only=True, eq=False)
class Parent:
    """What somebody asked for, and everything done about it."""

    signal: SignalReceived
    instrument: Instrument | None
    """None for a signal that named an unknown one; such a parent is DENIED."""
    number: int
    """Counts parents across runs; client ids derive from it."""
    own: bool
    """Made by micro itself (a flattening)."""
    created_ns: int
    target: int = 0
    """T, in lots."""
    limit_ticks: int | None = None
    """Worst acceptable price: the signal's limit, rounded to its own side of the tick."""
    stop_ticks: int | None = None
    reduce_only: bool = False
    reducing: bool = False
    """The gate found it, at admission, to be a reduction of the position."""
    through_halt: bool = False
    """A flattening that was asked to pass a halt."""
    phase: ParentPhase = ParentPhase.GATING
    outcome: ParentState | None = None
    """Of one that is TERMINAL."""
    paused: bool = False
    """No order is out, and none may be placed now: ``reason`` says why."""
    children: list[Child] = field(default_factory=list)
    live: list[Child] = field(default_factory=list)
    """Children that are not proven terminal."""
    watched: list[Child] = field(default_factory=list)
    """Children that are not proven terminal, or of which not every fill is known."""
    with_fills: list[Child] = field(default_factory=list)
    """Children that have filled, in the order of ``children``."""
    unstored: dict[str, Child] = field(default_factory=dict)
    """Children that have changed since they were stored."""
    fills: int = 0
    """Number of fills of all children."""
    cost: int = 0
    """Sum of ticks times lots of these fills."""
    filled: int = 0
    """F, in lots."""
    unbooked: int = 0
    """The part of F that is not in the portfolio: counted by the venue, its fills not yet seen."""
    algo: ParentAlgorithm | None = None
    algo_state: Mapping[str, object] = field(default_factory=dict)
    """What its algorithm remembers: plain data, replaced as a whole (``Algorithm.decide``)."""
    triggered: bool = False
    reason_code: str = ""
    reason: str = ""
    permitted: int | None = None
    verdict: ParentEvent | None = None
    """How it shall end once nothing is live; None while it goes on."""
    ending: list[str] | None = None
    """Event, code and reason of the end that a completion has put off (``core.execution.completion``)."""
    updated_ns: int = 0
    accepted_ns: int = 0
    """When the working time began: admission, or the trigger of a stop."""
    ends_ns: int = FAR
    """When its life ends, whatever its algorithm would still do (``core.orders.order_life``)."""
    done_ns: int = 0
    revision: int = 0
    reprices: int = 0
    placed: int = 0
    """Children ever made, those that are forgotten included."""
    arrival_half_ticks: int = 0
    """Best bid + best ask in ticks at admission (at the trigger of a stop)."""
    arrival_traded: float = 0.0
    """What its market had traded then; of this run, not stored."""
    release_half_ticks: int = 0
    """The same when the first child was placed."""
    final_half_ticks: int = 0
    # venue refusals
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
    """What the last report was about, so that nothing is reported twice."""
    told_fills: int = 0
    """Fills in the last report."""
    written: dict[str, object] | None = None
    """Its last durable form."""
    signal_row: dict[str, object] | None = None
    """The signal's part of it, made once."""

    @property
    def id(self) -> str:
        """The signal's id."""
        return self.signal.signal_id

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self.signal.side == "buy" else -1

    @property
    def rank(self) -> int:
        """Whose exit goes first: a flattening 2, a stop that has triggered 1, all others 0."""
        return 2 if self.own else int(self.triggered)

    def precedes(self, other: Parent) -> bool:
        """Whether it comes before another of its side where both reduce one position."""
        if self.rank != other.rank:
            return self.rank > other.rank
        return (self.accepted_ns, self.number) < (other.accepted_ns, other.number)

    @property
    def exits(self) -> bool:
        """It reduces a position: by its own promise, or as the gate found at its admission.

        Then it does so to its end. What a stop has sold meanwhile it does not sell once more.
        """
        return self.reduce_only or self.reducing

    @property
    def out(self) -> int:
        """Lots of it that the portfolio may move by whatever is decided from now on."""
        return self.reserved + self.unbooked

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
        """What it is doing, in one word."""
        if self.outcome is not None:
            return self.outcome
        if not self.live:
            return state_of(self.phase, None, paused=self.paused)
        child = self.live[0]
        state = state_of(self.phase, child.state, paused=False)
        if child.ioc and not child.unknown_since_ns:
            taking = state is ParentState.PLACING or state is ParentState.WORKING
            return ParentState.CROSSING if taking else state
        return ParentState.CAPPED if child.capped and state is ParentState.WORKING else state

    @property
    def instrument_unknown(self) -> bool:
        """It has an order out on an instrument that this run does not know.

        It can be neither watched nor valued. It is kept as it is, for a run that knows it again.
        """
        return self.instrument is None and bool(self.live)

    @property
    def reserved(self) -> int:
        """ΣU, in lots."""
        live = self.live
        if len(live) == 1:  # nearly always, and asked of every parent by every judgement
            return live[0].reserved
        return sum(child.reserved for child in live)

    @property
    def remaining(self) -> int:
        """T - F, never below zero."""
        return max(0, self.target - self.filled)

    @property
    def available(self) -> int:
        """T - F - ΣU: what a new child may have."""
        return self.target - self.filled - self.reserved

    @property
    def fills_complete(self) -> bool:
        """Every fill that any child has had is known in detail."""
        return self.unbooked == 0

    @property
    def pending(self) -> int:
        """Lots that the portfolio may still move by: none while it is judged or held as a stop."""
        phase = self.phase
        if phase is ParentPhase.TERMINAL or self.verdict is not None:
            return self.reserved + self.unbooked
        if phase is ParentPhase.GATING or phase is ParentPhase.HELD:
            return 0
        return max(self.target - self.filled, self.reserved) + self.unbooked

    @property
    def claims(self) -> int:
        """Lots of a position that those behind it have to leave to it.

        All that it may still fill, but for one that can place nothing, by its own limit or since
        its strategy is halted, for however long: the others would wait with it.
        """
        idle = self.state is ParentState.PAUSED and self.reason_code in IDLE
        return self.out if idle else self.pending

    @property
    def closed(self) -> bool:
        """Ended, with nothing live and every fill known: it can be left alone."""
        return self.phase is ParentPhase.TERMINAL and not self.live and self.fills_complete

    def await_book(self, book: tuple[int, int], now_ns: int) -> None:
        """Place nothing on this book; an exit tries it once more where no newer one comes."""
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

    def add(self, child: Child) -> None:
        """Take a new child into the budget.

        Raises InvariantError, changing nothing, when it would exceed it or a child is live.
        """
        if self.live:
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
        self.changed(child)

    def changed(self, child: Child) -> None:
        """The child has to be stored again."""
        self.unstored[child.client_id] = child

    def count(self, child: Child) -> None:
        """Bring F and the lists up to date after one child has changed.

        A parent may have thousands of children, so the others are not looked at.
        """
        filled, seen, fills = child.counted
        self.filled += child.filled - filled
        self.unbooked += child.filled - child.seen_lots - (filled - seen)
        for fill in child.fills[fills:]:
            self.fills += 1
            self.cost += fill.price_ticks * fill.quantity_lots
        child.counted = (child.filled, child.seen_lots, len(child.fills))
        _keep(self.live, child, wanted=not child.terminal)
        if self.live:
            self.paused = False
        _keep(self.watched, child, wanted=not (child.terminal and child.fills_complete))
        if fills == 0:
            _keep(self.with_fills, child, wanted=bool(child.fills))

    def recount(self) -> None:
        """Count everything anew, after children were loaded."""
        self.filled = self.unbooked = self.fills = self.cost = 0
        self.live, self.watched, self.with_fills = [], [], []
        for child in self.children:
            child.counted = (0, 0, 0)
            self.count(child)

    @property
    def overfilled(self) -> bool:
        """F + ΣU > T: the venue has broken its word, or we have."""
        return self.filled + self.reserved > self.target


def _keep(rows: list[Child], child: Child, *, wanted: bool) -> None:
    """Have a child in a list or not; the list stays in the order in which they were placed."""
    if wanted is (child in rows):
        return
    if not wanted:
        rows.remove(child)
        return
    rows.append(child)
    if len(rows) > 1 and rows[-2].placed_ns > child.placed_ns:
        rows.sort(key=lambda each: each.placed_ns)
