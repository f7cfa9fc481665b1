"""A lane: a Unix socket between a macro and a micro on one machine, beside ZeroMQ.

Most of a round trip by ZeroMQ is waking its own threads, four times. On a lane the thread that publishes
writes to the other process, which reads it where it waits. Everything goes by ZeroMQ as well, so a lane may
lose anything: it never waits, and what it has no room for it leaves out. ``lane_merge`` makes one sequence
of both.

A packet is its number, eight bytes, and a frame as ZeroMQ has it. Packet 0 of either side is ``HELLO``. The
numbers of the others grow by one with every message that the sender published, so that what was left out
shows. Sockets are of the type ``SOCK_SEQPACKET``, which keeps the bounds of packets; Linux only.

A lane has no keys. Its file is for its owner alone, in a folder that nobody else may write to, and either
side refuses a process of another user at the other end.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from citadel_bridge.errors import PortTaken
from citadel_bridge.file_locks import not_in_forks
from citadel_bridge.socket_files import SocketFile
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

SUPPORTED: Final = sys.platform == "linux"
HELLO: Final = b"citadel lane 1"
MOST: Final = 64 * 1024
"""Largest frame in bytes: an order takes 300, a report 500. What is larger goes by ZeroMQ only."""
LONGEST_PATH: Final = 107
"""Bytes that the name of a Unix socket can have."""
BACKLOG: Final = 16

_ALLOWED: Final = "an absolute path in a folder of your own that nobody else can write to"
_NUMBER: Final = 8
_NOT_OURS: Final = stat.S_IWGRP | stat.S_IWOTH
_CREDENTIALS: Final = struct.Struct("3i")
"""Of the process that connected or listens: its id, its user and its group."""


class LaneEnded(Exception):  # noqa: N818 - lanes end
    """A lane's connection is of no more use: the other side has closed it, or sent what no lane sends."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused
        """It was us who ended it."""


class Connection:
    """One end of a lane. Any thread sends; one thread receives.

    Args:
        own: connected; closed with this.

    Raises:
        LaneEnded: a process of another user is at the other end, or it has gone.
    """

    def __init__(self, own: socket.socket) -> None:
        self._socket = own
        self._lock = threading.Lock()
        self._sent = 0
        self._greeted = False
        self.left_out = 0
        """Messages that were not sent: no room, or too large."""
        self._buffer = bytearray(_NUMBER + MOST + 1)
        self.fd = own.fileno()
        not_in_forks(self.fd)  # the other side is to see it end with this process
        own.settimeout(0)
        try:
            _require_own_user(own)
            own.send(bytes(_NUMBER) + HELLO)
        except OSError as error:
            own.close()
            raise LaneEnded(error.strerror or "it has ended") from error
        except LaneEnded:
            own.close()
            raise

    def send(self, frame: bytes) -> None:
        """Send a message, or leave it out: never waits."""
        with self._lock:
            self._sent += 1
            if len(frame) <= MOST:
                try:
                    self._socket.send(self._sent.to_bytes(_NUMBER, "big") + frame)
                except OSError:  # no room, or it has ended: who receives will see that
                    self.left_out += 1
            else:
                self.left_out += 1

    def receive(self) -> tuple[int, bytes] | None:
        """The next message and its number; None when there is none at the moment.

        Raises:
            LaneEnded: the other side has closed it, or sent what no lane sends.
        """
        while True:
            try:
                size = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                return None
            except OSError as error:
                raise LaneEnded(error.strerror or "it has ended") from error
            if size == 0:
                raise LaneEnded("the other side has closed it")
            number = int.from_bytes(self._buffer[:_NUMBER], "big")
            frame = bytes(memoryview(self._buffer)[_NUMBER:size])
            if self._greeted and number and 0 < len(frame) <= MOST:
                return number, frame
            if self._greeted or number or frame != HELLO:
                raise LaneEnded(
                    f"a packet of {size} bytes that no lane of this version sends", refused=True
                )
            self._greeted = True

    def close(self) -> None:
        """Close it. Safe to repeat, from any thread."""
        with self._lock:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # tells the other side at once
            self._socket.close()


def _require_own_user(end: socket.socket) -> None:
    user = user_of(end)
    if user != os.geteuid():
        raise LaneEnded(f"a process of user {user} is at the other end", refused=True)


