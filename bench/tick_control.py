"""A client's line to ``tick_relay.py``: it is told its mode, and says when it is ready for a frame."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable


class Control(asyncio.Protocol):
    """Args: on_mode: takes the words of the next measurement."""

    def __init__(self, on_mode: Callable[[str], None]) -> None:
        self._on_mode = on_mode
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(b"control\n")

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._on_mode(line.decode())

    def ready(self) -> None:
        """The next frame may come."""
        if self._transport is not None:
            self._transport.write(b"r")


async def connect(port: int, on_mode: Callable[[str], None]) -> Control:
    """Connect to a client's port of the relay."""
    loop = asyncio.get_running_loop()
    _, control = await loop.create_connection(lambda: Control(on_mode), "127.0.0.1", port)
    return control
