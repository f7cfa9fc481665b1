"""Signed requests: the REST endpoints, and orders over ``/v5/trade``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from citadel_micro.simulator.bybit import params
from citadel_micro.simulator.bybit.envelope import BybitError, as_bybit, envelope, params_error
from citadel_micro.simulator.bybit.intake import WINDOW_MS, query_texts
from citadel_micro.simulator.bybit.methods import OPERATIONS, Visits
from citadel_micro.simulator.bybit.sockets import Connection, Connections
from citadel_micro.simulator.private.service import Dropped, Unavailable
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from citadel_micro.simulator.bybit.intake import Intake
    from citadel_micro.simulator.private.service import Service
    from citadel_micro.simulator.private.venue import Call

Json = dict[str, Any]
_HTML = b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"


class PrivateApi:
    """Carries calls out, within the limits of their accounts."""

    def __init__(self, service: Service, intake: Intake) -> None:
        """Serve ``service``."""
        self.service = service
        self.intake = intake
        self._visits = Visits()

    async def perform(self, call: Call) -> tuple[object, dict[str, str]]:
        """Return the result and the headers. Raises as ``Service.perform``."""
        headers = self._visits.take(call.account, call.method, self.service.venue.now_ms)
        return await self.service.perform(call), headers

    def limits(self, error: BybitError) -> dict[str, str]:
        """Return what headers say of a request that came too early."""
        if not error.retry_at_ms:
            return {}
        return {
            "X-Bapi-Limit-Status": "0",
            "X-Bapi-Limit-Reset-Timestamp": str(error.retry_at_ms),
        }

    def routes(self) -> list[web.RouteDef]:
        """Return the signed endpoints."""
        routes = []
        for method in self.service.methods.values():
            if method.rest:
                verb, path = method.rest.split()
                routes.append(web.route(verb, path, self._endpoint(method.name)))
        return routes

    def _endpoint(self, method: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            service = self.service
            body = await request.read()
            service.catch_up()
            query = request.raw_path.partition("?")[2]
            raw = query.encode() if request.method == "GET" else body
            headers: Mapping[str, str] = {}
            status, code, text = 200, 0, "OK"
            result: object = None
            try:
                values = query_texts(query) if request.method == "GET" else params.body_texts(raw)
                call = self.intake.rest(method, request.headers, raw, values, request.remote or "")
                result, headers = await self.perform(call)
            except ApiError as found:
                error = as_bybit(found)
                status, code, text = error.status, error.code, error.text
                headers = self.limits(error)
            except Unavailable:
                return web.Response(body=_HTML, status=503, content_type="text/html")
            except Dropped:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            shown = envelope(result, service.venue.now_ms, code=code, text=text)
            return web.Response(
                body=msgspec.json.encode(shown),
                status=status,
                content_type="application/json",
                headers=headers,
            )

        return answer


class TradeSocket(Connections):
    """Serves ``/v5/trade``."""

    def __init__(self, api: PrivateApi, *, buffer_bytes: int, cut_after_s: float) -> None:
        """Send orders to ``api``."""
        super().__init__(buffer_bytes=buffer_bytes, cut_after_s=cut_after_s)
        self._api = api

    async def answer(self, connection: Connection, asked: Json) -> None:
        """Answer ``auth``, ``ping`` and the operations on orders."""
        service, op = self._api.service, str(asked.get("op", ""))
        service.catch_up()
        service.streams.clients[connection.client] = None
        data: object = {}
        headers: dict[str, str] = {}
        code, text = 0, "OK"
        try:
            if op == "ping":
                now = service.server_time_ns(("", ""), "time") // 1_000_000
                op, data = "pong", [str(now)]
            elif op == "auth":
                connection.key = self._api.intake.log_on(asked.get("args"), connection.address)
            else:
                data, headers = await self._api.perform(self._call(connection, op, asked))
        except ApiError as found:
            error = as_bybit(found)
            code, text, headers = error.code, error.text, self._api.limits(error)
        except Unavailable:
            code, text = 10016, "Server error."
        except Dropped:
            connection.client.abort()
            return
        number = {"reqId": str(asked["reqId"])} if "reqId" in asked else {}
        answer: Json = {**number, "retCode": code, "retMsg": text, "op": op}
        if op not in {"auth", "pong"}:
            answer["header"] = {**headers, "Timenow": str(service.venue.now_ms)}
            answer["retExtInfo"] = {}
        if op != "auth":
            answer["data"] = data
        connection.say({**answer, "connId": connection.name})

    def _call(self, connection: Connection, op: str, asked: Json) -> Call:
        intake = self._api.intake
        method = OPERATIONS.get(op)
        if method is None:
            raise BybitError(10404, "op type is not found")
        if connection.key is None:
            raise BybitError(10003, "Request not authorized")
        args, header = asked.get("args"), asked.get("header")
        if not isinstance(args, list) or len(args) != 1 or not isinstance(header, dict):
            raise params_error("args or header invalid")
        key = intake.find_key(connection.key.key_id, connection.address)
        stamp = str(header.get("X-BAPI-TIMESTAMP", ""))
        window = str(header.get("X-BAPI-RECV-WINDOW", WINDOW_MS))
        values = params.texts(args[0])
        return intake.call(method, key, values, (stamp, window), connection.address)

    def end(self, connection: Connection) -> None:
        """Forget it."""
        self._api.service.streams.clients.pop(connection.client, None)