def user_of(end: socket.socket) -> int:
    """User of the process at the other end, as the kernel says."""
    credentials = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def connect(path: Path) -> Connection:
    """Connect to a lane.

    Raises:
        LaneEnded: nobody listens there, or a process of another user.
    """
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        end.settimeout(0)
        end.connect(str(path))
    except OSError as error:
        end.close()
        raise LaneEnded(error.strerror or "cannot connect") from error
    return Connection(end)


class Listener:
    """The file of a lane, and who connects to it.

    While it is open no other process can listen at the path, and what a process that was killed has left
    there is replaced.

    Raises:
        PortTaken: another process listens there.
        BadInput: the path cannot be used; says why.
    """

    def __init__(self, path: Path) -> None:
        check_path(path)
        _check_folder(path.parent)
        self.path = path
        self._identity: tuple[int, int] | None = None
        self._hold = SocketFile(f"ipc://{path}")
        try:
            self.socket = self._bind()
        except BaseException:
            self._hold.close()
            raise

    def _bind(self) -> socket.socket:
        self._make_room()
        own = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            own.settimeout(0)
            own.bind(str(self.path))
            # Nobody can connect before it listens.
            self.path.chmod(0o600)
            own.listen(BACKLOG)
            not_in_forks(own.fileno())
            self._identity = self._there()
        except OSError as error:
            own.close()
            raise BadInput(
                f"cannot make the socket {self.path}: {error.strerror}",
                allowed="a path in a folder that exists and is yours, such as a state folder",
            ) from error
        return own

    def _make_room(self) -> None:
        """Remove the file of a process that has ended, and nothing else."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise BadInput(
                f"{self.path} is there and is no socket",
                allowed="a path where nothing is, or a lane's socket",
                mend="name another path, or remove the file if it is of no use",
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            probe.settimeout(0)
            try:
                probe.connect(str(self.path))
            except ConnectionRefusedError:
                self.path.unlink(missing_ok=True)
                return
            except OSError:
                pass  # another kind of socket, or a full one: somebody listens
        raise PortTaken(
            f"{self.path} is in use: another process listens there; stop it, or choose another path"
        )

    def _there(self) -> tuple[int, int] | None:
        try:
            found = self.path.lstat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def gone(self) -> bool:
        """Whether the file is not there any more, so that nobody can connect."""
        return self._there() is None

    def bind_again(self) -> None:
        """Make the file again; those that are connected stay so.

        Raises:
            PortTaken, BadInput: as at the start.
        """
        _check_folder(self.path.parent)
        again = self._bind()
        self.socket.close()
        self.socket = again

    def accept(self) -> socket.socket | None:
        """The next that has connected."""
        try:
            return self.socket.accept()[0]
        except OSError:  # nobody, or gone already, or no descriptor is free
            return None

    def close(self) -> None:
        """Stop listening and remove the file, if it is still ours. Safe to repeat."""
        self.socket.close()
        if self._identity is not None and self._there() == self._identity:
            with suppress(OSError):
                self.path.unlink()
        self._identity = None
        self._hold.close()


def check_path(path: Path, where: str = "") -> None:
    """Refuse a path that cannot be a lane's.

    Raises:
        BadInput: says why, and what is allowed.
    """
    if not SUPPORTED:
        raise BadInput(
            "a lane needs Linux", where=where, mend="leave it out: everything goes by ZeroMQ then"
        )
    if not path.is_absolute() or "\0" in str(path):
        raise BadInput(f"the path of a lane is {str(path)!r}", where=where, allowed=_ALLOWED)
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise BadInput(
            f"the path of a lane has {len(os.fsencode(path))} bytes",
            where=where,
            allowed=f"at most {LONGEST_PATH}: that is all a socket's name can hold",
        )


def _check_folder(folder: Path) -> None:
    """Refuse a folder where another user could put a file of its own in the place of a lane's."""
    try:
        found = folder.stat()
    except OSError as error:
        raise BadInput(
            f"the folder of a lane, {folder}: {error.strerror}", allowed=_ALLOWED
        ) from error
    if found.st_uid != os.geteuid():
        raise BadInput(
            f"the folder of a lane, {folder}, belongs to user {found.st_uid}, this process to user "
            f"{os.geteuid()}",
            allowed=_ALLOWED,
        )
    if found.st_mode & _NOT_OURS:
        raise BadInput(
            f"others can write to the folder of a lane, {folder}",
            allowed=_ALLOWED,
            mend=f"chmod go-w {folder}",
        )
