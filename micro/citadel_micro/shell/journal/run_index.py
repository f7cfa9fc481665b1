"""The list of a folder's runs, so that a missing journal is detected.

A restart resumes from the newest journal. Without a list, removing that one would make micro resume
from an older account without noticing. ``journals.index`` names every run that was started, one per
line, oldest first; a journal's own header says that there is such a list. A line that ends in
``lost`` marks a journal that the operator has given up.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Final

from citadel_proto.errors import BadInput, Refused

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "journals.index"
LOST: Final = "lost"
RUN_ID: Final = re.compile(r"[0-9a-y][0-9a-z]{7}")
_KEPT: Final = 1_000
"""Lines, some 10 kB: only the newest matter."""


class RunIndex:
    """The list of one run folder, whose lock the caller holds.

    Raises:
        BadInput: the file cannot be read, or is no such list.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._lines = self._read()

    @property
    def newest(self) -> str:
        """The run that was started last, whether or not its journal exists; empty for none."""
        return max((line[0] for line in self._lines), default="")

    def missing(self, newest: str, *, listed: bool) -> str:
        """Compare with the newest existing journal.

        Args:
            newest: its run, empty for none.
            listed: its header says that there is a list.

        Returns:
            Empty, or what is given up, as marked by the operator.

        Raises:
            Refused: a journal that the list names is missing, or the list itself.
        """
        if listed and not self._lines:
            raise Refused(
                f"{self.path} is missing: it names the newest journal, and without it nothing shows "
                f"whether journal {newest} is the newest. Put it back from a copy. If {newest} is "
                f"the newest for certain: echo {newest} > {self.path}"
            )
        later = [line for line in self._lines if line[0] > newest]
        gone = [line[0] for line in later if line[1:] != [LOST]]
        if gone:
            what = f"journal {newest}" if newest else "nothing"
            raise Refused(
                f"journal {gone[-1]} is missing from {self.path.parent}: it holds the newest state "
                f"of orders and account, and what is left is {what}. Put it back from a copy. To "
                f"continue without it, write `{LOST}` after {gone[-1]} in {self.path}: micro then "
                "starts halted, so that you can compare with the venue"
            )
        names = ", ".join(line[0] for line in later)
        return f"journal {names} is lost, and with it what happened since {newest}" if later else ""

    def add(self, run_id: str) -> None:
        """Add a run whose journal is on disk; returns when the list is, too."""
        self._lines = [*self._lines, [run_id]][-_KEPT:]
        text = "".join(" ".join(line) + "\n" for line in self._lines)
        replace_whole(self.path, text.encode(), durable=True)

    def _read(self) -> list[list[str]]:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BadInput(
                f"cannot read it: {error.strerror}",
                where=str(self.path),
                mend="it has to be a plain file of the user who runs micro",
            ) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BadInput("it is not a file", where=str(self.path), mend="put it back from a copy")
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
            lines = [line.split() for line in file if line.strip()]
        for line in lines:
            if not RUN_ID.fullmatch(line[0]) or line[1:] not in ([], [LOST]):
                raise BadInput(
                    f"the line {' '.join(line)!r} names no run",
                    where=str(self.path),
                    allowed=f"eight letters and digits, as in a journal's name, and then `{LOST}`",
                )
        return lines


def replace_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a private file atomically: readers see the old or the new one; links are replaced.

    Raises OSError.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(partial, flags, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(descriptor)
    partial.replace(path)
    if durable:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Return when the names of its files are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
