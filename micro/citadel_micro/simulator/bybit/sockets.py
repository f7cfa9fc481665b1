"""Websocket connections of any kind: read, answer, cut when they are too old."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import WSCloseCode, web

from citadel_micro.simulator.client import Client
from citadel_micro.simulator.conversation import Conversation, Patience, websocket
from citadel_micro.simulator.keys import ApiKey
from citadel_micro.simulator.private.user_streams import Subscription

Json = dict[str, Any]
_IDLE_S: Final = 600.0
"""A connection that has said nothing for so long is closed ("Connect", websocket)."""
_CHECK_S: Final = 5.0


@dataclass(slots=True, eq=False)
class Connection:
    """One connection: who has logged on, and what it listens to."""

    client: Client
    address: str
    number: int
    key: ApiKey | None = None
    topics: dict[str, None] = field(default_factory=dict)
    subscription: Subscription | None = None

    @property
    def name(self) -> str:
        """Return what the venue calls the connection."""
        return f"sim{self.number:016x}"

    def say(self, message: Json) -> None:
        """Send a message."""
        self.client.push(msgspec.json.encode(message))


class Connections(ABC):
    """All connections of one kind. ``cut_after_s``: the age at which one is closed."""

    def __init__(self, *, buffer_bytes: int, cut_after_s: float) -> None:
        """Start with none."""
        self._buffer = buffer_bytes
        self._cut_after = cut_after_s
        self._number = 0
        self.clients: dict[Client, None] = {}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        socket = websocket(autoping=True)
        if not socket.can_prepare(request).ok:
            return web.Response(status=404)
        await socket.prepare(request)
        client = Client(socket, request.transport, combined=False, buffer_bytes=self._buffer)
        self._number += 1
        connection = Connection(client, request.remote or "", self._number)
        self.clients[client] = None

        def end() -> None:
            self.end(connection)
            self.clients.pop(client, None)

        over = (WSCloseCode.GOING_AWAY, b"connection is too old, or idle")
        patience = Patience(
            check_s=_CHECK_S,
            silent_s=_IDLE_S,
            silent=over,
            too_old=over,
            cut_after_s=self._cut_after,
        )
        talk = Conversation(client, patience)
        await talk.run(talk.read(lambda text: self._read(connection, text), text_only=True), end)
        return socket

    async def _read(self, connection: Connection, text: str) -> None:
        try:
            asked = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeError):
            asked = {}
        await self.answer(connection, asked)

    @abstractmethod
    async def answer(self, connection: Connection, asked: Json) -> None:
        """Answer one message."""

    @abstractmethod
    def end(self, connection: Connection) -> None:
        """Forget what the connection held: it is gone."""
