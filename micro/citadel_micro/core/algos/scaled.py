"""Scaled: several limit orders at prices in steps, from the signal's limit to better ones.

The prices do not follow the market, and a level that has filled is not placed again: a level's
quantity is what its own orders have not filled of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos.base import KEEP, WHATEVER, Algorithm, Orders, Param, Work, unfit
from citadel_micro.core.model.traits import Traits
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.algos.base import Decision, Unmoved, Value
    from citadel_micro.core.model.events import SignalReceived
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

MOST: Final = 20


class Scaled(Algorithm):
    """See the module."""

    name = "scaled"
    traits = Traits(children=MOST)
    params = (
        Param("levels", 5, "Orders", 1, MOST),
        Param("width_bps", 50.0, "From the limit to the best price of them", 0, 5_000),
        Param("weight_pct", 100, "Size of the last level, of the first's", 10, 1_000),
        Param("time_limit_ms", 0, "Working time; 0: until the signal expires", 0, 86_400_000 * 365),
    )

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        self.most_live = self.number("levels")
        self._levels: tuple[tuple[int, int], ...] = ()
        self._settled = False

    def check(self, signal: SignalReceived) -> None:
        """See ``Algorithm.check``."""
        if signal.limit_price is None:
            raise BadInput(
                "a scaled order begins at its limit price, and there is none",
                mend="give limit_price",
            )

    def forget(self) -> None:
        """See ``Algorithm.forget``."""
        self._settled = False

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Algorithm.decide``."""
        del now_ns
        if self._settled:
            return KEEP
        if not inst.fit:
            return KEEP if parent.live else unfit(inst)
        self._levels = self._levels or self._plan(parent)
        filled = dict.fromkeys((price for price, _ in self._levels), 0)
        for child in parent.with_fills:
            if child.price_ticks in filled:
                filled[child.price_ticks] += child.filled
        works = tuple(
            Work(
                price,
                post_only=False,
                ioc=False,
                capped=price == parent.limit_ticks,
                quantity_lots=lots - filled[price],
            )
            for price, lots in self._levels
            if lots > filled[price]
        )
        if not works:  # only what a cut, or a fill of another price, has left over
            price = self._levels[0][0]
            works = (Work(price, post_only=False, ioc=False, capped=True),)
        self._settled = True
        return Orders(works)

    def unmoved(self, parent: Parent, inst: InstrumentState) -> Unmoved | None:  # noqa: ARG002
        """See ``Algorithm.unmoved``."""
        return WHATEVER if self._settled else None

    def _plan(self, parent: Parent) -> tuple[tuple[int, int], ...]:
        """(price in ticks, lots) of each level: together the target, none below the minimum."""
        limit, rules, sign = parent.limit_ticks or 1, parent.rules, parent.sign
        width = round(limit * self.real("width_bps") / 10_000)
        for levels in range(self.most_live, 0, -1):
            steps = max(1, levels - 1)
            prices = [limit - sign * (width * n // steps) for n in range(levels)]
            heavy = self.number("weight_pct") - 100
            weights = [100 * steps + heavy * n for n in range(levels)]
            lots = [parent.target * weight // sum(weights) for weight in weights]
            lots[0] += parent.target - sum(lots)
            valid = len(set(prices)) == levels and min(prices) > 0
            if levels == 1 or (
                valid
                and all(
                    size >= rules.min_lots_at(price, reduce_only=parent.reduce_only)
                    for price, size in zip(prices, lots, strict=True)
                )
            ):
                break
        return tuple(zip(prices, lots, strict=True))
