"""Who may look at the page, and who may act on it.

Three things are judged, each on its own:

- **Host**: the name that a browser was sent to. An address or ``localhost`` is what it says; any other
  name could be one that a stranger's DNS points here (DNS rebinding), so it has to be configured.
- **Origin**: which page a browser's request comes from. Only our own may.
- **Token**: 256 random bits in a file that only micro's user can read. It is sent in a header that no
  other page can set, never in a cookie, so that nothing is authorised by merely being sent from here.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

import structlog

from citadel_micro.shell.keys.private_file import read_private
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log: Final = structlog.get_logger("page")

TOKEN_FILE: Final = "page.token"  # noqa: S105 - a file's name
"""In the run folder, unless the configuration names another."""
_SHORTEST: Final = 20
_LONGEST: Final = 200
_SCHEMES: Final = ("http://", "https://")
_PASSED_ON: Final = ("X-Forwarded-For", "Forwarded", "X-Real-IP")
"""Headers in which a proxy names its client."""


def token_of(folder: Path, configured: Path | None) -> str:
    """The token: of the configured file, else of the run folder, made there when it is missing.

    Raises:
        BadInput: the configured file is not private, or holds no token.
    """
    if configured is not None:
        page = "docs/howto/watch-in-a-browser.md"
        text = read_private(configured, what="file with a token", page=page).strip()
        if not _SHORTEST <= len(text) <= _LONGEST or not text.isascii() or not text.isprintable():
            raise BadInput(
                "the file does not hold a token",
                where=f"http.token_file = {configured}",
                allowed=f"one line of {_SHORTEST} to {_LONGEST} printable ASCII characters",
                mend="write one: openssl rand -base64 32",
            )
        return text
    path = folder / TOKEN_FILE
    found = _read_own(path)
    return _made(path) if found is None else found


def _read_own(path: Path) -> str | None:
    """The text of the run folder's token; None where there is none that others cannot know."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        about = os.fstat(descriptor)
        private = stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid()
        if not private or about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            log.warning("the page's token could be read by others: a new one is made")
            return None
        text = file.read(_LONGEST + 1).strip()
    return text if _SHORTEST <= len(text) <= _LONGEST else None


def _made(path: Path) -> str:
    """A new token in a file of mode 0600, in place of whatever was there."""
    token = secrets.token_urlsafe(32)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(fresh, flags, 0o600), "w", encoding="ascii") as file:
        file.write(f"{token}\n")
    fresh.replace(path)
    return token


class Gate:
    """Judges requests by their headers.

    Args:
        token: see ``token_of``.
        hosts: names besides addresses and ``localhost`` under which the page may be asked for.
    """

    def __init__(self, token: str, hosts: tuple[str, ...] = ()) -> None:
        self._token = token.encode()
        self._hosts = frozenset(name.lower().rstrip(".") for name in hosts)

    def host_allowed(self, host: str) -> bool:
        """Whether a Host header names an address, this machine, or a configured name."""
        name = host_name(host)
        return name == "localhost" or name in self._hosts or _address(name) is not None

    def origin_allowed(self, origin: str | None, host: str) -> bool:
        """Whether a request comes from our own page, or from no page at all (not a browser)."""
        return origin is None or origin.lower() in {f"{each}{host.lower()}" for each in _SCHEMES}

    def token_good(self, given: str) -> bool:
        """Whether it is the token; takes the same time for every wrong one of its length."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)

    @staticmethod
    def open_to(peer: str | None, headers: Mapping[str, str]) -> bool:
        """Whether one may look without a token: from this machine, to it, and for nobody else."""
        return (
            is_loopback(host_name(headers.get("Host", "")))
            and is_loopback(peer or "")
            and not any(name in headers for name in _PASSED_ON)
        )


def is_loopback(name: str) -> bool:
    """Whether an address or name is of this machine only."""
    address = _address(name)
    return name == "localhost" if address is None else address.is_loopback


def host_name(host: str) -> str:
    """A Host header's name or address: lower case, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


def bearer(headers: Mapping[str, str]) -> str:
    """The token that a request carries; empty when it has none."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return mapped or found
