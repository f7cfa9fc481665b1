"""The connections to one host: kept alive between requests, and opened where none waits for one."""

from __future__ import annotations

import asyncio
import errno
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from citadel_micro.shell.dial import dial
from citadel_micro.shell.http.link import HttpLink

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT_S: Final = 5.0
KEEP_ALIVE_S: Final = 60.0
_ALWAYS: Final = "Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nUser-Agent: stoic-citadel\r\n"
_PORTS: Final = {"https": 443, "http": 80}


class HttpPool:
    """See the module. No proxy is used, and no certificate but those that the system trusts.

    Args:
        root: ``https://HOST`` or ``http://HOST``, with a path before every target or without.
        most: bytes of an answer, decompressed too.
    """

    def __init__(self, root: str, most: int) -> None:
        parts = urlsplit(root)
        self._path = parts.path
        self._host = parts.hostname or ""
        self._secure = parts.scheme == "https"
        self._port = parts.port or _PORTS.get(parts.scheme, 80)
        self._always = f" HTTP/1.1\r\nHost: {parts.netloc}\r\n{_ALWAYS}"
        self._most = most
        self._certificates: ssl.SSLContext | None = None
        self.links: list[HttpLink] = []
        self.closed = False

    def request(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes
    ) -> bytes:
        """The bytes of a request.

        Args:
            method: of HTTP.
            target: path and query, percent-encoded.
            headers: besides the usual ones.
            content: its body.

        Raises:
            ValueError: it cannot be sent as it is.
        """
        more = dict(headers)
        if content or method != "GET":
            more["Content-Length"] = str(len(content))
        lines = "".join([f"{name}: {value}\r\n" for name, value in more.items()])
        line = f"{method} {self._path}{target}"
        if not target.isascii() or " " in target or not target.isprintable():
            raise ValueError("an address that is not percent-encoded")
        if any(not value.isprintable() or not value.isascii() for value in more.values()):
            raise ValueError("a header that cannot be sent")
        return f"{line}{self._always}{lines}\r\n".encode("ascii") + content

    def open_one(self) -> HttpLink | None:
        """A connection that waits for a request; those that are too old are closed."""
        oldest = asyncio.get_running_loop().time() - KEEP_ALIVE_S
        found = None
        for link in self.links[:]:
            if link.waits:
                continue
            if link.idle_since >= oldest and link.ready:
                found = link
            else:
                link.close()
                self.links.remove(link)
        return found

    async def connect(self) -> HttpLink:
        """A new connection.

        Raises:
            OSError, TimeoutError: there is none.
            ValueError: the host's name is none.
        """
        if self._secure and self._certificates is None:  # it reads a file, of some ms
            self._certificates = ssl.create_default_context()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            link = await self._link()
        if self.closed:
            link.close()
            raise OSError(errno.ECONNABORTED, "the connections are closed")
        self.links.append(link)
        return link

    async def close(self) -> None:
        """Close the connections, for good; requests in flight end with an error."""
        self.closed = True
        for link in self.links:
            link.close()
        if self.links:
            self.links.clear()
            await asyncio.sleep(0)  # lets transports end

    async def _link(self) -> HttpLink:
        """Connect. Raises OSError."""
        link, certificates = HttpLink(self._most), self._certificates
        transport = await self._transport(link if certificates is None else asyncio.Protocol())
        # uvloop keeps what is written to the end of its turn, unless it is more than this.
        transport.set_write_buffer_limits(high=0)
        if certificates is not None:
            # Not together with connecting: that of the bytes themselves would stay out of reach.
            link.connection_made(await self._secured(transport, link, certificates))
        return link

    async def _transport(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        """Of a connection in the clear. Raises OSError."""
        loop = asyncio.get_running_loop()
        connected = await dial(self._host, self._port)
        if connected is None:
            made, _ = await loop.create_connection(lambda: protocol, self._host, self._port)
            return made
        try:
            made, _ = await loop.create_connection(lambda: protocol, sock=connected)
        except BaseException:
            if not isinstance(loop, asyncio.BaseEventLoop):
                # uvloop has closed its descriptor, whose number may be another one's by the time that
                # this object would close it.
                connected.detach()
            raise
        return made

    async def _secured(
        self, transport: asyncio.Transport, link: HttpLink, certificates: ssl.SSLContext
    ) -> asyncio.Transport:
        """Encrypt a connection, once the host has proved its name. Raises OSError."""
        if transport.is_closing():
            raise ConnectionError("the connection has ended")
        loop = asyncio.get_running_loop()
        try:
            made = await loop.start_tls(transport, link, certificates, server_hostname=self._host)
        except RuntimeError as error:  # uvloop's, for one that has ended already
            raise ConnectionError(f"the connection has ended: {error}") from error
        if made is None:
            raise ConnectionError("the connection has ended")
        return made


def in_words(error: Exception) -> str:
    """What happened, without anything of the request."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) if isinstance(error, ValueError) else type(error).__name__
