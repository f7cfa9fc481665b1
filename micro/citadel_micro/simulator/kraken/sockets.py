"""Connections of v2: requests with their answers, public channels, and with a token the private ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import WSCloseCode, web

from citadel_micro.simulator.client import Client
from citadel_micro.simulator.conversation import Conversation, Patience, websocket
from citadel_micro.simulator.kraken.errors import (
    INTERNAL,
    UNAVAILABLE,
    KrakenError,
    invalid,
    text_of,
)
from citadel_micro.simulator.kraken.names import stamp
from citadel_micro.simulator.private.service import Dropped, Unavailable
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Json = dict[str, Any]
_PING_S: Final = 20.0
_PONG_S: Final = 60.0
_encode: Final = msgspec.json.encode


class Connection:
    """The state of one connection. ``tokens`` are those that it has used."""

    def __init__(self, client: Client, address: str) -> None:
        """Start without a subscription."""
        self.client = client
        self.address = address
        self.tokens: set[str] = set()

    def end(self) -> None:
        """Forget what it held: it is gone."""


class Sockets:
    """Serves connections of one kind.

    ``connect`` makes a connection's state; ``answer`` carries a request out and returns the results
    that are sent, one message each.
    """

    def __init__(
        self,
        connect: Callable[[Client, str], Connection],
        answer: Callable[[Connection, str, Json], Awaitable[list[Json]]],
        *,
        clients: dict[Client, None],
        clock_ns: Callable[[], int],
        buffer_bytes: int,
        cut_after_s: float,
    ) -> None:
        """``clients`` is where open connections are listed."""
        self._connect = connect
        self._answer = answer
        self._clients = clients
        self._clock_ns = clock_ns
        self._buffer = buffer_bytes
        self._cut_after = cut_after_s

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        socket = websocket()
        if not socket.can_prepare(request).ok:
            return web.Response(status=400, text="This path speaks websocket only.")
        await socket.prepare(request)
        client = Client(socket, request.transport, combined=False, buffer_bytes=self._buffer)
        connection = self._connect(client, request.remote or "")
        self._clients[client] = None
        status = {"system": "online", "version": "2.0.0", "api_version": "v2"}
        client.push(_encode({"channel": "status", "type": "update", "data": [status]}))

        def end() -> None:
            connection.end()
            self._clients.pop(client, None)

        over = (WSCloseCode.GOING_AWAY, b"too old or silent")
        patience = Patience(
            check_s=_PING_S,
            silent_s=_PONG_S,
            silent=over,
            too_old=over,
            cut_after_s=self._cut_after,
            ping=bytes,
        )
        talk = Conversation(client, patience)
        await talk.run(talk.read(lambda text: self._handle(connection, text)), end)
        return socket

    async def _handle(self, connection: Connection, text: str) -> None:
        time_in = stamp(self._clock_ns())
        head: Json = {}
        try:
            method, params, head = _decode(text)
            if method == "ping":
                bodies: list[Json] = [{"method": "pong"}]
            else:
                bodies = [
                    {"method": method, "success": "error" not in each} | each
                    for each in await self._answer(connection, method, params)
                ]
        except ApiError as error:
            bodies = [_failed(head, text_of(error))]
        except Unavailable:
            bodies = [_failed(head, UNAVAILABLE)]
        except Dropped:
            connection.client.abort()
            return
        number = {"req_id": head["req_id"]} if "req_id" in head else {}
        times = {"time_in": time_in, "time_out": stamp(self._clock_ns())}
        for body in bodies:
            connection.client.push(_encode(body | number | times))


def _failed(head: Json, text: str) -> Json:
    return {"method": head.get("method", ""), "success": False, "error": text or INTERNAL}


def _decode(text: str) -> tuple[str, Json, Json]:
    """Return a request's method, its parameters with numbers as texts, and itself.

    Raises:
        KrakenError: it is no request.
    """
    try:
        head = msgspec.json.decode(text)
        kept = json.loads(text, parse_float=str, parse_int=str)
    except (msgspec.DecodeError, json.JSONDecodeError, UnicodeError, RecursionError):
        raise KrakenError("Malformed request") from None
    if not isinstance(head, dict) or not isinstance(head.get("method"), str):
        raise KrakenError("Malformed request")
    number = head.get("req_id")
    if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
        raise invalid("req_id")
    params = kept.get("params") or {}
    if not isinstance(params, dict):
        raise KrakenError("Malformed request")
    return str(head["method"]), params, head
