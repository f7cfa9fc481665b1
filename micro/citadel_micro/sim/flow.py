"""The synthetic market: several symbols' order flow merged in virtual time, from one seed.

``SyntheticMarket(symbols, seed, start_ns).advance(until_ns)`` returns everything that happened
up to a time. Same seed, symbols and start: same events, whatever the steps of ``advance``.
The model and its sources are in ``flow_agents`` (orders) and ``flow_reference`` (prices).
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from citadel_micro.sim.flow_agents import FlowEvent, SymbolFlow
from citadel_micro.sim.flow_reference import FIRST_MINUTE, MINUTE_NS, CommonFactor, ReferencePrice
from citadel_proto.errors import BadInput, InvariantError

if TYPE_CHECKING:
    from citadel_micro.sim.flow_symbols import FlowSymbol


class SyntheticMarket:
    """Order books and trades of several symbols, drawn from one seed.

    ``flows`` and ``references`` are keyed by unified symbol, in the order given.
    """

    def __init__(
        self,
        symbols: tuple[FlowSymbol, ...],
        seed: int,
        start_ns: int,
        *,
        flow_seed: int | None = None,
    ) -> None:
        """Open every book at ``start_ns`` (ns since 1970 UTC).

        ``flow_seed``: other orders around the same reference prices, as of a second market in the
        same assets; ``seed`` unless given.

        Raises:
            BadInput: when the start is before 2020, where the reference prices begin.
        """
        if start_ns // MINUTE_NS < FIRST_MINUTE:
            what = f"start {start_ns} ns is before 2020"
            raise BadInput(what, where="synthetic market", mend="set the clock")
        self.start_ns = start_ns
        self.now_ns = start_ns
        common = CommonFactor(seed)
        orders_seed = seed if flow_seed is None else flow_seed
        self.references: dict[str, ReferencePrice] = {}
        self.flows: dict[str, SymbolFlow] = {}
        self._queue: list[tuple[int, int, SymbolFlow]] = []
        for order, item in enumerate(symbols):
            symbol = item.spec.symbol
            reference = ReferencePrice(seed, symbol, item.flow, common)
            flow = SymbolFlow(orders_seed, item, reference, start_ns)
            self.references[symbol] = reference
            self.flows[symbol] = flow
            heapq.heappush(self._queue, (flow.peek, order, flow))

    def next_ns(self) -> int:
        """Return when something may next happen. Calling earlier is harmless."""
        return self._queue[0][0]

    def step(self) -> tuple[SymbolFlow, list[FlowEvent]]:
        """Execute the earliest candidate of all symbols; return its symbol's flow and the changes."""
        _, order, flow = self._queue[0]
        events = flow.step()
        heapq.heapreplace(self._queue, (flow.peek, order, flow))
        return flow, events

    def advance(self, until_ns: int) -> list[FlowEvent]:
        """Return all events after the last call up to and including ``until_ns``, in order.

        Raises:
            InvariantError: when time runs backwards.
        """
        if until_ns < self.now_ns:
            msg = f"advance to {until_ns} after {self.now_ns}"
            raise InvariantError(msg)
        self.now_ns = until_ns
        out: list[FlowEvent] = []
        while self.next_ns() <= until_ns:
            out += self.step()[1]
        return out
