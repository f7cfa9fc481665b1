"""Requests and answers over one websocket: each request has a number, and its answer carries it.

When the socket is lost, every request waiting for its answer is ``Unknown``: it may have been
executed. Nothing is ever sent again.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from picows import WSCloseCode, WSError, WSListener, WSMsgType, ws_connect

from citadel_micro.shell.dial import dial_websocket
from citadel_micro.shell.venue.addresses import private_url
from citadel_micro.shell.venue.outcomes import Answered, NotSent, Unknown
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from picows import WSFrame, WSTransport

    from citadel_micro.shell.venue.outcomes import Outcome

    OnOutcome = Callable[[Outcome], None]

CONNECT_TIMEOUT_S: Final = 10.0
PING_S: Final = 10.0
"""An idle venue is pinged after this, and given as long again: finds half-open TCP."""
CLOSE_TIMEOUT_S: Final = 1.0
ANSWER_TIMEOUT_S: Final = 10.0
"""As long as Binance's own back end waits: a later answer is not used."""
MOST_MESSAGE: Final = 8 << 20
SWEEP_S: Final = 0.25
"""How often overdue answers are checked."""


class RequestSocket:
    """One open connection for requests, answers and the venue's events on it.

    Args:
        read: of one frame: the number of the request that it answers, and the answer; None where
            it is something else, which ``on_event`` is then given.
        on_event: takes frames that answer nothing. Neither may raise.
        answer_timeout_s: how long an answer is waited for.
        ping: text that asks whether the venue is there, and its answer (OKX: ``ping``, ``pong``);
            None where it answers the protocol's own pings.
    """

    def __init__(
        self,
        read: Callable[[bytes], tuple[int, Answered] | None],
        on_event: Callable[[bytes], None],
        *,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        ping: tuple[bytes, bytes] | None = None,
    ) -> None:
        self._read = read
        self._on_event = on_event
        self._answer_timeout_s = answer_timeout_s
        self._ping = ping
        self._loop = asyncio.get_running_loop()
        self._listener: _Listener | None = None
        self._pending: dict[int, tuple[float, OnOutcome]] = {}
        """Number -> when it is overdue (monotonic seconds), and its callback; oldest first."""
        self._number = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._lost = ""

    async def open(self, url: str, where: str) -> None:
        """Connect.

        Args:
            url: ``wss://HOST/…``, or ``ws://`` of this machine.
            where: the setting that named it, for messages.

        Raises:
            BadInput: keys may not travel to this address.
            PeerUnavailable: there is no connection, or not to this address: redirects are not
                followed.
        """
        address = private_url(url, where)
        listener = _Listener(self._frame, self._disconnected, self._ping)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await ws_connect(
                    lambda: listener,
                    address,
                    websocket_handshake_timeout=CONNECT_TIMEOUT_S,
                    enable_auto_ping=True,
                    auto_ping_idle_timeout=PING_S,
                    auto_ping_reply_timeout=PING_S,
                    max_frame_size=MOST_MESSAGE,
                    max_redirects=0,
                    logger_name="citadel.venue",
                    socket_factory=dial_websocket,
                )
        except (OSError, TimeoutError, WSError) as error:
            listener.abandon()
            why = str(error) or type(error).__name__
            raise PeerUnavailable(f"cannot connect to {address}: {why}") from None
        except BaseException:
            listener.abandon()
            raise
        if not listener.connected:
            # picows returns as usual from a connection that its peer closed before the handshake.
            raise PeerUnavailable(f"cannot connect to {address}: closed before the handshake")
        self._listener = listener

    @property
    def up(self) -> bool:
        """Whether requests can be sent."""
        return self._listener is not None and not self._listener.done.done()

    def next_number(self) -> int:
        """The number of the next request; to be put into its text."""
        self._number += 1
        return self._number

    def send(self, number: int, text: bytes, done: OnOutcome) -> None:
        """Send a request that carries this number.

        ``done`` is called once; from inside this call only where nothing was sent.
        """
        listener = self._listener
        if listener is None or not listener.send(text):
            done(NotSent(f"no connection: {self._lost or 'never opened'}"))
            return
        self._pending[number] = (time.monotonic() + self._answer_timeout_s, done)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    async def ask(self, number: int, text: bytes) -> Outcome:
        """Send a request and wait for its outcome."""
        answered: asyncio.Future[Outcome] = self._loop.create_future()

        def done(outcome: Outcome) -> None:
            if not answered.done():
                answered.set_result(outcome)

        self.send(number, text, done)
        return await answered

    async def closed(self) -> str:
        """Wait for the end and return the reason."""
        if self._listener is None:
            return "never opened"
        return await asyncio.shield(self._listener.done)

    def close(self) -> None:
        """Start the close handshake, without waiting. What is pending ends as ``Unknown``."""
        if self._listener is not None:
            self._listener.close()

    # inside

    def _frame(self, data: bytes) -> None:
        found = self._read(data)
        if found is None:
            self._on_event(data)
            return
        number, answer = found
        pending = self._pending.pop(number, None)
        if pending is not None:
            pending[1](answer)
        # Without one it is late: its request was given up as unknown, and is being queried.

    def _sweep(self) -> None:
        self._sweeper = None
        now_s = time.monotonic()
        overdue = [number for number, (due_s, _) in self._pending.items() if due_s <= now_s]
        for number in overdue:
            _, done = self._pending.pop(number)
            done(Unknown(f"no answer within {self._answer_timeout_s:g} s"))
        if self._pending and self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    def _disconnected(self, why: str) -> None:
        self._lost = why
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        pending, self._pending = self._pending, {}
        for _, done in pending.values():
            done(Unknown(f"the connection was lost before the answer came: {why}"))


