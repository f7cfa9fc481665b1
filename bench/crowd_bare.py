"""A reader of many symbols' frames that does nothing with them; as ``socket_ours.py`` otherwise."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from importlib.metadata import version
from typing import Any

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
from citadel_micro.shell.marketdata.spec import venue_spec


class Count:
    """Frames of books, and the processor time between the first that counts and the last."""

    def __init__(self, first: int, expected: int) -> None:
        self.first = first
        self.expected = expected
        self.seen = 0
        self.start = self.end = (0.0, 0.0)
        self.done = asyncio.Event()

    def add(self) -> None:
        """One more."""
        self.seen += 1
        if self.seen == self.first:
            self.start = (time.monotonic(), time.process_time())
        elif self.seen == self.expected:
            self.end = (time.monotonic(), time.process_time())
            self.done.set()


class Bare(WSListener):
    """Takes the payload of a frame as bytes, and drops it."""

    def __init__(self, count: Count, requests: list[str]) -> None:
        super().__init__()
        self._count = count
        self._requests = requests

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Ask for the books."""
        for text in self._requests:
            transport.send(WSMsgType.TEXT, text.encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        """Take it."""
        if frame.get_payload_as_bytes().startswith(b'{"topic"'):
            self._count.add()


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Read all that comes, over as many connections as the feed would use."""
    spec = venue_spec(job["venue"])
    natives: list[str] = job["natives"]
    most, per_message = spec.limits.symbols_per_connection, spec.limits.symbols_per_message
    count = Count(job["first"], job["frames"])
    transports = []
    for at in range(0, len(natives), most):
        mine = natives[at : at + most]
        requests = [
            text
            for first in range(0, len(mine), per_message)
            for text in spec.subscribe(mine[first : first + per_message], ("depth",), first + 1)
        ]
        transport, _ = await ws_connect(lambda r=requests: Bare(count, r), job["url"])
        transports.append(transport)
    try:
        async with asyncio.timeout(job["limit_s"]):
            await count.done.wait()
    except TimeoutError:
        return {"error": f"{count.seen} of {count.expected} frames came"}
    finally:
        for transport in transports:
            transport.disconnect()
    return {
        "cpu_s": count.end[1] - count.start[1],
        "seconds": count.end[0] - count.start[0],
        "version": f"picows {version('picows')}",
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(json.load(sys.stdin)))))
