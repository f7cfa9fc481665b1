"""What the runner needs of the journal and of the uplink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.commands import Publication
    from citadel_micro.core.model.events import Event


class JournalPort(Protocol):
    """What the runner needs from a journal."""

    def event(self, now_ns: int, event: Event) -> None:
        """Append one event."""

    def command(self, now_ns: int, command: Command) -> None:
        """Append one command."""

    def fault(self, now_ns: int, text: str, *, in_engine: bool) -> None:
        """Append the end of a run that hit a bug of ours, in the engine or around it."""

    def flush(self) -> None:
        """Pass everything to the operating system."""

    def start_sync(self) -> None:
        """Flush, and have the disk begin, without waiting: ``sync`` then waits for the rest."""

    def sync(self) -> None:
        """Flush, and return when it is on disk."""


class Publisher(Protocol):
    """What the runner needs from the uplink."""

    def publish(self, command: Publication, now_ns: int) -> None:
        """Send one message; never waits."""
