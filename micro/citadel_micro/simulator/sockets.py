"""The websocket endpoints: ``/ws``, ``/ws/<stream>``, ``/stream?streams=a/b`` and their requests.

Requests and answers as Binance spot documents them: SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS,
SET_PROPERTY and GET_PROPERTY (``combined``). The server pings every 20 s and closes a connection
that has not answered for a minute.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from citadel_micro.simulator.client import Client
from citadel_micro.simulator.conversation import Conversation, Patience, websocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.simulator.config import SimulatorConfig
    from citadel_micro.simulator.streams import Streams

_PING_S = 20.0
_PONG_S = 60.0
_MAX_STREAMS = 1024
_ABSENT: Final = "Invalid request: invalid stream"
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class _RequestError(Exception):
    """A request that is answered with an error; the connection stays."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Sockets:
    """Serves every websocket connection of one simulator."""

    def __init__(
        self,
        streams: Streams,
        config: SimulatorConfig,
        now_ms: Callable[[], int],
    ) -> None:
        """Connect clients to ``streams``."""
        self._streams = streams
        self._config = config
        self._now_ms = now_ms
        self.clients: dict[Client, None] = {}

    async def plain(self, request: web.Request) -> web.StreamResponse:
        """Serve ``/ws`` and ``/ws/<stream>[/<stream>…]``, with a listen key also as a parameter."""
        names = [name for name in request.match_info.get("streams", "").split("/") if name]
        names += [name for name in (request.query.get("listenKey"),) if name]
        return await self._serve(request, names, combined=False)

    async def combined(self, request: web.Request) -> web.StreamResponse:
        """Serve ``/stream?streams=<stream>[/<stream>…]``."""
        names = [name for name in _asked(request.rel_url.raw_query_string).split("/") if name]
        return await self._serve(request, names, combined=True)

    async def _serve(
        self,
        request: web.Request,
        names: list[str],
        *,
        combined: bool,
    ) -> web.StreamResponse:
        socket = websocket()
        if not socket.can_prepare(request).ok:
            return web.json_response(
                {"code": -1000, "msg": "This path speaks websocket only."},
                status=400,
            )
        await socket.prepare(request)
        await self.converse(socket, request.transport, names, combined=combined)
        return socket

    async def converse(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        names: list[str],
        *,
        combined: bool,
    ) -> None:
        """Serve one connection until it ends.

        Args:
            socket: ready to send.
            transport: of it, to cut it.
            names: streams to begin with.
            combined: whether events are wrapped with their stream's name.
        """
        client = Client(
            socket,
            transport,
            combined=combined,
            buffer_bytes=self._config.buffer_bytes,
        )
        for name in names[:_MAX_STREAMS]:
            # One that is absent is no error here, as at Binance: ccxt connects to /ws/0, /ws/1 …
            if self._streams.knows(name):
                self._streams.subscribe(client, name)
        self.clients[client] = None

        def end() -> None:
            self._streams.drop(client)
            self.clients.pop(client, None)

        patience = Patience(
            check_s=_PING_S,
            silent_s=_PONG_S,
            silent=(WSCloseCode.POLICY_VIOLATION, b"Pong timeout"),
            too_old=(WSCloseCode.GOING_AWAY, b"disconnected on purpose"),
            cut_after_s=self._config.faults.disconnect_every_s or float("inf"),
            ping=lambda: str(self._now_ms()).encode(),
        )
        await Conversation(client, patience).run(self._read(client), end)

    async def _read(self, client: Client) -> None:
        loop = asyncio.get_running_loop()
        async for message in client.socket:
            client.received = loop.time()
            if message.type is WSMsgType.TEXT:
                client.push(msgspec.json.encode(self._answer(client, message.data)))
            elif message.type is WSMsgType.PING:
                await client.socket.pong(message.data)
            elif message.type is WSMsgType.ERROR:
                return

    # ------------------------------------------------------------------ requests

    def _answer(self, client: Client, text: str) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError) as error:
            return {"error": {"code": 3, "msg": f"Invalid JSON: {error}"}}
        if not isinstance(request, dict):
            return {"error": {"code": 2, "msg": "Invalid request: not an object"}}
        number = request.get("id")
        try:
            return {"result": self._do(client, request), "id": number}
        except _RequestError as error:
            return {"error": {"code": error.code, "msg": str(error)}, "id": number}

    def _do(self, client: Client, request: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
        number = request.get("id")
        if not (number is None or isinstance(number, int | str)):
            raise _RequestError(2, "Invalid request: request ID must be an unsigned integer")
        method = request.get("method")
        params = request.get("params", [])
        if not isinstance(params, list):
            raise _RequestError(2, "Invalid request: params must be an array")
        match method:
            case "LIST_SUBSCRIPTIONS":
                return list(client.streams)
            case "SUBSCRIBE" | "UNSUBSCRIBE":
                self._change(client, params, add=method == "SUBSCRIBE")
                return None
            case "GET_PROPERTY" | "SET_PROPERTY":
                return _property(client, params, write=method == "SET_PROPERTY")
        allowed = ", ".join(f"`{name}`" for name in _METHODS)
        text = f"Invalid request: unknown variant `{method}`, expected one of {allowed}"
        raise _RequestError(2, text)

    def _change(self, client: Client, names: list[Any], *, add: bool) -> None:
        if not all(isinstance(name, str) and name for name in names):
            raise _RequestError(2, "Invalid request: stream names must be text")
        if not add:
            for name in names:
                self._streams.unsubscribe(client, name)
            return
        if len({**client.streams, **dict.fromkeys(names)}) > _MAX_STREAMS:
            raise _RequestError(2, f"Invalid request: more than {_MAX_STREAMS} streams")
        if not all(self._streams.knows(name) for name in names):
            raise _RequestError(2, _ABSENT)
        for name in names:
            self._streams.subscribe(client, name)


def _asked(query: str) -> str:
    """Return ``streams`` of a query; a plus is a plus there, as in ``@+08:00``."""
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name == "streams":
            return unquote(value)
    return ""


def _property(client: Client, params: list[Any], *, write: bool) -> bool | None:
    """Read or set ``combined``: whether events are wrapped with their stream's name."""
    if len(params) != 1 + write or params[0] != "combined":
        raise _RequestError(0, "Unknown property")
    if not write:
        return client.combined
    if not isinstance(params[1], bool):
        raise _RequestError(1, "Invalid value type: expected Boolean")
    client.combined = params[1]
    return None
