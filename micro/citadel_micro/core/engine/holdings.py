"""Whether the venue holds what our fills say it must: asked now and then, and halted where not.

A statement is compared with our own books as far as orders on their way leave no doubt: what may
have filled unheard explains a difference up to its own size, and a statement older than a fill that
is booked says nothing. A derivative position must agree; of a coin there must be as much as the
spot positions in it are, for an account may well hold more than this program has bought.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.core.model.commands import QueryVenue
from citadel_micro.core.model.time_units import FAR, SECOND
from citadel_micro.core.risk.circuit_breakers import symbol_scope
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.executor import SmartOrderExecutor
    from citadel_micro.core.model.events import Side, VenueSnapshot
    from citadel_micro.core.orders.instrument_state import InstrumentState

MISMATCH: Final = RiskCode.POSITION_MISMATCH
AGAIN_NS: Final = 2 * SECOND
"""After a difference was found, or no message could be spent on the question."""
YOUNG_NS: Final = 5 * SECOND
"""A statement without a time says nothing about a position that changed this short a while ago."""
_ZERO: Final = Decimal(0)
_Key = tuple[str, str]


class _Difference(NamedTuple):
    """One symbol, in units of its quantity."""

    ours: Decimal
    theirs: Decimal
    """What the position would be by the venue's word."""
    text: str


class Holdings:
    """Asks the venues, compares, trips ``POSITION_MISMATCH``; and takes over what a person accepts.

    Resetting such a trip accepts the venue's word: the position then is what it said last.
    """

    def __init__(self, context: EngineContext, executor: SmartOrderExecutor) -> None:
        self._config = context.config
        self._inst_states = context.inst_states
        self._sender = executor.sender
        self._order_store = context.order_store
        self._risk = context.risk
        self._view = context.view
        self._out = context.out
        self._ask_ns = dict.fromkeys(context.config.venues, FAR)
        self._first: dict[str, VenueSnapshot] = {}
        """Told while recovery goes on: compared when it has found every fill."""
        self._differ: dict[_Key, _Difference] = {}

    def begin(self, now_ns: int) -> None:
        """Recovery has explained everything else."""
        for venue in self._ask_ns:
            self._plan(venue, now_ns)
        for snapshot in self._first.values():
            self.on_snapshot(snapshot, now_ns)
        self._first.clear()

    def on_tick(self, now_ns: int) -> None:
        """Ask the venues that are due."""
        for key in tuple(self._differ):
            self._accept(key, now_ns)
        for venue, due_ns in self._ask_ns.items():
            if now_ns < due_ns:
                continue
            self._ask_ns[venue] = now_ns + AGAIN_NS
            if venue in self._sender.down or self._sender.buckets[venue].take_question(now_ns):
                continue
            self._plan(venue, now_ns)
            self._out.commands.append(QueryVenue(venue=venue))

    def on_snapshot(self, snapshot: VenueSnapshot, now_ns: int) -> None:
        """Compare one statement with what we hold there."""
        if self._view.reconciling:
            self._first[snapshot.venue] = snapshot
            return
        found: dict[_Key, _Difference] = {}
        spot: dict[str, list[InstrumentState]] = {}
        positions = None if snapshot.positions is None else dict(snapshot.positions)
        for key, inst in self._inst_states.items():
            if key[0] != snapshot.venue or not self._comparable(inst, snapshot, now_ns):
                continue
            if inst.instrument.kind == "spot":
                spot.setdefault(inst.instrument.base, []).append(inst)
            elif positions is not None:
                self._derivative(inst, positions.get(key[1], _ZERO), found)
        if snapshot.balances:
            totals = {currency: free + used for currency, free, used in snapshot.balances}
            for base, inst_states in spot.items():
                self._coin(base, inst_states, totals.get(base, _ZERO), found)
        self._report(snapshot.venue, found, now_ns)

    # inside

    def _plan(self, venue: str, now_ns: int) -> None:
        every_ns = self._config.compare_ns
        self._ask_ns[venue] = now_ns + every_ns if every_ns else FAR

    def _comparable(self, inst: InstrumentState, snapshot: VenueSnapshot, now_ns: int) -> bool:
        """Whether the statement is younger than everything that is booked."""
        position = self._view.portfolio.position(*inst.key)
        if position is None:
            return True
        if snapshot.exchange_ns and position.exchange_ns:
            return snapshot.exchange_ns >= position.exchange_ns
        return now_ns - position.updated_ns >= YOUNG_NS

    def _flight(self, inst: InstrumentState, side: Side) -> Decimal:
        """What may have filled on a side without our having heard of it."""
        lots = sum(
            parent.reserved + parent.unbooked
            for parent in inst.parents
            if parent.signal.side == side
        )
        return inst.instrument.quantity(lots)

    def _derivative(
        self, inst: InstrumentState, theirs: Decimal, found: dict[_Key, _Difference]
    ) -> None:
        ours = self._view.portfolio.quantity(*inst.key)
        least, most = ours - self._flight(inst, "sell"), ours + self._flight(inst, "buy")
        if not least <= theirs <= most:
            text = f"the venue says {theirs}, our fills make {ours}"
            found[inst.key] = _Difference(ours, theirs, text)

    def _coin(
        self,
        base: str,
        inst_states: list[InstrumentState],
        there: Decimal,
        found: dict[_Key, _Difference],
    ) -> None:
        """The coins of several pairs are one holding: what is missing goes to the largest first."""
        quantity = self._view.portfolio.quantity
        ours = {inst.key: quantity(*inst.key) for inst in inst_states}
        leaving = sum((self._flight(inst, "sell") for inst in inst_states), _ZERO)
        grain = max(inst.instrument.lot for inst in inst_states)
        missing = sum(ours.values(), _ZERO) - leaving - there
        if missing < grain:
            return
        text = f"the venue has {there} {base}, our fills make {sum(ours.values(), _ZERO)}"
        for key in sorted(ours, key=lambda each: -ours[each]):
            part = min(missing, ours[key])
            if part > 0:
                found[key] = _Difference(ours[key], ours[key] - part, text)
                missing -= part

    def _report(self, venue: str, found: dict[_Key, _Difference], now_ns: int) -> None:
        again = False
        for key in [each for each in self._differ if each[0] == venue and each not in found]:
            del self._differ[key]
        for key, difference in found.items():
            scope = symbol_scope(*key)
            known = self._risk.breakers.find(MISMATCH, scope)
            self._differ[key] = difference
            if known is None or known.phase != "tripped":
                again = True
                self._out.note(
                    "error", "position_mismatch", venue=key[0], symbol=key[1], text=difference.text
                )
                self._out.commands.extend(self._risk.trip(MISMATCH, scope, difference.text, now_ns))
        if again:
            # The second look completes the reconciliation that a reset needs.
            self._ask_ns[venue] = now_ns + AGAIN_NS
        elif not any(
            self._view.unknown_children(*key) for key in self._inst_states if key[0] == venue
        ):
            self._out.commands.extend(self._risk.on_reconciled(venue))

    def _accept(self, key: _Key, now_ns: int) -> None:
        """Take over the venue's word once the trip was reset."""
        trip = self._risk.breakers.find(MISMATCH, symbol_scope(*key))
        if trip is not None and trip.phase == "tripped":
            return
        difference = self._differ[key]
        if self._view.portfolio.adopt(self._inst_states[key].instrument, difference.theirs, now_ns):
            del self._differ[key]
            self._order_store.holdings_changed()
            self._out.note(
                "warning",
                "position_adopted",
                venue=key[0],
                symbol=key[1],
                ours=str(difference.ours),
                now=str(difference.theirs),
            )
