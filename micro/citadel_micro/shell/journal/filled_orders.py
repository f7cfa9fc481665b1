"""How many orders have filled in a run folder, over all its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.shell.journal import records
from citadel_micro.shell.journal.journal import MARKED
from citadel_proto.errors import DecodeError
from citadel_proto.tape import COMMAND, TapeReader

if TYPE_CHECKING:
    from pathlib import Path

FILL: Final = "fill/"
"""Begins the key under which the engine keeps a fill: ``fill/<child>/<number>``."""


def filled_orders(folder: Path) -> int:
    """Parent orders with at least one fill. A journal that is damaged counts as far as it is read."""
    parents: set[str] = set()
    for path in sorted(folder.glob("journal-*.ctape")):
        try:
            with TapeReader.open(path) as reader:
                marked = reader.header.meta.get(MARKED) is True
                for record in reader.records(marked=marked):
                    if record.direction != COMMAND:
                        continue
                    persist = records.decode_persist(record.frame)
                    if persist is not None and persist.key.startswith(FILL):
                        child = persist.key.removeprefix(FILL).partition("/")[0]
                        # sc<mark><run>-<parent>-<child>
                        parents.add(child.rpartition("-")[0])
        except (DecodeError, ValueError, TypeError, AttributeError):
            continue
    return len(parents)
