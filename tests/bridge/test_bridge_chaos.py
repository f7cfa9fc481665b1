"""A short leg of ``make campaign-bridge``, and what its network does."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from bridge_story import played
from faulty_relay import TOWARDS_CLIENT, FaultyRelay


def test_a_story_keeps_every_promise() -> None:
    _, broken, found = played(14, 1.5)
    assert broken == [], found


def test_a_relay_delays_stalls_cuts_and_heals_and_keeps_the_order() -> None:
    asyncio.run(_relay())


async def _relay() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    to = server.sockets[0].getsockname()[1]
    writers = []
    async with server, FaultyRelay(to, Random(1)) as relay:

        async def connect() -> asyncio.StreamReader:
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writers.append(writer)
            return reader

        try:
            reader = await connect()
            relay.delay_s = relay.jitter_s = 0.05
            began = asyncio.get_running_loop().time()
            for number in range(5):
                writers[-1].write(bytes([number]))
                await asyncio.sleep(0.002)
            assert await reader.readexactly(5) == bytes(range(5))
            assert asyncio.get_running_loop().time() - began >= 0.05
            relay.heal()
            relay.stalled = frozenset({TOWARDS_CLIENT})
            writers[-1].write(b"late")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(4), 0.05)
            relay.heal()
            assert await reader.readexactly(4) == b"late"
            await relay.cut()
            assert await ended(reader)
            assert await ended(await connect())  # nobody gets through
            relay.heal()
            reader = await connect()
            writers[-1].write(b"back")
            assert await reader.readexactly(4) == b"back"
        finally:
            for writer in writers:
                writer.transport.abort()
            await asyncio.sleep(0)


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether a connection ends, in whichever way."""
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True
