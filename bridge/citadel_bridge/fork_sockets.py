"""What a fork of this process must not keep of its ZeroMQ sockets: the port, and the connections.

Programs that it starts do not have them (ZeroMQ's descriptors are closed there); a fork, as of
``multiprocessing``, has a copy of each. After the death of its process it would hold the port, so that the
next start is refused, and the connections, so that the peers take its process for alive.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import zmq

_bound: Final[WeakKeyDictionary[zmq.Socket[bytes], str]] = WeakKeyDictionary()
_DESCRIPTORS: Final = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"


def leave_out_of_forks(bound: zmq.Socket[bytes], address: str) -> None:
    """Let no fork of this process keep what belongs to a socket that is bound to this address."""
    _bound[bound] = address


def _name_of(address: str) -> int | str | None:
    """The port, or the path, that its listener and all of its connections have on our side."""
    scheme, _, rest = address.partition("://")
    if scheme == "tcp":
        return int(rest.rpartition(":")[2])
    return rest.replace("@", "\0", 1) if scheme == "ipc" else None


def _let_go() -> None:
    """In a fork: descriptors of these sockets become nothing; ZeroMQ's threads are not there to use them."""
    names = {_name_of(address) for bound, address in _bound.items() if not bound.closed}
    _bound.clear()
    if not names:
        return
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    with suppress(OSError):  # no such folder: a system without one
        for descriptor in [int(each.name) for each in Path(_DESCRIPTORS).iterdir()]:
            with suppress(OSError):  # it was the folder's own
                if stat.S_ISSOCK(os.fstat(descriptor).st_mode) and _local(descriptor) in names:
                    os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)


def _local(descriptor: int) -> int | str | None:
    """Port or path of a stream's own side."""
    copy = socket.socket(fileno=os.dup(descriptor))
    with copy:
        if copy.type != socket.SOCK_STREAM:
            return None
        name = copy.getsockname()
    if isinstance(name, tuple):
        return int(name[1])
    return name.decode() if isinstance(name, bytes) else str(name)


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go)
