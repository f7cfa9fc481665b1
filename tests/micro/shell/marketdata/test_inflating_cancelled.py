"""A compressed connection whose opening is cancelled just as it succeeds is closed, and once only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from cancelled_late import BY_EITHER_LOOP, all_are_closed

from citadel_micro.shell.marketdata import inflating

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    import pytest


@BY_EITHER_LOOP
def test_it_is_closed_in_whichever_wait_the_cancellation_comes(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    dialed: list[socket.socket] = []
    new = inflating._Sockets.new

    def kept(sockets: inflating._Sockets, address: tuple[Any, ...]) -> socket.socket:
        dialed.append(new(sockets, address))
        return dialed[-1]

    monkeypatch.setattr(inflating._Sockets, "new", kept)

    async def serve(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        async for _message in answer:
            pass
        return answer

    async def scenario() -> None:
        app = web.Application()
        app.router.add_get("/", serve)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"

        async def opened() -> inflating._AiohttpLink:
            return await inflating.opened(url, lambda _frame: None, lambda _ns: None)

        async def close(link: inflating._AiohttpLink) -> None:
            link.close()
            await link.closed()

        await all_are_closed(opened, close, dialed)
        await runner.cleanup()

    run(scenario())