class _Listener(WSListener):
    def __init__(
        self,
        on_frame: Callable[[bytes], None],
        on_disconnected: Callable[[str], None],
        ping: tuple[bytes, bytes] | None,
    ) -> None:
        self._ping = ping
        self._on_frame = on_frame
        self._on_disconnected = on_disconnected
        self._transport: WSTransport | None = None
        self._parts: list[bytes] = []
        self._why = ""
        self._abandoned = False
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def connected(self) -> bool:
        """The handshake was completed."""
        return self._transport is not None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        if self._abandoned:
            transport.disconnect(graceful=False)

    def send_user_specific_ping(self, transport: WSTransport) -> None:
        if self._ping is None:
            transport.send_ping()
        else:
            transport.send(WSMsgType.TEXT, self._ping[0])

    def is_user_specific_pong(self, frame: WSFrame) -> bool:
        if self._ping is None:
            return frame.msg_type is WSMsgType.PONG
        return frame.msg_type is WSMsgType.TEXT and frame.get_payload_as_bytes() == self._ping[1]

    def abandon(self) -> None:
        """Give this connection up."""
        self._abandoned = True
        self._on_frame = _ignore
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY or kind is WSMsgType.CONTINUATION:
            data = frame.get_payload_as_bytes()
            if self._ping is not None and data == self._ping[1]:
                return
            if frame.fin and not self._parts:
                self._on_frame(data)
                return
            self._parts.append(data)
            if sum(map(len, self._parts)) > MOST_MESSAGE:
                self._why = f"a message of more than {MOST_MESSAGE} bytes"
                transport.disconnect(graceful=False)
            elif frame.fin:
                data = b"".join(self._parts)
                self._parts.clear()
                self._on_frame(data)
        elif kind is WSMsgType.CLOSE:
            words = (frame.get_close_message() or b"").decode("utf-8", "replace")
            self._why = f"closed by the venue: {frame.get_close_code()} {words}".rstrip()
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        if not self.done.done():
            why = self._why or "connection lost"
            self.done.set_result(why)
            self._on_disconnected(why)

    def send(self, text: bytes) -> bool:
        """Whether it was passed to a connection that is up."""
        transport = self._transport
        if transport is None or self.done.done() or self._why:
            return False
        transport.send(WSMsgType.TEXT, text)
        return True

    def close(self) -> None:
        transport = self._transport
        if transport is not None and not self.done.done():
            self._why = self._why or "closed by us"
            transport.send_close(WSCloseCode.OK)
            transport.disconnect(graceful=True)
            # A dead peer never reads what is left to write.
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self._abort, transport)

    def _abort(self, transport: WSTransport) -> None:
        if not self.done.done():
            transport.disconnect(graceful=False)


def _ignore(_data: bytes) -> None:
    """Drops the data of a connection that was given up."""
