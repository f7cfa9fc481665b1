"""The interface of an execution algorithm: a scheduler that decides which orders should be working.

An algorithm sends nothing itself. It gets its parent and the market and returns a
decision; the executor turns that into orders within the parent's budget, through the gate. Its state
after a restart it reads from the parent, ``algo_state`` included.
"""

from __future__ import annotations

import difflib
import math
from abc import ABC, abstractmethod
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Self

from citadel_micro.core.model.time_units import FAR, MS
from citadel_micro.core.model.traits import Traits
from citadel_micro.core.orders.order_states import ParentEvent
from citadel_proto.errors import BadInput
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.core.model.events import SignalReceived
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

Value = str | int | float | bool


class Keep(NamedTuple):
    """Leave everything as it is."""


class Work(NamedTuple):
    """This order should be working, and no other."""

    price_ticks: int
    post_only: bool
    ioc: bool
    capped: bool
    """It rests at the parent's worst price."""
    quantity_lots: int | None = None
    """Quantity of a new order: at most this of what the budget permits (None: all of it), and at least
    the venue's minimum. A live order is reduced to it where more of it is open, and never grows."""
    displayed_lots: int | None = None
    """Quantity of a new order shown in the book, where the venue has iceberg orders; None for all."""
    whole: bool = False
    """With ``ioc``: all of it at once or nothing (fill or kill). Only where the venue has such orders."""


class Orders(NamedTuple):
    """These orders should be working, and no others: for an algorithm whose traits ask for several.

    A live order at one of these prices stays, the others are repriced to a missing one or canceled,
    and what is still missing is placed, in this order, as far as the budget goes. An order in flight
    or unknown counts as one of them until its venue has answered.
    """

    wanted: tuple[Work, ...]
    """No more than ``Traits.children``."""


class Withdraw(NamedTuple):
    """No order should be working now; the parent stays open."""

    code: str
    reason: str


class Wait(NamedTuple):
    """No order is working, and none can be now; the parent stays open and reports what it waits for."""

    code: str
    reason: str


class Finish(NamedTuple):
    """The parent ends once no child is live."""

    end: ParentEvent
    code: str
    reason: str


class Trigger(NamedTuple):
    """The trigger condition of a held parent is met."""

    reason: str


Decision = Keep | Work | Orders | Withdraw | Wait | Finish | Trigger
KEEP: Final = Keep()
Best = tuple[float, float, float, float]
"""Best bid, its size, best ask, its size."""


class Unmoved(NamedTuple):
    """An algorithm keeps what it has while the best prices are these."""

    best: Best | None
    """None: whatever they are."""
    sizes: bool = False
    """Their sizes must be the same as well."""


WHATEVER: Final = Unmoved(None)
"""It looks at the market no more."""


class Param(NamedTuple):
    """One parameter of an algorithm, with its range and meaning.

    ``kind`` is that of ``default``. Choices are for text; ``low`` and ``high`` for numbers.
    """

    name: str
    default: Value
    text: str
    low: float = 0
    high: float = math.inf
    choices: tuple[str, ...] = ()
    source: str = ""
    """Where its idea or its default comes from."""
    before: Value | None = None
    """What a journal of before the parameter, or of its present default, meant; None for the default.
    A configuration states the present ones (``core.algos.with_present_defaults``)."""
    instead_of: str = ""
    """Another that says the same more coarsely: who names that one alone does not mean this one."""
    numbers: bool = False
    """Text that lists numbers, as ``numbers_of`` reads them; may be empty."""

    @property
    def allowed(self) -> str:
        """The range as text."""
        if self.choices:
            return ", ".join(self.choices)
        if self.numbers:
            return "text with numbers from 0 and commas between them"
        if isinstance(self.default, bool):
            return "true or false"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        if math.isinf(self.high):
            return f"{kind}, at least {self.low:g}"
        return f"{kind} from {self.low:g} to {self.high:g}"

    def check(self, value: Value) -> Value:
        """The value in its own kind. Raises BadInput when it is invalid."""
        good: Value | None = None
        if isinstance(self.default, bool):
            if isinstance(value, bool):
                good = value
        elif isinstance(self.default, str):
            known = value in self.choices or (self.numbers and numbers_of(value) is not None)
            if isinstance(value, str) and known:
                good = value
        elif not isinstance(value, bool | str) and math.isfinite(value):
            if isinstance(self.default, float):
                good = float(value)
            elif int(value) == value:
                good = int(value)
            if good is not None and not self.low <= float(good) <= self.high:
                good = None
        if good is None:
            raise BadInput(
                f"{self.name} is {value!r}", where="algorithm parameters", allowed=self.allowed
            )
        return good


