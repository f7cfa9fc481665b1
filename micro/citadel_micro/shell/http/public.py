"""Public data of a venue over HTTP: an answer, or the reason why there is none. No keys, no redirects."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote, unquote, urlsplit

from citadel_micro.shell.http.pool import HttpPool, in_words
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from types import TracebackType

    from citadel_micro.shell.http.answers import Answered
    from citadel_micro.shell.http.link import HttpLink

MOST_BYTES: Final = 128 << 20
"""Maximum size of an answer. The longest list of markets is some 20 MB."""
_WRITTEN: Final = "%/:=&?~#+!$,;'@()*[]"
"""What an address may hold as it is; a symbol's letters may be of any script."""
_OK: Final = 200


class PublicHost:
    """Asks one host, over connections that are kept until it is closed; as a context it closes itself.

    Args:
        root: ``https://HOST`` or ``http://HOST``, with a path before every target or without.
        timeout_s: for a whole request, its connection included.
    """

    def __init__(self, root: str, timeout_s: float) -> None:
        parts = urlsplit(root)
        user, at, netloc = parts.netloc.rpartition("@")
        self._headers: dict[str, str] = {}
        if at:
            self._headers["Authorization"] = f"Basic {b64encode(unquote(user).encode()).decode()}"
        self._pool = HttpPool(
            parts._replace(netloc=netloc, query="", fragment="").geturl(), MOST_BYTES
        )
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.close()

    async def ask(self, target: str, *, method: str = "GET") -> Answered:
        """The answer, of whatever status.

        Args:
            target: path and query.
            method: of HTTP; what is asked has no body.

        Raises:
            PeerUnavailable: there is none, in time or at all; without the address.
        """
        try:
            request = self._pool.request(method, quote(target, safe=_WRITTEN), self._headers, b"")
            async with asyncio.timeout(self._timeout_s):
                link = self._pool.open_one()
                if link is not None:
                    try:
                        return await _answer(link, request)
                    except ConnectionError:
                        pass  # the other side ended it meanwhile, as it may between two requests
                return await _answer(await self._pool.connect(), request)
        except (OSError, TimeoutError, ValueError) as error:
            raise PeerUnavailable(in_words(error)) from None

    async def close(self) -> None:
        """Close the connections, for good."""
        await self._pool.close()


async def fetch(url: str, *, timeout_s: float, method: str = "GET") -> bytes:
    """The body of one answer, over a connection of its own.

    Raises:
        PeerUnavailable: there is none, or one of another status than 200; with the address, but no password
            in it.
    """
    parts = urlsplit(url)
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    target = parts._replace(scheme="", netloc="", fragment="").geturl()
    async with PublicHost(f"{parts.scheme}://{parts.netloc}", timeout_s) as host:
        try:
            answer = await host.ask(target or "/", method=method)
        except PeerUnavailable as error:
            raise PeerUnavailable(f"cannot fetch {shown}: {error}") from None
    if answer.status != _OK:
        words = answer.body[:300].decode("utf-8", "replace")
        raise PeerUnavailable(f"{shown} answered {answer.status}: {words}")
    return answer.body


async def _answer(link: HttpLink, request: bytes) -> Answered:
    answer = link.ask(request)
    try:
        return await answer
    finally:
        if not answer.done() or answer.cancelled():
            link.close()  # what comes late must not be taken for another one's
