"""The signed REST endpoints of a private protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from citadel_micro.simulator.knobs import COUNTED
from citadel_micro.simulator.private.service import Dropped, Unavailable
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.simulator.private.intake import Intake
    from citadel_micro.simulator.private.method import Method
    from citadel_micro.simulator.private.service import Service

_HTML = b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"


class PrivateRest:
    """The signed endpoints as HTTP routes."""

    def __init__(self, service: Service, intake: Intake) -> None:
        """Serve ``service``."""
        self._service = service
        self._intake = intake

    def routes(self) -> list[web.RouteDef]:
        """Return the table of signed endpoints."""
        routes = []
        for method in self._service.methods.values():
            verb, path = method.rest.split()
            routes.append(web.route(verb, path, self._endpoint(method)))
        return routes

    def _endpoint(self, method: Method) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            service = self._service
            address = request.remote or ""
            raw = b"" if request.method == "GET" else await request.read()
            body = raw.decode("utf-8", "surrogateescape")
            service.catch_up()
            account = ""
            try:
                call = self._intake.rest(
                    method.name,
                    request.raw_path.partition("?")[2],
                    body,
                    request.headers.get("X-MBX-APIKEY"),
                    address,
                )
                account = call.account
                response = respond(await service.perform(call))
            except ApiError as error:
                response = self._failure(error)
            except Unavailable:
                response = web.Response(body=_HTML, status=503, content_type="text/html")
            except Dropped:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            self._limits(response, method, account, address)
            return response

        return answer

    def _failure(self, error: ApiError) -> web.Response:
        response = respond(error.body, status=error.status)
        if error.retry_at_ms:
            wait = max(-(-(error.retry_at_ms - self._service.venue.now_ms) // 1000), 1)
            response.headers["Retry-After"] = str(wait)
        return response

    def _limits(self, response: web.Response, method: Method, account: str, address: str) -> None:
        """Say in headers what has been used of the limits."""
        venue = self._service.venue
        if method.sapi:
            response.headers["X-SAPI-USED-IP-WEIGHT-1M"] = str(method.weight)
            return
        used = str(venue.weights.used(address, venue.now_ms))
        response.headers["X-MBX-USED-WEIGHT"] = used
        response.headers["X-MBX-USED-WEIGHT-1M"] = used
        if account and method.name in COUNTED:
            counts = venue.exchange.order_counts(account)
            for limit, count in zip(venue.limits, counts, strict=True):
                response.headers[f"X-MBX-ORDER-COUNT-{limit.letter}"] = str(count)


def respond(body: Any, *, status: int = 200) -> web.Response:  # noqa: ANN401 - any JSON value
    """Return a JSON answer."""
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )
