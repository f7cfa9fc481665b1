"""Where requests come in, over HTTP and websocket: their answers, and what faults make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from citadel_micro.sim.flow_klines import KLINES
from citadel_micro.simulator.client import Client
from citadel_micro.simulator.conversation import Conversation, websocket
from citadel_micro.simulator.hyperliquid.actions import METHODS, ActionCall, Failed
from citadel_micro.simulator.hyperliquid.market import COIN_CHANNELS
from citadel_micro.simulator.hyperliquid.signed import (
    ActionTimes,
    Nonces,
    Rejected,
    Unreadable,
    read_action,
    stranger,
)
from citadel_micro.simulator.hyperliquid.user_stream import CHANNELS
from citadel_micro.simulator.private.service import Dropped, Unavailable
from citadel_micro.simulator.query import ApiError, Query

if TYPE_CHECKING:
    from citadel_micro.simulator.hyperliquid.allowance import Allowance
    from citadel_micro.simulator.hyperliquid.info import Info
    from citadel_micro.simulator.hyperliquid.market import Market
    from citadel_micro.simulator.hyperliquid.universe import Universe
    from citadel_micro.simulator.hyperliquid.user_stream import HyperStreams
    from citadel_micro.simulator.hyperliquid.wallets import Wallets
    from citadel_micro.simulator.private.service import Service

Json = dict[str, Any]
_SILENT_S: Final = 60.0
_FOREVER: Final = ActionTimes(0, 0)
_HEADINGS: Final = {
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
encode = msgspec.json.encode


class Door:
    """Lets requests in."""

    def __init__(
        self,
        service: Service,
        info: Info,
        universe: Universe,
        wallets: Wallets,
        allowance: Allowance,
    ) -> None:
        """Serve ``service``."""
        self._service = service
        self._info = info
        self._universe = universe
        self._wallets = wallets
        self._allowance = allowance
        self._nonces = Nonces()
        self._names = {each.spec.venue_symbol: each.symbol for each in universe.perps}

    async def query(self, body: Any, address: str) -> Any:  # noqa: ANN401 - any JSON value
        """Answer a query.

        Raises:
            ApiError, Dropped, Unavailable: as ``Service.perform``.
        """
        service = self._service
        service.catch_up()
        kind = body.get("type") if isinstance(body, dict) else None
        if not isinstance(kind, str):
            raise Unreadable
        name = self._info.private_name(kind)
        if name is None:
            answer = self._info.public.get(kind)
            if answer is None:
                raise Unreadable
            service.weigh(address, self._info.weight(kind))
            return answer(body)
        account = self._wallets.account(body.get("user"))
        if account is None:
            raise Unreadable
        call = ActionCall(
            method=name,
            key=self._wallets.by_account[account].agent,
            query=Query({}, self._names),
            address=address,
            times=_FOREVER,
            action=body,
        )
        return await service.perform(call)

    async def act(self, body: Any, address: str) -> Json:  # noqa: ANN401 - any JSON value
        """Carry an action out, and return what ``status`` ``ok`` comes with. Raises as ``query``."""
        service = self._service
        service.catch_up()
        signed = read_action(body, self._wallets, self._nonces, service.venue.now_ms)
        key, action = signed.key, signed.action
        kind = str(action.get("type"))
        method = METHODS.get(kind)
        if method is None:
            raise Rejected(f"Action {kind} is not simulated.")
        signed.times.check(service.server_time_ns((key.key_id, key.account), method))
        rows = next((v for v in action.values() if isinstance(v, list)), [None])
        cancels = method in {"order.cancel", "scheduleCancel"}
        self._allowance.take(key.account, max(len(rows), 1), cancel=cancels)
        call = ActionCall(
            method=method,
            key=key,
            query=Query(self._symbol(action), self._names),
            address=address,
            times=signed.times,
            action=action,
        )
        try:
            answer = await service.perform(call)
        except ApiError as error:
            raise self._in_words(error, key.key_id) from error
        return {"status": "ok", "response": answer}

    def _symbol(self, action: Json) -> dict[str, str]:
        """Return the first perpetual that an action names, for faults that act on a symbol."""
        for name in ("orders", "cancels", "modifies"):
            rows = action.get(name)
            if isinstance(rows, list) and rows and isinstance(rows[0], dict):
                row = rows[0].get("order", rows[0])
                perp = self._universe.numbered(row.get("a", row.get("asset")))
                return {} if perp is None else {"symbol": perp.spec.venue_symbol}
        return {}

    def _in_words(self, error: ApiError, address: str) -> ApiError:
        """Return the answer to a fault that Binance has a code for."""
        if error.code == -2015:  # noqa: PLR2004 - the key is revoked, or not allowed to
            return stranger(address)
        if error.code == -1015:  # noqa: PLR2004 - too many orders
            return Rejected(
                "Too many cumulative requests sent (10001 > 10000) for cumulative volume traded "
                "$0.0. Place taker orders to free up 1 request per USDC traded."
            )
        return error


def failure(error: ApiError) -> tuple[int, Any]:
    """Return an error as HTTP has it: its status, and its JSON or text."""
    if isinstance(error, Failed):
        response = {"type": "order", "data": {"statuses": error.statuses}}
        return 200, {"status": "ok", "response": response}
    if isinstance(error, Rejected):
        return 200, {"status": "err", "response": error.text}
    if isinstance(error, Unreadable):
        return 422, error.text
    if error.status in {418, 429}:
        return 429, None
    if error.status in _HEADINGS:
        return error.status, _HEADINGS[error.status]
    return 200, {"status": "err", "response": error.text}


class Http:
    """``/info`` and ``/exchange``."""

    def __init__(self, door: Door) -> None:
        """Serve ``door``."""
        self._door = door

    async def info(self, request: web.Request) -> web.StreamResponse:
        """Answer a query."""
        return await self._answer(request, signed=False)

    async def exchange(self, request: web.Request) -> web.StreamResponse:
        """Answer an action."""
        return await self._answer(request, signed=True)

    async def _answer(self, request: web.Request, *, signed: bool) -> web.StreamResponse:
        raw, address = await request.read(), request.remote or ""
        status = 200
        try:
            try:
                body = msgspec.json.decode(raw)
            except msgspec.DecodeError as error:
                raise Unreadable from error
            found = await (self._door.act if signed else self._door.query)(body, address)
        except ApiError as error:
            status, found = failure(error)
        except Unavailable:
            status, found = 503, _HEADINGS[503]
        except Dropped:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if status != 200 and isinstance(found, str):  # noqa: PLR2004 - HTTP
            return web.Response(text=found, status=status)
        return web.Response(body=encode(found), status=status, content_type="application/json")


class WebSockets:
    """``/ws``: subscriptions, and requests in ``post`` frames."""

    def __init__(
        self,
        door: Door,
        market: Market,
        streams: HyperStreams,
        parts: tuple[Universe, Wallets],
        *,
        buffer_bytes: int,
    ) -> None:
        """Serve ``door``, and what ``market`` and ``streams`` publish."""
        self._door = door
        self._market = market
        self._streams = streams
        self._universe, self._wallets = parts
        self._buffer = buffer_bytes
        self.clients: dict[Client, None] = {}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection, until it ends or has sent nothing for a minute."""
        socket = websocket(autoping=True)
        if not socket.can_prepare(request).ok:
            return web.Response(text="This path speaks websocket only.", status=400)
        await socket.prepare(request)
        client = Client(socket, request.transport, combined=False, buffer_bytes=self._buffer)
        self.clients[client] = None
        self._streams.clients[client] = None

        def end() -> None:
            self._market.drop(client)
            self._streams.drop(client)
            self.clients.pop(client, None)

        talk = Conversation(client, None)
        await talk.run(self._read(client, request.remote or "", talk), end)
        return socket

    async def _read(self, client: Client, address: str, talk: Conversation) -> None:
        while True:
            try:
                message = await client.socket.receive(timeout=_SILENT_S)
            except TimeoutError:
                client.close(WSCloseCode.OK, b"Inactive")
                return
            if message.type is not WSMsgType.TEXT:
                return
            try:
                frame = msgspec.json.decode(message.data)
            except msgspec.DecodeError:
                frame = None
            method = frame.get("method") if isinstance(frame, dict) else None
            if method == "ping":
                client.push(encode({"channel": "pong"}))
            elif method == "post":
                talk.start(self._post(client, frame, address))
            elif method in {"subscribe", "unsubscribe"}:
                self._change(client, frame, message.data, add=method == "subscribe")
            else:
                self._error(
                    client, f"Error parsing JSON into valid websocket request: {message.data}"
                )

    @staticmethod
    def _error(client: Client, text: str) -> None:
        client.push(encode({"channel": "error", "data": text}))

    # ------------------------------------------------------------------ requests

    async def _post(self, client: Client, frame: Json, address: str) -> None:
        number, asked = frame.get("id"), frame.get("request")
        request: Json = asked if isinstance(asked, dict) else {}
        wanted: Any = request.get("type")
        if not isinstance(number, int) or wanted not in {"info", "action"}:
            self._error(client, "Error parsing JSON into valid websocket request")
            return
        payload = request.get("payload")
        try:
            if wanted == "action":
                found: Any = await self._door.act(payload, address)
            else:
                answer = await self._door.query(payload, address)
                found = {"type": request["payload"]["type"], "data": answer}
        except ApiError as error:
            status, found = failure(error)
            if status != 200:  # noqa: PLR2004 - HTTP
                heading = found if status == 422 else _HEADINGS.get(status, "")  # noqa: PLR2004 - HTTP
                wanted, found = "error", f"{status} {heading}"
        except Unavailable:
            wanted, found = "error", f"503 {_HEADINGS[503]}"
        except Dropped:
            client.abort()
            return
        response = {"type": wanted, "payload": found}
        client.push(encode({"channel": "post", "data": {"id": number, "response": response}}))

    # ------------------------------------------------------------------ subscriptions

    def _change(self, client: Client, frame: Json, text: str, *, add: bool) -> None:
        wanted = frame.get("subscription")
        kind = wanted.get("type") if isinstance(wanted, dict) else None
        coin = wanted.get("coin") if isinstance(wanted, dict) else None
        account = None
        if kind in CHANNELS and isinstance(wanted, dict):
            account = self._wallets.account(wanted.get("user"))
        name, part = str(kind), "" if kind == "allMids" else str(coin)
        is_public = kind == "allMids" or (
            kind in (*COIN_CHANNELS, "candle") and coin in self._universe.by_coin
        )
        if kind == "candle":
            interval = str(wanted.get("interval")) if isinstance(wanted, dict) else ""
            part = f"{coin} {interval}"
            is_public = is_public and interval in KLINES
        if not is_public and account is None:
            self._error(client, f"Invalid subscription {text}")
            return
        if account is not None:
            changed = (self._streams.subscribe if add else self._streams.unsubscribe)(
                client, name, account
            )
            first = self._streams.snapshot(name, account)
        else:
            changed = (self._market.subscribe if add else self._market.unsubscribe)(
                client, name, part
            )
            first = self._market.snapshot(name, part)
        if not changed:
            self._error(client, f"Already {'' if add else 'un'}subscribed: {text}")
            return
        client.push(
            encode(
                {
                    "channel": "subscriptionResponse",
                    "data": {"method": frame["method"], "subscription": wanted},
                }
            )
        )
        if add and first is not None:
            client.push(encode(first))
