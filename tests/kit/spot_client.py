"""A client of Binance spot's private protocol that hides nothing: what came back, with its headers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import aiohttp
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from citadel_micro.sim.exchange.accounts import OrderCounts
from citadel_micro.simulator.accounts import named_keys
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.keys import ApiKey, Kind
from citadel_micro.simulator.server import SimulatorServer
from citadel_micro.simulator.weights import RequestWeights

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from citadel_micro.sim.exchange.exchange import Exchange

Json = Any
SYMBOL = "BTCUSDT"
HMAC_KEY, ED25519_KEY = named_keys("demo")
BASE = SimulatorConfig(symbols=("BTC/USDT",), history_days=1, warm_minutes=1)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def one_window() -> Iterator[None]:
    """For exact counts: no minute, ten seconds or day of the rate limits ends meanwhile."""
    begun_ms = now_ms()
    at, roll = RequestWeights._at, OrderCounts._roll
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RequestWeights, "_at", lambda self, address, _: at(self, address, begun_ms))
        patch.setattr(OrderCounts, "_roll", lambda self, _: roll(self, begun_ms * 1_000_000))
        yield


def sign(key: ApiKey, payload: str) -> str:
    if key.kind is Kind.HMAC:
        return hmac.new(key.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    private = serialization.load_pem_private_key(key.secret.encode(), None)
    if isinstance(private, rsa.RSAPrivateKey):
        signature = private.sign(payload.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        assert isinstance(private, Ed25519PrivateKey)
        signature = private.sign(payload.encode())
    return base64.b64encode(signature).decode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered with."""

    status: int
    body: Json
    headers: dict[str, str]

    @property
    def error(self) -> tuple[int, int, str]:
        """Return HTTP status, code and text of an error."""
        return self.status, self.body["code"], self.body["msg"]


@dataclass(slots=True)
class SpotClient:
    """Signs and sends; ``key`` may be changed for one request."""

    server: SimulatorServer
    http: aiohttp.ClientSession
    key: ApiKey = HMAC_KEY

    @property
    def exchange(self) -> Exchange:
        """Return the exchange behind the protocol."""
        return self.server.spot.venue.exchange

    def price(self, factor: float) -> str:
        """Return the last price times ``factor``, on a tick."""
        ticks = int(self.exchange.last_ticks("BTC/USDT") * factor)
        return self.server.feed.specs["BTC/USDT"].price_text(ticks)

    async def send(
        self,
        verb: str,
        path: str,
        params: dict[str, Json] | None = None,
        *,
        key: ApiKey | None = None,
        query: str | None = None,
        body: str = "",
    ) -> Answer:
        """Send a signed request: ``params`` in the query, unless ``query`` is given as it is."""
        key = key or self.key
        if query is None:
            query = urlencode({"timestamp": now_ms(), **(params or {})})
            query += "&" + urlencode({"signature": sign(key, query)})
        return await self.raw(verb, path, query=query, body=body, key_id=key.key_id)

    async def raw(
        self, verb: str, path: str, *, query: str = "", body: str = "", key_id: str | None = None
    ) -> Answer:
        """Send exactly this."""
        from yarl import URL  # noqa: PLC0415 - only here must a query not be touched

        headers = {} if key_id is None else {"X-MBX-APIKEY": key_id}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        url = URL(f"{self.server.rest_url}{path}?{query}", encoded=True)
        async with self.http.request(verb, url, data=body or None, headers=headers) as response:
            text = await response.text()
            try:
                content = json.loads(text)
            except ValueError:
                content = text
            return Answer(response.status, content, dict(response.headers))

    async def order(self, verb: str = "POST", path: str = "", **params: Json) -> Answer:
        """Place, query or cancel an order at ``/api/v3/order``."""
        return await self.send(verb, f"/api/v3/order{path}", {"symbol": SYMBOL, **params})

    async def rest_far(self, **params: Json) -> Json:
        """Rest an order far below the market and return the answer."""
        answer = await self.order(**(FAR | {"price": self.price(0.9)} | params))
        assert answer.status == 200, answer.body
        return answer.body

    async def sim(self, verb: str, path: str, **body: Json) -> Answer:
        """Ask the operator's door."""
        headers = {"X-Sim-Token": self.server.control_token}
        url = f"{self.server.rest_url}/sim/v1/{path}"
        async with self.http.request(verb, url, json=body, headers=headers) as response:
            return Answer(response.status, await response.json(), dict(response.headers))

    async def fault(self, rule: str) -> None:
        """Put a fault rule in force."""
        answer = await self.sim("POST", "faults", rule=rule)
        assert answer.status == 200, answer.body

    @asynccontextmanager
    async def connect(self, query: str = "") -> AsyncIterator[WsClient]:
        """Open a connection of the websocket API."""
        url = f"{self.server.ws_url}/ws-api/v3{query}"
        async with self.http.ws_connect(url) as socket, WsClient(self, socket) as client:
            yield client


