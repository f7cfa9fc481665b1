"""One websocket: bytes in by direct call, text out. picows, or aiohttp where it must inflate.

Neither reconnects; ``connection`` does. ``on_frame`` is called on the event loop for each
complete message, ``on_round_trip`` with the duration of each ping, in ns; they must not raise.
"""

from __future__ import annotations

import asyncio
import sys
import time
from array import array
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
from picows import WSCloseCode, WSError, WSListener, WSMsgType, ws_connect

from citadel_micro.shell.dial import dial_websocket
from citadel_proto.errors import PeerUnavailable

if sys.platform != "win32":
    import fcntl
    import termios

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from picows import WSFrame, WSTransport

    OnFrame = Callable[[bytes], None]
    OnRoundTrip = Callable[[int], None]

MAX_MESSAGE: Final = 32 << 20
"""Bytes. The largest snapshots so far are under 4 MiB; a larger message is not a book."""
CONNECT_TIMEOUT_S: Final = 10.0
PING_S: Final = 10.0
"""An idle peer is pinged after this, and has as long to answer: finds half-open TCP."""


CLOSE_TIMEOUT_S: Final = 1.0
"""A peer that does not answer a close within this is dropped."""


class WebSocket(Protocol):
    """An open websocket."""

    def send(self, text: str) -> None:
        """Queue one text message. A closing link drops it."""

    def ping(self) -> None:
        """Send a ping; ``on_round_trip`` gets its duration in ns, if the pong comes."""

    def unread(self) -> int:
        """Octets received by the system and not read; 0 where it does not report them."""

    def hold(self, *, held: bool) -> None:
        """Stop or resume reading. Meanwhile data waits in the system and at the peer."""

    def close(self) -> None:
        """Start the close handshake without waiting for it."""

    async def closed(self) -> str:
        """Wait for the end and return the reason."""


class _Pings:
    """Our own pings, distinguished by their payload from those that keep a connection alive."""

    def __init__(self, on_round_trip: OnRoundTrip) -> None:
        self._on_round_trip = on_round_trip
        self._number = 0
        self._sent_ns = 0

    def next(self) -> bytes:
        """Payload of the next ping; one still in flight no longer counts."""
        self._number += 1
        self._sent_ns = time.monotonic_ns()
        return b"citadel %d" % self._number

    def pong(self, payload: bytes) -> None:
        """A pong came."""
        if self._sent_ns and payload == b"citadel %d" % self._number:
            self._on_round_trip(time.monotonic_ns() - self._sent_ns)
            self._sent_ns = 0


class _PicowsLink(WSListener):
    def __init__(self, on_frame: OnFrame, on_round_trip: OnRoundTrip) -> None:
        self._on_frame = on_frame
        self._pings = _Pings(on_round_trip)
        self._transport: WSTransport | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._why = ""
        self._abandoned = False
        self._done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def connected(self) -> bool:
        """The handshake was completed."""
        return self._transport is not None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        if self._abandoned:
            transport.disconnect(graceful=False)

    def abandon(self) -> None:
        """Give this connection up; the client completes it all the same."""
        self._abandoned = True
        self._on_frame = _ignore
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

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
        elif kind is WSMsgType.PONG:
            self._pings.pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            self._why = f"closed by the venue: {frame.get_close_code()} {_reason(frame)}".rstrip()
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        if not self._done.done():
            self._done.set_result(self._why or "connection lost")

    def ping(self) -> None:
        transport = self._transport
        if transport is not None and not self._done.done():
            transport.send_ping(self._pings.next())

    def unread(self) -> int:
        transport = self._transport
        if transport is None or self._done.done():
            return 0
        return _unread(transport.underlying_transport.get_extra_info("socket"))

    def hold(self, *, held: bool) -> None:
        if self._transport is not None and not self._done.done():
            reading = self._transport.underlying_transport
            if held:
                reading.pause_reading()
            else:
                reading.resume_reading()

    def send(self, text: str) -> None:
        transport = self._transport
        if transport is not None and not self._done.done():
            transport.send(WSMsgType.TEXT, text.encode())

    def close(self) -> None:
        transport = self._transport
        if transport is not None and not self._done.done():
            transport.send_close(WSCloseCode.OK)
            transport.disconnect(graceful=True)
            # A dead peer never reads what is left to write.
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


