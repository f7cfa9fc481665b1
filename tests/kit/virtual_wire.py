"""The wires between one process of micro and an exchange, in virtual time: websockets and HTTP.

A connection is two queues of frames with a latency, that can be cut, lose what is under way, or go
dead silently. The server's handlers get requests and sockets that look like aiohttp's.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast
from unittest.mock import patch
from urllib.parse import parse_qsl

from aiohttp import WSMessage, WSMsgType
from multidict import CIMultiDict
from picows import WSMsgType as ClientMsgType
from virtual_venue import ADDRESS, WS_URL

from citadel_micro.adapters.binance import orders as binance_orders
from citadel_micro.adapters.binance import usdm_orders
from citadel_micro.adapters.bybit import orders as bybit_orders
from citadel_micro.adapters.hyperliquid import orders as hyper_orders
from citadel_micro.adapters.kraken import orders as kraken_orders
from citadel_micro.adapters.kraken import session as kraken_session
from citadel_micro.adapters.okx import orders as okx_orders
from citadel_micro.shell.venue import adapter as venue_adapter
from citadel_micro.shell.venue import request_socket
from citadel_micro.shell.venue.http_client import FORM, TIMEOUT_S
from citadel_micro.shell.venue.outcomes import Answered, NotSent, Unknown
from citadel_micro.simulator.bybit import sockets as bybit_sockets
from citadel_micro.simulator.hyperliquid import door as hyper_door
from citadel_micro.simulator.kraken import sockets as kraken_sockets
from citadel_micro.simulator.okx import socket as okx_socket

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from virtual_loop import VirtualLoop
    from virtual_venue import VirtualVenue

    from citadel_micro.shell.venue.outcomes import Outcome

DEAD_S: Final = 20.0
"""A ping after 10 s, and as long for its answer: then a silent connection counts as lost."""
PING_S: Final = request_socket.PING_S
ADAPTERS: Final = (
    binance_orders, usdm_orders, okx_orders, bybit_orders, kraken_orders, hyper_orders,
)  # fmt: skip
SERVERS: Final = (okx_socket, bybit_sockets, kraken_sockets, hyper_door)


class _Frame:
    """As ``picows.WSFrame``."""

    fin = True

    def __init__(self, kind: ClientMsgType, data: bytes, code: int = 0) -> None:
        self.msg_type = kind
        self._data = data
        self._code = code

    def get_payload_as_bytes(self) -> bytes:
        return self._data

    def get_close_message(self) -> bytes:
        return self._data

    def get_close_code(self) -> int:
        return self._code


class Connection:
    """One websocket connection: to the client picows's transport, to the server aiohttp's socket."""

    def __init__(self, network: Network, listener: Any, latency_s: float) -> None:  # noqa: ANN401 - of picows
        self._network = network
        self._loop = network.loop
        self._listener = listener
        self._latency_s = latency_s
        self._inbox: asyncio.Queue[WSMessage | None] = asyncio.Queue()
        self._up_s = self._down_s = 0.0
        """When the last frame under way arrives, each way: order is kept."""
        self._client_gone = self._server_gone = self._dead = False
        self._heard_s = self._loop.time()
        if listener._ping is not None:
            self._loop.call_later(PING_S, self._look)

    # the client's end

    def _look(self) -> None:
        """As picows: ask an idle venue in its own words whether it is there.

        Of a ping of the protocol the answer would be of no consequence, and ``go_dead`` tells of its
        absence.
        """
        if self._client_gone or self._listener is None:
            return
        if self._loop.time() >= self._heard_s + PING_S:
            self._heard_s = self._loop.time()
            self._listener.send_user_specific_ping(self)
        self._loop.call_at(self._heard_s + PING_S, self._look)

    def send(self, kind: ClientMsgType, data: bytes) -> None:
        if kind is ClientMsgType.TEXT and not self._client_gone:
            self._up(WSMessage(WSMsgType.TEXT, data.decode(), None))

    def send_close(self, code: object) -> None:
        del code

    def disconnect(self, *, graceful: bool = True) -> None:
        del graceful
        if not self._client_gone:
            self._up(None)
            self._end_client()

    def killed(self) -> None:
        """The client's process is gone; what the kernel has taken still arrives."""
        self._listener = None
        self._client_gone = True
        self._up(None)

    # the server's end

    def __aiter__(self) -> Connection:
        return self

    async def __anext__(self) -> WSMessage:
        message = None if self._server_gone else await self._inbox.get()
        if message is None:
            self._server_gone = True
            self._down(None)
            raise StopAsyncIteration
        return message

    async def send_frame(self, data: bytes, kind: WSMsgType) -> None:
        del kind
        if self._server_gone:
            raise ConnectionResetError("closed")
        self._down(_Frame(ClientMsgType.TEXT, data))

    async def ping(self, data: bytes) -> None:
        del data
        if self._server_gone:
            raise ConnectionResetError("closed")
        if not self._client_gone:
            self._up(WSMessage(WSMsgType.PONG, b"", None))

    async def pong(self, data: bytes) -> None:
        del data

    async def receive(self, timeout: float) -> WSMessage:  # noqa: ASYNC109 - aiohttp's
        try:
            async with asyncio.timeout(timeout):
                return await anext(self)
        except StopAsyncIteration:
            return WSMessage(WSMsgType.CLOSED, None, None)

    async def close(self, *, code: int, message: bytes) -> None:
        self._down(_Frame(ClientMsgType.CLOSE, message, code))
        self._inbox.put_nowait(None)

    def abort(self) -> None:
        """Reset by the server: what is under way either way is lost."""
        self._dead = True
        self._inbox.put_nowait(None)
        self._loop.call_later(self._latency_s, self._end_client)

    # the network

    def cut(self) -> None:
        """Reset by something between them."""
        self.abort()

    def go_dead(self) -> None:
        """From now on nothing passes, and nobody is told; pings find it out."""
        self._dead = True
        self._loop.call_later(DEAD_S, self._end_client)
        self._loop.call_later(3 * DEAD_S, self._inbox.put_nowait, None)

    def _up(self, message: WSMessage | None) -> None:
        self._up_s = max(self._up_s, self._loop.time() + self._late())
        self._loop.call_at(self._up_s, self._arrive, message)

    def _arrive(self, message: WSMessage | None) -> None:
        if not self._dead:
            self._inbox.put_nowait(message)

    def _down(self, frame: _Frame | None) -> None:
        self._down_s = max(self._down_s, self._loop.time() + self._late())
        self._loop.call_at(self._down_s, self._deliver, frame)

    def _deliver(self, frame: _Frame | None) -> None:
        if self._dead or self._client_gone:
            return
        self._heard_s = self._loop.time()
        if frame is None:
            self._end_client()
        else:
            self._listener.on_ws_frame(self, frame)

    def _end_client(self) -> None:
        if not self._client_gone:
            self._client_gone = True
            self._network.connections.pop(self, None)
            self._loop.call_soon(self._listener.on_ws_disconnected, self)

    def _late(self) -> float:
        return self._network.late_s(self._latency_s)


