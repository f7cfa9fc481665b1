"""How many symbols this machine can follow: memory for their books, files for their connections.

How many a processor can handle depends on the markets' activity, so no number is refused for it; a
feed that lags reports it (``lag_monitor``).
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from citadel_micro.shell.marketdata.generic import is_generic
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

if sys.platform != "win32":
    import resource

BOOK_BYTES: Final = 600_000
"""One symbol: a book of 1,000 levels a side takes 37 kB compiled and 205 kB in Python, and while it
waits for its snapshot, its buffered updates some 300 kB more."""
OWN_BYTES: Final = 200_000_000
"""micro without a book."""
OWN_FILES: Final = 64
"""Journal, logs, sockets of the bridge, health page and HTTP."""
_CGROUP: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Resources of the machine. None: unknown."""

    memory: int | None
    """Bytes available."""
    files: int | None
    """Files that this process may have open."""

    @classmethod
    def here(cls) -> Machine:
        """This one."""
        free = [each for each in (_available(), _left_in_cgroup()) if each is not None]
        return cls(memory=min(free, default=None), files=_files())

    def check(self, symbols: int, connections: int) -> None:
        """Raises BadInput, with the reason, for more than it can follow."""
        if self.memory is not None:
            room = max(0, self.memory - OWN_BYTES) // BOOK_BYTES
            if symbols > room:
                raise BadInput(
                    f"{symbols} symbols need about {_mb(OWN_BYTES + symbols * BOOK_BYTES)} of "
                    f"memory, and {_mb(self.memory)} are available here",
                    where="venues.*.symbols and reference.*.symbols",
                    allowed=f"up to {room} symbols on this machine now",
                    mend="name fewer symbols, or use a machine with more memory",
                )
        if self.files is not None and connections + OWN_FILES > self.files:
            raise BadInput(
                f"{symbols} symbols need {connections} connections, and this process may have "
                f"{self.files} files open",
                where="venues.*.symbols and reference.*.symbols",
                allowed=f"up to {max(0, self.files - OWN_FILES)} connections",
                mend="raise the limit (ulimit -n), or name fewer symbols",
            )


def check_symbols(feeds: Mapping[str, int]) -> None:
    """Raises BadInput for more symbols than this machine can follow; ``feeds`` counts them by venue."""
    connections = sum(
        1 if is_generic(venue) else -(-count // venue_spec(venue).limits.symbols_per_connection)
        for venue, count in feeds.items()
    )
    Machine.here().check(sum(feeds.values()), connections)


def _mb(octets: int) -> str:
    return f"{octets / 1e6:,.0f} MB"


def _files() -> int | None:
    if sys.platform == "win32":
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        if sys.platform == "win32":
            return None
        pages = os.sysconf("SC_PHYS_PAGES")
        return None if pages <= 0 else pages * os.sysconf("SC_PAGE_SIZE")
    for line in lines:
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _left_in_cgroup() -> int | None:
    """What a container's memory limit leaves; None where there is none."""
    try:
        most = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = (_CGROUP / "memory.current").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(most) - int(used) if most.isdigit() and used.isdigit() else None
