"""One websocket: bytes in by direct call, text out. picows, or aiohttp where it must inflate.

Neither reconnects; that is the connection's work. ``on_frame`` is called on the event loop for each
whole message and must not raise.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import aiohttp
from picows import WSCloseCode, WSError, WSListener, WSMsgType, ws_connect

from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from picows import WSFrame, WSTransport

    OnFrame = Callable[[bytes], None]

MAX_MESSAGE: Final = 32 << 20
"""Bytes. The largest snapshots seen are under 4 MiB; a message beyond this is not a book."""
CONNECT_TIMEOUT_S: Final = 10.0
PING_S: Final = 10.0
"""An idle peer is pinged after this, and given as long again: finds half-open TCP."""


CLOSE_TIMEOUT_S: Final = 1.0
"""A peer that does not answer a close within this is dropped."""


class Link(Protocol):
    """An open websocket."""

    def send(self, text: str) -> None:
        """Queue one text message. A link that is closing drops it."""

    def close(self) -> None:
        """Ask the peer to close, and go on without waiting for it."""

    async def closed(self) -> str:
        """Wait for the end and say why it came."""


class _PicowsLink(WSListener):
    def __init__(self, on_frame: OnFrame) -> None:
        self._on_frame = on_frame
        self._transport: WSTransport | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._why = ""
        self._done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY or kind is WSMsgType.CONTINUATION:
            data = frame.get_payload_as_bytes()
            if frame.fin and not self._parts:
                self._on_frame(data)
                return
            self._parts.append(data)
            self._size += len(data)
            if self._size > MAX_MESSAGE:
                self._why = f"a message of more than {MAX_MESSAGE} bytes"
                transport.disconnect(graceful=False)
            elif frame.fin:
                data = b"".join(self._parts)
                self._parts.clear()
                self._size = 0
                self._on_frame(data)
        elif kind is WSMsgType.CLOSE:
            self._why = f"closed by the venue: {frame.get_close_code()} {_reason(frame)}".rstrip()
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        if not self._done.done():
            self._done.set_result(self._why or "connection lost")

    def send(self, text: str) -> None:
        transport = self._transport
        if transport is not None and not self._done.done():
            transport.send(WSMsgType.TEXT, text.encode())

    def close(self) -> None:
        transport = self._transport
        if transport is not None and not self._done.done():
            transport.send_close(WSCloseCode.OK)
            transport.disconnect(graceful=True)
            # A peer that is gone never takes what is left to write.
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self._abort, transport)

    def _abort(self, transport: WSTransport) -> None:
        if not self._done.done():
            transport.disconnect(graceful=False)

    async def closed(self) -> str:
        why = await asyncio.shield(self._done)
        if self._transport is not None:
            try:
                await self._transport.wait_disconnected()
            except WSError as error:  # the peer broke the protocol, or sent too much
                return str(error)
        return why


def _reason(frame: WSFrame) -> str:
    raw = frame.get_close_message()
    return raw.decode("utf-8", "replace") if raw else ""


class _AiohttpLink:
    def __init__(self, session: aiohttp.ClientSession, on_frame: OnFrame) -> None:
        self._session = session
        self._on_frame = on_frame
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self, url: str) -> None:
        self._socket = await self._session.ws_connect(
            url,
            heartbeat=PING_S,
            max_msg_size=MAX_MESSAGE,
            compress=15,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
        )
        self._start(self._read(self._socket))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._on_frame(message.data.encode())
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self._on_frame(message.data)
        finally:
            await self._session.close()
            if not self._done.done():
                code = socket.close_code
                self._done.set_result(f"closed: {code}" if code else "connection lost")

    def _start(self, coroutine: Any) -> None:  # noqa: ANN401 - any coroutine
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def send(self, text: str) -> None:
        if self._socket is not None and not self._socket.closed:
            self._start(self._send(self._socket, text))

    @staticmethod
    async def _send(socket: aiohttp.ClientWebSocketResponse, text: str) -> None:
        try:
            await socket.send_str(text)
        except (ConnectionError, aiohttp.ClientError):
            return  # the reader sees the end and says so

    def close(self) -> None:
        if self._socket is not None and not self._socket.closed:
            self._start(self._socket.close())

    async def closed(self) -> str:
        return await asyncio.shield(self._done)


async def open_link(url: str, on_frame: OnFrame, *, deflate: bool = False) -> Link:
    """Connect a websocket. Raises PeerUnavailable with the address and the reason."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if deflate:
                session = aiohttp.ClientSession()
                link = _AiohttpLink(session, on_frame)
                try:
                    await link.open(url)
                except BaseException:
                    await session.close()
                    raise
                return link
            _, listener = await ws_connect(
                lambda: _PicowsLink(on_frame),
                url,
                websocket_handshake_timeout=CONNECT_TIMEOUT_S,
                enable_auto_ping=True,
                auto_ping_idle_timeout=PING_S,
                auto_ping_reply_timeout=PING_S,
                max_frame_size=MAX_MESSAGE,
                logger_name="citadel.feeds",
            )
    except (OSError, TimeoutError, WSError, aiohttp.ClientError) as error:
        why = str(error) or type(error).__name__
        raise PeerUnavailable(f"cannot connect to {url}: {why}") from None
    return cast(Link, listener)


async def post(url: str) -> bytes:
    """Body of the answer to an empty HTTP POST. Raises PeerUnavailable."""
    timeout = aiohttp.ClientTimeout(total=CONNECT_TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url) as answer:
            answer.raise_for_status()
            return await answer.read()
    except (OSError, TimeoutError, aiohttp.ClientError) as error:
        why = str(error) or type(error).__name__
        raise PeerUnavailable(f"cannot post to {url}: {why}") from None
