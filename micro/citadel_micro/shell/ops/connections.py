"""Bounds on the connections of an HTTP server: how many, and how long one may say nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MOST_CONNECTIONS: Final = 64
FIRST_REQUEST_S: Final = 10.0
"""A connection without a complete request for this long is closed."""
KEEP_ALIVE_S: Final = 15.0
"""The same between two requests."""


class _Refused(asyncio.Protocol):
    """A connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it at once."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a stream server
        transport.abort()


class BoundedServer:
    """Makes the protocol of each connection of aiohttp's server, within bounds.

    Args:
        first_request_s: see ``FIRST_REQUEST_S``.
        most: connections at a time.
    """

    def __init__(
        self, *, first_request_s: float = FIRST_REQUEST_S, most: int = MOST_CONNECTIONS
    ) -> None:
        self._first_request_s = first_request_s
        self._most = most
        self._server: web.Server | None = None
        self._silent: set[asyncio.BaseProtocol] = set()
        """Connections that are waiting for their first request, none for longer than that time."""

    def serve(self, server: web.Server) -> None:
        """Make connections of this server."""
        self._server = server

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        assert self._server is not None  # noqa: S101 - ``serve`` comes first
        if len(self._server.connections) >= self._most:
            return _Refused()
        made = self._server()
        self._silent.add(made)
        asyncio.get_running_loop().call_later(self._first_request_s, self._expire, made)
        return made

    @web.middleware
    async def note_request(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Note that a connection has sent a request."""
        self._silent.discard(request.protocol)
        return await handler(request)

    def _expire(self, made: web.RequestHandler) -> None:
        if made in self._silent:
            self._silent.discard(made)
            made.force_close()