class Network:
    """What is between one process of micro and the exchange.

    Args:
        loop: of both.
        venue: the exchange.
        chance: of latencies.
        latency_s: one way, in seconds, usually.
    """

    def __init__(
        self, loop: VirtualLoop, venue: VirtualVenue, chance: Random, latency_s: float
    ) -> None:
        self.loop = loop
        self.venue = venue
        self._chance = chance
        self.latency_s = latency_s
        self.down = False
        """Nothing can be reached."""
        self.stopped = False
        """The process is gone."""
        self.connections: dict[Connection, None] = {}
        self._serving: dict[asyncio.Future[Any], None] = {}

    def late_s(self, latency_s: float) -> float:
        """How long one frame takes."""
        return latency_s * (1 + self._chance.random())

    async def connect(self, factory: Callable[[], Any], url: str, **_: object) -> None:
        """As ``picows.ws_connect``."""
        await asyncio.sleep(2 * self.latency_s)
        if self.down or self.stopped:
            raise ConnectionRefusedError("refused")
        listener = factory()
        connection = Connection(self, listener, self.latency_s)
        self.connections[connection] = None
        path = url.removeprefix(WS_URL)
        self._serve(self.venue.serve(connection, path))
        listener.on_ws_connected(connection)

    def kill(self) -> None:
        """The process dies."""
        self.stopped = True
        for connection in tuple(self.connections):
            connection.killed()
        self.connections.clear()

    async def request(
        self, method: str, target: str, headers: Mapping[str, str], body: str, timeout_s: float
    ) -> Outcome:
        """One request over HTTP; what was sent is carried out, whoever still waits for it."""
        await asyncio.sleep(2 * self.late_s(self.latency_s))
        if self.down or self.stopped:
            return NotSent("no connection: refused")
        transport = _Transport()
        request = request_of(method, target, headers, body.encode(), transport)
        handler = self.venue.handlers[method, request.path]
        served = self._serve(handler(request))
        try:
            answer = await asyncio.wait_for(asyncio.shield(served), timeout_s)
        except TimeoutError:
            return Unknown("no answer: TimeoutError")
        await asyncio.sleep(self.late_s(self.latency_s))
        if transport.aborted or self.down:
            return Unknown("no answer: ServerDisconnectedError")
        return Answered(
            status=answer.status,
            body=bytes(answer.body or b""),
            headers={name.lower(): value for name, value in answer.headers.items()},
        )

    def _serve(self, work: Any) -> asyncio.Future[Any]:  # noqa: ANN401 - a coroutine of any answer
        task: asyncio.Future[Any] = self.loop.create_task(work)
        self._serving[task] = None
        task.add_done_callback(self._serving.pop)
        return task


