"""What reaches the engine from its clock, its operator and its own past, and from no venue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from citadel_micro.core.model.risk_limits import RiskLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """``next_timer`` has passed. Early and repeated firings are harmless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCommand:
    """An operator's command.

    ``action``: ``pause`` (REDUCING), ``halt``, ``kill``, ``reset`` (names ``trip_id`` and
    ``reason``), ``cancel_all``, ``flatten``. ``scope`` as in the risk page; ``global`` if empty.
    """

    action: Literal["pause", "halt", "kill", "reset", "cancel_all", "flatten", "shutdown"]
    scope: str
    trip_id: str
    reason: str
    through_halt: bool = False
    """For ``flatten``: it passes a halt, though never the kill switch."""
    pause: bool = False
    """For ``flatten``: its scope is paused first, so that nothing enters again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsChanged:
    """The operator has changed the risk limits; orders are checked against the new ones."""

    limits: RiskLimits
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsChanged:
    """The venue takes prices and quantities in other steps now than those that this run counts in.

    A finer step takes whatever ours are: then both are 1.
    """

    venue: str
    symbol: str
    price_ticks: int
    """A price must be a multiple of so many of our ticks."""
    quantity_lots: int
    """The same of quantities, in our lots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """First event of every run: durable state folded from the journal (empty on a first run)."""

    state: dict[str, object]
    """Key -> plain value (text, int, bool, None, list, dict), as ``Persist`` commands wrote it."""
    damaged: str
    """Empty, or what is wrong with the journal: the engine then stays HALTED."""
