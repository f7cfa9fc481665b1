"""What ``make campaign-bridge ARGS=--packets`` does to packets, and that TCP makes up for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import lossy_packets
import pytest

_KIT = Path(lossy_packets.__file__).parent
_PROGRAM = """
import asyncio, socket, threading
from random import Random
from lossy_packets import LossyWay, PacketLink

def echo(server):
    client, _ = server.accept()
    with client:
        while data := client.recv(4096):
            client.sendall(data)

async def main(link):
    async with LossyWay(link, server.getsockname()[1], Random(1)) as way:
        way.loss, way.doubled, way.overtaken, way.damaged, way.hold_s = 0.03, 0.2, 0.2, 0.02, 0.01
        host, port = way.address.removeprefix("tcp://").split(":")
        sent = bytes(Random(2).randbytes(300_000))
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        assert all(link.counts.values()), link.counts
        await way.cut()
        writer.write(b"late")
        try:
            await asyncio.wait_for(reader.readexactly(4), 0.05)
        except TimeoutError:
            way.heal()
            assert await reader.readexactly(4) == b"late"
        else:
            raise AssertionError("it is not cut")
        writer.close()
        await writer.wait_closed()

with socket.create_server(("127.0.0.1", 0)) as server, PacketLink(Random(3)) as link:
    thread = threading.Thread(target=echo, args=(server,))
    thread.start()
    asyncio.run(main(link))
    thread.join()
"""


def test_bytes_arrive_once_and_in_order_over_packets_that_do_not() -> None:
    if why := lossy_packets.unavailable():
        pytest.skip(why)
    subprocess.run(
        lossy_packets.namespaced([sys.executable, "-c", _PROGRAM]),
        env={**os.environ, "PYTHONPATH": str(_KIT)},
        timeout=120,
        check=True,
    )
