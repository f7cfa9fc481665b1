"""What a shadow's table amounts to: which orders compare, what each side paid, and how sure that is.

An order compares when both sides filled the same whole quantity of it from the same moment on and all fees
are known. Its cost is the shortfall against micro's mid when micro received it, fees included
(``citadel_proto.shortfall``), of both sides against the one mid. Everything else is counted by its reason.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from citadel_macro.shadow.facts import ENDED
from citadel_macro.shadow.table import ShadowOrder, fees_of
from citadel_proto.messages import TERMINAL_STATUSES
from citadel_proto.shortfall import Traded, costs, fee_in_quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LATE_NS: Final = 250_000_000
"""An order that reached micro later than this after Freqtrade placed its own met another market."""
FEW: Final = 10
"""Below this many orders nothing is concluded, whatever the numbers are."""
ALL: Final = "all"
_NS: Final = 1_000_000_000

# Two-sided 95 % quantiles of Student's t by degrees of freedom; beyond 30 the next line's formula is within
# 0.002 of them.
_T95: Final = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One order that compares: costs in basis points of its worth at arrival, fees included."""

    row: ShadowOrder
    freqtrade_bps: float
    micro_bps: float

    @property
    def saved_bps(self) -> float:
        """What micro paid less; negative: more."""
        return self.freqtrade_bps - self.micro_bps


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The orders of one pair and side, or all of them."""

    pair: str
    side: str
    orders: int
    """That both sides worked to an end; the fill shares and times are of these."""
    compared: int
    freqtrade_bps: float | None
    micro_bps: float | None
    saved_bps: float | None
    """Mean difference; positive: micro paid less."""
    error_bps: float | None
    """Its standard error; None for fewer than two orders."""
    interval_bps: float | None
    """Half of its 95 % confidence interval."""
    freqtrade_filled: float | None
    """Share of the quantity asked for."""
    micro_filled: float | None
    freqtrade_s: float | None
    """Median time until an order was filled whole."""
    micro_s: float | None
    maker_share: float | None
    """Of micro's orders that compare, by count."""
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A whole table."""

    orders: int
    dry_run: bool
    """Freqtrade's side is its own simulation as well."""
    first_ns: int
    last_ns: int
    groups: tuple[Group, ...]
    """All orders first, then by pair and side."""
    apart: tuple[tuple[str, int], ...]
    """(reason, orders) of those that do not compare, the most frequent first."""
    compared: tuple[Compared, ...]


def compare(rows: Sequence[ShadowOrder]) -> Comparison:
    """Compare every order of a table.

    Where Freqtrade traded with money for some of them, its dry runs are counted apart.
    """
    dry = bool(rows) and all(row.dry_run for row in rows)
    apart: Counter[str] = Counter()
    compared: list[Compared] = []
    worked: list[ShadowOrder] = []
    for row in rows:
        reason = "dry run of Freqtrade, beside real orders" if row.dry_run and not dry else ""
        reason = reason or not_worked(row)
        if not reason:
            worked.append(row)
            found = judge(row)
            if isinstance(found, Compared):
                compared.append(found)
                continue
            reason = found
        apart[reason] += 1
    keys = sorted({(row.pair, row.side) for row in worked})
    groups = [_group(ALL, "", worked, compared)] if worked else []
    groups += [
        _group(
            *key,
            [row for row in worked if (row.pair, row.side) == key],
            [each for each in compared if (each.row.pair, each.row.side) == key],
        )
        for key in keys
    ]
    return Comparison(
        orders=len(rows),
        dry_run=dry,
        first_ns=min((row.placed_ns for row in rows), default=0),
        last_ns=max((row.placed_ns for row in rows), default=0),
        groups=tuple(groups),
        apart=tuple(sorted(apart.items(), key=lambda each: (-each[1], each[0]))),
        compared=tuple(compared),
    )


def not_worked(row: ShadowOrder) -> str:
    """Why an order was not worked by both sides from the same moment to an end; empty when it was."""
    if row.kind == "stop":
        return "a stop at the exchange: it triggers at another moment"
    if row.error:
        return "Freqtrade's order was not placed"
    if row.unsent:
        return "micro was not sent it"
    if row.micro_status == "rejected":
        return f"micro refused it: {row.micro_code}"
    if row.micro_status in {"", "unknown"}:
        return "micro did not answer"
    if row.micro_got_ns - row.placed_ns > LATE_NS:
        return "micro received it late"
    if not row.order_id:
        return "Freqtrade's answer was not seen"
    if row.status not in ENDED:
        return "Freqtrade's order is open"
    if row.micro_status not in TERMINAL_STATUSES:
        return "micro's order is open"
    return ""


