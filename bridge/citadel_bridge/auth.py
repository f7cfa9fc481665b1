"""Keys, and which of them may talk to whom.

CURVE encrypts and proves the server; a ZAP allow-list (``citadel_bridge.zap``) admits the clients.
The side that binds is the server: macro and the command line for signals, micro for the market.
Every role has a key pair of its own, so that a recorder's key never opens more than reading.

A key folder, as ``citadel keys make DIR`` writes it::

    DIR/macro.public     40 characters of Z85, readable by all
    DIR/macro.secret     the same for the secret key, 0600
    DIR/micro.public …
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import zmq

from citadel_proto.errors import BadInput, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ROLES: Final = ("macro", "micro", "cli", "recorder")
"""One key pair each."""

CLIENTS_OF: Final = {
    "macro": ("micro", "recorder"),
    "cli": ("micro", "recorder"),
    "micro": ("macro", "cli", "recorder"),
}
"""Which roles may subscribe to what a role binds."""

_Z85_LENGTH: Final = 40
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair, each 40 bytes of Z85."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r}, secret=…)"


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """What a socket that binds needs: its own pair, and the public keys that may connect."""

    pair: KeyPair
    allow: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a socket that connects needs: its own pair, and the public key of the other side."""

    pair: KeyPair
    server: bytes


class KeyStore:
    """A key folder.

    Args:
        folder: as described in the module's docstring.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def server(self, role: str, clients: Iterable[str] | None = None) -> ServerKeys:
        """Keys to bind as ``role``, admitting ``clients`` (default: those of ``CLIENTS_OF``).

        A client whose public key is not in the folder is not admitted.

        Raises:
            BadInput: a key is absent or malformed, or a secret one is readable by others.
        """
        names = CLIENTS_OF.get(role, ()) if clients is None else clients
        present = [name for name in names if self._path(name, "public").exists()]
        return ServerKeys(self.pair(role), frozenset(self.public(name) for name in present))

    def client(self, role: str, server: str) -> ClientKeys:
        """Keys to connect as ``role`` to what ``server`` binds; raises as ``server`` does."""
        return ClientKeys(self.pair(role), self.public(server))

    def pair(self, role: str) -> KeyPair:
        """Both keys of a role.

        Raises:
            BadInput: as for ``server``.
        """
        path = self._path(role, "secret")
        secret = self._read(path)
        mode = path.stat().st_mode
        if mode & _OTHERS:
            raise BadInput(
                f"secret key is readable by others (mode {stat.S_IMODE(mode):04o})",
                where=str(path),
                allowed="0600 or stricter",
                mend=f"chmod 600 {path}",
            )
        public = self.public(role)
        if zmq.curve_public(secret) != public:
            raise BadInput(
                f"the secret key is not that of {self._path(role, 'public').name}",
                where=str(path),
                mend=f"remove both files and run: citadel keys make {self.folder}",
            )
        return KeyPair(public, secret)

    def public(self, role: str) -> bytes:
        """Public key of a role.

        Raises:
            BadInput: it is absent or malformed.
        """
        return self._read(self._path(role, "public"))

    def make(self, roles: Iterable[str] = ROLES) -> list[str]:
        """Make the pairs that are absent; never touches one that exists.

        Returns:
            The roles that were made.

        Raises:
            BadInput: only one half of a pair is there, or the folder cannot be written.
        """
        made = []
        try:
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            for role in roles:
                secret, public = self._path(role, "secret"), self._path(role, "public")
                if secret.exists() and public.exists():
                    continue
                if secret.exists():  # a crash between the two files: the public half follows
                    _write(public, zmq.curve_public(self._read(secret)), 0o644)
                    continue
                if public.exists():
                    raise BadInput(
                        f"{public.name} is there without {secret.name}",
                        where=str(self.folder),
                        mend=f"bring the secret key back, or remove {public}",
                    )
                public_key, secret_key = zmq.curve_keypair()
                _write(secret, secret_key, 0o600)
                _write(public, public_key, 0o644)
                made.append(role)
        except OSError as error:
            raise BadInput(
                f"cannot write keys: {error.strerror}", where=str(error.filename)
            ) from error
        return made

    def _path(self, role: str, kind: str) -> Path:
        return self.folder / f"{role}.{kind}"

    def _read(self, path: Path) -> bytes:
        try:
            key = path.read_bytes().strip()
        except FileNotFoundError as error:
            raise BadInput(
                "no such key", where=str(path), mend=f"citadel keys make {self.folder}"
            ) from error
        except OSError as error:
            raise BadInput(f"cannot read the key: {error.strerror}", where=str(path)) from error
        if len(key) != _Z85_LENGTH:
            raise BadInput(
                f"not a key: {len(key)} characters",
                where=str(path),
                allowed=f"{_Z85_LENGTH} characters of Z85",
            )
        return key


def is_local(endpoint: str) -> bool:
    """Whether an endpoint cannot leave this machine: loopback TCP, ``ipc://`` or ``inproc://``."""
    if endpoint.startswith(("ipc://", "inproc://")):
        return True
    try:
        host = urlsplit(endpoint).hostname or ""
    except ValueError:
        return False
    return host in {"localhost", "::1"} or (
        host.startswith("127.") and host.replace(".", "").isdigit()
    )


def require_keys(endpoint: str, keys: ServerKeys | ClientKeys | None) -> None:
    """Let plaintext happen on this machine only.

    Raises:
        Refused: the endpoint is not local and there are no keys.
    """
    if keys is None and not is_local(endpoint):
        raise Refused(
            f"{endpoint} is not loopback and no keys are configured: orders would travel in "
            "plaintext and anybody could send them. Make keys with: citadel keys make keys "
            "(and name the folder in the configuration), or use 127.0.0.1 or ipc://"
        )


def _write(path: Path, key: bytes, mode: int) -> None:
    # Under a name of its own until it is whole, so that a crash leaves no empty key behind.
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.fchmod(descriptor, mode)  # whatever the umask and an older file say
        os.write(descriptor, key + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.replace(path)
