"""What this process holds, by who holds it: the kernel's view, the C heap's, Python's.

Resident memory alone cannot tell a leak from a heap that keeps what it once needed. The C library
and Python's allocator both know how much of what they took is in use; the difference is free, and
will be used again.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple


class _Mallinfo2(ctypes.Structure):
    """As <malloc.h> has it, since glibc 2.33."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",  # taken by growing the heap
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",  # taken by mmap, each for one large block
            "usmblks",
            "fsmblks",
            "uordblks",  # in use
            "fordblks",  # free
            "keepcost",
        )
    )


class Heap(NamedTuple):
    """Bytes of one allocator."""

    taken: int
    in_use: int


class Holding(NamedTuple):
    """One look at this process. Bytes, but for the last two."""

    resident: int
    c_heap: Heap
    """malloc: sockets' buffers, parsers, large Python objects (more than 512 bytes)."""
    python: Heap
    """Python's own allocator: small objects."""
    blocks: int
    """Blocks of memory that Python has handed out: about one an object."""
    sockets: int
    """Open ones."""

    @property
    def in_use(self) -> int:
        """Of both allocators together."""
        return self.c_heap.in_use + self.python.in_use


def holding(*, collect: bool) -> Holding:
    """Look; with ``collect`` after a full garbage collection, which may take 100 ms."""
    if collect:
        gc.collect()
    return Holding(
        resident=_resident(),
        c_heap=_c_heap(),
        python=_python_heap(),
        blocks=sys.getallocatedblocks(),
        sockets=_sockets(),
    )


def slope(xs: list[float], ys: list[float]) -> float:
    """Of the line through these points with the least squares: growth of y per 1 of x."""
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    if not spread:
        return 0.0
    return sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread


def _sockets() -> int:
    count = 0
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that this loop had open
            count += str(file.readlink()).startswith("socket:")
    return count


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _c_heap() -> Heap:
    library = ctypes.CDLL(None)
    try:
        look = library.mallinfo2
    except AttributeError:  # another C library
        return Heap(0, 0)
    look.restype = _Mallinfo2
    info = look()
    return Heap(info.arena + info.hblkhd, info.uordblks + info.hblkhd)


_ARENAS: Final = re.compile(r"arenas \* \d+ bytes/arena\s+=\s+([\d,]+)")
_USED: Final = re.compile(r"# bytes in allocated blocks\s+=\s+([\d,]+)")


def _python_heap() -> Heap:
    """Python tells it to the C library's stderr only."""
    with tempfile.TemporaryFile() as file:
        stderr = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            sys._debugmallocstats()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        file.seek(0)
        text = file.read().decode()
    taken, used = _ARENAS.search(text), _USED.search(text)
    if taken is None or used is None:  # PYTHONMALLOC=malloc: all is in the C heap
        return Heap(0, 0)
    return Heap(*(int(each[1].replace(",", "")) for each in (taken, used)))
