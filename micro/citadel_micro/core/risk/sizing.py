"""Sizing: how much of what an entry asks for it is given, before the gate judges it.

A method says what the whole position may be worth, with what it holds and what other orders of its
side may still fill; the limits of checks 10 to 14 cap that. Nobody is given more than he asked for,
and a reduction of a position is never sized. Off unless the configuration names a method.

- Fixed fraction: a part of the capital (Vince 1990, Portfolio Management Formulas).
- Volatility target: capital times the wanted daily volatility, over that of the instrument (Moreira,
  Muir 2017, Volatility-Managed Portfolios).
- Fractional Kelly: a part of p - (1 - p) / b, for a calibrated probability p of winning b times what
  is lost otherwise (Kelly 1956; Thorp 2006, The Kelly criterion).

No method gives more than the capital: a market that has not moved is no reason for leverage.
"""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.core.model.risk_limits import ANY
from citadel_micro.core.risk.check_context import Case, growth_within
from citadel_micro.core.risk.table import judge_all

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.risk.manager import RiskManager
    from citadel_micro.core.risk.types import RiskRequest, RiskView

CAPPED_BY: Final = range(10, 15)
"""Rows of the risk table that cut an entry instead of denying it, where a method is named."""
SELLABLE: Final = Fraction(95, 100)
"""Of the current price: it may fall this far and what was bought can still be sold."""


class Size(NamedTuple):
    """What an entry is given."""

    lots: int
    """At most what it asked for; 0: nothing that could be sold again."""
    why: str
    """The method's figures, and the limit that cut it further."""
    unknown: bool = False
    """It cannot be calculated, so nothing is given."""


class Sizing:
    """The step before the gate; changes nothing."""

    def __init__(self, risk: RiskManager) -> None:
        self._risk = risk

    def method(self, strategy: str) -> str:
        """The method for a strategy's entries; empty where they are given what they ask for."""
        table = self._risk.limits.sizing
        return table.get(strategy, table.get(ANY, "")) if table else ""

    def size(self, request: RiskRequest, view: RiskView, now_ns: int) -> Size | None:
        """Size a parent at its admission; None where it is none to be sized.

        ``quantity_lots`` is what it asks for.
        """
        method = self.method(request.strategy)
        if not method or request.reduce_only:
            return None
        case = self._case(request, view, now_ns)
        rules = case.instrument
        if rules is None or case.numbers_bad or case.reducing:
            return None
        if rules.kind == "spot" and not case.buy:
            return None  # it sells what the account holds, whoever bought it
        if case.worth is None:
            return Size(0, f"{method}: {request.symbol} cannot be valued", unknown=True)
        money = position_worth(method, request, case, self._risk.limits)
        if isinstance(money, str):
            return Size(0, f"{method}: {money}", unknown=True)
        currency = self._risk.limits.reporting_currency
        why = f"{method}: a position of {float(money):.2f} {currency}"
        room = growth_within(money, case.worth, case.signed_position, rules.lot, case.pending)
        lots = min(case.quantity, max(room, case.reducible, 0))
        if lots:
            lots, code = self._capped(request, view, now_ns, lots)
            why += f", capped by {code}" if code else ""
        if lots < case.quantity and lots < least_lots(case, rules):
            lots = 0
        return Size(lots, why)

    def _capped(
        self, request: RiskRequest, view: RiskView, now_ns: int, lots: int
    ) -> tuple[int, str]:
        """The largest quantity up to ``lots`` within checks 10 to 14, and the one that cuts it.

        Where another check fails as well, or nothing would pass, the gate says so itself.
        """
        asked = request.quantity_lots
        given = replace(request, quantity_lots=lots, exposure_lots=lots, asked_lots=asked)
        case = self._case(given, view, now_ns)
        judge_all(case, self._risk.conduct, self._risk.budgets)
        failed = [row for row in case.rows if not row[2]]
        if not failed or any(row[0] not in CAPPED_BY for row in failed):
            return lots, ""
        permitted = case.verdict().permitted_lots
        return (permitted, failed[0][1]) if permitted else (lots, "")

    def _case(self, request: RiskRequest, view: RiskView, now_ns: int) -> Case:
        risk = self._risk
        return Case(
            request,
            view,
            risk.limits,
            state=risk.effective_state(request.venue, request.symbol, request.strategy),
            dms_armed=risk.dms_armed.get(request.venue, False),
            now_ns=now_ns,
            order_expires_ns=None,
        )


def given_nothing(request: RiskRequest) -> bool:
    """Whether a parent was sized to nothing: ``quantity_lots`` is still what it asked for."""
    return bool(request.sizing) and request.quantity_lots == request.asked_lots


def position_worth(
    method: str, request: RiskRequest, case: Case, limits: RiskLimits
) -> Fraction | str:
    """What a method permits the position to be worth, in the reporting currency; or what is missing."""
    capital = _capital(case, limits)
    if capital is None:
        return "the capital cannot be valued: a balance or a position has no price"
    if method == "fixed_fraction":
        part = Fraction(limits.sizing_fraction)
    elif method == "volatility_target":
        daily = _exact(request.daily_volatility)
        if not daily:
            return (
                f"the volatility of {request.symbol} is not known yet: it needs a minute of prices"
            )
        part = Fraction(limits.sizing_daily_volatility) / daily
    else:
        confidence = _exact(request.confidence)
        if confidence is None or confidence > 1:
            return "the signal names no confidence"
        edge = confidence - (1 - confidence) / Fraction(limits.kelly_payoff)
        part = Fraction(limits.kelly_fraction) * edge / Fraction(limits.kelly_loss)
    return capital * min(max(part, Fraction(0)), Fraction(1))


def least_lots(case: Case, rules: Instrument) -> int:
    """The smallest entry of which what is received can be sold again, somewhat lower too."""
    ticks = case.mid_half_ticks // 2 if case.price is None else case.price
    lots = Fraction(rules.min_lots_at(max(1, int(ticks * SELLABLE)), reduce_only=False))
    if rules.kind == "spot" and rules.fee_side == "received":
        lots /= 1 - Fraction(rules.taker_fee)
    return max(math.ceil(lots), case.min_lots())


def _capital(case: Case, limits: RiskLimits) -> Fraction | None:
    capital = limits.sizing_capital or case.portfolio.equity()
    return None if capital is None else max(Fraction(capital), Fraction(0))


def _exact(value: float | None) -> Fraction | None:
    """A float as the decimal it was written as; None for one that is no number, or below 0."""
    if value is None or not math.isfinite(value) or value < 0:
        return None
    return Fraction(Decimal(repr(value)))
