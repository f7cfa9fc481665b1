"""Venues that tell where to connect."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig
from citadel_micro.shell.marketdata.websocket import open_link
from citadel_proto.errors import PeerUnavailable


def test_kucoin_is_connected_where_its_ticket_says() -> None:
    async def main() -> None:
        tickets: list[str] = []
        tokens: list[str] = []
        topics: list[str] = []

        async def ticket(request: web.Request) -> web.Response:
            tickets.append(request.method)
            if len(tickets) == 1:
                return web.Response(status=503)
            endpoint = f"ws://127.0.0.1:{port}/elsewhere"
            data = {"token": f"t{len(tickets)}", "instanceServers": [{"endpoint": endpoint}]}
            return web.json_response({"code": "200000", "data": data})

        async def elsewhere(request: web.Request) -> web.WebSocketResponse:
            tokens.append(request.query["token"])
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            topics.append((await socket.receive_json())["topic"])
            await socket.receive()  # until the other side leaves
            return socket

        async def book(_request: web.Request) -> web.Response:
            data = {"sequence": "5", "bids": [["1", "2"]], "asks": [["3", "4"]], "time": 1}
            return web.json_response({"code": "200000", "data": data})

        app = web.Application()
        app.router.add_post("/api/v1/bullet-public", ticket)
        app.router.add_get("/elsewhere", elsewhere)
        app.router.add_get("/api/v1/market/orderbook/level2_100", book)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port: int = runner.addresses[0][1]
        books: list[DepthUpdate] = []
        aggregator = Aggregator(
            [
                FeedConfig(
                    venue="kucoin-spot",
                    symbols={"BTC/USDT": ""},
                    rest_url=f"http://127.0.0.1:{port}",
                    channels=("depth",),
                )
            ],
            lambda event, _at: books.append(event) if isinstance(event, DepthUpdate) else None,
            time.time_ns,
        )
        await aggregator.start()
        try:
            async with asyncio.timeout(60):
                while not books:  # noqa: ASYNC110 - filled by a callback
                    await asyncio.sleep(0.02)
        finally:
            await aggregator.close()
            await runner.cleanup()
        assert tickets == ["POST", "POST"]
        assert tokens == ["t2"]
        assert topics == ["/market/level2:BTC-USDT"]
        assert books[0][:5] == ("kucoin-spot", "BTC/USDT", True, 5, 5)

    asyncio.run(main())


@pytest.mark.parametrize("deflate", [False, True])
def test_both_clients_carry_text_both_ways(*, deflate: bool) -> None:
    async def main() -> None:
        offered: list[str] = []

        async def echo(request: web.Request) -> web.WebSocketResponse:
            offered.append(request.headers.get("Sec-WebSocket-Extensions", ""))
            socket = web.WebSocketResponse(compress=True)
            await socket.prepare(request)
            async for message in socket:
                if message.data == "bye":
                    await socket.close(code=1001)
                else:
                    await socket.send_str(message.data * 1_000)
            return socket

        app = web.Application()
        app.router.add_get("/", echo)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
        frames: list[bytes] = []
        try:
            link = await open_link(url, frames.append, deflate=deflate)
            link.send("hello \u20ac")
            async with asyncio.timeout(60):
                while not frames:  # noqa: ASYNC110 - filled by a callback
                    await asyncio.sleep(0.01)
                link.send("bye")
                why = await link.closed()
            link.close()
            link.send("nobody hears this")
        finally:
            await runner.cleanup()
        assert frames == ["hello \u20ac".encode() * 1_000]
        assert ("permessage-deflate" in offered[0]) is deflate
        assert "closed" in why
        with pytest.raises(PeerUnavailable, match="cannot connect to"):
            await open_link(url, frames.append, deflate=deflate)

    asyncio.run(main())
