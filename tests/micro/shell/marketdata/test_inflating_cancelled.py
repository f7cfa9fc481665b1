"""A compressed connection whose opening is cancelled just as it succeeds is closed, once only.

Where uvloop closes a descriptor, the object that dialed it must not close that number again: it may be a
journal's by then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
import uvloop
from aiohttp import web
from cancelled_late import cancelled_at_each_wait
from waiting import until

from citadel_micro.shell.marketdata import inflating

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_it_is_closed_in_whichever_wait_the_cancellation_comes(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[socket.socket] = []
    new = inflating._Sockets.new

    def kept(sockets: inflating._Sockets, address: tuple[Any, ...]) -> socket.socket:
        made.append(new(sockets, address))
        return made[-1]

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

        async def opened() -> object:
            return await inflating.opened(url, lambda _frame: None, lambda _ns: None)

        links = await cancelled_at_each_wait(opened)
        for each in links:
            link = cast("inflating._AiohttpLink", each)
            link.close()
            await link.closed()
        assert len(made) > len(links), "one was cancelled after it was dialed"
        await until(lambda: all(each.fileno() == -1 for each in made))
        await runner.cleanup()

    run(scenario())
