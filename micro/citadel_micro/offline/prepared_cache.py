"""The folder of prepared files: one for each capture and symbol that was worked on, the oldest going first.

It holds nothing that cannot be made again. Whatever is wrong with it or a file in it costs time, never a run.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from citadel_micro.core.marketdata import kernel
from citadel_micro.offline.prepared import (
    About,
    NoPlaceError,
    Prepared,
    PreparedWriter,
    about_of,
    code_version,
    content_of,
)
from citadel_micro.shell.capture.offline import capture_life
from citadel_micro.shell.instruments.capture import instruments_for_capture
from citadel_proto.errors import BadInput, DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.offline.prepared import Step

SUFFIX: Final = ".prepared"
MOST_BYTES: Final = 4_000_000_000
"""Of all files together: those longest unused go."""


def usual_folder() -> Path:
    """``$XDG_CACHE_HOME/stoic-citadel``, by default in ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "stoic-citadel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One file of the cache."""

    path: Path
    about: About | None
    """None for a file that cannot be read, or was left half-made."""
    octets: int
    used_ns: int
    """When it was made or last read."""

    @property
    def of_this_release(self) -> bool:
        """Whether it is still read."""
        return self.about is not None and self.about.code == code_version()


class Source:
    """The steps of one symbol of a capture, and its rules: prepared, or being so while they are read.

    Args:
        capture: the recorded traffic.
        venue: that it was recorded from.
        symbol: unified.
        folder: of the cache; None for none.
        file: of trading rules, before those that the capture lets infer.

    Raises:
        BadInput: the capture cannot be read, or has no such symbol.
    """

    def __init__(
        self, capture: Path, venue: str, symbol: str, *, folder: Path | None, file: Path | None
    ) -> None:
        self._capture, self._venue, self._symbol = capture, venue, symbol
        self._target: Path | None = None
        self.note = ""
        """Empty, or why nothing was kept."""
        self.prepared: Prepared | None = None
        """What was found in the cache."""
        if folder is not None and kernel.DELTAS is not None:  # slower than decoding in Python
            try:
                self.prepared = self._find(folder)
            except OSError as error:
                self._gave_up(error)
        rules = None if self.prepared is None or file is not None else self.prepared.rules
        if rules is None:
            rules = instruments_for_capture(capture, venue, symbol, file)
        self.rules: tuple[Instrument, str] = rules
        """Trading rules and their source."""
        self._inferred = rules if file is None else None

    def steps(self) -> Iterator[Step]:
        """As ``shell.capture.offline.capture_life``. Raises BadInput as that does."""
        if self.prepared is not None:
            return self.prepared.steps()
        steps = capture_life(self._capture, self._venue, self._symbol)
        return steps if self._target is None else self._kept(steps, self._target)

    def _find(self, folder: Path) -> Prepared | None:
        self._about = About(
            capture=self._capture.name,
            content=content_of(self._capture),
            venue=self._venue,
            symbol=self._symbol,
            code=code_version(),
        )
        name = f"{self._about.content}\0{self._venue}\0{self._symbol}\0{self._about.code}"
        target = folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}{SUFFIX}"
        if target.exists():
            try:
                found = Prepared(target)
            except (DecodeError, BadInput):
                target.unlink(missing_ok=True)
            else:
                os.utime(target)
                return found
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._target = target
        return None

    def _kept(self, steps: Iterator[Step], target: Path) -> Iterator[Step]:
        """Write the steps while they are read. A disk that fails ends the writing, not the run."""
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        writer = self._begin(partial)
        good = writer is not None
        try:
            add = None if writer is None else writer.add
            for step in steps:
                if add is not None:
                    try:
                        add(step)
                    except (OSError, NoPlaceError) as error:
                        good, add = self._gave_up(error), None
                yield step
            if good and writer is not None:
                try:
                    writer.finish()
                    partial.replace(target)
                    make_room(target.parent, spare=target)
                except OSError as error:
                    self._gave_up(error)
        finally:
            with contextlib.suppress(OSError):
                if writer is not None:
                    writer.close()
                partial.unlink(missing_ok=True)

    def _begin(self, partial: Path) -> PreparedWriter | None:
        try:
            partial.unlink(missing_ok=True)
            return PreparedWriter(partial, self._about, self._inferred)
        except (OSError, BadInput) as error:
            self._gave_up(error)
            return None

    def _gave_up(self, error: Exception) -> bool:
        """Say why nothing is kept."""
        self.note = f"the capture is not kept prepared for the next run: {error}"
        return False


def held(folder: Path) -> list[Held]:
    """Every file of the cache, the one used last first."""
    found = []
    for path in (*folder.glob(f"*{SUFFIX}"), *folder.glob(f".*{SUFFIX}.*")):
        with contextlib.suppress(FileNotFoundError):  # another process tidies as well
            status = path.stat()
            try:
                about = None if path.name.startswith(".") else about_of(path)[0]
            except (DecodeError, BadInput):
                about = None
            found.append(
                Held(path=path, about=about, octets=status.st_size, used_ns=status.st_mtime_ns)
            )
    return sorted(found, key=lambda each: each.used_ns, reverse=True)


def make_room(folder: Path, *, spare: Path, most: int = MOST_BYTES) -> list[Path]:
    """Remove what was not used for longest, as far as the rest is too large; what went."""
    total, gone = 0, []
    for each in held(folder):
        total += each.octets
        if total > most and each.path != spare:
            each.path.unlink(missing_ok=True)
            gone.append(each.path)
    return gone
