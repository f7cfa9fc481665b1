"""Bracket: an entry, and from its first fill on the take-profits and the stop of what it has filled.

The entry is worked by another algorithm. What it fills is covered by an ``oco`` order of micro's own,
which grows with it; prices are those of the signal, or distances from where the entry began.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos.auto import Auto
from citadel_micro.core.algos.base import Algorithm, Finish, Param, Value, numbers_of, unfit
from citadel_micro.core.algos.chase_limit import ChaseLimit
from citadel_micro.core.algos.limit import Limit, MarketableLimit
from citadel_micro.core.algos.oco import MOST
from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.model.traits import Traits
from citadel_micro.core.orders.order_states import ParentEvent
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.algos.base import Decision
    from citadel_micro.core.model.events import SignalReceived
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

ENTRIES: Final[dict[str, type[Algorithm]]] = {
    "auto": Auto,
    "chase_limit": ChaseLimit,
    "limit": Limit,
    "marketable_limit": MarketableLimit,
}
_OF_AUTO: Final = {param.name: param for param in Auto.params}
_PASSED: Final = ("urgency", "max_chase_bps", "max_cross_bps", "on_timeout", "chase_beyond_bps")
BPS: Final = Decimal(10_000)


class Bracket(Algorithm):
    """See the module."""

    name = "bracket"
    traits = Traits(immediate=True, replaceable=False)
    params = (
        Param("entry", "auto", "What works the entry", choices=tuple(ENTRIES)),
        Param("stop_price", 0.0, "Price of the stop; 0: stop_bps"),
        Param("stop_bps", 0.0, "Distance of the stop from where the entry begins", 0, 10_000),
        Param("take_profits", "", "Prices of the take-profits, 1 to 5", numbers=True),
        Param("take_profits_bps", "", "Or their distances from where it begins", numbers=True),
        Param("shares", "", "Weights of these; none: equal parts", numbers=True),
        Param("time_limit_ms", 60_000, "Working time of the entry", 100, 86_400_000),
        *(_OF_AUTO[name] for name in _PASSED),
    )

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        self._use(str(values["entry"]))
        self._stop = Decimal(repr(self.real("stop_price")))
        self._stop_bps = Decimal(repr(self.real("stop_bps")))
        self._prices = numbers_of(values["take_profits"]) or ()
        self._distances = numbers_of(values["take_profits_bps"]) or ()

    def _use(self, name: str) -> None:
        values, kind = self.values, ENTRIES[name]
        known = {param.name for param in kind.params}
        passed = ((each, values[each]) for each in (*_PASSED, "time_limit_ms") if each in known)
        self._entry = kind.make(passed)
        self.post_only = self._entry.post_only
        self.beyond_bps = self._entry.beyond_bps
        self.grace_ns = self._entry.grace_ns

    def check(self, signal: SignalReceived) -> None:
        """See ``Algorithm.check``."""
        if signal.order_type == "market" or signal.time_in_force == "IOC":
            self._use("marketable_limit")
        self._entry.check(signal)
        if bool(self._stop) == bool(self._stop_bps):
            raise BadInput(
                "a bracket has one stop",
                where="algorithm parameters",
                allowed="stop_price, or stop_bps",
                mend="give one of them",
            )
        profits = self._prices or self._distances
        if bool(self._prices) == bool(self._distances) or len(profits) > MOST or not all(profits):
            raise BadInput(
                "a bracket has take-profits",
                where="algorithm parameters",
                allowed=f"1 to {MOST} numbers above 0 in take_profits, or in take_profits_bps",
                mend="give one of them, or a stop apart from the entry",
            )
        shares = numbers_of(self.values["shares"]) or ()
        if shares and (len(shares) != len(profits) or not all(shares)):
            raise BadInput(
                f"shares is {self.values['shares']!r}",
                where="algorithm parameters",
                allowed=f"{len(profits)} weights above 0, or none",
            )
        if signal.limit_price is not None:
            wrong = self._wrong_side(signal.side == "buy", signal.limit_price)
            if wrong:
                raise BadInput(wrong, where="algorithm parameters", mend="exchange them")
        if self._stop and self._prices:
            buy = signal.side == "buy"
            if not all(each > self._stop if buy else each < self._stop for each in self._prices):
                raise BadInput(
                    f"a take-profit is on the wrong side of the stop price {self._stop:f}",
                    where="algorithm parameters",
                    mend="exchange them",
                )

    def _wrong_side(self, buy: bool, price: Decimal) -> str:  # noqa: FBT001 - of the side
        """What is on the wrong side of an entry at that price; empty when nothing is."""
        sign = 1 if buy else -1
        side = "buy" if buy else "sell"
        if self._stop and sign * (price - self._stop) <= 0:
            below = "below" if buy else "above"
            return f"the stop price {self._stop:f} is on the wrong side of a {side} at {price:f}: it belongs {below}"
        for each in self._prices:
            if sign * (each - price) <= 0:
                above = "above" if buy else "below"
                return f"the take-profit {each:f} is on the wrong side of a {side} at {price:f}: it belongs {above}"
        return ""

    def forget(self) -> None:
        """See ``Algorithm.forget``."""
        self._entry.forget()

    def cap(self, parent: Parent) -> int:
        """See ``Algorithm.cap``."""
        return self._entry.cap(parent)

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Algorithm.decide``. The terms of the exit are fixed before the first order."""
        exit_terms = parent.algo_state.get("exit")
        if exit_terms is None:
            if not inst.fit:
                self.wake_ns = FAR
                return unfit(inst)
            begins = self._begins_at(parent, inst)
            wrong = self._wrong_side(parent.sign > 0, begins)
            if wrong:
                return Finish(ParentEvent.DENY, "BAD_PARAMETER", wrong)
            exit_terms = self._terms(parent.sign, begins)
            parent.algo_state = {**parent.algo_state, "exit": exit_terms}
        decision = self._entry.decide(parent, inst, now_ns)
        self.wake_ns = self._entry.wake_ns
        if "exit" not in parent.algo_state:  # the entry's algorithm has replaced its own
            parent.algo_state = {**parent.algo_state, "exit": exit_terms}
        return decision

    def _begins_at(self, parent: Parent, inst: InstrumentState) -> Decimal:
        """The mid at arrival, or the limit price where that is better."""
        mid = parent.rules.tick * inst.mid_half_ticks() / 2
        limit = parent.signal.limit_price
        return mid if limit is None else min(mid, limit) if parent.sign > 0 else max(mid, limit)

    def _terms(self, sign: int, begins: Decimal) -> dict[str, object]:
        """Stop price and take-profits as text."""
        stop = self._stop or begins * (1 - sign * self._stop_bps / BPS)
        prices = self._prices or tuple(begins * (1 + sign * each / BPS) for each in self._distances)
        return {
            "stop_price": f"{stop:f}",
            "take_profits": ",".join(f"{each:f}" for each in prices),
            "shares": str(self.values["shares"]),
        }