FAR: dict[str, Json] = {
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
}


@dataclass(slots=True)
class WsClient:
    """One connection: requests, and the events that came meanwhile."""

    client: SpotClient
    socket: aiohttp.ClientWebSocketResponse
    events: list[Json] = field(default_factory=list)
    answers: list[Json] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    _reader: asyncio.Task[None] | None = None
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _number: int = 0

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._reader is not None
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        async for message in self.socket:
            frame = json.loads(message.data)
            is_event = "event" in frame
            (self.events if is_event else self.answers).append(frame)
            self.order.append(frame["event"].get("x", frame["event"]["e"]) if is_event else "reply")
            self._came.set()
        self.closed.set()
        self._came.set()

    async def until(self, done: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(seconds):
            while not done():
                self._came.clear()
                await self._came.wait()

    async def send(self, method: str, params: dict[str, Json] | None = None) -> int:
        """Send a request as it is and return its id."""
        self._number += 1
        frame = {"id": self._number, "method": method}
        if params is not None:
            frame["params"] = params
        await self.socket.send_str(json.dumps(frame))
        return self._number

    def signed(self, params: dict[str, Json], key: ApiKey | None = None) -> dict[str, Json]:
        """Return parameters with key, time and signature."""
        key = key or self.client.key
        full = {"timestamp": now_ms(), "apiKey": key.key_id, **params}
        payload = "&".join(f"{name}={full[name]}" for name in sorted(full))
        return full | {"signature": sign(key, payload)}

    async def ask(self, method: str, params: dict[str, Json] | None = None) -> Json:
        """Send a request as it is and return its answer."""
        number = await self.send(method, params)
        found: list[Json] = []

        def came() -> bool:
            found[:] = [answer for answer in self.answers if answer["id"] == number]
            return bool(found)

        await self.until(came)
        return found[0]

    async def call(self, method: str, key: ApiKey | None = None, **params: Json) -> Json:
        """Send a signed request and return its answer."""
        return await self.ask(method, self.signed(params, key))

    async def listen(self) -> int:
        """Subscribe to the account's events."""
        answer = await self.call("userDataStream.subscribe.signature")
        assert answer["status"] == 200, answer
        return int(answer["result"]["subscriptionId"])

    async def logon(self) -> None:
        """Log on with the Ed25519 key."""
        answer = await self.call("session.logon", ED25519_KEY)
        assert answer["status"] == 200, answer

    def reports(self, kind: str = "") -> list[Json]:
        """Return the execution reports that came, or those of one execution type."""
        return [
            frame["event"]
            for frame in self.events
            if frame["event"]["e"] == "executionReport" and kind in {"", frame["event"]["x"]}
        ]

    def kinds(self) -> list[str]:
        """Return the execution types that came, in order."""
        return [report["x"] for report in self.reports()]


def trade(body: Callable[[SpotClient], Awaitable[None]], **changes: Json) -> None:
    """Run ``body`` with a client of a simulator of its own."""

    async def run() -> None:
        config = replace(BASE, **changes)
        async with SimulatorServer(config) as server, aiohttp.ClientSession() as http:
            async with asyncio.timeout(150):
                await body(SpotClient(server, http))

    asyncio.run(run())
