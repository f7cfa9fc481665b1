"""The mark that tells this micro's orders from others on the same account.

Every client order id begins with ``sc`` and a mark, derived from a secret of the run folder,
the venue and the account. So two micros on one account can tell their own orders apart, and a micro
whose journal was removed still recognizes its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.config import MARK_LENGTH
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "mark"
_SECRET: Final = re.compile(r"[0-9a-f]{32}")
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def folder_secret(folder: Path) -> str:
    """The secret of a run folder, created and written to disk at its first use.

    The caller holds the folder's lock. A folder that is copied for a second micro must not be
    copied with this file.

    Raises:
        BadInput: the file cannot be written, or holds something else.
    """
    return read_secret(folder) or _make(folder / FILE)


def read_secret(folder: Path) -> str:
    """The secret of a run folder; empty where none was created. Raises as ``folder_secret``."""
    path = folder / FILE
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be read: {error}", where=str(path)) from error
    if _SECRET.fullmatch(text) is None:
        raise BadInput(
            "not the mark of a run folder",
            where=str(path),
            allowed="32 hexadecimal digits",
            mend="bring the file back; without it this micro's orders of earlier runs count as "
            "foreign, and are reported but not canceled",
        )
    return text


def mark_of(secret: str, venue: str, account: str) -> str:
    """The mark of one account on one venue: six letters and digits."""
    number = int.from_bytes(hashlib.sha256(f"{secret} {venue} {account}".encode()).digest())
    digits = ""
    for _ in range(MARK_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits += _DIGITS[digit]
    return digits


def _make(path: Path) -> str:
    secret = secrets.token_hex(16)
    partial = path.with_name(f".{path.name}.new")
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{secret}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)  # a file is durable only when its name is, too
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", where=str(path)) from error
    return secret
