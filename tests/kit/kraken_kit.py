"""Kraken on the simulator: its addresses, a ccxt client of it, and a raw client of its REST."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
from spot_client import HMAC_KEY

from citadel_micro.simulator.ccxt_urls import kraken_overrides
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.kraken.app import KrakenSpot
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from citadel_micro.simulator.keys import ApiKey

SYMBOL = "BTC/USDT"
Client = Any  # ccxt has no types


def kraken_config(*faults: str, **settings: Any) -> SimulatorConfig:  # noqa: ANN401 - any of its fields
    fields: dict[str, Any] = {"symbols": (SYMBOL,), "history_days": 1, "warm_minutes": 1}
    return SimulatorConfig(**fields | settings, venues=("kraken",), fault_rules=faults)


def side_of(server: SimulatorServer) -> KrakenSpot:
    """The Kraken side of a simulator."""
    side = server.venues["kraken"]
    assert isinstance(side, KrakenSpot)
    return side


def addresses(server: SimulatorServer) -> dict[str, str]:
    return side_of(server).addresses(server.rest_url, server.ws_url)


def with_ccxt(
    kind: Client,
    body: Callable[[Client, SimulatorServer], Awaitable[None]],
    *faults: str,
    key: ApiKey = HMAC_KEY,
) -> None:
    """Run something with a client of ccxt whose markets are loaded."""

    async def run() -> None:
        async with SimulatorServer(kraken_config(*faults)) as server:
            client = kind(
                {
                    **kraken_overrides(addresses(server)),
                    "apiKey": key.key_id,
                    "secret": key.secret,
                    # Its second between two calls is for the venue; the counters allow more.
                    "enableRateLimit": False,
                }
            )
            try:
                async with asyncio.timeout(150):
                    await client.load_markets()
                    await body(client, server)
            finally:
                await client.close()

    asyncio.run(run())


class RawClient:
    """Signs REST calls by hand, rightly or as a test wants it."""

    def __init__(self, server: SimulatorServer, key: ApiKey = HMAC_KEY) -> None:
        self.root = addresses(server)["rest"]
        self.socket = addresses(server)["ws_api"]
        self.key = key
        self.nonce = time.time_ns()
        self.http = aiohttp.ClientSession()

    async def call(
        self,
        name: str,
        *,
        nonce: int = 0,
        secret: str = "",
        as_json: bool = False,
        **params: Any,  # noqa: ANN401 - JSON
    ) -> Any:  # noqa: ANN401 - JSON
        """The answer to one call."""
        path = f"/0/private/{name}"
        self.nonce += 1
        stamp = nonce or self.nonce
        fields = {"nonce": str(stamp), **params}
        body = json.dumps(fields) if as_json else urlencode(fields)
        digest = hashlib.sha256(f"{stamp}{body}".encode()).digest()
        key = base64.b64decode(secret or self.key.secret)
        sign = base64.b64encode(hmac.digest(key, path.encode() + digest, "sha512")).decode()
        kind = "application/json" if as_json else "application/x-www-form-urlencoded"
        headers = {"API-Key": self.key.key_id, "API-Sign": sign, "Content-Type": kind}
        async with self.http.post(self.root + path, data=body, headers=headers) as answer:
            return await answer.json(content_type=None)

    async def result(self, name: str, **params: Any) -> Any:  # noqa: ANN401 - JSON
        """What a call that succeeds returns."""
        answer = await self.call(name, **params)
        assert answer["error"] == [], answer
        return answer["result"]

    async def token(self) -> str:
        return str((await self.result("GetWebSocketsToken"))["token"])


class RawSocket:
    """One private connection: requests by number, and what else comes."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, token: str) -> None:
        self.socket = socket
        self.token = token
        self.heard: list[Any] = []
        self._number = 0

    async def ask(self, method: str, *, token: str = "", **params: Any) -> Any:  # noqa: ANN401 - JSON
        """The answer to one request; other messages are kept."""
        self._number += 1
        number = self._number
        fields = {"token": token or self.token, **params}
        await self.socket.send_json({"method": method, "params": fields, "req_id": number})
        while True:
            message = await self.socket.receive_json(timeout=60)
            if message.get("req_id") == number:
                return message
            self.heard.append(message)

    async def rows(self, channel: str, kind: str, count: int = 1) -> list[Any]:
        """Rows of a channel, once there are so many."""
        while True:
            found = [
                row
                for message in self.heard
                if message.get("channel") == channel and message.get("type") == kind
                for row in message["data"]
            ]
            if len(found) >= count:
                return found
            self.heard.append(await self.socket.receive_json(timeout=60))


@asynccontextmanager
async def raw_client(*faults: str, **settings: Any) -> AsyncIterator[tuple[RawClient, KrakenSpot]]:  # noqa: ANN401
    """A simulator and a raw client of it."""
    async with SimulatorServer(kraken_config(*faults, **settings)) as server:
        client = RawClient(server)
        try:
            yield client, side_of(server)
        finally:
            await client.http.close()


@asynccontextmanager
async def raw_socket(client: RawClient) -> AsyncIterator[RawSocket]:
    """A private connection with a fresh token."""
    async with client.http.ws_connect(client.socket) as socket:
        yield RawSocket(socket, await client.token())
