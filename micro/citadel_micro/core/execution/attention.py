"""What of a market the open parents of an instrument look at, and until when nothing else matters to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from citadel_micro.core.model.time_units import FAR

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Best, Unmoved
    from citadel_micro.core.execution.executor import SmartOrderExecutor
    from citadel_micro.core.orders.instrument_state import InstrumentState


class Attention(NamedTuple):
    """Up to a time, ``SmartOrderExecutor.on_market`` does nothing while the best prices are these."""

    until_ns: int
    best: Best | None
    """None: whatever they are."""
    sizes: bool
    """Their sizes must be the same as well."""


def attention(executor: SmartOrderExecutor, inst: InstrumentState, now_ns: int) -> Attention | None:
    """What would make ``on_market`` do something; None where any market event may.

    It mirrors the conditions of ``on_market``, whose loop it must not become a part of: that is
    run for every event, this once in a while.
    """
    market = inst.market
    if inst.held.waiting or market.state != "LIVE":
        return None
    until_ns, best, sizes = FAR, None, False
    now = market.best()
    for parent in inst.parents:
        algo = parent.algo
        if parent.verdict is not None or parent.done_ns or algo is None or executor.stopping:
            continue
        if parent.live:
            if parent.busy:
                continue
        elif now_ns < parent.resume_ns or parent.awaits_book(inst.book_id(), now_ns):
            return None
        unmoved: Unmoved | None = algo.unmoved(parent, inst)
        if unmoved is None or algo.wake_ns < executor.due_ns:
            return None
        until_ns = min(until_ns, parent.ends_ns, algo.wake_ns)
        if unmoved.best is not None:
            if (
                now is None
                or unmoved.best[::2] != now[::2]
                or (unmoved.sizes and unmoved.best != now)
            ):
                return None
            best, sizes = now, sizes or unmoved.sizes
    return Attention(until_ns, best, sizes)
