"""What is installed here: the packages whose versions matter to a report of a fault."""

from __future__ import annotations

import importlib
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Final

DISTRIBUTION: Final = "stoic-citadel"
PACKAGES: Final = (
    "freqtrade",
    "ccxt",
    "pyzmq",
    "msgspec",
    "aiohttp",
    "picows",
    "uvloop",
    "apprise",
)
"""All but pyzmq and msgspec come with an extra (micro, macro, alerts) and may be absent."""
_KERNEL: Final = "citadel_micro.core.marketdata.kernel"


def installed() -> dict[str, str]:
    """Name to version of each of ``PACKAGES`` that is here."""
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def kernel() -> str:
    """Which twin keeps the books, in words; empty without micro.

    micro is looked up by its name, as its commands are: the bridge knows nothing of it.
    """
    try:
        compiled = importlib.import_module(_KERNEL).COMPILED
    except ImportError:
        return ""
    return "the compiled kernel" if compiled else "the Python kernel (same results, slower)"


def described() -> str:
    """The lines of ``citadel --version``."""
    python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    lines = [f"citadel {version(DISTRIBUTION)} ({python})"]
    if books := kernel():
        lines.append(f"books: {books}")
    here = installed()
    lines.append("with: " + ", ".join(f"{name} {number}" for name, number in here.items()))
    if absent := [name for name in PACKAGES if name not in here]:
        lines.append("without: " + ", ".join(absent))
    return "\n".join(lines)
