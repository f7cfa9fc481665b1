"""OKX's websockets: ``public`` and ``business`` channels, and ``private`` with login and orders.

A connection on which nothing was sent for 30 seconds is closed; ``ping`` is answered by ``pong``.
Source: "WebSocket" and "Trade / WS" of the venue's documentation.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import WSCloseCode, web

from citadel_micro.simulator.client import Client
from citadel_micro.simulator.conversation import Conversation, Patience, websocket
from citadel_micro.simulator.okx.auth import OkxTimes, expiry, known, login_key
from citadel_micro.simulator.okx.errors import OkxError
from citadel_micro.simulator.okx.methods import OPERATIONS
from citadel_micro.simulator.okx.records import account_uid
from citadel_micro.simulator.okx.user_stream import OkxSubscription
from citadel_micro.simulator.private.service import Dropped, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.simulator.keys import ApiKey
    from citadel_micro.simulator.okx.channels import Channels
    from citadel_micro.simulator.okx.desk import Desk
    from citadel_micro.simulator.okx.names import Json
    from citadel_micro.simulator.okx.user_stream import OkxStreams

SILENCE_S: Final = 30.0
_CHECK_S: Final = 1.0
_FOREVER_US: Final = 1 << 62
_encode = msgspec.json.encode


class OkxClient(Client):
    """A connection that is alive while either side sends."""

    def push(self, message: bytes) -> None:
        """Queue one text frame."""
        self.received = asyncio.get_running_loop().time()
        super().push(message)


class Connection:
    """One websocket: who logged in, and what it is subscribed to."""

    def __init__(self, sockets: Sockets, client: Client, access: str, address: str) -> None:
        """Start without a key."""
        self._sockets = sockets
        self.client = client
        self._access = access
        self._address = address
        self.key: ApiKey | None = None
        self._subscription: OkxSubscription | None = None
        self._id = f"{id(client) & 0xFFFFFFFF:08x}"

    def end(self) -> None:
        """Forget its subscriptions: it is gone."""
        self._sockets.channels.drop(self.client)
        if self._subscription is not None:
            self._sockets.streams.remove(self._subscription, tell=False)

    def say(self, body: Json) -> None:
        """Send a frame."""
        self.client.push(_encode(body | {"connId": self._id}))

    def _error(self, error: OkxError, extra: Json | None = None) -> None:
        self.say({"event": "error", "code": str(error.code), "msg": error.text} | (extra or {}))

    async def answer(self, text: str) -> None:
        """Answer one frame."""
        if text == "ping":
            self.client.push(b"pong")
            return
        try:
            request = msgspec.json.decode(text, type=dict[str, Any])
            operation, args = request["op"], msgspec.convert(request["args"], list[dict[str, Any]])
        except (msgspec.MsgspecError, KeyError):
            self._error(OkxError(60012, f"Illegal request: {text}"))
            return
        service = self._sockets.desk.service
        service.catch_up()
        if operation == "login":
            self._login(args)
        elif operation in {"subscribe", "unsubscribe"}:
            for arg in args:
                self._change(operation, arg)
        elif operation in OPERATIONS:
            await self._order(request, operation, args)
        else:
            self._error(OkxError(60019, f"Invalid op {operation}"))

    # ------------------------------------------------------------------ login and channels

    def _login(self, args: list[Json]) -> None:
        service = self._sockets.desk.service

        def now_ns(key: ApiKey) -> int:
            return service.server_time_ns((key.key_id, key.account), "login")

        if self._access == "public":
            self._error(OkxError(60008, "Login is not supported for public channels"))
            return
        try:
            key = login_key(service.venue.ring, args[0] if args else {}, self._address, now_ns)
        except OkxError as error:
            self._error(error)
            return
        self.key = key
        self.say({"event": "login", "code": "0", "msg": ""})

    def _change(self, operation: str, arg: Json) -> None:
        name, instrument = str(arg.get("channel", "")), str(arg.get("instId", ""))
        first: bytes | None = b""
        if self._access == "private":
            typed = name in {"orders", "positions"}
            if name not in self._sockets.streams.channels or (typed and "instType" not in arg):
                first = None
            elif self.key is None:
                self._error(OkxError(60011, "Please log in"))
                return
        elif operation == "unsubscribe":
            self._sockets.channels.unsubscribe(self.client, name, instrument)
        else:
            first = self._sockets.channels.subscribe(self.client, name, instrument)
        if first is None:
            what = f"Wrong URL or channel:{name},instId:{instrument} doesn't exist."
            text = f"{what} Please use the correct URL, channel and parameters."
            self._error(OkxError(60018, text))
            return
        self.say({"event": operation, "arg": arg})
        if first:
            self.client.push(first)
        if self._access == "private" and self.key is not None:
            self._listen(self.key, arg, add=operation == "subscribe")

    def _listen(self, key: ApiKey, arg: Json, *, add: bool) -> None:
        streams = self._sockets.streams
        subscription = self._subscription
        if subscription is None:
            uid = account_uid(key.account)
            subscription = OkxSubscription(client=self.client, key=key, uid=uid)
            self._subscription = subscription
            streams.add(subscription)
        if not add:
            subscription.args = [each for each in subscription.args if each != arg]
            return
        if arg not in subscription.args:
            subscription.args.append(arg)
        streams.show(subscription, arg)

    # ------------------------------------------------------------------ orders

    def _may_trade(self, args: list[Json]) -> ApiKey:
        """Return the key of a request about orders.

        Raises:
            OkxError: nobody logged in, the key holds no more, or an instrument goes by its name.
        """
        if self._access != "private" or self.key is None:
            raise OkxError(60011, "Please log in")
        try:
            key = known(self._sockets.desk.service.venue.ring, self.key.key_id, self._address)
        except OkxError:
            self.key = None
            raise OkxError(60032, "API key doesn't exist") from None
        if any("instId" in arg for arg in args):
            raise OkxError(60013, "Parameter instId is not supported; use instIdCode.")
        return key

    async def _order(self, request: Json, operation: str, args: list[Json]) -> None:
        came_us = time.time_ns() // 1000
        head: Json = {"id": str(request.get("id", "")), "op": operation}
        desk = self._sockets.desk
        try:
            key = self._may_trade(args)
            times = OkxTimes(0, _FOREVER_US, expiry(str(request.get("expTime", ""))))
            body = await desk.batch(OPERATIONS[operation], key, args, self._address, times)
            body["msg"] = ""
        except OkxError as error:
            body = {"code": str(error.code), "msg": error.text, "data": []}
            if error.code == 50111:  # noqa: PLR2004 - revoked by this very request
                body["code"], self.key = "60032", None
        except Unavailable:
            body = {"code": "50001", "msg": "Service temporarily unavailable.", "data": []}
        except Dropped:
            self.client.abort()
            return
        times_us = {"inTime": str(came_us), "outTime": str(time.time_ns() // 1000)}
        self.client.push(_encode(head | body | times_us))


class Sockets:
    """Serves every websocket of the venue."""

    def __init__(
        self,
        desk: Desk,
        channels: Channels,
        streams: OkxStreams,
        *,
        buffer_bytes: int,
        cut_after_s: float,
    ) -> None:
        """Pass orders on to ``desk``; a private connection is cut at the age of ``cut_after_s``."""
        self.desk = desk
        self.channels = channels
        self.streams = streams
        self.clients: dict[Client, None] = {}
        self._buffer = buffer_bytes
        self._cut_after = cut_after_s

    def routes(self) -> list[web.RouteDef]:
        """Return the three paths."""
        return [
            web.get(f"/ws/v5/{access}", self._serving(access))
            for access in ("public", "business", "private")
        ]

    def _serving(self, access: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            socket = websocket()
            if not socket.can_prepare(request).ok:
                return web.json_response(
                    {"code": "50115", "msg": "Invalid request method"}, status=405
                )
            await socket.prepare(request)
            client = OkxClient(socket, request.transport, combined=False, buffer_bytes=self._buffer)
            await self._converse(Connection(self, client, access, request.remote or ""), access)
            return socket

        return serve

    async def _converse(self, connection: Connection, access: str) -> None:
        client = connection.client
        self.clients[client] = None
        if access == "private":
            self.streams.clients[client] = None

        def end() -> None:
            connection.end()
            self.clients.pop(client, None)
            self.streams.clients.pop(client, None)

        patience = Patience(
            check_s=_CHECK_S,
            silent_s=SILENCE_S,
            silent=(WSCloseCode.POLICY_VIOLATION, b"no data in the last 30s"),
            too_old=(WSCloseCode.GOING_AWAY, b"connection is too old"),
            cut_after_s=self._cut_after if access == "private" else float("inf"),
        )
        talk = Conversation(client, patience)
        await talk.run(talk.read(connection.answer, pongs=False), end)
