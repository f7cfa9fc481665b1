"""Reads a file of secrets, and refuses one that another user could read, write or swap."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

from citadel_proto.errors import BadInput

LARGEST: Final = 64 * 1024
"""Bytes. The largest RSA key is a tenth of it."""
VAULTS: Final = (Path("/run/secrets"), Path("/run/credentials"))
"""Where containers and systemd mount secrets. Mode and owner of a file there are set by them
(Docker shows 0444, systemd an access list), and it may be a link within the vault."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH
_PLACE: Final = "a file of mode 0600 in a folder of mode 0700, outside of any repository"


def read_private(
    path: Path,
    *,
    what: str = "key file",
    page: str = "docs/howto/go-live.md",
    vaults: tuple[Path, ...] = VAULTS,
) -> str:
    """The text of a file that only this user can read.

    Args:
        path: the file.
        what: it is, for messages.
        page: that says how to make one.
        vaults: folders whose files are protected by the system that created the folder.

    Raises:
        BadInput: it does not exist, is empty, not text, a link, not a plain file, has a second name,
            belongs to another user, can be read or written by others, lies in a folder that others
            may open or change, or lies in a git working tree.
    """
    name = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the links judged here
    try:
        if name.exists() and not name.is_file():
            raise _refused(name, "is not a plain file", mend=f"name the {what}")
        vault = _vault_of(name, vaults)
        if vault is None and name.is_symlink():
            raise _refused(
                name,
                f"is a link to {name.readlink()}",
                mend="name the file itself: whoever may change the link could swap the key",
            )
        real = name.resolve(strict=True)
        _outside_repositories(real)
        if vault is None:
            _folders(real.parent)
        raw = _read(real, guarded=vault is not None)
    except FileNotFoundError as error:
        raise BadInput(
            f"no such {what}",
            where=str(path),
            allowed=_PLACE,
            mend=f"see {page} for how to make one",
        ) from error
    except OSError as error:
        raise BadInput(
            f"{what} cannot be read: {error.strerror}",
            where=str(path),
            mend="it must belong to the user that micro runs as",
        ) from error
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused(name, "is not UTF-8 text", mend="make it anew") from None  # it holds bytes
    if not text.strip():
        raise _refused(name, "is empty", mend=f"see {page} for its content")
    return text


def require_private_place(path: Path) -> None:
    """Raise BadInput for a place where a private file must not be written. No part may be a link."""
    _outside_repositories(path)
    _folders(path.parent)


def _read(real: Path, *, guarded: bool) -> bytes:
    """Open first and check what is open, so that nothing can be swapped between the two."""
    folder = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # NONBLOCK: a pipe in the file's place must not hang the start.
        descriptor = os.open(
            real.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
        )
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refused(real, "became a link while it was read", mend="try again") from error
        raise
    finally:
        os.close(folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(real, "is not a plain file", mend="name the file that holds the key")
        if status.st_size > LARGEST:
            raise _refused(
                real, f"has {status.st_size} bytes", mend=f"a key file has at most {LARGEST}"
            )
        if not guarded:
            _own(real, status)
        return os.read(descriptor, LARGEST + 1)
    finally:
        os.close(descriptor)


def _own(real: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise _refused(
            real,
            f"belongs to user {status.st_uid}, and micro runs as {os.geteuid()}",
            mend=f"chown {os.geteuid()} {real}",
        )
    if status.st_mode & _OTHERS:
        raise _refused(
            real,
            f"can be used by others (mode {stat.S_IMODE(status.st_mode):04o})",
            mend=f"chmod 600 {real}; if others had access, make a new key at the venue",
        )
    if status.st_nlink > 1:
        raise _refused(
            real,
            f"has {status.st_nlink} names (hard links)",
            mend="copy it to a new file of mode 0600 and remove the others",
        )


def _folders(folder: Path) -> None:
    """No other user may read the folder, nor replace it."""
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise _refused(
            folder,
            f"the key file's folder belongs to user {status.st_uid}",
            mend=f"move the key into a folder of user {os.geteuid()}",
        )
    if status.st_mode & _OTHERS:
        raise _refused(
            folder,
            f"the key file's folder is open to others (mode {stat.S_IMODE(status.st_mode):04o})",
            mend=f"chmod 700 {folder} if nothing else is in it, else move the file: mkdir -m 700",
        )
    for above in folder.parents:
        status = above.stat()
        # In a sticky folder such as /tmp nobody can rename another user's file.
        if status.st_mode & _WRITABLE and not status.st_mode & stat.S_ISVTX:
            raise _refused(
                above,
                "others may swap the key file's folder here "
                f"(mode {stat.S_IMODE(status.st_mode):04o})",
                mend=f"chmod go-w {above}, or move the key",
            )
        if status.st_uid not in {0, os.geteuid()}:
            raise _refused(
                above,
                f"a folder above the key file belongs to user {status.st_uid}",
                mend=f"move the key below a folder of root or of user {os.geteuid()}",
            )


def _outside_repositories(real: Path) -> None:
    for above in real.parents:
        if (above / ".git").exists():
            raise _refused(
                real,
                f"is in the git working tree {above}, from where it may be committed",
                mend="move it out, for instance to ~/.config/citadel/",
            )


def _vault_of(name: Path, vaults: tuple[Path, ...]) -> Path | None:
    """The vault that the file is in, by its name and after every link. None for any other."""
    for vault in vaults:
        if not name.is_relative_to(vault):
            continue
        real = vault.resolve()
        if not name.resolve().is_relative_to(real):
            return None
        status = real.stat()
        if status.st_uid in {0, os.geteuid()} and not status.st_mode & _WRITABLE:
            return vault
    return None


def _refused(where: Path, what: str, *, mend: str) -> BadInput:
    return BadInput(what, where=str(where), allowed=_PLACE, mend=mend)
