"""What several modules of tests of the risk gate share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from citadel_micro.core.model.commands import PublishRisk
from citadel_micro.core.model.events import (
    OperatorCommand,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def states(commands: Sequence[object]) -> list[tuple[str, str, str]]:
    return [(c.scope, c.state, c.code) for c in commands if isinstance(c, PublishRisk)]


def operator(
    action: Literal["pause", "halt", "kill", "reset", "cancel_all", "flatten", "shutdown"],
    *,
    scope: str = "",
    trip_id: str = "",
    reason: str = "drill",
) -> OperatorCommand:
    return OperatorCommand(action=action, scope=scope, trip_id=trip_id, reason=reason)
