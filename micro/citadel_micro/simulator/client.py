"""One websocket connection: its subscriptions, and its send queue."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from aiohttp import WSCloseCode, WSMsgType

if TYPE_CHECKING:
    from aiohttp import web


class Client:
    """A connection with a bounded outbox.

    A client that reads slower than the market moves is disconnected when more than
    ``buffer_bytes`` wait for it: dropping single messages would break its sequence silently.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        *,
        combined: bool,
        buffer_bytes: int,
    ) -> None:
        """Wrap a prepared websocket. ``combined`` wraps each event with its stream's name."""
        self.socket = socket
        self._transport = transport
        self.combined = combined
        self.streams: dict[str, None] = {}
        self.too_slow = False
        self.received = asyncio.get_running_loop().time()  # when the peer last sent anything, s
        self._limit = buffer_bytes
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._closing: tuple[int, bytes] | None = None

    def push(self, message: bytes) -> None:
        """Queue one text frame; never blocks."""
        if self._closing is not None:
            return
        self._waiting_bytes += len(message)
        if self._waiting_bytes > self._limit:
            self.too_slow = True
            self.close(WSCloseCode.POLICY_VIOLATION, b"reads too slowly")
            # Its socket is full: neither a frame nor a close handshake would get through.
            self.abort()
            return
        self._waiting.append(message)
        self._wake.set()

    def abort(self) -> None:
        """Cut the connection without a close handshake."""
        if self._transport is not None:
            self._transport.abort()

    def close(self, code: int, reason: bytes) -> None:
        """Drop the queue and close."""
        self._closing = (code, reason)
        self._waiting.clear()
        self._wake.set()

    async def run_sender(self) -> None:
        """Send until closed. A peer that is gone ends it quietly: its reader ends the rest."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    message = self._waiting.popleft()
                    self._waiting_bytes -= len(message)
                    await self.socket.send_frame(message, WSMsgType.TEXT)
                if self._closing is not None:
                    break
        except ConnectionError:
            return
        if self.too_slow:
            return
        code, reason = self._closing
        await self.socket.close(code=code, message=reason)
