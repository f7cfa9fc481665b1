"""Components shared by the parts of the engine, created once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.execution.risk_view import EngineRiskView
    from citadel_micro.core.model.command_buffer import CommandBuffer
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.order_store import OrderStore
    from citadel_micro.core.risk.manager import RiskManager


class EngineContext(NamedTuple):
    """The components of one engine."""

    config: EngineConfig
    inst_states: Mapping[tuple[str, str], InstrumentState]
    """(venue, symbol) -> instrument."""
    order_store: OrderStore
    risk: RiskManager
    view: EngineRiskView
    out: CommandBuffer
