"""Addresses of a venue: which are permitted for signed requests, and those of an account's network."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from citadel_proto.errors import BadInput, InvariantError

if TYPE_CHECKING:
    from citadel_micro.shell.account_facts import AccountQuery

_PLAIN: Final = ("http", "ws")


def private_url(url: str, where: str) -> str:
    """The address, if keys and orders may be sent to it; without a trailing slash.

    Raises:
        BadInput: it is not encrypted and not of this machine, or names a user or a password.
    """
    parts = urlsplit(url)
    if parts.scheme in _PLAIN and not _is_loopback(parts.hostname or ""):
        raise BadInput(
            f"{parts.scheme}://{parts.hostname} is not encrypted: signed requests could be read "
            "and changed on the way",
            where=where,
            allowed="https:// and wss://, or http:// and ws:// on 127.0.0.1",
            mend=f"write {parts.scheme}s://",
        )
    if parts.username or parts.password:
        raise BadInput(
            "an address with a user or a password in it",
            where=where,
            mend="keep secrets in the key file",
        )
    return url.rstrip("/")


def with_path(url: str, path: str) -> str:
    """An address that was given with its path or without, with it."""
    plain = url.rstrip("/")
    return plain if plain.endswith(path) else plain + path


def address_of(query: AccountQuery, name: str) -> str:
    """One of the addresses of its network, by the name of its setting."""
    url: str | None = getattr(query.section, name)
    if url is None:
        raise InvariantError(f"{query.venue}: nobody has given the hosts of its network")
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
