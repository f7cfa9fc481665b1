"""Floors beside the peers of ``bench_peers.py``: what reading the same bytes takes that has no checks and little else.

A scan in C to integers, the same with a book, and two parsers of JSON in C and C++ that build a document of
which nothing is read. Theirs are called from Python a frame, the scan a chunk of frames.
"""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peers import Frame, Tops

HERE: Final = Path(__file__).resolve().parent
BUILT: Final = HERE.parent / ".cache" / "bench"


def compiled() -> Path | None:
    """The scan as a library; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    BUILT.mkdir(parents=True, exist_ok=True)
    library = BUILT / "floor_scan.so"
    source = str(HERE / "floor_scan.c")
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), source]
    subprocess.run(command, check=True)
    return library


class Floor:
    """One floor; as the contenders of ``peers.py``."""

    name = ""
    keeps_books = False

    def snapshot(self, frame: Frame) -> None:
        """Most keep no book."""

    def given(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """As they are: a program in C would have them in its buffer."""
        return frames

    def run(self, frames: Sequence[Frame]) -> None:
        raise NotImplementedError

    def tops(self) -> Tops:
        """Most keep no book."""
        return {}

    async def close(self) -> None:
        """It opened nothing."""


class Scan(Floor):
    """USD-M frames to integer prices and sizes, in C."""

    name = "floor: scan in C"
    _libraries: ClassVar[dict[str, Any]] = {}

    def __init__(self, library: Path, native: str, chunks: Sequence[Sequence[Frame]]) -> None:
        self._c = self._libraries.setdefault(str(library), _typed(library))
        self._state: Any = self._c.floor_new()
        self._native = native
        # What is handed to C is made beforehand: a program in C would have it in its buffer.
        self._ready = {id(chunk): _pointers(chunk) for chunk in chunks}
        self._early: Sequence[Frame] = ()

    def snapshot(self, frame: Frame) -> None:
        self._c.floor_snapshot(self._state, frame.data, len(frame.data))
        self.run(self._early)  # of what came before, what is newer

    def run(self, frames: Sequence[Frame]) -> None:
        if not frames:
            return
        pointers, lengths = self._ready[id(frames)]
        self._c.floor_frames(self._state, pointers, lengths, len(frames), self.keeps_books)
        self._early = frames

    def tops(self) -> Tops:
        if not self.keeps_books:
            return {}
        return {
            self._native: (self._c.floor_best(self._state, 0), self._c.floor_best(self._state, 1))
        }

    async def close(self) -> None:
        self._c.floor_free(self._state)


class ScanWithBook(Scan):
    """The same with a book: a slot for each price there is."""

    name = "floor: scan in C, with a book"
    keeps_books = True


def _typed(library: Path) -> Any:  # noqa: ANN401 - a library
    c = ctypes.CDLL(str(library))
    state, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64
    c.floor_new.restype = state
    c.floor_free.argtypes = [state]
    c.floor_snapshot.argtypes = [state, text, size]
    c.floor_frames.argtypes = [
        state, ctypes.POINTER(text), ctypes.POINTER(size), ctypes.c_long, ctypes.c_int,
    ]  # fmt: skip
    c.floor_best.argtypes = [state, ctypes.c_int]
    c.floor_best.restype = ctypes.c_double
    return c


def _pointers(frames: Sequence[Frame]) -> tuple[Any, Any]:
    count = len(frames)
    datas = (ctypes.c_char_p * count)(*(frame.data for frame in frames))
    return datas, (ctypes.c_int64 * count)(*(len(frame.data) for frame in frames))


class Simdjson(Floor):
    """simdjson's document of a frame, of which nothing is read."""

    name = "floor: simdjson, nothing read"
    package = "simdjson"

    def __init__(self) -> None:
        import simdjson  # noqa: PLC0415 - only where it is installed

        self._parse = simdjson.Parser().parse

    def run(self, frames: Sequence[Frame]) -> None:
        parse = self._parse
        for frame in frames:
            parse(frame.data)


class Yyjson(Floor):
    """yyjson's document of a frame, of which nothing is read."""

    name = "floor: yyjson, nothing read"
    package = "yyjson"

    def __init__(self) -> None:
        import yyjson  # noqa: PLC0415 - only where it is installed

        self._document = yyjson.Document

    def run(self, frames: Sequence[Frame]) -> None:
        document = self._document
        for frame in frames:
            document(frame.data)


PARSERS: Final = (Simdjson, Yyjson)


def missing() -> list[str]:
    """What cannot be measured here, and why, a line each."""
    found = [
        f"{kind.package} is not installed here, so its floor is not measured: make bench"
        for kind in PARSERS
        if importlib.util.find_spec(kind.package) is None
    ]
    if shutil.which("cc") is None:
        found.append("no C compiler, so the scan in C is not measured")
    return found


def floors(native: str, chunks: Sequence[Sequence[Frame]], library: Path | None) -> list[Floor]:
    """Those that can be measured here."""
    found: list[Floor] = []
    if library is not None:
        found += [kind(library, native, chunks) for kind in (Scan, ScanWithBook)]
    found += [kind() for kind in PARSERS if importlib.util.find_spec(kind.package) is not None]
    return found
