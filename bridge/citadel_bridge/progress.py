"""A progress bar while a long file is read; nothing without a terminal, as in a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from citadel_proto.tape import Record, TapeReader

_WORTH_IT: Final = 16 * 1024 * 1024
"""Octets below which a file is read before a bar could be seen."""
_EVERY: Final = 4_096


def watched(reader: TapeReader, path: Path, what: str) -> Iterator[Record]:
    """The records of a tape, with a bar on standard error of how much of the file is read.

    Args:
        reader: the tape, at its beginning.
        path: its file, for the size.
        what: what is being done, for people.
    """
    size = path.stat().st_size
    if size < _WORTH_IT or not sys.stderr.isatty():
        yield from reader.records()
        return
    from rich.console import Console  # noqa: PLC0415 - a third of the start of a command
    from rich.progress import (  # noqa: PLC0415 - as above
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=size)
        for number, record in enumerate(reader.records()):
            if number % _EVERY == 0:
                bar.update(task, completed=reader.offset)
            yield record