def _unread(socket: Any) -> int:  # noqa: ANN401 - a socket, or what a loop has instead of it
    """Octets in the receive buffer of a socket; 0 where the system does not say."""
    if sys.platform == "win32":
        return 0
    if socket is None or (number := socket.fileno()) < 0:
        return 0
    count = array("i", [0])
    try:
        fcntl.ioctl(number, termios.FIONREAD, count)
    except OSError:
        return 0
    return count[0]


def _ignore(_data: bytes) -> None:
    """Drops the data of a connection that was given up."""


def _reason(frame: WSFrame) -> str:
    raw = frame.get_close_message()
    return raw.decode("utf-8", "replace") if raw else ""


class _AiohttpLink:
    def __init__(
        self, session: aiohttp.ClientSession, on_frame: OnFrame, on_round_trip: OnRoundTrip
    ) -> None:
        self._session = session
        self._on_frame = on_frame
        self._pings = _Pings(on_round_trip)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reading = asyncio.Event()
        self._reading.set()
        self._done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self, url: str) -> None:
        self._socket = await self._session.ws_connect(
            url,
            heartbeat=PING_S,
            autoping=False,
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
                elif message.type is aiohttp.WSMsgType.PING:
                    await _quietly(partial(socket.pong, message.data))
                elif message.type is aiohttp.WSMsgType.PONG:
                    self._pings.pong(bytes(message.data))
                await self._reading.wait()
        finally:
            await self._session.close()
            if not self._done.done():
                code = socket.close_code
                self._done.set_result(f"closed: {code}" if code else "connection lost")

    def unread(self) -> int:
        return 0 if self._socket is None else _unread(self._socket.get_extra_info("socket"))

    def hold(self, *, held: bool) -> None:
        if held:
            self._reading.clear()
        else:
            self._reading.set()

    def _start(self, coroutine: Any) -> None:  # noqa: ANN401 - any coroutine
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def send(self, text: str) -> None:
        if self._socket is not None and not self._socket.closed:
            self._start(_quietly(partial(self._socket.send_str, text)))

    def ping(self) -> None:
        if self._socket is not None and not self._socket.closed:
            self._start(_quietly(partial(self._socket.ping, self._pings.next())))

    def close(self) -> None:
        if self._socket is not None and not self._socket.closed:
            self._start(self._socket.close())

    async def closed(self) -> str:
        return await asyncio.shield(self._done)


async def _quietly(send: Callable[[], Awaitable[None]]) -> None:
    """Send; if the connection has ended, the reader reports that."""
    with suppress(ConnectionError, aiohttp.ClientError):
        await send()


async def open_link(
    url: str,
    on_frame: OnFrame,
    on_round_trip: OnRoundTrip = lambda _ns: None,
    *,
    deflate: bool = False,
) -> WebSocket:
    """Connect a websocket. Raises PeerUnavailable with the address and the reason."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if deflate:
                session = aiohttp.ClientSession()
                link = _AiohttpLink(session, on_frame, on_round_trip)
                try:
                    await link.open(url)
                except BaseException:
                    await session.close()
                    raise
                return link
            listener = _PicowsLink(on_frame, on_round_trip)
            try:
                await ws_connect(
                    lambda: listener,
                    url,
                    websocket_handshake_timeout=CONNECT_TIMEOUT_S,
                    enable_auto_ping=True,
                    auto_ping_idle_timeout=PING_S,
                    auto_ping_reply_timeout=PING_S,
                    max_frame_size=MAX_MESSAGE,
                    logger_name="citadel.feeds",
                    socket_factory=dial_websocket,
                )
            except BaseException:
                listener.abandon()
                raise
            if not listener.connected:
                # picows returns as usual from one that its peer closed before the handshake.
                raise PeerUnavailable(f"cannot connect to {url}: closed before the handshake")
            return listener
    except (OSError, TimeoutError, WSError, aiohttp.ClientError) as error:
        why = str(error) or type(error).__name__
        raise PeerUnavailable(f"cannot connect to {url}: {why}") from None


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
