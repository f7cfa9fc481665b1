"""What the rooms of the engine share, made once and handed to each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.config import EngineConfig
    from citadel_micro.core.desk import Desk
    from citadel_micro.core.outbox import Outbox
    from citadel_micro.core.register import Register
    from citadel_micro.core.risk import RiskManager
    from citadel_micro.core.view import EngineView


class Parts(NamedTuple):
    """One engine's parts."""

    config: EngineConfig
    desks: Mapping[tuple[str, str], Desk]
    """(venue, symbol) -> desk."""
    register: Register
    risk: RiskManager
    view: EngineView
    out: Outbox
