"""What the rooms of the engine share, made once and handed to each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.execution.risk_view import EngineView
    from citadel_micro.core.model.command_buffer import Outbox
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.orders.instrument_state import Desk
    from citadel_micro.core.orders.order_store import Register
    from citadel_micro.core.risk.manager import RiskManager


class Parts(NamedTuple):
    """One engine's parts."""

    config: EngineConfig
    desks: Mapping[tuple[str, str], Desk]
    """(venue, symbol) -> desk."""
    register: Register
    risk: RiskManager
    view: EngineView
    out: Outbox
