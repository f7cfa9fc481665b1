"""The file of an ``ipc://`` address: one publisher at a time, and its owner's only.

ZeroMQ removes a file that is in the way when it binds, so that one of a process that was killed does no
harm. So it does with the file of a process that lives: that one goes on publishing to those who are
connected, and whoever connects from then on hears the other.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from citadel_bridge.errors import PortTaken
from citadel_bridge.file_locks import lock
from citadel_proto.errors import BadInput

_SCHEME: Final = "ipc://"


class SocketFile:
    """Holds an address to bind: while this is open, no other process can.

    Beside the file lies a lock, ``PATH.lock``, which stays: a lock ends with its process, however that
    ends, and removing its file would let two hold one. Anything but a path on disk is left as it is.

    Args:
        address: where to bind.

    Raises:
        PortTaken: another process, or another socket of this one, has it.
        BadInput: the folder is not there or cannot be written to.
    """

    def __init__(self, address: str) -> None:
        path = address.removeprefix(_SCHEME)
        self._path = path if path != address and not path.startswith(("@", "*")) else ""
        self._descriptor = -1
        if self._path:
            self._take(address)

    def _take(self, address: str) -> None:
        name = f"{self._path}.lock"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._descriptor = os.open(name, flags, 0o600)
            lock(self._descriptor)
        except BlockingIOError as error:
            self.close()
            raise PortTaken(
                f"{address} is in use: another process publishes there already; stop it, or choose "
                "another path"
            ) from error
        except OSError as error:
            self.close()
            raise BadInput(
                f"cannot bind {address!r}: {name}: {error.strerror}",
                allowed="a path in a folder that exists and is yours, such as a state folder",
            ) from error

    def keep_private(self) -> None:
        """Let nobody else connect: to call when it is bound, and has no keys."""
        if self._path:
            Path(self._path).chmod(0o600)

    def close(self) -> None:
        """Let others bind; the file stays, and is replaced then. Harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
