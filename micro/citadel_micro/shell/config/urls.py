"""Addresses of web servers, as a user gives them."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from citadel_bridge.auth import is_local
from citadel_proto.errors import BadInput

HTTP: Final = ("http", "https")
WS: Final = ("ws", "wss")


def url_problem(text: str, schemes: tuple[str, ...]) -> str:
    """Why this is no address of a server; empty when it is one."""
    if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        return "must start with " + " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(text)
        known = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        return f"is no address: {error}"
    return "" if known else "names no host"


def private_url_problem(text: str, schemes: tuple[str, ...]) -> str:
    """Why keys and orders may not travel to this address; empty when they may."""
    problem = url_problem(text, schemes)
    if problem:
        return problem
    parts = urlsplit(text)
    if parts.username or parts.password or parts.query or parts.fragment:
        return "must be an address alone, without user, password or parameters"
    if parts.scheme in {"http", "ws"} and not is_local(text):
        return (
            f"must be {parts.scheme}s:// where it is not loopback: orders would travel unencrypted"
        )
    return ""


def checked_url(text: str, schemes: tuple[str, ...], where: str) -> str:
    """An address without a slash behind it.

    Raises:
        BadInput: it is none.
    """
    problem = url_problem(text, schemes)
    if problem:
        allowed = ", ".join(f"{scheme}://HOST:PORT" for scheme in schemes)
        raise BadInput(f"{text[:200]!r} {problem}", where=where, allowed=allowed)
    return text.rstrip("/")
