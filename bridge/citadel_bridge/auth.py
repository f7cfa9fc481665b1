"""Keys, and which roles may connect to which.

CURVE encrypts and authenticates the server; a ZAP allow-list (``citadel_bridge.zap``) admits the
clients. The side that binds is the server: macro and the command line for signals, micro for the
market. Every role has a key pair of its own, so that a recorder's key permits reading only.

A key folder, as ``citadel keys make DIR`` writes it::

    DIR/macro.public     40 characters of Z85, readable by all
    DIR/macro.secret     the same for the secret key, 0600
    DIR/micro.public …
    DIR/allow/NAME.public    one more client that may subscribe (``citadel keys allow``)
    DIR/revoked          keys that nobody is admitted with any more, one a line

Whoever can write there decides who may trade: a folder or file that others can write is refused.
A process that runs reads the list again when it changes (``citadel_bridge.zap``).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import zmq
from zmq.utils import z85

from citadel_proto.errors import BadInput, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

ROLES: Final = ("macro", "micro", "cli", "recorder")
"""One key pair each."""

CLIENTS_OF: Final = {
    "macro": ("micro", "recorder"),
    "cli": ("micro", "recorder"),
    "micro": ("macro", "cli", "recorder"),
}
"""Which roles may subscribe to what a role binds."""

ALLOW: Final = "allow"
REVOKED: Final = "revoked"
_Z85_LENGTH: Final = 40
_RAW_LENGTH: Final = 32
_TRANSPORTS: Final = ("tcp://", "ipc://", "inproc://")
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
    """What a socket that binds needs: its own pair, and the public keys of permitted clients."""

    pair: KeyPair
    allow: frozenset[bytes]
    renew: Callable[[], frozenset[bytes]] | None = field(default=None, compare=False, repr=False)
    """Reads the list again; raises BadInput while the folder is not right."""


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a socket that connects needs: its own pair, and the public key of the other side."""

    pair: KeyPair
    server: bytes
    renew: Callable[[], ClientKeys] | None = field(default=None, compare=False, repr=False)
    """Reads both again."""
    revoked: Callable[[bytes], bool] = field(default=lambda _key: False, compare=False, repr=False)
    """Whether a server's public key is revoked by now; what cannot be read revokes nothing."""

    def current(self) -> ClientKeys:
        """The keys as they are on disk now; these, while they cannot be read."""
        try:
            return self if self.renew is None else self.renew()
        except BadInput:
            return self


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
        names = tuple(CLIENTS_OF.get(role, ()) if clients is None else clients)

        def allowed() -> frozenset[bytes]:
            return self.allowed(names)

        return ServerKeys(self.pair(role), allowed(), allowed)

    def client(self, role: str, server: str) -> ClientKeys:
        """Keys to connect as ``role`` to what ``server`` binds; raises as ``server`` does."""

        def read() -> ClientKeys:
            return ClientKeys(self.pair(role), self.public(server))

        def revoked(key: bytes) -> bool:
            try:
                return key in self.revoked()
            except (BadInput, OSError):
                return False

        now = read()
        return ClientKeys(now.pair, now.server, read, revoked)

    def allowed(self, roles: Iterable[str]) -> frozenset[bytes]:
        """Public keys of these roles, as far as they are in the folder, and of all allowed clients.

        Raises:
            BadInput: one is malformed, or others can write it or its folder.
        """
        self.check_place()
        present = [name for name in roles if self._path(name, "public").exists()]
        found = {self._read(self._path(name, "public")) for name in present}
        found |= set(self.clients().values())
        return frozenset(found - self.revoked().keys())

    def clients(self) -> dict[str, bytes]:
        """Clients beside the roles, by name. Raises as ``allowed``."""
        folder = self.folder / ALLOW
        if not folder.is_dir():
            return {}
        refuse_writable(folder)
        return {path.stem: self._read(path) for path in sorted(folder.glob("*.public"))}

    def revoked(self) -> dict[bytes, str]:
        """Revoked keys, and what is noted with each. Raises as ``allowed``."""
        path = self.folder / REVOKED
        if not path.exists():
            return {}
        refuse_writable(path)
        found: dict[bytes, str] = {}
        for line in path.read_text("utf-8", "replace").splitlines():
            key, _, note = line.partition(" ")
            if key:
                found[key.encode()] = note
        return found

    def check_place(self) -> None:
        """Refuse a folder that others can write. Raises BadInput."""
        if self.folder.is_dir():
            refuse_writable(self.folder)

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
            BadInput: it is absent, malformed or revoked, or others can write it or its folder.
        """
        self.check_place()
        path = self._path(role, "public")
        key = self._read(path)
        if key in self.revoked():
            raise BadInput(
                "this key is revoked",
                where=str(path),
                mend=f"citadel keys rotate {self.folder} {role}, where its secret key is kept; then "
                "give the others the new public key",
            )
        return key

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
                    write_key(public, zmq.curve_public(self._read(secret)), 0o644)
                    continue
                if public.exists():
                    raise BadInput(
                        f"{public.name} is there without {secret.name}",
                        where=str(self.folder),
                        mend=f"bring the secret key back, or remove {public}",
                    )
                public_key, secret_key = zmq.curve_keypair()
                write_key(secret, secret_key, 0o600)
                write_key(public, public_key, 0o644)
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
        if path.suffix == ".public":  # a secret one must not even be read by others
            refuse_writable(path)
        return checked_key(key, str(path))


def checked_key(key: bytes, where: str) -> bytes:
    """A key of the right form. Raises BadInput."""
    try:
        if len(key) == _Z85_LENGTH and len(z85.decode(key)) == _RAW_LENGTH:
            return key
    except (ValueError, KeyError):  # not a character of Z85
        pass
    raise BadInput(
        f"not a key: {len(key)} characters", where=where, allowed=f"{_Z85_LENGTH} characters of Z85"
    )


def refuse_writable(path: Path) -> None:
    """Refuse a folder or file that somebody else can change.

    Raises:
        BadInput: others may write it, or it belongs to another user.
    """
    found = path.stat()
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BadInput(
            f"others can write it (mode {stat.S_IMODE(found.st_mode):04o}), and so decide who may trade",
            where=str(path),
            allowed="written by its owner only",
            mend=f"chmod go-w {path}, after a look at what is in it",
        )
    if os.geteuid() and found.st_uid not in (0, os.geteuid()):
        raise BadInput(
            f"it belongs to another user (uid {found.st_uid})",
            where=str(path),
            allowed="the user who runs this, or root",
        )


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


def check_endpoint(endpoint: str, where: str | None = None) -> None:
    """Refuse a text that names no transport, which would otherwise pass for another machine's address.

    Raises:
        BadInput: it is no endpoint; ``where`` says which option or setting has it.
    """
    if not endpoint.startswith(_TRANSPORTS):
        raise BadInput(
            f"{endpoint[:200]!r} is no address of a channel",
            where=where,
            allowed="tcp://127.0.0.1:PORT, ipc://PATH, or tcp://ADDRESS:PORT with keys",
            mend="give the address that micro has in its configuration under [bridge]",
        )


def require_keys(endpoint: str, keys: ServerKeys | ClientKeys | None) -> None:
    """Allow plaintext on this machine only, and a socket file only where nobody else can put one.

    Raises:
        BadInput: this is no endpoint.
        Refused: the endpoint is not local and there are no keys; or it is ``ipc://`` in a folder where
            others may replace the file, or a file of another user.
    """
    check_endpoint(endpoint)
    if keys is None and endpoint.startswith("ipc://") and not endpoint.startswith("ipc://@"):
        _refuse_shared(Path(endpoint.removeprefix("ipc://")))
    if keys is None and not is_local(endpoint):
        raise Refused(
            f"{endpoint} is not loopback and no keys are configured: orders would travel in "
            "plaintext and anybody could send them. Make keys with: citadel keys make keys "
            "(and name the folder in the configuration), or use 127.0.0.1 or ipc://"
        )


def _refuse_shared(path: Path) -> None:
    try:
        folder = path.parent.stat()
        owner = path.stat().st_uid if path.exists() else os.geteuid()
    except OSError:
        return  # not there: binding or connecting says so
    sticky = folder.st_mode & stat.S_ISVTX
    if folder.st_mode & stat.S_IWOTH and not sticky:
        raise Refused(
            f"everybody can put a socket into {path.parent}, and send orders by it: chmod o-w "
            f"{path.parent}, or use a private folder"
        )
    if os.geteuid() and owner not in (0, os.geteuid()):
        raise Refused(f"{path} is the socket of another user (uid {owner}); use a private folder")


def write_key(path: Path, key: bytes, mode: int) -> None:
    """Write a key file, complete or not at all; an older one is replaced. Raises OSError."""
    # Under a temporary name until it is complete, so that a crash leaves no empty key behind.
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.fchmod(descriptor, mode)  # independent of the umask and of an older file's mode
        os.write(descriptor, key + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.replace(path)