class _Transport:
    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def request_of(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    transport: object = None,
) -> Any:  # noqa: ANN401 - as aiohttp's
    """A request as a server's handler gets it."""

    async def read() -> bytes:
        return body

    path, _, query = target.partition("?")
    return SimpleNamespace(
        method=method,
        remote=ADDRESS,
        raw_path=target,
        path=path,
        query=dict(parse_qsl(query)),
        headers=CIMultiDict(headers),
        content_type=headers.get("Content-Type", ""),
        transport=transport,
        read=read,
    )


class ServerSocket:
    """As ``simulator.conversation.websocket``: it becomes the connection that a request came on."""

    def __init__(self, **_: object) -> None:
        self._connection: Any = None

    def can_prepare(self, request: object) -> Any:  # noqa: ANN401 - as aiohttp's
        del request
        return SimpleNamespace(ok=True)

    async def prepare(self, request: Any) -> None:  # noqa: ANN401 - as aiohttp's
        self._connection = request.transport

    def __aiter__(self) -> Connection:
        return cast(Connection, self._connection)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the connection's own
        return getattr(self._connection, name)


class VirtualHttp:
    """As ``shell.venue.http_client.HttpClient``."""

    def __init__(
        self,
        network: Callable[[], Network],
        root: str,
        where: str,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        del where
        self._network = network()
        self.root = root
        self._path = "/".join(("", *root.split("/")[3:]))
        self._timeout_s = timeout_s

    def prepare(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: str = "",
        content_type: str = FORM,
    ) -> Callable[[], Coroutine[object, object, Outcome]]:
        every = dict(headers or {}) | ({"Content-Type": content_type} if body else {})
        path = self._path.rstrip("/") + target
        return partial(self._network.request, method, path, every, body, self._timeout_s)

    def send(self, method: str, target: str, **more: Any) -> Coroutine[object, object, Outcome]:  # noqa: ANN401 - as ``prepare``
        return self.prepare(method, target, **more)()

    async def close(self) -> None:
        """Nothing is open."""


@contextmanager
def wired(loop: VirtualLoop, network: Callable[[], Network], seed: int) -> Iterator[None]:
    """Adapters made in here have these wires, this loop's time, and this seed's jitter."""

    async def connect(factory: Callable[[], Any], url: str, **more: object) -> None:
        await network().connect(factory, url, **more)

    def client(root: str, where: str, **more: float) -> VirtualHttp:
        return VirtualHttp(network, root, where, **more)

    with ExitStack() as stack:
        put = stack.enter_context
        put(patch.object(request_socket, "ws_connect", connect))
        put(patch.object(request_socket, "time", SimpleNamespace(monotonic=loop.time)))
        clocks = SimpleNamespace(time_ns=loop.now_ns, monotonic_ns=loop.now_ns)
        put(patch.object(kraken_session, "time", clocks))
        for module in ADAPTERS:
            put(patch.object(module, "HttpClient", client))
        for server in SERVERS:
            put(patch.object(server, "websocket", ServerSocket))
        put(
            patch.object(
                venue_adapter, "random", SimpleNamespace(Random=lambda: Random(f"{seed} jitter"))
            )
        )
        yield
