"""The REST endpoints as HTTP routes: ``/0/public/…`` and ``/0/private/…``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from citadel_micro.simulator.kraken.auth import Signed
from citadel_micro.simulator.kraken.errors import KrakenError, invalid, text_of
from citadel_micro.simulator.kraken.params import Params
from citadel_micro.simulator.private.intake import parse_form
from citadel_micro.simulator.private.service import Dropped, Unavailable
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from citadel_micro.simulator.keys import ApiKey
    from citadel_micro.simulator.kraken.auth import Door
    from citadel_micro.simulator.kraken.public import PublicRest

Json = dict[str, Any]
Perform = Callable[["ApiKey", str, Params, str], "Awaitable[Any]"]
_HTML: Final = b"<html><body><h1>520 Origin Error</h1></body></html>"


class KrakenRest:
    """Serves both kinds. ``perform`` carries a private call out, by the name of its endpoint."""

    def __init__(self, public: PublicRest, door: Door, perform: Perform) -> None:
        """Serve ``public`` to everybody, and the rest to clients that ``door`` admits."""
        self._public = public
        self._door = door
        self._perform = perform

    def routes(self, root: str, private: Mapping[str, object]) -> list[web.RouteDef]:
        """Return the table of endpoints below ``root``; ``private`` are the names of signed ones."""
        return [
            *(
                web.get(f"{root}/0/public/{name}", self._open(answer))
                for name, answer in self._public.table.items()
            ),
            *(web.post(f"{root}/0/private/{name}", self._signed(name)) for name in private),
            web.route("*", f"{root}/0/{{rest:.*}}", _unknown),
        ]

    def _open(
        self, act: Callable[[Params], Any]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                return _answer(act(Params(dict(request.query), self._public.symbols)))
            except ApiError as error:
                return _failed(text_of(error))

        return answer

    def _signed(self, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        path = f"/0/private/{name}"

        async def answer(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            try:
                values = _values(body, request.content_type)
                by = Signed(
                    request.headers.get("API-Key", ""),
                    request.headers.get("API-Sign", ""),
                    request.remote or "",
                )
                key = self._door.rest(path, str(values.pop("nonce", "")), body, by)
                params = Params(values, self._public.symbols)
                return _answer(await self._perform(key, name, params, request.remote or ""))
            except ApiError as error:
                return _failed(text_of(error))
            except Unavailable:
                return web.Response(body=_HTML, status=520, content_type="text/html")
            except Dropped:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()

        return answer


def _values(body: bytes, kind: str) -> dict[str, Any]:
    """Return the parameters of a form or of JSON.

    Raises:
        KrakenError: they cannot be read.
    """
    if kind != "application/json":
        try:
            return dict(parse_form(body.decode("utf-8", "replace")))
        except ApiError:
            raise KrakenError("EGeneral:Invalid arguments") from None
    try:
        values = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise invalid("json") from None
    return {name: _plain(each) for name, each in values.items()}


def _plain(value: object) -> object:
    """Return a number as the text that a form would have."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if plain else value


def _answer(result: object) -> web.Response:
    return _json({"error": [], "result": result})


def _failed(text: str) -> web.Response:
    return _json({"error": [text]})


def _json(body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


async def _unknown(_request: web.Request) -> web.Response:
    return _failed("EGeneral:Unknown method")
