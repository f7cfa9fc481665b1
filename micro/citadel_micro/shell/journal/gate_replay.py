"""What the gate judged in a run, and what it would have judged under other limits.

A journal holds every event, so its engine can be run again and the gate watched at work. Under other
limits the recorded course is kept: the same markets, orders and fills, each order judged twice. What an
order that was then denied would have done to the market or to later orders is not invented.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.risk_limits import RiskLimits
from citadel_micro.core.risk.manager import RiskManager
from citadel_micro.core.risk.sizing import Sizing, given_nothing
from citadel_micro.core.risk.types import RiskRequest, Verdict
from citadel_micro.shell.journal.reader import JournalReader, event_of
from citadel_proto.reason_codes import SIZED, SIZING_UNKNOWN
from citadel_proto.tape import EVENT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from citadel_micro.core.risk.check_context import Case

MOST_SHOWN = 1_000
"""Orders of one kind that a comparison names."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One order as it was judged."""

    now_ns: int
    request: RiskRequest
    verdict: Verdict
    limits: RiskLimits


def explain(path: Path, parent_id: str) -> list[Judged]:
    """Every judgement of one order and its children, in order; empty when it is not in the journal.

    Raises:
        BadInput, DecodeError: the file cannot be read, or is no journal.
    """
    found: list[Judged] = []

    def watch(case: Case) -> None:
        if case.request.parent_id == parent_id:
            found.append(Judged(case.now_ns, case.request, case.verdict(), case.limits))

    _replay(path, lambda _engine: watch)
    return found


@dataclass(slots=True)
class Comparison:
    """A run under its own limits and under others."""

    judged: int = 0
    then: dict[str, int] = field(default_factory=dict)
    """Code -> denials under the limits of the run."""
    instead: dict[str, int] = field(default_factory=dict)
    """Code -> denials under the others."""
    denied: dict[str, str] = field(default_factory=dict)
    """Orders admitted then that the others deny at admission -> code."""
    admitted: dict[str, str] = field(default_factory=dict)
    """Orders denied then, with their code, that the others admit."""
    sized: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Orders that the others give another quantity -> lots asked for, given then, given instead."""
    ending: str = ""
    """How the file ends, if not with a complete block."""


def what_if(path: Path, limits: RiskLimits) -> Comparison:
    """Judge every order of a run under other limits as well.

    Raises:
        BadInput, DecodeError: the file cannot be read, or is no journal.
    """
    found = Comparison()

    def watcher(engine: Engine) -> Callable[[Case], None]:
        other = RiskManager(limits, engine.risk.breakers)
        other.dms_armed = engine.risk.dms_armed
        other.budgets = engine.risk.budgets
        sizing = Sizing(other)

        def watch(case: Case) -> None:
            request, code = _sized(found, case, sizing)
            verdict = other.judge(request, case.view, case.now_ns)
            _compare(found, case, code or verdict.code)
            if verdict.ok and not code and not case.denied:
                if not case.parent:
                    other.conduct.sent(request, limits, case.now_ns)
                elif not verdict.reducing:
                    other.conduct.admitted(request, limits, case.now_ns)

        return watch

    found.ending = _replay(path, watcher)
    return found


def _sized(found: Comparison, case: Case, sizing: Sizing) -> tuple[RiskRequest, str]:
    """The request as the other sizing makes it, and a code where it gives nothing."""
    request = case.request
    if not case.parent:
        return request, ""
    then = 0 if given_nothing(request) else request.quantity_lots
    asked = request.asked_lots or request.quantity_lots
    plain = replace(request, quantity_lots=asked, exposure_lots=asked, asked_lots=0, sizing="")
    size = sizing.size(plain, case.view, case.now_ns)
    lots = asked if size is None else size.lots
    if lots != then and len(found.sized) < MOST_SHOWN:
        found.sized[request.parent_id] = (asked, then, lots)
    if size is None or lots == asked:
        return plain, ""
    if lots == 0:
        return plain, SIZING_UNKNOWN if size.unknown else SIZED
    return replace(plain, quantity_lots=lots, exposure_lots=lots, asked_lots=asked), ""


def _compare(found: Comparison, case: Case, instead: str) -> None:
    found.judged += 1
    before = SIZED if given_nothing(case.request) else case.verdict().code
    for table, code in ((found.then, before), (found.instead, instead)):
        if code:
            table[code] = table.get(code, 0) + 1
    if case.parent and bool(before) != bool(instead):
        orders = found.denied if instead else found.admitted
        if len(orders) < MOST_SHOWN:
            orders[case.request.parent_id] = before or instead


def _replay(path: Path, watcher: Callable[[Engine], Callable[[Case], None]]) -> str:
    """Returns how the file ends, if not with a complete block."""
    reader = JournalReader(path)
    try:
        engine = Engine(reader.header.config, reader.header.instruments)
        engine.risk.watch = watcher(engine)
        for record in reader.records():
            if record.direction == EVENT:
                engine.handle(event_of(record), record.recv_ns)
        return " ".join(filter(None, reader.ending()))
    finally:
        reader.close()
