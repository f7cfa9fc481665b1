"""What Freqtrade must hold, and at which average, by the way in which it keeps a trade.

``LocalTrade.recalc_trade_from_orders`` of Freqtrade 2026.9, over micro's exact numbers: entries raise
a running average cost; an exit takes out at that average and leaves it as it is, so a further entry
after a part was sold is averaged with what is left and not with what was ever bought. An order
counts when it is over. Where what is left is less than a step, amount and average stay as they were, or
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
    """As it is kept: cut down to a step."""
    rate: Decimal | None
    """Running average cost, exact; None before the first order is over."""
    rest: Decimal
    """Bought less sold, exact."""
    uncut: Decimal
    """Fees in base currency that Freqtrade has not taken off: paid from dust, or not found yet."""


def running(
    trade: BookedTrade, legs: Iterable[tuple[BookedOrder, PublishReport]], entry_side: str
) -> Running:
    """Follow a trade through those of its orders that are over, in the order of the rows."""
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
    """What the venue kept of an order in base currency."""
    return sum((fill.fee for fill in report.fills if fill.fee_currency == base), Decimal(0))


def down(amount: Decimal, step: Decimal) -> Decimal:
    """An amount cut down to a multiple of a step; 0 takes it as it is."""
    return amount // step * step if step and amount > 0 else amount
