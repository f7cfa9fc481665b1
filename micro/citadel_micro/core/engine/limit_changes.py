"""New risk limits, and new steps of a venue, while micro runs."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.execution.venue_steps import VenueSteps
from citadel_micro.core.model.events import LimitsChanged, StepsChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.marketdata.reference_books import ReferenceBooks

FIXED: Final = ("reporting_currency", "par_currencies", "rolling_window_ns")
"""Limits that past profit was counted with."""


def run_time_changes(
    context: EngineContext, references: ReferenceBooks
) -> Mapping[type, Callable[[Any, int], None]]:
    """What handles them, by kind of event."""
    return {
        LimitsChanged: LimitChanges(context, references).on_limits,
        StepsChanged: VenueSteps(context).on_steps,
    }


class LimitChanges:
    """Applies limits that the operator has changed."""

    def __init__(self, context: EngineContext, references: ReferenceBooks) -> None:
        self._risk = context.risk
        self._references = references
        self._out = context.out

    def on_limits(self, event: LimitsChanged, now_ns: int) -> None:
        """Check against new limits from now on; working orders at their next request."""
        del now_ns
        old, new = self._risk.limits, event.limits
        names = [each.name for each in fields(new)]
        changed = [name for name in names if getattr(old, name) != getattr(new, name)]
        fixed = [name for name in changed if name in FIXED]
        if fixed:
            error = f"{', '.join(fixed)} cannot change while micro runs: restart it"
            self._out.note("error", "operator_command_refused", action="limits", error=error)
            return
        self._risk.replace_limits(new)
        self._references.limits = new
        self._out.note(
            "warning",
            "limits_changed",
            changed=", ".join(changed) or "nothing",
            reason=event.reason,
        )
