"""The simulator's market data faults, its end, and configurations that it refuses."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from protocol_kit import config, get, receive, serve

from citadel_micro.simulator import server as simulator
from citadel_micro.simulator.config import Faults
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from pathlib import Path


CAPTURE = "binance-spot-btcusdt-20240808.jsonl.gz"


# ---------------------------------------------------------------------- faults, ends, refusals


def test_lost_depth_messages_leave_a_gap_that_shows() -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{server.ws_url}/ws/btcusdt@depth@100ms") as ws:
            events = await receive(ws, lambda _: True, 20)
            gaps = sum(b["U"] != a["u"] + 1 for a, b in pairwise(events))
            assert gaps > 0

    serve(body, faults=Faults(drop_depth=0.5))


def test_connections_can_be_cut_on_purpose() -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{server.ws_url}/ws/btcusdt@bookTicker") as ws:
            async for message in ws:
                assert message.type is WSMsgType.TEXT
            assert ws.close_code == 1001

    serve(body, faults=Faults(disconnect_every_s=0.5))


def test_stopping_closes_connections_properly_and_may_be_repeated() -> None:
    async def run() -> None:
        server = SimulatorServer(config(history_days=0, warm_minutes=0))
        await server.start()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{server.ws_url}/ws/btcusdt@bookTicker") as ws,
        ):
            await receive(ws, lambda _: True)
            stopping = asyncio.create_task(server.stop())
            async for message in ws:
                assert message.type is WSMsgType.TEXT
            assert ws.close_code == 1001
            await stopping
        await server.stop()

    asyncio.run(run())


def test_a_port_that_is_taken_is_named_before_a_market_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[object] = []

    def make(*_: object) -> None:
        made.append(_)
        raise AssertionError("the port is taken: nothing else is worth the time")

    async def run() -> None:
        async with SimulatorServer(config(history_days=0, warm_minutes=0)) as server:
            monkeypatch.setattr(simulator, "make_feed", make)
            port = int(server.rest_url.rpartition(":")[2])
            second = SimulatorServer(config(port=port, history_days=0, warm_minutes=0))
            with pytest.raises(
                PeerUnavailable, match=f"port {port} on 127.0.0.1 is in use.*--port"
            ):
                await second.start()
            assert not made

    asyncio.run(run())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"host": "0.0.0.0"}, "other machines.*--allow-remote"),  # noqa: S104 - refused
        ({"port": 70_000}, "port 70000"),
        ({"history_days": -1}, "days of history"),
        ({"warm_minutes": -1}, "warm up"),
        ({"deep_levels": -1}, "deep levels"),
    ],
)
def test_a_configuration_that_cannot_be_served_is_refused(
    changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(BadInput, match=text):
        config(**changes)


@pytest.mark.parametrize("changes", [{"drop_depth": 1.5}, {"disconnect_every_s": -1.0}])
def test_faults_that_mean_nothing_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="fault"):
        Faults(**changes)


def test_a_replay_is_served_and_its_ids_agree_between_rest_and_stream(shared_dir: Path) -> None:
    async def body(server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{server.ws_url}/ws/btcusdt@depth@100ms") as ws:
            before = await receive(ws, lambda _: True, 2)
            _, snapshot = await get(session, server, "/api/v3/depth?symbol=BTCUSDT&limit=10")
            last = snapshot["lastUpdateId"]
            fresh = [event for event in before if event["u"] > last]
            fresh += await receive(ws, lambda event: event["u"] > last, 5)
            assert fresh[0]["U"] == last + 1
            # As of now, not of the years in which it was recorded.
            assert abs(fresh[-1]["E"] - time.time() * 1000) < 60_000
        _, rows = await get(session, server, "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=100")
        assert len(rows) == 100

    serve(body, replay=shared_dir / "captures" / CAPTURE)
