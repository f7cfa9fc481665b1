"""Collects the commands of one call of the engine."""

from __future__ import annotations

from typing import Literal

from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import (
    AmendOrder,
    CancelOrder,
    Note,
    Persist,
    PlaceOrder,
    Publication,
    QueryOrder,
    QueryTrades,
    QueryVenue,
    RequestSnapshot,
    Stopped,
)

Command = (
    Approved[PlaceOrder]
    | Approved[AmendOrder]
    | CancelOrder
    | QueryOrder
    | QueryTrades
    | QueryVenue
    | Publication
    | RequestSnapshot
    | Persist
    | Note
    | Stopped
)
Level = Literal["debug", "info", "warning", "error"]


class CommandBuffer:
    """Commands in the order they arose, and durable values, of which the last per key counts."""

    __slots__ = ("commands", "durable")

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.durable: dict[str, object] = {}

    def note(self, level: Level, event: str, **fields: str | float | bool) -> None:
        """Add a log line."""
        self.commands.append(Note(level=level, event=event, fields=tuple(fields.items())))

    def take(self) -> list[Command]:
        """Return everything so far, durable values first, and start empty."""
        if not self.durable:
            commands, self.commands = self.commands, []
            return commands
        commands = [Persist(key=key, value=value) for key, value in self.durable.items()]
        commands.extend(self.commands)
        self.durable = {}
        self.commands = []
        return commands
