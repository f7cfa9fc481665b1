"""Costs of many orders together, by what they have in common.

A group's cost in bps is the sum of the costs over the sum of the worths, so a large order counts for more.
Money of different quote currencies is never added: it makes groups of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from math import floor, log10
from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.offline.tca.orders import HORIZONS_NS
from citadel_micro.offline.tca.other_ways import GAVE_UP
from citadel_proto.shortfall import Costs, Shortfall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from citadel_micro.offline.tca.order_costs import Around, OrderCosts

NOTHING: Final = Costs(
    worth=Fraction(0),
    delay=Fraction(0),
    spread=Fraction(0),
    impact=Fraction(0),
    fees=Fraction(0),
    opportunity=Fraction(0),
)


def _size(one: OrderCosts) -> str:
    """A power of ten of its worth: ``1k-10k USDT``."""
    if one.parts is None or not one.parts.worth:
        return "unknown"
    tens = floor(log10(one.parts.worth))
    return f"{_short(tens)}-{_short(tens + 1)}"


def _short(tens: int) -> str:
    for letter, from_tens in (("G", 9), ("M", 6), ("k", 3)):
        if tens >= from_tens:
            return f"{10 ** (tens - from_tens)}{letter}"
    return f"{10.0**tens:g}"


def _hour(one: OrderCosts) -> str:
    began = datetime.fromtimestamp(one.order.arrived_ns / 1e9, tz=UTC)
    return f"{began:%H}:00 UTC"


BY: Final[dict[str, Callable[[OrderCosts], str]]] = {
    "pair": lambda one: f"{one.order.report.symbol} {one.order.report.venue}",
    "side": lambda one: one.order.report.side,
    "size": _size,
    "hour": _hour,
    "algo": lambda one: one.order.report.algo or "stop",
    "strategy": lambda one: one.order.report.strategy or "none",
    "run": lambda one: one.order.run,
    "order": lambda one: one.order.report.signal_id,
}
"""What orders can be grouped by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Orders that have something in common, and one quote currency."""

    names: tuple[str, ...]
    """Of what it is grouped by, in that order."""
    currency: str
    orders: int
    not_compared: int
    """Orders without a market at their arrival, which are in no other figure."""
    filled: float
    """Part of the targets that was filled, by worth."""
    parts: Costs
    maker: float | None
    """Part of what was filled that rested; None without any fill."""
    effective: float | None
    """Effective spread in bps, by value of the fills."""
    realised: float | None
    markouts: dict[int, tuple[float, float]]
    """Horizon -> of mid and microprice in bps, by value; of the fills that far before the journal's end."""
    seconds: float | None
    """From arrival to the last fill, in the middle one of the orders that have filled."""
    reprices: float | None
    """A fill."""
    against_crossing: float | None
    """What was saved against taking all at arrival, in bps; of the orders of which both are known."""
    against_resting: float | None
    against_alone: float | None
    """What was saved against Freqtrade alone."""
    alone_compared: int
    """Orders that both have filled as a whole: those of ``against_alone``."""
    alone_gave_up: int
    """Entries that Freqtrade alone would have given up before they were filled."""

    @property
    def shortfall(self) -> Shortfall | None:
        """In bps; None where nothing can be compared."""
        return self.parts.shortfall() if self.parts.worth else None


def grouped(costs: Iterable[OrderCosts], by: Sequence[str]) -> list[Group]:
    """Groups by one or more of ``BY``, in the order of their names; ``by`` may be empty: all together."""
    sorted_out: dict[tuple[tuple[str, ...], str], list[OrderCosts]] = {}
    for one in costs:
        names = tuple(BY[each](one) for each in by)
        sorted_out.setdefault((names, one.order.instrument.quote), []).append(one)
    return [
        _group(names, currency, members)
        for (names, currency), members in sorted(sorted_out.items(), key=lambda each: each[0])
    ]


def _group(names: tuple[str, ...], currency: str, members: list[OrderCosts]) -> Group:
    compared = [one for one in members if one.parts is not None]
    parts = sum((one.parts for one in compared if one.parts is not None), NOTHING)
    fills = [fill for one in compared for fill in one.fills]
    traded = sum((fill.value for fill in fills), Fraction(0))
    filled = Fraction(0)
    for one in compared:
        if one.parts is not None:
            filled += one.parts.worth * one.order.filled / one.order.target
    took = sorted(
        one.order.fills[-1].at_ns - one.order.arrived_ns for one in compared if one.order.fills
    )
    lots = sum(len(one.order.fills) for one in compared)
    reprices = sum(one.order.report.reprices for one in compared)
    return Group(
        names=names,
        currency=currency,
        orders=len(members),
        not_compared=len(members) - len(compared),
        filled=float(filled / parts.worth) if parts.worth else 0.0,
        parts=parts,
        maker=_share(sum((f.value for f in fills if f.maker), Fraction(0)), traded),
        effective=_mean([(fill.value, fill.effective) for fill in fills]),
        realised=_mean([(f.value, f.realised) for f in fills if f.realised is not None]),
        markouts={horizon: both for horizon in HORIZONS_NS if (both := _markouts(fills, horizon))},
        seconds=took[len(took) // 2] / 1e9 if took else None,
        reprices=reprices / lots if lots else None,
        against_crossing=_saved(compared, "crossed"),
        against_resting=_saved(compared, "rested"),
        against_alone=_saved(compared, "alone"),
        alone_compared=sum(
            one.alone is not None and one.order.filled == one.order.target for one in compared
        ),
        alone_gave_up=sum(one.order.alone.why_not == GAVE_UP for one in compared),
    )


def _markouts(fills: list[Around], horizon: int) -> tuple[float, float] | None:
    known = [(fill.value, fill.markouts[horizon]) for fill in fills if horizon in fill.markouts]
    mid = _mean([(value, both[0]) for value, both in known])
    micro = _mean([(value, both[1]) for value, both in known])
    return None if mid is None or micro is None else (mid, micro)


def _mean(weighted: list[tuple[Fraction, Fraction]]) -> float | None:
    total = sum((weight for weight, _ in weighted), Fraction(0))
    if not total:
        return None
    return float(sum((weight * value for weight, value in weighted), Fraction(0)) / total)


def _share(part: Fraction, of: Fraction) -> float | None:
    return float(part / of) if of else None


def _saved(members: list[OrderCosts], way: Literal["crossed", "rested", "alone"]) -> float | None:
    """Against another way, of the orders that are complete in both: part of an order costs less."""
    worth = saved = Fraction(0)
    for one in members:
        instead: Fraction | None = getattr(one, way)
        if instead is None or one.parts is None or one.order.filled != one.order.target:
            continue
        parts = one.parts
        paid = parts.delay + parts.spread + parts.impact + parts.fees
        worth += parts.worth
        saved += instead - paid
    return float(saved * 10_000 / worth) if worth else None
