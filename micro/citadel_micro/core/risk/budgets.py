"""Budgets: what one strategy, or one owner, may hold and have working, all its orders counted as filled.

An account has one position per instrument, whoever bought it. So holdings are attributed by fills:
each adds to the strategy and to the owner of its order. What the operator or the venue changes
besides is nobody's.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, cast

from citadel_micro.core.model.risk_limits import for_venue
from citadel_micro.core.risk.check_context import growth_within, worth_of
from citadel_micro.core.risk.rows import CLEAR
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.risk.check_context import Case

Kind = Literal["strategy", "owner"]
STRATEGY_BUDGET: Final = RiskCode.STRATEGY_BUDGET
OWNER_BUDGET: Final = RiskCode.OWNER_BUDGET
BUDGETS: Final = (STRATEGY_BUDGET, OWNER_BUDGET)
_CLEAR: Final = tuple(CLEAR[code] for code in BUDGETS)
_ZERO: Final = Decimal(0)


class Budgets:
    """Signed quantity by strategy or owner, and instrument; kept where there are budgets."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], dict[tuple[str, str], Decimal]] = {}

    def booked(
        self,
        key: tuple[str, str],
        change: Decimal,
        *,
        strategy: str,
        owner: str,
        limits: RiskLimits,
    ) -> bool:
        """A fill of an order of theirs; whether anything was attributed."""
        kinds: list[tuple[str, str]] = []
        if limits.max_strategy_exposure:
            kinds.append(("strategy", strategy))
        if limits.max_owner_exposure:
            kinds.append(("owner", owner))
        for each in kinds:
            held = self._held.setdefault(each, {})
            after = held.get(key, _ZERO) + change
            if after:
                held[key] = after
                continue
            held.pop(key, None)
            if not held:
                del self._held[each]
        return bool(kinds)

    def held(self, kind: Kind, name: str) -> dict[tuple[str, str], Decimal]:
        """(venue, symbol) -> signed quantity."""
        return self._held.get((kind, name), {})

    def to_state(self) -> list[list[str]]:
        """Plain data from which ``load`` makes an equal object."""
        return [
            [*whose, *key, str(quantity)]
            for whose, held in self._held.items()
            for key, quantity in held.items()
        ]

    def load(self, rows: object) -> None:
        """Restore what ``to_state`` gave."""
        self._held = {}
        for kind, name, venue, symbol, quantity in cast("list[list[str]]", rows):
            self._held.setdefault((kind, name), {})[venue, symbol] = Decimal(quantity)


def check_budgets(case: Case, budgets: Budgets) -> None:
    """13 (not for reductions): the strategy's and the owner's worst case is within their budgets."""
    limits, request = case.limits, case.request
    if not limits.max_strategy_exposure and not limits.max_owner_exposure:
        case.rows += _CLEAR
        return
    _check(case, budgets, "strategy", request.strategy, limits.max_strategy_exposure)
    _check(case, budgets, "owner", request.owner, limits.max_owner_exposure)


def _check(case: Case, budgets: Budgets, kind: Kind, name: str, table: dict[str, Decimal]) -> None:
    code = STRATEGY_BUDGET if kind == "strategy" else OWNER_BUDGET
    if not table:
        case.rows.append(CLEAR[code])
        return
    most = for_venue(table, name)
    if most is None:
        case.failed_entry(13, code, f"{kind} {name or 'without a name'} has no budget")
        return
    request, rules, worth = case.request, case.instrument, case.worth
    here = (request.venue, request.symbol)
    held = budgets.held(kind, name)
    pending = case.view.pending_of(kind, name, request.parent_id)
    others = _ZERO
    for key in dict.fromkeys((*held, *pending)):
        if key == here:
            continue
        its = case.view.instrument(*key)
        each = None if its is None else worth_of(case, its)
        if its is None or each is None:
            case.failed_entry(13, code, f"{':'.join(key)} cannot be valued")
            return
        buys, sells = pending.get(key, (0, 0))
        own = held.get(key, _ZERO)
        others += max(own + its.lot * buys, its.lot * sells - own) * each
    if rules is None or worth is None:
        case.failed_entry(13, code, f"{':'.join(here)} cannot be valued")
        return
    buys, sells = pending.get(here, (0, 0))
    own = held.get(here, _ZERO)
    if not case.buy:
        own, buys, sells = -own, sells, buys
    ahead = own + rules.lot * (buys + case.exposure)
    back = rules.lot * sells - own
    total = others + max(ahead, back) * worth
    if total <= most:
        case.rows.append((13, code, True, total, most, ""))
        return
    lots = 0
    if others + back * worth <= most:
        lots = growth_within(most - others, worth, own, rules.lot, buys)
    text = (
        f"{kind} {name} would have {total:.2f} {case.limits.reporting_currency}, "
        f"its budget is {most}"
    )
    case.failed_entry(13, code, text, value=total, limit=most, lots=lots)
