"""A journal of a short life of one engine: a buy that fills, and one that rests."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine_kit import KEY, MS, START, Rig, config, rules, signal

from citadel_micro.shell.journal.journal import new_journal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.events import Event


class Journaled(Rig):
    """A rig whose events and commands are in a journal."""

    def __init__(self, path: Path) -> None:
        self.journal = new_journal(path, config(), {KEY: rules()}, START)
        super().__init__()

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        self.journal.event(self.now, event)
        for command in commands:
            self.journal.command(self.now, command)


def lived(path: Path) -> Path:
    """Write it."""
    rig = Journaled(path)
    rig.venue.partial_share = 0.0
    rig.send(signal("buys", quantity=Decimal("0.01"), algo="marketable_limit"))
    rig.run(200 * MS)
    low = {"algo": "limit", "limit_price": Decimal(59_900)}
    rig.send(signal("rests", quantity=Decimal("0.01"), seq=2, **low))
    rig.run(200 * MS)
    rig.journal.sync()
    rig.journal.close()
    return rig.journal.path
