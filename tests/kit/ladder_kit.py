"""Ladder: an algorithm with several orders out at once, for tests of what that asks of the executor."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from citadel_micro.core.algos import ALGORITHMS
from citadel_micro.core.algos.base import (
    KEEP,
    Algorithm,
    Finish,
    Orders,
    Param,
    Work,
    resting_price,
)
from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.model.traits import Traits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citadel_micro.core.algos.base import Decision
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

MOST = 4


class Ladder(Algorithm):
    """Rests equal parts of what is left at several prices, ``step_ticks`` from one to the next.

    With ``even`` the parts are made equal again after every fill, so that orders are cut. With
    ``take`` the first part is not rested but taken from the other side.
    """

    name = "ladder"
    traits = Traits(children=MOST)
    params = (
        Param("levels", 3, "Orders", 1, MOST),
        Param("step_ticks", 2, "Between them", 0, 1_000),
        Param("even", default=False, text="Equal parts after every fill"),
        Param("take", default=False, text="Take the first part"),
        Param("time_limit_ms", 10_000, "Working time", 100, 86_400_000),
    )

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Algorithm.decide``."""
        self.wake_ns = FAR
        live, sign = parent.live, parent.sign
        best = inst.market.best()
        if best is None or not inst.fit:
            return self.on_unfit_book(live[0] if live else None, inst, now_ns)
        self.on_fit_book()
        bid, ask = map(inst.instrument.ticks_of_float, (best[0], best[2]))
        outer = inst.external_best(parent.signal.side, best)
        if outer is not None:
            bid, ask = (outer, ask) if sign > 0 else (bid, outer)
        near, far = (bid, ask) if sign > 0 else (-ask, -bid)
        top = resting_price(parent, near, far)
        if isinstance(top, Finish):
            return KEEP if live else top
        cap, step = self.cap(parent), self.number("step_ticks")
        prices = [min(top, cap) - step * level for level in range(self.number("levels"))]
        prices = [price for price in prices if sign * price > 0]
        rules = inst.instrument
        smallest = max(
            rules.min_lots_at(sign * price, reduce_only=parent.reduce_only) for price in prices
        )
        prices = prices[: max(1, parent.remaining // smallest)]
        whole = parent.remaining if self.values["even"] else parent.target
        each, odd = divmod(whole, len(prices))
        works = []
        for level, price in enumerate(prices):
            take = bool(self.values["take"]) and level == 0 and far <= cap
            works.append(
                Work(
                    sign * (far if take else price),
                    post_only=not take,
                    ioc=take,
                    capped=price == cap,
                    quantity_lots=each if level else each + odd,
                )
            )
        return Orders(tuple(works))


@contextmanager
def ladder() -> Iterator[None]:
    """It is in the registry meanwhile."""
    ALGORITHMS[Ladder.name] = Ladder
    try:
        yield
    finally:
        del ALGORITHMS[Ladder.name]
