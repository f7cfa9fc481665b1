"""Whether the venue's positions and balances match our fills: checked now and then, halted where not.

A statement is compared with our own books as far as orders in flight leave no doubt: possible
unreported fills explain a difference up to their own size, and a statement older than a booked
fill is ignored. A derivative position must match; of a coin there must be at least the sum of its
spot positions, because an account may well hold more than this program has bought.

A venue's position may lag behind its own trades, so nothing trips before a second statement, and
where the venue provides trades, not before these were read: an unreported fill and trades of
others explain themselves.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.core.model.commands import QueryVenue
from citadel_micro.core.model.time_units import FAR, SECOND
from citadel_micro.core.risk.circuit_breakers import symbol_scope
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.engine.account_history import AccountHistory
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.executor import SmartOrderExecutor
    from citadel_micro.core.model.events import Side, VenueSnapshot
    from citadel_micro.core.orders.instrument_state import InstrumentState

MISMATCH: Final = RiskCode.POSITION_MISMATCH
AGAIN_NS: Final = 2 * SECOND
"""After a difference was found, or no message could be spent on the query."""
MOST_LOOKS: Final = 15
"""At a difference that persists, because the venue does not provide its trades or somebody
else trades all the time."""
LATE_NS: Final = 60 * SECOND
"""A statement that is older than the last one by more is of a clock that was set back."""
YOUNG_NS: Final = 5 * SECOND
"""A statement without a time is ignored for a position that changed this recently."""
_ZERO: Final = Decimal(0)
_Key = tuple[str, str]


class _Difference(NamedTuple):
    """One symbol, in units of its quantity."""

    ours: Decimal
    theirs: Decimal
    """The venue's position."""
    text: str
    exchange_ns: int
    """Of the statement."""


class _Suspect(NamedTuple):
    """A difference that may still explain itself."""

    since_ns: int
    looks: int
    theirs: Decimal
    exchange_ns: int
    """Of the statement that it was first seen in."""


