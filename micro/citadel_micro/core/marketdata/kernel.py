"""Which of two twins keeps the books: compiled code where it was built, else the same in Python.

Both give the same results to the last bit and pass the same tests, so nothing depends on the
choice but the time it takes. The environment variable ``CITADEL_KERNEL`` may ask for one of them:
``python``, or ``compiled``, which then refuses to start without it.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.core.marketdata import book
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from types import ModuleType

VERSIONS: Final = {"_levels": 1, "_book": 1}
"""Of the compiled modules that this code is written for: one left over from an older checkout does
not count, and neither counts without the other."""
CHOICES: Final = ("auto", "compiled", "python")


class _Compiled(NamedTuple):
    """The two modules: the reader of levels, and the keeper of books, which takes its levels."""

    levels: ModuleType
    book: ModuleType


def _built() -> _Compiled | None:
    """Both modules, where both are there and of the version wanted."""
    found = []
    for name, version in VERSIONS.items():
        try:
            module = importlib.import_module(f"{__package__}.{name}")
        except (ImportError, TypeError, ValueError):
            # The last two: a book that was compiled for levels of another form.
            return None
        if version != module.VERSION:
            return None
        found.append(module)
    return _Compiled(*found)


def _choose(wanted: str) -> _Compiled | None:
    if wanted not in CHOICES:
        raise BadInput(
            f"{wanted!r} is not a kernel",
            where="environment variable CITADEL_KERNEL",
            allowed=", ".join(CHOICES),
        )
    if wanted == "python":
        return None
    found = _built()
    if found is None and wanted == "compiled":
        raise BadInput(
            "the compiled kernel is not built, or is of another version",
            where="environment variable CITADEL_KERNEL",
            mend="install a C compiler and run `make setup`, or leave the variable unset",
        )
    return found


_compiled: Final = _choose(os.environ.get("CITADEL_KERNEL") or "auto")
COMPILED: Final = _compiled is not None
"""The compiled twin is in use."""

if TYPE_CHECKING:
    from citadel_micro.core.marketdata._levels import Levels, LevelTexts
    from citadel_micro.core.marketdata.book import Book as Book  # noqa: PLC0414 - offered from here

    LEVELS: tuple[type[Levels], type[LevelTexts]] | tuple[()]
else:
    Book = book.Book if _compiled is None else _compiled.book.Book
    LEVELS = () if _compiled is None else (_compiled.levels.Levels, _compiled.levels.LevelTexts)
"""LEVELS: what stands for lists of levels in events, beside lists; each has ``tolist``."""
