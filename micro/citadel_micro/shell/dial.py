"""Connects to a host by whichever of its addresses answers first (RFC 8305, "Happy Eyeballs").

A host of a venue has several addresses, of IPv6 and IPv4. Where one of them does not answer, as all of
IPv6 behind many routers, asyncio's and uvloop's own connect wait for it until nothing is left of the time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Final

from aiohappyeyeballs import start_connection

if TYPE_CHECKING:
    from picows.url import WSParsedURL

HEAD_START_S: Final = 0.25
"""Of each address before the next one is tried beside it: as RFC 8305 recommends."""


async def dial(host: str, port: int) -> socket.socket | None:
    """A socket that is connected; None for an address in numbers, of which there is one.

    Raises:
        OSError: the name is not known, or none of its addresses answers.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return await start_connection(found, happy_eyeballs_delay=HEAD_START_S, interleave=1)
    return None


async def dial_websocket(url: WSParsedURL) -> socket.socket | None:
    """As ``dial``, in the form that picows asks for."""
    return await dial(str(url.host), int(url.port))