def numbers_of(text: Value) -> tuple[Decimal, ...] | None:
    """The numbers of a text such as ``3, 1, 1.5``; None where it has anything else in it."""
    if not isinstance(text, str):
        return None
    try:
        found = tuple(Decimal(part.strip()) for part in text.split(",")) if text.strip() else ()
    except InvalidOperation:
        return None
    return found if all(each.is_finite() and each >= 0 for each in found) else None


def checked(
    name: str, params: Iterable[Param], given: Iterable[tuple[str, Value]]
) -> dict[str, Value]:
    """Defaults overridden by the given values.

    Raises BadInput for an unknown name, with the nearest one, and for a value out
    of its range.
    """
    known = {param.name: param for param in params}
    values = {
        param.name: param.default if param.before is None else param.before
        for param in known.values()
    }
    for key, value in given:
        param = known.get(key)
        if param is None:
            near = difflib.get_close_matches(key, known, n=1)
            raise BadInput(
                f"{name} has no parameter {key!r}",
                where="algorithm parameters",
                allowed=", ".join(known),
                mend=f"did you mean {near[0]}?" if near else None,
            )
        values[key] = param.check(value)
    return values


class Algorithm(ABC):
    """Base of all algorithms.

    ``wake_ns`` is the next time at which the decision may change without a market event; the
    executor reads it after every ``decide``. ``working_ns`` and ``grace_ns`` tell it when to end
    the parent whatever the algorithm decides (``core.orders.order_life``).
    """

    name: ClassVar[str]
    params: ClassVar[tuple[Param, ...]]
    traits: ClassVar[Traits] = Traits()
    armed = False
    """For a held one: it has seen part of its trigger, and needs every further event."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self.values = values
        self.wake_ns = FAR
        self.working_ns = int(values.get(self.traits.working_time, 0)) * MS
        """Time from acceptance during which the order is worked; 0 where the algorithm has no limit."""
        self.grace_ns = 0
        """Time that it may need after that to end by itself; FAR when it rests instead."""
        self.post_only = bool(values.get("post_only", False))
        """Its resting orders never take."""
        self.most_live = self.traits.children
        """Maximum number of its live orders."""
        self.beyond_bps = 0.0
        """How far its worst price may lie beyond the signal's limit."""
        self._unfit_since_ns = 0

    @classmethod
    def make(cls, given: Iterable[tuple[str, Value]]) -> Algorithm:
        """An algorithm with checked parameters. Raises BadInput."""
        return cls(checked(cls.name, cls.params, given))

    def again(self) -> Self:
        """A new one with the same parameters, of one that was never used."""
        return type(self)(self.values)

    def check(self, signal: SignalReceived) -> None:  # noqa: B027 - most ask for nothing
        """Raise BadInput where this signal lacks what the algorithm needs."""

    def forget(self) -> None:  # noqa: B027 - most remember nothing
        """Something other than the market has changed: decide from scratch next time."""

    @abstractmethod
    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """Which order should be working. Called on market events, reports and timers, at any time.

        The parent has either no live child or one that is WORKING. One that may have several
        (``Traits.children``) is also asked while some of them are in flight or unknown, unless that
        is all it may have. ``parent.algo_state`` is the
        algorithm's own: plain data, replaced as a whole and never changed in place, durable with the
        parent and restored after a restart. The volume traded at the venue since the order's
        arrival is ``inst.market.traded - parent.arrival_traded``, in the units of the book; after a
        restart it counts from there.
        """

    def unmoved(self, parent: Parent, inst: InstrumentState) -> Unmoved | None:  # noqa: ARG002
        """While what of the market stays ``decide`` would say KEEP and change nothing; None: it must be asked.

        That holds up to ``wake_ns``, for a LIVE book, and as long as nothing but the market changes.
        """
        return None

    def cap(self, parent: Parent) -> int:
        """Its worst price, in ticks times the side's sign; FAR for none."""
        return FAR if parent.limit_ticks is None else parent.sign * parent.limit_ticks

    def trigger_ticks(self, parent: Parent) -> int | None:
        """Price at which a held one triggers now, in ticks."""
        return parent.stop_ticks

    def on_unfit_book(self, child: Child | None, inst: InstrumentState, now_ns: int) -> Decision:
        """For a price that follows the book: nothing is placed, and after a while nothing is working."""
        market = inst.market
        if self._unfit_since_ns == 0:
            self._unfit_since_ns = now_ns
            if market.state == "STALE":
                self._unfit_since_ns = min(now_ns, market.proof_ns)
        if child is None:
            return unfit(inst)
        cancel_ns = self._unfit_since_ns + inst.stale_cancel_ns
        if now_ns >= cancel_ns:
            return Withdraw("BOOK_UNFIT", f"book {market.state}: {market.reason or 'crossed'}")
        self.wake_ns = min(self.wake_ns, cancel_ns)
        return KEEP

    def on_fit_book(self) -> None:
        """The book is usable for pricing again."""
        self._unfit_since_ns = 0

    # helpers in one direction: multiplied by the side's sign, every side is a buy

    def number(self, name: str) -> int:
        """An integer parameter."""
        return int(self.values[name])

    def real(self, name: str) -> float:
        """A float parameter."""
        return float(self.values[name])


