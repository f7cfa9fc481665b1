"""OKX's REST endpoints, public and signed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from citadel_micro.simulator.okx.auth import rest_key
from citadel_micro.simulator.okx.errors import OkxError
from citadel_micro.simulator.okx.methods import BATCHES
from citadel_micro.simulator.private.service import Dropped, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from citadel_micro.simulator.okx.desk import Desk
    from citadel_micro.simulator.okx.limits import RateLimits
    from citadel_micro.simulator.okx.names import Json
    from citadel_micro.simulator.okx.public import Public

_HTML = b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"


class OkxRest:
    """The endpoints as HTTP routes."""

    def __init__(self, desk: Desk, public: Public, limits: RateLimits, *, path: str) -> None:
        """Pass signed requests on to ``desk``; ``public`` answers the others. All is below ``path``."""
        self._path = path
        self._desk = desk
        self._public = public
        self._limits = limits

    def routes(self) -> list[web.RouteDef]:
        """Return the table of endpoints."""
        public = self._public
        routes = [
            web.get("/api/v5/public/time", self._open("time", lambda _params: self._time())),
            web.get("/api/v5/public/instruments", self._open("instruments", public.instruments)),
            web.get("/api/v5/market/ticker", self._open("market", public.ticker)),
            web.get("/api/v5/market/tickers", self._open("market", public.tickers)),
            web.get("/api/v5/market/books", self._open("market", public.books)),
            web.get("/api/v5/market/trades", self._open("market", public.trades)),
        ]
        for at, answer in public.more().items():
            routes.append(web.get(f"/api/v5/public/{at}", self._open("market", answer)))
        for method in self._desk.service.methods.values():
            verb, path = method.rest.split()
            routes.append(web.route(verb, path, self._signed(method.name)))
        for path, name in BATCHES.items():
            routes.append(web.post(path, self._signed(name, batch=True)))
        return routes

    def _time(self) -> list[Json]:
        now_ns = self._desk.service.server_time_ns(("", ""), "time")
        return [{"ts": str(now_ns // 1_000_000)}]

    def _open(
        self, name: str, answer: Callable[[Mapping[str, str]], list[Json]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def respond(request: web.Request) -> web.StreamResponse:
            service = self._desk.service
            service.catch_up()
            try:
                self._limits.take(name, request.remote or "", "", service.venue.now_ms)
                return _respond({"code": "0", "msg": "", "data": answer(request.query)})
            except OkxError as error:
                return _failure(error)

        return respond

    def _signed(
        self, name: str, *, batch: bool = False
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def respond(request: web.Request) -> web.StreamResponse:
            raw = (await request.read()).decode("utf-8", "surrogateescape")
            service = self._desk.service
            service.catch_up()
            came_us = time.time_ns() // 1000
            address = request.remote or ""
            try:
                # Its clients do not sign where it is here.
                payload = request.method + request.raw_path.removeprefix(self._path) + raw
                key, times = rest_key(service.venue.ring, request.headers, payload, address)
                if batch:
                    rows = _decoded(raw, list[dict[str, Any]])
                    body = await self._desk.batch(name, key, rows, address, times)
                else:
                    params = dict(request.query)
                    if request.method == "POST":
                        params = _decoded(raw, dict[str, Any])
                    body = await self._desk.one(name, key, params, address, times)
            except OkxError as error:
                return _failure(error)
            except Unavailable:
                return web.Response(body=_HTML, status=503, content_type="text/html")
            except Dropped:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            if request.method == "POST":
                body |= {"inTime": str(came_us), "outTime": str(time.time_ns() // 1000)}
            return _respond(body)

        return respond


def _decoded(raw: str, kind: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a body.

    Raises:
        OkxError: 50000 without one, 50002 for what is not JSON of this form.
    """
    if not raw:
        raise OkxError(50000, "Body for POST request cannot be empty.", status=400)
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise OkxError(50002, "JSON syntax error", status=400) from error


def _failure(error: OkxError) -> web.Response:
    if error.row:
        row = {"sCode": str(error.code), "sMsg": error.text}
        return _respond({"code": "1", "msg": "Operation failed.", "data": [row]})
    return _respond({"code": str(error.code), "msg": error.text, "data": []}, error.status)


def _respond(body: Json, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )
