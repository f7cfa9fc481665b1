"""Old journals of a run folder, which go; never those that a restart may need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from citadel_micro.shell.journal.parts import files_of, runs_of
from citadel_micro.shell.journal.run_index import RUN_ID

if TYPE_CHECKING:
    from pathlib import Path

SPARED: Final = 2
"""Runs whose newest files are never touched: that of a run that may be going on, and the one before."""
_DAY_NS: Final = 86_400 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Which journals stay; 0 is no bound."""

    runs: int = 0
    days: float = 0.0
    octets: int = 0
    """Of all journals together, the spared ones included."""


def journals(folder: Path) -> list[Path]:
    """Complete journals by their newest files, the oldest run first."""
    found = runs_of(folder)
    names = ((path, path.stem.removeprefix("journal-")) for path in found)
    return [path for path, run in names if RUN_ID.fullmatch(run)]


def beyond(folder: Path, keep: Keep, now_ns: int) -> list[Path]:
    """The files that are to go, oldest first; of a long run in parts, its old ones too."""
    runs = journals(folder)
    files = [(place, path) for place, run in enumerate(runs) for path in files_of(run)]
    total = sum(path.stat().st_size for _, path in files)
    gone: list[Path] = []
    for place, path in files:
        if path in runs[-SPARED:]:
            continue
        status = path.stat()
        if (
            (keep.runs and len(runs) - place > keep.runs)
            or (keep.days and now_ns - status.st_mtime_ns > keep.days * _DAY_NS)
            or (keep.octets and total > keep.octets)
        ):
            gone.append(path)
            total -= status.st_size
        else:
            break  # what is newer stays as well: a folder without gaps
    return gone
