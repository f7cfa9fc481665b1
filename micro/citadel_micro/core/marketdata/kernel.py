"""Which of two twins keeps the books: compiled code where it was built, else the same in Python.

Both give the same results to the last bit and pass the same tests, so nothing depends on the
choice but the time it takes. The environment variable ``CITADEL_KERNEL`` may ask for one of them:
``python``, or ``compiled``, which then refuses to start without it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from citadel_micro.core.marketdata import book
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from types import ModuleType

VERSION: Final = 1
"""Of the compiled module that this code is written for: one left over from an older checkout does
not count."""
CHOICES: Final = ("auto", "compiled", "python")


def _choose(wanted: str) -> ModuleType | None:
    if wanted not in CHOICES:
        raise BadInput(
            f"{wanted!r} is not a kernel",
            where="environment variable CITADEL_KERNEL",
            allowed=", ".join(CHOICES),
        )
    if wanted == "python":
        return None
    try:
        from citadel_micro.core.marketdata import _kernel  # noqa: PLC0415 - it may not be there
    except ImportError:
        found = None
    else:
        found = _kernel if _kernel.VERSION == VERSION else None
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
    from citadel_micro.core.marketdata._kernel import Levels, LevelTexts
    from citadel_micro.core.marketdata.book import Book as Book  # noqa: PLC0414 - offered from here

    LEVELS: tuple[type[Levels], type[LevelTexts]] | tuple[()]
else:
    Book = book.Book if _compiled is None else _compiled.Book
    LEVELS = () if _compiled is None else (_compiled.Levels, _compiled.LevelTexts)
"""LEVELS: what stands for lists of levels in events, beside lists; each has ``tolist``."""
