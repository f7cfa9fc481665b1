"""Makes an Ed25519 key on this machine, so that its private half never leaves it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from citadel_micro.shell.keys.private_file import require_private_place
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.shell.keys.api_key import Network

_TEXT: Final = """\
venue = "{venue}"
account = "{account}"
network = "{network}"
# What the venue calls the key ("API key") once its public half is registered there:
id = ""
private_key = '''
{pem}'''
"""


def make_key_file(path: Path, *, venue: str, account: str, network: Network) -> str:
    """Write a key file that lacks only the key's id, and return the public half as PEM.

    Raises:
        BadInput: the file is there already, or its place is not private.
    """
    target = Path(os.path.abspath(path))  # noqa: PTH100 - as read_private takes it
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    text = _TEXT.format(venue=venue, account=account, network=network, pem=pem)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_private_place(target.parent.resolve(strict=True) / target.name)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise BadInput(
            "is there already, and a key is never overwritten",
            where=str(path),
            mend="name another file, or move that one away",
        ) from error
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", where=str(path)) from error
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask says
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
