"""Changing a key folder while its processes run: allow, revoke, rotate; and looking at it.

A process with a socket that binds reads the folder again every second and at every handshake; one that
connects, whenever it connects again. So no change needs a restart, except of the process whose own
pair is rotated.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq

from citadel_bridge.auth import (
    ALLOW,
    CLIENTS_OF,
    REVOKED,
    ROLES,
    KeyStore,
    checked_key,
    write_key,
)
from citadel_proto.errors import BadInput

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", re.ASCII)
MAY: Final = {
    "macro": "trade: signals, cancels of its own orders",
    "cli": "operate: signals, cancels of any order",
    "micro": "execute: reports, books",
    "recorder": "observe: subscribe only",
}
"""What the holder of a role's secret key can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One key of a folder."""

    name: str
    key: str
    may: str
    secret: bool
    """Its secret key is here, too."""
    revoked: str
    """Empty, or what is noted with the revocation."""


def rows(store: KeyStore) -> list[Row]:
    """Every key in the folder. Raises BadInput for what cannot be used, and where there is no folder."""
    if not store.folder.is_dir():
        raise BadInput(
            "no such folder", where=str(store.folder), mend=f"citadel keys make {store.folder}"
        )
    revoked = store.revoked()
    found = []
    for role in ROLES:
        path = store.folder / f"{role}.public"
        if path.exists():
            key = checked_key(path.read_bytes().strip(), str(path))
            secret = (store.folder / f"{role}.secret").exists()
            found.append(_row(role, key, MAY[role], revoked, secret=secret))
    for name, key in store.clients().items():
        found.append(_row(name, key, MAY["recorder"], revoked, secret=False))
    return found


def allow(store: KeyStore, name: str, key: str) -> None:
    """Admit one more client, which may subscribe.

    Raises:
        BadInput: the name is taken or no name, the key is none or is revoked, or the folder cannot be
            written.
    """
    if not _NAME.fullmatch(name) or name in ROLES:
        raise BadInput(
            f"a client cannot be called {name!r}",
            where="citadel keys allow",
            allowed="letters, digits, _ and -, and not the name of a role",
        )
    try:
        raw = Path(key).read_bytes().strip()
    except (OSError, ValueError):  # no file is called so
        raw = key.encode("ascii", "backslashreplace").strip()
    raw = checked_key(raw, "citadel keys allow")
    store.check_place()
    if raw in store.revoked():
        raise BadInput("this key is revoked", where=name, mend="let the client make a new one")
    path = store.folder / ALLOW / f"{name}.public"
    if path.exists() and path.read_bytes().strip() != raw:
        raise BadInput(
            f"another key is allowed as {name}",
            where=str(path),
            mend=f"citadel keys revoke {store.folder} {name}, or choose another name",
        )
    _written(path, raw)


def revoke(store: KeyStore, name: str) -> bytes:
    """Admit a role's or a client's key no longer; its connections are cut within a second.

    Returns:
        The key.

    Raises:
        BadInput: there is no such name, or the folder cannot be written.
    """
    store.check_place()
    path = store.folder / (f"{name}.public" if name in ROLES else f"{ALLOW}/{name}.public")
    if not _NAME.fullmatch(name) or not path.exists():
        raise BadInput(
            f"no key is called {name!r}",
            where=str(store.folder),
            allowed=", ".join(row.name for row in rows(store)) or "none",
        )
    key = checked_key(path.read_bytes().strip(), str(path))
    if key not in store.revoked():
        _append(store, key, f"{name} {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}")
    if name not in ROLES:
        path.unlink()
    return key


def rotate(store: KeyStore, role: str, *, at_once: bool = False) -> str:
    """Make a new pair for a role; the old key stays allowed as a client, or is revoked at once.

    Returns:
        The name under which the old key is still allowed; empty when it is revoked.

    Raises:
        BadInput: no such role, its secret key is not here, or the folder cannot be written.
    """
    secret, public = store.folder / f"{role}.secret", store.folder / f"{role}.public"
    if role not in ROLES or not (secret.exists() and public.exists()):
        raise BadInput(
            f"no pair of {role!r} is here",
            where=str(store.folder),
            mend="rotate a pair in the folder that has its secret key",
        )
    store.check_place()
    old = checked_key(public.read_bytes().strip(), str(public))
    kept = ""
    if at_once:
        revoke(store, role)
    elif old not in store.revoked():
        kept = f"{role}-{hashlib.sha256(old).hexdigest()[:8]}"
        _written(store.folder / ALLOW / f"{kept}.public", old)
    new_public, new_secret = zmq.curve_keypair()
    try:
        write_key(secret, new_secret, 0o600)
        write_key(public, new_public, 0o644)
    except OSError as error:
        raise BadInput(f"cannot write keys: {error.strerror}", where=str(secret)) from error
    return kept


def problems(store: KeyStore) -> list[str]:
    """Everything in a folder that a process would refuse, or that keeps somebody out."""
    found: list[str] = []
    if not store.folder.is_dir():
        return [f"{store.folder}: no such folder; citadel keys make {store.folder}"]
    here = [role for role in ROLES if (store.folder / f"{role}.secret").exists()]
    if not here:
        found.append(f"{store.folder}: no secret key of any role")
    for role in here:
        try:
            store.server(role)
        except BadInput as error:
            found.append(str(error))
    found += [
        f"{other}.public is not here, so {role} cannot connect to it"
        for role in here
        for other, clients in CLIENTS_OF.items()
        if role in clients and not (store.folder / f"{other}.public").exists()
    ]
    # The same trouble may stop several roles.
    return list(dict.fromkeys(found))


def _row(name: str, key: bytes, may: str, revoked: dict[bytes, str], *, secret: bool) -> Row:
    note = revoked.get(key)
    return Row(
        name=name,
        key=key.decode(),
        may=may,
        secret=secret,
        revoked="" if note is None else note or "revoked",
    )


def _written(path: Path, key: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o755, exist_ok=True)
        write_key(path, key, 0o644)
    except OSError as error:
        raise BadInput(f"cannot write keys: {error.strerror}", where=str(path)) from error


def _append(store: KeyStore, key: bytes, note: str) -> None:
    path = store.folder / REVOKED
    lines = [
        f"{old.decode('ascii', 'replace')} {text}".rstrip() for old, text in store.revoked().items()
    ]
    text = "\n".join([*lines, f"{key.decode()} {note}"]) + "\n"
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.chmod(0o644)
        partial.replace(path)
    except OSError as error:
        raise BadInput(f"cannot write keys: {error.strerror}", where=str(path)) from error
