"""Beside every order that passes as plain, the checks themselves: they must pass it too, on the same book."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from citadel_micro.core.execution.risk_view import EngineRiskView
from citadel_micro.core.risk.budgets import Budgets
from citadel_micro.core.risk.check_context import Case
from citadel_micro.core.risk.plain_orders import PlainOrders
from citadel_micro.core.risk.table import judge_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.risk.types import JudgedMarket, RiskRequest, RiskView, Verdict


def judged(request: RiskRequest, view: RiskView, limits: RiskLimits, **facts: Any) -> Case:  # noqa: ANN401 - as ``passes``
    """What every check finds of the same order."""
    case = Case(
        request,
        view,
        limits,
        state=facts["breakers"].state(request.venue, request.symbol, request.strategy),
        dms_armed=facts["armed"],
        now_ns=facts["now_ns"],
        order_expires_ns=facts.get("expires_ns"),
    )
    judge_all(case, facts["conduct"], Budgets())
    return case


def _same_standing(view: EngineRiskView, request: RiskRequest) -> None:
    """What is counted once is what counting every order again finds."""
    said = view.standing(request.venue, request.symbol, request.side, request.parent_id)
    if said is None:
        return
    here, states = (request.venue, request.symbol), view._inst_states
    pending = {(venue, symbol): lots for venue, symbol, lots in view.active_symbols()}
    elsewhere = [
        (states[key].instrument, lots["buy"], lots["sell"])
        for key, lots in pending.items()
        if key != here
    ]
    key = attrgetter("venue", "symbol")
    assert sorted(said[4], key=lambda row: key(row[0])) == sorted(
        elsewhere, key=lambda row: key(row[0])
    )
    assert said[3] == sum(len(inst.parents) for inst in states.values())


@dataclass
class Doubts:
    """How often an order was looked at, and how often it passed as plain; parents at their admission too."""

    asked: int = 0
    passed: int = 0
    parents: int = 0
    admitted: int = 0


@contextmanager
def doubting() -> Iterator[Doubts]:
    """Every gate of this process asks the checks as well."""
    passes, admits = PlainOrders.passes, PlainOrders.admits
    counts = Doubts()

    def both(
        self: PlainOrders,
        request: RiskRequest,
        view: RiskView,
        limits: RiskLimits,
        **facts: Any,  # noqa: ANN401 - as ``passes``
    ) -> JudgedMarket | None:
        market = passes(self, request, view, limits, **facts)
        counts.asked += 1
        if isinstance(view, EngineRiskView):
            states = view._inst_states
            busy = {key: inst for key, inst in states.items() if inst.parents}
            assert view._open.busy == busy, "the index of instruments with parents is wrong"
            _same_standing(view, request)
        if market is not None:
            counts.passed += 1
            case = judged(request, view, limits, **facts)
            failures = [row for row in case.rows if not row[2]]
            assert not case.denied, f"passed as plain, though denied: {failures}"
            assert market is case.market
        return market

    def admission(
        self: PlainOrders,
        request: RiskRequest,
        view: RiskView,
        limits: RiskLimits,
        **facts: Any,  # noqa: ANN401 - as ``admits``
    ) -> Verdict | None:
        verdict = admits(self, request, view, limits, **facts)
        counts.parents += 1
        if verdict is not None:
            counts.admitted += 1
            told = judged(request, view, limits, **facts).verdict()
            assert replace(told, rows=()) == verdict, f"admitted as plain, though {told}"
        return verdict

    PlainOrders.passes = both  # type: ignore[method-assign]
    PlainOrders.admits = admission  # type: ignore[method-assign]
    try:
        yield counts
    finally:
        PlainOrders.passes = passes  # type: ignore[method-assign]
        PlainOrders.admits = admits  # type: ignore[method-assign]
