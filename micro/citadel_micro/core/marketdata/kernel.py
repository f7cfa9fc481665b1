"""Which of two twins keeps the books: compiled code where it was built, else the same in Python.

Both give the same results to the last bit and pass the same tests, so the choice affects
speed only. The environment variable ``CITADEL_KERNEL`` selects one of them:
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

VERSIONS: Final = {"_levels": 4, "_book": 15, "_forms": 9}
"""Versions of the compiled modules that this code is written for: one left over from an older checkout
is not used, and none is used without the others."""
CHOICES: Final = ("auto", "compiled", "python")


DELTAS_VERSION: Final = 2
"""Of ``_deltas``, which journals are written with; the others do not need it, nor it to be there."""


class _Compiled(NamedTuple):
    """The modules: the parser of levels, and the book and the reader of frames, which use its levels."""

    levels: ModuleType
    book: ModuleType
    forms: ModuleType


def _built() -> _Compiled | None:
    """All modules, where all exist in the required version."""
    found = []
    for name, version in VERSIONS.items():
        try:
            module = importlib.import_module(f"{__package__}.{name}")
        except (ImportError, TypeError, ValueError):
            # The last two: one that was compiled for levels of another form.
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


def _built_deltas() -> ModuleType | None:
    if _compiled is None:
        return None
    try:
        module = importlib.import_module(f"{__package__}._deltas")
    except (ImportError, TypeError, ValueError):
        return None
    return module if module.VERSION == DELTAS_VERSION else None


DELTAS: Final = _built_deltas()
"""The compiled writer and reader of market events in journals, see ``core.marketdata.deltas``."""

if TYPE_CHECKING:
    from citadel_micro.core.marketdata._forms import Form
    from citadel_micro.core.marketdata._levels import Levels, LevelTexts
    from citadel_micro.core.marketdata.book import Book as Book  # noqa: PLC0414 - offered from here

    LEVELS: tuple[type[Levels], type[LevelTexts]] | tuple[()]
    FORM: type[Form] | None
    FORM_DECODER: type[object] | None
    LIVE: ModuleType | None
else:
    Book = book.Book if _compiled is None else _compiled.book.Book
    LEVELS = () if _compiled is None else (_compiled.levels.Levels, _compiled.levels.LevelTexts)
    FORM = None if _compiled is None else _compiled.forms.Form
    FORM_DECODER = None if _compiled is None else _compiled.forms.FormDecoder
    LIVE = None if _compiled is None else _compiled.book
"""LEVELS: what stands for lists of levels in events, beside lists; each has ``tolist``.
FORM, FORM_DECODER: read frames of known forms at once; the twin knows none, and what they leave is decoded anyway."""
