"""The amount and average that Freqtrade must hold, by its own way of keeping a trade.

``LocalTrade.recalc_trade_from_orders`` of Freqtrade 2026.9, over micro's exact numbers: entries raise
a running average cost; an exit takes out at that average and leaves it unchanged, so a further entry
after a partial exit is averaged with what is left and not with everything ever bought. An order
counts when it is closed. Where what is left is less than a step, amount and average stay as they were, or
are those of the entry alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.model.commands import PublishReport
    from citadel_micro.demo.freqtrade_books import BookedOrder, BookedTrade

_DIGITS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A trade as Freqtrade's rule makes it."""

    amount: Decimal
    """As kept: cut down to a step."""
    rate: Decimal | None
    """Running average cost, exact; None before the first order is closed."""
    rest: Decimal
    """Bought less sold, exact."""
    uncut: Decimal
    """Fees in base currency that Freqtrade has not deducted: paid from dust, or not found yet."""


def running(
    trade: BookedTrade, legs: Iterable[tuple[BookedOrder, PublishReport]], entry_side: str
) -> Running:
    """Follow a trade through its closed orders, in row order."""
    base = trade.pair.partition("/")[0]
    kept, rate = Decimal(0), None
    amount = stake = average = uncut = Decimal(0)
    with localcontext(Context(prec=_DIGITS)):
        for order, report in legs:
            if order.open or report.filled <= 0 or report.average is None:
                continue
            taken_off = Decimal(repr(order.fee_base or 0.0))
            if not taken_off:
                uncut += base_fee(report, base)
            quantity = report.filled - taken_off
            if order.side == entry_side:
                amount += quantity
                stake += report.average * quantity
                average = stake / amount if amount > 0 else average
                kept, rate = quantity, report.average
            else:
                amount -= quantity
                stake -= average * quantity
            cut = down(amount, trade.step)
            if cut > 0:
                kept, rate = cut, stake / amount
    return Running(amount=kept, rate=rate, rest=amount, uncut=uncut)


def base_fee(report: PublishReport, base: str) -> Decimal:
    """Fee of an order that the venue took in base currency."""
    return sum((fill.fee for fill in report.fills if fill.fee_currency == base), Decimal(0))


def down(amount: Decimal, step: Decimal) -> Decimal:
    """An amount cut down to a multiple of a step; a step of 0 leaves it unchanged."""
    return amount // step * step if step and amount > 0 else amount
