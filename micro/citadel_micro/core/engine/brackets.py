"""The exits of brackets: what an entry has filled is covered by an order of micro's own, at once.

That order is an ``oco`` of kind stop, made in the same call as the fill is booked and stored with it; it
grows with further fills. It belongs to the entry's owner, who may cancel it; an exit that the owner
sends for the same position takes its place. Its first fill ends the entry. After a restart whatever was
filled and not covered is covered.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from citadel_micro.core.model.time_units import SECOND
from citadel_micro.core.orders.order_states import ParentEvent
from citadel_proto.reason_codes import OWN_ID

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.executor import SmartOrderExecutor
    from citadel_micro.core.model.events import OrderFilled, Side, SignalReceived
    from citadel_micro.core.orders.orders import Parent

EXIT: Final = f"{OWN_ID}exit-"
"""Beginning of the ids of exits; the entry's id follows, and a number from the second one on."""
_LIFE_NS: Final = 60 * SECOND
"""Only for its admission: it works until it is filled or canceled."""


class Brackets:
    """See the module."""

    def __init__(self, context: EngineContext, executor: SmartOrderExecutor) -> None:
        self._order_store = context.order_store
        self._executor = executor
        self._view = context.view
        self._out = context.out
        self._ids: dict[str, None] = {}
        """Of exits that may be open: there are few, and every admission asks for them."""

    def on_fills(self, fills: Iterable[OrderFilled], now_ns: int) -> list[SignalReceived]:
        """Grow the exits of entries that have filled; returns the new ones, to be admitted.

        An exit that has filled ends its entry.
        """
        made: list[SignalReceived] = []
        for parent in {each.id: each for each in self._parents(fills)}.values():
            if parent.id.startswith(EXIT):
                self._end_entry(parent, now_ns)
            elif "exit" in parent.algo_state and not self._view.reconciling:
                made += self._cover(parent, now_ns)
        for key in dict.fromkeys((each.venue, each.symbol) for each in fills):
            self._end_without_position(*key, now_ns)
        return made

    def on_reconciled(self, now_ns: int) -> list[SignalReceived]:
        """Cover what was filled before a crash and is not covered."""
        made: list[SignalReceived] = []
        active = self._order_store.active
        self._ids |= dict.fromkeys(name for name in active if name.startswith(EXIT))
        for parent in tuple(self._order_store.known.values()):
            if "exit" in parent.algo_state:
                made += self._cover(parent, now_ns)
        return made

    def watch(self, signal_id: str) -> None:
        """An exit was admitted."""
        self._ids[signal_id] = None

    def replaced_by(self, parent: Parent) -> list[Parent]:
        """Exits of brackets whose place an order takes: one that closes their position for their owner."""
        signal = parent.signal
        if parent.own or signal.kind == "stop":
            return []
        return [
            other
            for other in self._open()
            if other.signal.side == signal.side
            and (other.signal.venue, other.signal.symbol) == (signal.venue, signal.symbol)
            and (other.signal.owner, other.signal.strategy) == (signal.owner, signal.strategy)
        ]

    def give_way(self, parent: Parent, replaced: Iterable[Parent], now_ns: int) -> None:
        """End them, and what their entries would still fill."""
        for other in replaced:
            text = f"exit {parent.id} of its owner takes its place"
            self._executor.close(other, ParentEvent.CANCEL, "SUPERSEDED", text, now_ns)
            self._end_entry(other, now_ns)

    # inside

    def _open(self) -> list[Parent]:
        if not self._ids:
            return []
        active = self._order_store.active
        for name in [each for each in self._ids if each not in active]:
            del self._ids[name]
        found = [active[name] for name in self._ids]
        return [each for each in found if not each.terminal and each.verdict is None]

    def _end_without_position(self, venue: str, symbol: str, now_ns: int) -> None:
        """Others have closed the position: nothing is left to protect."""
        held = self._view.portfolio.quantity(venue, symbol)
        for parent in self._open():
            signal = parent.signal
            if (signal.venue, signal.symbol) == (
                venue,
                symbol,
            ) and held * -parent.sign < parent.rules.lot:
                text = "there is no position left to reduce"
                self._executor.close(parent, ParentEvent.CANCEL, "POSITION_CLOSED", text, now_ns)

    def _parents(self, fills: Iterable[OrderFilled]) -> Iterable[Parent]:
        children = self._order_store.children
        return (children[fill.client_id][0] for fill in fills if fill.client_id in children)

    def _exits(self, entry: Parent) -> list[Parent]:
        """Its exits, oldest first."""
        found: list[Parent] = []
        while True:
            exit_ = self._order_store.known.get(_exit_id(entry, len(found) + 1))
            if exit_ is None:
                return found
            found.append(exit_)

    def _cover(self, entry: Parent, now_ns: int) -> list[SignalReceived]:
        exits = self._exits(entry)
        missing = entry.filled - entry.unbooked - sum(each.target for each in exits)
        if missing <= 0 or entry.instrument is None:
            return []
        last = exits[-1] if exits else None
        if last is not None and last.reason_code in {"SUPERSEDED", "CANCELED_BY_MACRO"}:
            return []  # its owner closes the position himself
        if last is not None and not last.terminal and last.verdict is None:
            rules = entry.instrument
            quantity = rules.amount(last.target + missing)
            last.signal, last.signal_row = replace(last.signal, quantity=quantity), None
            last.retarget(last.target + missing)
            self._order_store.touch(last)
            self._executor.advance(last, now_ns)
            return []
        terms = cast("dict[str, Any]", entry.algo_state["exit"])
        stop = Decimal(terms["stop_price"])
        rounding = "floor" if entry.sign > 0 else "ceil"
        ticks = entry.instrument.ticks(stop, rounding)  # type: ignore[arg-type]
        if missing < entry.instrument.min_lots_at(ticks, reduce_only=True) and not entry.terminal:
            return []  # it could not be sold yet; the entry completes it before it ends
        return [self._signal(entry, len(exits) + 1, missing, stop, now_ns)]

    def _signal(
        self, entry: Parent, number: int, lots: int, stop: Decimal, now_ns: int
    ) -> SignalReceived:
        terms = cast("dict[str, Any]", entry.algo_state["exit"])
        side: Side = "sell" if entry.sign > 0 else "buy"
        params = (("shares", terms["shares"]), ("take_profits", terms["take_profits"]))
        self._out.note("info", "bracket_exit", signal_id=_exit_id(entry, number), entry=entry.id)
        return replace(
            entry.signal,
            signal_id=_exit_id(entry, number),
            side=side,
            quantity=entry.rules.amount(lots),
            kind="stop",
            order_type="market",
            limit_price=None,
            stop_price=stop,
            time_in_force="GTC",
            reduce_only=True,
            algo="oco",
            params=params,
            tag="bracket",
            created_ns=now_ns,
            expires_ns=now_ns + _LIFE_NS,
            missed=0,
        )

    def _end_entry(self, exit_: Parent, now_ns: int) -> None:
        """What would still be bought is not wanted once the position is being closed."""
        name = exit_.id.removeprefix(EXIT)
        entry = self._order_store.known.get(name) or self._order_store.known.get(
            name.rpartition("~")[0]
        )
        if entry is None or entry.terminal or entry.verdict is not None:
            return
        text = f"its exit {exit_.id} has begun to close the position"
        self._executor.close(entry, ParentEvent.CANCEL, "BRACKET_EXIT", text, now_ns)


def _exit_id(entry: Parent, number: int) -> str:
    return f"{EXIT}{entry.id}" + (f"~{number}" if number > 1 else "")