class Holdings:
    """Queries the venues, compares, trips ``POSITION_MISMATCH``; and adopts what the operator accepts.

    Resetting such a trip accepts the venue's figure: the position becomes its last statement.
    """

    def __init__(
        self, context: EngineContext, executor: SmartOrderExecutor, history: AccountHistory
    ) -> None:
        self._history = history
        self._config = context.config
        self._inst_states = context.inst_states
        self._sender = executor.sender
        self._order_store = context.order_store
        self._risk = context.risk
        self._view = context.view
        self._out = context.out
        self._ask_ns = dict.fromkeys(context.config.venues, FAR)
        self._first: dict[str, VenueSnapshot] = {}
        """Received during recovery: compared when it has found every fill."""
        self._differ: dict[_Key, _Difference] = {}
        self._suspects: dict[_Key, _Suspect] = {}
        self._compared_ns: dict[str, int] = {}
        """Venue's time of the last statement that was compared."""

    def begin(self, now_ns: int) -> None:
        """Recovery has explained everything else."""
        for venue in self._ask_ns:
            self._plan(venue, now_ns)
        for snapshot in self._first.values():
            self.on_snapshot(snapshot, now_ns)
        self._first.clear()

    @property
    def due_ns(self) -> int:
        """Before then ``on_tick`` does nothing."""
        if self._differ or self._order_store.doubted or self._history.moved:
            return 0
        return min(self._ask_ns.values(), default=FAR)

    def on_tick(self, now_ns: int) -> None:
        """Query the venues that are due."""
        for key in tuple(self._differ):
            self._accept(key, now_ns)
        doubted = self._order_store.doubted
        for key in doubted:
            self._history.want(key, now_ns)
            self._ask_ns[key[0]] = min(self._ask_ns[key[0]], now_ns)
        doubted.clear()
        for name in self._history.moved:
            self._ask_ns[name] = now_ns
        self._history.moved.clear()
        for venue, due_ns in self._ask_ns.items():
            if now_ns < due_ns:
                continue
            self._ask_ns[venue] = now_ns + AGAIN_NS
            if venue in self._sender.down or self._sender.buckets[venue].take_question(now_ns):
                continue
            self._plan(venue, now_ns)
            self._out.commands.append(QueryVenue(venue=venue))

    def on_snapshot(self, snapshot: VenueSnapshot, now_ns: int) -> None:
        """Compare one statement with our positions there."""
        if self._view.reconciling:
            self._first[snapshot.venue] = snapshot
            return
        behind_ns = self._compared_ns.get(snapshot.venue, 0) - snapshot.exchange_ns
        if snapshot.exchange_ns and 0 <= behind_ns < LATE_NS:
            return  # told twice, or overtaken by a later one
        self._compared_ns[snapshot.venue] = snapshot.exchange_ns
        self._history.want_traded(snapshot.venue, now_ns)
        found: dict[_Key, _Difference] = {}
        judged: dict[_Key, None] = {}
        unsure: dict[str, None] = {}
        spot: dict[str, list[InstrumentState]] = {}
        positions = None if snapshot.positions is None else dict(snapshot.positions)
        for key, inst in self._inst_states.items():
            if key[0] != snapshot.venue:
                continue
            rules, comparable = inst.instrument, self._comparable(inst, snapshot, now_ns)
            if rules.kind == "spot":
                spot.setdefault(rules.base, []).append(inst)
                if not comparable:
                    unsure.update({rules.base: None, rules.quote: None})
            elif positions is not None and comparable:
                judged[key] = None
                self._derivative(inst, positions.get(key[1], _ZERO), found, snapshot.exchange_ns)
        for base, inst_states in spot.items() if snapshot.balances else ():
            if base in unsure:
                continue
            keys = [inst.key for inst in inst_states]
            judged.update(dict.fromkeys(keys))
            settled = self._coin(base, inst_states, found, snapshot)
            if settled or self._sold_by_others(keys, found, now_ns):
                for key in keys:
                    self._view.portfolio.foreign.use_up(key, snapshot.exchange_ns)
        agree = [key for key in judged if key not in found]
        self._judge(snapshot.venue, agree, found, now_ns)

    # inside

    def _plan(self, venue: str, now_ns: int) -> None:
        every_ns = self._config.compare_ns or FAR
        if any(key[0] == venue for key in self._suspects):
            every_ns = AGAIN_NS
        self._ask_ns[venue] = min(FAR, now_ns + every_ns)

    def _comparable(self, inst: InstrumentState, snapshot: VenueSnapshot, now_ns: int) -> bool:
        """Whether the statement is newer than everything that is booked."""
        position = self._view.portfolio.position(*inst.key)
        if position is None:
            return True
        if snapshot.exchange_ns and position.exchange_ns:
            # At the same time it may be of before the fill: clocks of venues count milliseconds.
            return snapshot.exchange_ns > position.exchange_ns
        return now_ns - position.updated_ns >= YOUNG_NS

    def _flight(self, inst: InstrumentState, side: Side) -> Decimal:
        """Quantity of a side that may have filled without a report yet."""
        lots = sum(
            parent.reserved + parent.unbooked
            for parent in inst.parents
            if parent.signal.side == side
        )
        return inst.instrument.quantity(lots)

    def _derivative(
        self,
        inst: InstrumentState,
        theirs: Decimal,
        found: dict[_Key, _Difference],
        exchange_ns: int,
    ) -> None:
        ours = self._view.portfolio.quantity(*inst.key)
        leaving, coming = self._flight(inst, "sell"), self._flight(inst, "buy")
        if inst.venue.shared_account:
            others = self._of_others(inst, theirs - ours, leaving or coming)
            if others is None:
                return
            theirs -= others
        if not ours - leaving <= theirs <= ours + coming:
            text = f"the venue says {theirs}, our fills make {ours}"
            found[inst.key] = _Difference(ours, theirs, text, exchange_ns)

    def _of_others(
        self, inst: InstrumentState, rest: Decimal, in_flight: Decimal
    ) -> Decimal | None:
        """Other micros' part of a shared position; None where it cannot be known.

        It starts as what is not ours when first seen, and then follows their trades.
        """
        others = self._view.portfolio.foreign.others
        if not inst.venue.tells_trades or (inst.key not in others and in_flight):
            return None
        if inst.key not in others:
            others[inst.key] = rest
            self._order_store.holdings_changed()
            self._out.note(
                "info",
                "shared_position",
                venue=inst.key[0],
                symbol=inst.key[1],
                of_others=str(rest),
            )
        return others[inst.key]

    def _coin(
        self,
        base: str,
        inst_states: list[InstrumentState],
        found: dict[_Key, _Difference],
        snapshot: VenueSnapshot,
    ) -> bool:
        """The coins of several pairs are one holding: a shortage goes to the largest first.

        Coins that were paid, for others or as fees, are gone from it. True where there is no
        shortage.
        """
        rows = snapshot.balances
        there = sum((free + used for name, free, used in rows if name == base), _ZERO)
        portfolio = self._view.portfolio
        ours = {inst.key: portfolio.quantity(*inst.key) for inst in inst_states}
        held = sum(ours.values(), _ZERO)
        gone = sum((self._flight(inst, "sell") for inst in inst_states), _ZERO)
        gone += self._paid(inst_states[0].key[0], base)
        grain = max(inst.instrument.lot for inst in inst_states)
        missing = held - gone - there
        if missing < grain:
            return True
        text = f"the venue has {there} {base}, our fills make {held - gone}"
        for key in sorted(ours, key=lambda each: -ours[each]):
            part = min(missing, ours[key])
            if part > 0:
                found[key] = _Difference(ours[key], ours[key] - part, text, snapshot.exchange_ns)
                missing -= part
        return False

    def _paid(self, venue: str, currency: str) -> Decimal:
        """Coins spent otherwise: as the quote of other pairs, or as fees."""
        portfolio = self._view.portfolio
        paid = portfolio.foreign_fees.get((venue, currency), _ZERO)
        for key, inst in self._inst_states.items():
            rules = inst.instrument
            if key[0] != venue or rules.kind != "spot" or rules.quote != currency:
                continue
            position = portfolio.position(*key)
            if position is not None:
                paid += max(_ZERO, -position.cash)
            for parent in inst.parents:
                if parent.signal.side == "buy" and parent.out:
                    ticks = max((c.price_ticks for c in parent.watched), default=0)
                    paid += rules.notional(max(1, ticks), parent.out)
        return max(_ZERO, paid)

    def _sold_by_others(
        self, keys: list[_Key], found: dict[_Key, _Difference], now_ns: int
    ) -> bool:
        """Coins that others have sold explain a shortage, and are not ours any more."""
        unused, portfolio = self._view.portfolio.foreign.unused, self._view.portfolio
        missing = sum((found[key].ours - found[key].theirs for key in keys if key in found), _ZERO)
        sold = -sum((unused.get(key, _ZERO) for key in keys), _ZERO)
        grain = max(self._inst_states[key].instrument.lot for key in keys)
        if sold <= 0 or missing > sold + grain:
            return False
        for key in [each for each in keys if each in found]:
            difference = found[key]
            if not portfolio.adopt(self._inst_states[key].instrument, difference.theirs, now_ns):
                return False
            del found[key]
            self._adopted(key, difference, "position_follows_others")
        return True

    def _judge(
        self, venue: str, agree: list[_Key], found: dict[_Key, _Difference], now_ns: int
    ) -> None:
        """Trip what a second check has not explained, and schedule a recheck of everything else."""
        sure: dict[_Key, _Difference] = {}
        for key in agree:
            self._suspects.pop(key, None)
            self._differ.pop(key, None)
        for key, difference in found.items():
            trip = self._risk.breakers.find(MISMATCH, symbol_scope(*key))
            if trip is not None and trip.phase == "tripped":
                sure[key] = difference
                continue
            suspect = self._suspects.pop(key, None)
            if suspect is not None and self._is_sure(key, suspect, difference, now_ns):
                sure[key] = difference
                continue
            if suspect is None or suspect.theirs != difference.theirs or self._moved(key, suspect):
                looks = 1 if suspect is None else suspect.looks + 1
                suspect = _Suspect(now_ns, looks, difference.theirs, difference.exchange_ns)
            else:
                suspect = suspect._replace(looks=suspect.looks + 1)
            self._suspects[key] = suspect
            if not self._history.covers(key, suspect.exchange_ns):
                self._history.want(key, now_ns)
            self._ask_ns[venue] = min(self._ask_ns[venue], now_ns + AGAIN_NS)
        self._report(
            venue, sure, now_ns, settled=not any(key[0] == venue for key in self._suspects)
        )

    def _is_sure(self, key: _Key, suspect: _Suspect, difference: _Difference, now_ns: int) -> bool:
        """Whether a difference found before is still the same, with all trades known."""
        if suspect.looks >= MOST_LOOKS:
            return True
        return (
            now_ns - suspect.since_ns >= AGAIN_NS
            and difference.theirs == suspect.theirs
            and not self._moved(key, suspect)
            and self._history.covers(key, suspect.exchange_ns)
        )

    def _moved(self, key: _Key, suspect: _Suspect) -> bool:
        """Whether something was booked since: then it is another difference."""
        position = self._view.portfolio.position(*key)
        return position is not None and position.updated_ns > suspect.since_ns

    def _report(
        self, venue: str, found: dict[_Key, _Difference], now_ns: int, *, settled: bool
    ) -> None:
        again = False
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
            # The second check completes the reconciliation that a reset needs.
            self._ask_ns[venue] = now_ns + AGAIN_NS
        elif settled and not any(
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
            self._adopted(key, difference, "position_adopted")

    def _adopted(self, key: _Key, difference: _Difference, event: str) -> None:
        """Trades of others up to that statement are part of the position now."""
        if difference.exchange_ns and self._inst_states[key].instrument.kind != "spot":
            self._view.portfolio.foreign.base_ns[key] = difference.exchange_ns
        self._order_store.holdings_changed()
        self._out.note(
            "warning",
            event,
            venue=key[0],
            symbol=key[1],
            ours=str(difference.ours),
            now=str(difference.theirs),
        )