MOST_POST_ONLY: Final = 5
"""Rejects in a row at the lowest possible price, before the order gives up."""


def resting_price(parent: Parent, wanted: int, far: int) -> int | Finish:
    """Signed price of a post-only order: a tick before the other side, lower after each reject.

    Never below one tick: where even that is rejected, the order ends.
    """
    price = min(wanted, far - 1 - parent.post_only_rejects)
    if parent.sign > 0 and price < 1:
        if far < 2 or parent.post_only_rejects >= MOST_POST_ONLY:  # noqa: PLR2004 - one tick below it
            text = "there is no price of a tick or more at which it would not take"
            return Finish(ParentEvent.CANCEL, "POST_ONLY", text)
        return 1
    return price


def unfit(inst: InstrumentState) -> Wait:
    """Why the book cannot be used for pricing."""
    market = inst.market
    if market.state == "STALE":
        return Wait(RiskCode.BOOK_STALE, f"the book is STALE: {market.reason}")
    if market.state == "LIVE" and market.best() is not None:
        return Wait(RiskCode.BOOK_CROSSED, "best bid and ask are crossed or locked")
    return Wait(
        RiskCode.BOOK_NOT_LIVE, f"the book is {market.state}: {market.reason or 'one-sided'}"
    )


def cross_price(parent: Parent, far: int, max_cross_bps: float, cap: int | None) -> int | None:
    """Signed price of an immediate order through the touch; None when the cap is before it.

    ``far`` is the best opposite price and ``cap`` the worst acceptable one, both in ticks times
    the side's sign. Rounded towards the less aggressive side.
    """
    price = far + math.floor(abs(far) * max_cross_bps / 10_000)
    if cap is not None:
        price = min(price, cap)
    if parent.sign < 0:
        price = min(price, -1)
    return None if price < far else price


def whole_part(due: int, parent: Parent, inst: InstrumentState, touch: tuple[int, int]) -> int:
    """``due``, as far as it can be sent: 0 while it is below the minimum, all where the rest would be."""
    rules = inst.instrument
    smallest = rules.min_lots_at(min(touch), reduce_only=parent.reduce_only)
    rest = parent.remaining
    if due < min(smallest, rest):
        return 0
    return rest if rest - due < smallest else due
