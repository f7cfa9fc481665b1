"""A client of Binance USD-M on the simulator: signed requests, websocket API, listen key."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from spot_client import BASE, Answer, SpotClient, WsClient

from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange

Json = Any
SYMBOL = "BTCUSDT"
BTC = "BTC/USDT"
USDM = replace(BASE, futures=True)
FAR: dict[str, Json] = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}


class UsdmClient(SpotClient):
    """Signs and sends to the futures market."""

    @property
    def exchange(self) -> FuturesExchange:
        """Return the exchange behind the protocol."""
        return self.server.usdm.exchange

    async def order(self, verb: str = "POST", path: str = "", **params: Json) -> Answer:
        """Place, query, modify or cancel an order at ``/fapi/v1/order``."""
        return await self.send(verb, f"/fapi/v1/order{path}", {"symbol": SYMBOL, **params})

    async def get(self, path: str, **params: Json) -> Json:
        """Ask, and return the body of an answer that must be no error."""
        answer = await self.send("GET", f"/fapi/{path}", params)
        assert answer.status == 200, answer.body
        return answer.body

    async def market(self, side: str, quantity: str = "0.01", **more: Json) -> Json:
        """Trade at the market and return the result."""
        answer = await self.order(
            side=side, type="MARKET", quantity=quantity, newOrderRespType="RESULT", **more
        )
        assert answer.status == 200, answer.body
        return answer.body

    async def listen_key(self, verb: str = "POST") -> Answer:
        """Ask for, keep or delete the account's listen key."""
        return await self.raw(verb, "/fapi/v1/listenKey", key_id=self.key.key_id)

    @asynccontextmanager
    async def connect(self, query: str = "") -> AsyncIterator[WsClient]:
        """Open a connection of the websocket API."""
        url = f"{self.server.ws_url}/ws-fapi/v1{query}"
        async with self.http.ws_connect(url) as socket, WsClient(self, socket) as client:
            yield client

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[Stream]:
        """Open a stream below ``/fstream``."""
        url = f"{self.server.ws_url}/fstream/{path}"
        async with self.http.ws_connect(url) as socket, Stream(socket) as stream:
            yield stream

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Stream]:
        """Listen to the account's events."""
        key = (await self.listen_key()).body["listenKey"]
        async with self.stream(f"private/ws/{key}") as stream:
            await asyncio.sleep(0.05)
            yield stream


@dataclass(slots=True)
class Stream:
    """What came over one stream connection."""

    socket: aiohttp.ClientWebSocketResponse
    events: list[Json] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    _reader: asyncio.Task[None] | None = None
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._reader is not None
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        async for message in self.socket:
            self.events.append(json.loads(message.data))
            self._came.set()
        self.closed.set()
        self._came.set()

    async def until(self, done: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(seconds):
            while not done():
                self._came.clear()
                await self._came.wait()

    def of(self, kind: str) -> list[Json]:
        """Return the events of a kind that came."""
        return [event for event in self.events if event.get("e") == kind]

    def reports(self) -> list[Json]:
        """Return the reports on orders that came."""
        return [event["o"] for event in self.of("ORDER_TRADE_UPDATE")]

    def kinds(self) -> list[str]:
        """Return the execution types that came, in order."""
        return [report["x"] for report in self.reports()]


def trade(body: Callable[[UsdmClient], Awaitable[None]], **changes: Json) -> None:
    """Run ``body`` with a client of a simulator of its own."""

    async def run() -> None:
        config = replace(USDM, **changes)
        async with SimulatorServer(config) as server, aiohttp.ClientSession() as http:
            async with asyncio.timeout(150):
                await body(UsdmClient(server, http))

    asyncio.run(run())