def judge(row: ShadowOrder) -> Compared | str:
    """What both sides paid for an order that both worked, or why that does not compare."""
    wanted, theirs, ours = (Decimal(x) for x in (row.quantity, row.filled, row.micro_filled))
    if not theirs and not ours:
        return "neither side filled any of it"
    for name, filled, other in (("Freqtrade", theirs, ours), ("micro", ours, theirs)):
        if not filled:
            return f"{name} filled nothing, the other side did"
        if filled < wanted and other >= wanted:
            return f"{name} filled only a part"
    if theirs != ours:
        return "different quantities were filled"
    if theirs < wanted:
        return "both sides filled only a part"
    if not row.arrival_mid:
        return "micro had no book when it arrived"
    freqtrade = _cost_bps(row, row.average, row.fees)
    micro = _cost_bps(row, row.micro_average, row.micro_fees)
    if freqtrade is None:
        return "Freqtrade's fee is not known, or is in a third currency"
    if micro is None:
        return "micro's fee is in a third currency"
    return Compared(row=row, freqtrade_bps=freqtrade, micro_bps=micro)


def half_interval(deviations: Sequence[float]) -> tuple[float, float] | None:
    """Standard error of a mean, and half of its 95 % interval; None for fewer than two values."""
    n = len(deviations)
    if n < 2:  # noqa: PLR2004 - no spread
        return None
    error = statistics.stdev(deviations) / math.sqrt(n)
    free = n - 1
    t = _T95[free - 1] if free <= len(_T95) else 1.96 + 2.43 / free
    return error, t * error


def _cost_bps(row: ShadowOrder, average: str, fees_text: str) -> float | None:
    fees = fees_of(fees_text)
    if fees is None or not average:
        return None
    base, _, rest = row.pair.partition("/")
    quote = rest.partition(":")[0]
    price = Decimal(average)
    total = Fraction(0)
    for currency, amount in fees.items():
        fee = fee_in_quote(amount, currency, base=base, quote=quote, price=price)
        if fee is None and amount:
            return None
        total += fee or 0
    found = costs(
        [Traded(Fraction(price), Fraction(row.quantity), fee=total)],
        sign=1 if row.side == "buy" else -1,
        arrival=Fraction(row.arrival_mid),
    )
    return found.shortfall().total_bps


def _group(
    pair: str, side: str, worked: Sequence[ShadowOrder], compared: Sequence[Compared]
) -> Group:
    saved = [each.saved_bps for each in compared]
    spread = half_interval(saved)
    mean = statistics.fmean(saved) if saved else None
    interval = spread[1] if spread else None
    return Group(
        pair=pair,
        side=side,
        orders=len(worked),
        compared=len(compared),
        freqtrade_bps=statistics.fmean(x.freqtrade_bps for x in compared) if compared else None,
        micro_bps=statistics.fmean(x.micro_bps for x in compared) if compared else None,
        saved_bps=mean,
        error_bps=spread[0] if spread else None,
        interval_bps=interval,
        freqtrade_filled=_share((row.filled, row.quantity) for row in worked),
        micro_filled=_share((row.micro_filled, row.quantity) for row in worked),
        freqtrade_s=_median_s(
            row.filled_ns - row.placed_ns
            for row in worked
            if row.filled_ns and Decimal(row.filled) >= Decimal(row.quantity)
        ),
        micro_s=_median_s(
            row.micro_filled_ns - row.placed_ns
            for row in worked
            if row.micro_filled_ns and Decimal(row.micro_filled) >= Decimal(row.quantity)
        ),
        maker_share=(
            statistics.fmean(float(each.row.maker_share or 0) for each in compared)
            if compared
            else None
        ),
        verdict=_verdict(len(saved), mean, interval),
    )


def _verdict(n: int, mean: float | None, interval: float | None) -> str:
    if n < FEW or mean is None or interval is None:
        return "too few yet"
    if abs(mean) <= interval:
        return "no difference shown"
    return "micro paid less" if mean > 0 else "micro paid more"


def _share(pairs: Iterable[tuple[str, str]]) -> float | None:
    """Mean over orders of the share filled: quantities of different pairs do not add up."""
    shares = [float(Decimal(filled) / Decimal(quantity)) for filled, quantity in pairs]
    return statistics.fmean(shares) if shares else None


def _median_s(times_ns: Iterable[int]) -> float | None:
    """The clocks of exchange and machine differ a little: a negative time is none."""
    times = [max(each, 0) / _NS for each in times_ns]
    return statistics.median(times) if times else None
