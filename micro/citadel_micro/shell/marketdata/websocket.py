"""One websocket: bytes in by direct call, text out. picows, or aiohttp where it must inflate.

Neither reconnects; ``connection`` does. ``on_frame`` is called on the event loop for each
complete message, ``on_round_trip`` with the duration of each ping, in ns; they must not raise.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from picows import WSCloseCode, WSError, WSListener, WSMsgType, ws_connect

from citadel_micro.shell.dial import dial_websocket
from citadel_micro.shell.marketdata.websocket_parts import (
    CLOSE_TIMEOUT_S,
    MAX_MESSAGE,
    PING_S,
    Pings,
    unread_of,
)
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from picows import WSFrame, WSTransport

    from citadel_micro.shell.marketdata.websocket_parts import OnFrame, OnRoundTrip

CONNECT_TIMEOUT_S: Final = 10.0


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


class _PicowsLink(WSListener):
    def __init__(self, on_frame: OnFrame, on_round_trip: OnRoundTrip) -> None:
        self._on_frame = on_frame
        self._pings = Pings(on_round_trip)
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
        return unread_of(transport.underlying_transport.get_extra_info("socket"))

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


def _ignore(_data: bytes) -> None:
    """Drops the data of a connection that was given up."""


def _reason(frame: WSFrame) -> str:
    raw = frame.get_close_message()
    return raw.decode("utf-8", "replace") if raw else ""


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
                from citadel_micro.shell.marketdata import inflating  # noqa: PLC0415 - a client more

                return await inflating.opened(url, on_frame, on_round_trip)
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
    except (OSError, TimeoutError, WSError) as error:
        why = str(error) or type(error).__name__
        raise PeerUnavailable(f"cannot connect to {url}: {why}") from None
