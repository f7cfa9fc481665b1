"""The websocket API of a private protocol: sessions, requests and their answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import WSCloseCode, web

from citadel_micro.simulator.client import Client
from citadel_micro.simulator.conversation import Conversation, Patience, websocket
from citadel_micro.simulator.knobs import COUNTED
from citadel_micro.simulator.private.intake import texts
from citadel_micro.simulator.private.service import Dropped, Unavailable
from citadel_micro.simulator.private.session import Session, SessionRevoked
from citadel_micro.simulator.private.signed import malformed
from citadel_micro.simulator.query import ApiError, Query

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping

    from citadel_micro.simulator.private.intake import Intake
    from citadel_micro.simulator.private.service import Service

    Public = Mapping[
        str, tuple[Callable[[Mapping[str, str]], int], Callable[[Query], Awaitable[Any]]]
    ]

_PING_S: Final = 20.0
_PONG_S: Final = 60.0
_CONNECT_WEIGHT: Final = 2
_SESSION_WEIGHT: Final = 2
_FAILURE: Final = "An unknown error occurred while processing the request."


class WebsocketApi:
    """Serves the connections. ``public`` are the methods without a key: (weigh, answer)."""

    def __init__(
        self,
        service: Service,
        intake: Intake,
        public: Public,
        *,
        session: Callable[..., Session],
        version: str,
        buffer_bytes: int,
        cut_after_s: float,
    ) -> None:
        """Serve ``service``; a connection is cut at the age of ``cut_after_s``.

        ``session`` makes the state of a connection; methods may be called with ``version`` before
        their names.
        """
        self._session = session
        self._version = version
        self._service = service
        self._intake = intake
        self._public = public
        self._buffer = buffer_bytes
        self._cut_after = cut_after_s

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        socket = websocket()
        if not socket.can_prepare(request).ok:
            return web.json_response(
                {"code": -1000, "msg": "This path speaks websocket only."}, status=400
            )
        service = self._service
        service.catch_up()
        try:
            service.weigh(request.remote or "", _CONNECT_WEIGHT)
        except ApiError as error:
            return web.json_response(error.body, status=error.status)
        await socket.prepare(request)
        await self.converse(
            socket,
            request.transport,
            address=request.remote or "",
            rate_limits=request.query.get("returnRateLimits", "true") != "false",
        )
        return socket

    async def converse(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        *,
        address: str,
        rate_limits: bool,
    ) -> None:
        """Serve a connection that is open, until it ends."""
        service = self._service
        client = Client(socket, transport, combined=False, buffer_bytes=self._buffer)
        session = self._session(service, client, address=address, rate_limits=rate_limits)
        service.streams.clients[client] = None

        def end() -> None:
            session.end()
            service.streams.clients.pop(client, None)

        patience = Patience(
            check_s=_PING_S,
            silent_s=_PONG_S,
            silent=(WSCloseCode.POLICY_VIOLATION, b"Pong timeout"),
            too_old=(WSCloseCode.GOING_AWAY, b"connection is too old"),
            cut_after_s=self._cut_after,
            ping=lambda: str(service.venue.now_ms).encode(),
        )
        talk = Conversation(client, patience)
        await talk.run(talk.read(lambda text: self._answer(session, text)), end)

    # ------------------------------------------------------------------ requests

    async def _answer(self, session: Session, text: str) -> None:
        """Answer one frame; ids are given back as they came."""
        number: Any = None
        rate_limits = session.rate_limits
        account = ""
        try:
            request = _decode(text)
            number = request.get("id")
            method, params = _parts(request, self._version)
            rate_limits = params.get("returnRateLimits", str(rate_limits).lower()) == "true"
            body: dict[str, Any] = {"status": 200}
            body["result"], account = await self._perform(session, method, params)
        except ApiError as error:
            if isinstance(error, SessionRevoked):
                number = None
            body = {"status": error.status, "error": _error(error, self._service.venue.now_ms)}
        except Unavailable:
            body = {"status": 503, "error": {"code": -1000, "msg": _FAILURE}}
        except Dropped:
            session.client.abort()
            return
        answer = {"id": number, **body}
        if rate_limits:
            answer["rateLimits"] = self._rate_limits(session.address, account)
        session.client.push(msgspec.json.encode(answer))

    async def _perform(
        self, session: Session, method: str, params: dict[str, str]
    ) -> tuple[Any, str]:
        """Return the result, and the account whose order counts go with it."""
        service = self._service
        service.catch_up()
        public = self._public.get(method)
        if public is not None:
            weigh, answer = public
            query = Query(params, self._intake.symbols)
            service.weigh(session.address, weigh(params))
            return await answer(query), ""
        own = session.methods.get(method)
        if own is not None:
            service.weigh(session.address, _SESSION_WEIGHT)
            return own(self._intake, params), ""
        known = service.methods.get(method)
        if known is None or known.rest_only:
            raise ApiError(-1000, f"Unknown method '{method}'.")
        by_session = session.key is not None and "apiKey" not in params
        if by_session:
            session.check_key()
        call = self._intake.websocket(method, params, session.key, session.address)
        try:
            result = await service.perform(call)
        except ApiError:
            if by_session:
                session.check_key()
            raise
        return result, call.account if method in COUNTED else ""

    def _rate_limits(self, address: str, account: str) -> list[dict[str, object]]:
        venue = self._service.venue
        counts = venue.order_counts(account) if account else []
        weight = {
            "rateLimitType": "REQUEST_WEIGHT",
            "interval": "MINUTE",
            "intervalNum": 1,
            "limit": venue.weights.limit,
            "count": venue.weights.used(address, venue.now_ms),
        }
        return [*counts, weight]


def _decode(text: str) -> dict[str, Any]:
    """Read a frame; numbers below the top level stay the texts that they were.

    Raises:
        ApiError: -1135 when it is no JSON object.
    """
    try:
        request = msgspec.json.decode(text)
        kept = json.loads(text, parse_float=str, parse_int=str)
    except (msgspec.DecodeError, json.JSONDecodeError, UnicodeError, RecursionError) as error:
        raise ApiError(-1135, "Invalid JSON Request") from error
    if not isinstance(request, dict) or not isinstance(kept, dict):
        raise ApiError(-1135, "Invalid JSON Request")
    return {**request, "params": kept.get("params")}


def _parts(request: dict[str, Any], version: str) -> tuple[str, dict[str, str]]:
    """Return a request's method without its version, and its parameters.

    Raises:
        ApiError: for an id, a method or parameters that are not of their form.
    """
    number, method, params = request.get("id"), request.get("method"), request.get("params")
    if not (number is None or isinstance(number, int | str)):
        raise ApiError(-1135, "JSON sent for parameter 'id' is not valid")
    if not isinstance(method, str) or not method:
        raise malformed("method")
    return method.removeprefix(version), texts({} if params is None else params)


def _error(error: ApiError, now_ms: int) -> dict[str, Any]:
    body = error.body
    if error.retry_at_ms:
        limits = {"serverTime": now_ms, "retryAfter": error.retry_at_ms}
        body["data"] = {**body.get("data", {}), **limits}
    return body
