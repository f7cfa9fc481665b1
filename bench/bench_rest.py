"""Processor time of an order over REST and its answer: our client, and aiohttp's as it was used before.

    python bench/bench_rest.py [--rounds 3] [--orders 1000]

Both talk to one server in another process, over a connection that is kept alive, back to back and with
5 ms between an answer and the next order. Medians of the rounds, which take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

from citadel_micro.shell.quick_loop import loop_factory
from citadel_micro.shell.venue.http_client import HttpClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from multiprocessing.queues import SimpleQueue

GAPS: Final = (0.005, 0.0)
ORDER: Final = (
    "/api/v3/order?symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=60000.00"
    "&newClientOrderId=scabc123run1-1-1&recvWindow=5000&timestamp=1795859480332&signature="
) + "0" * 64
HEADERS: Final = {"X-MBX-APIKEY": "k" * 64}
_BODY: Final = b"x" * 300
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-mbx-used-weight-1m: 1\r\n"
    b"x-mbx-order-count-10s: 1\r\nContent-Length: 300\r\n\r\n"
) + _BODY
LEAD_IN: Final = 50


def serve(port: SimpleQueue[int]) -> None:
    """Answer everything."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(ANSWER)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def timed(send: Callable[[], Awaitable[object]], orders: int, gap_s: float) -> float:
    """Processor time of one, in µs."""
    for _ in range(LEAD_IN):
        await send()
    spent = 0.0
    for _ in range(orders):
        if gap_s:
            await asyncio.sleep(gap_s)
        began = time.process_time()
        await send()
        spent += time.process_time() - began
    return spent / orders * 1e6


async def ours(root: str, orders: int, gap_s: float) -> float:
    """With our client."""
    client = HttpClient(root, "a bench")
    try:
        return await timed(lambda: client.send("POST", ORDER, headers=HEADERS), orders, gap_s)
    finally:
        await client.close()


async def theirs(root: str, orders: int, gap_s: float) -> float:
    """With aiohttp's."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:

        async def send() -> dict[str, str]:
            url = URL(root + ORDER, encoded=True)
            async with session.post(url, headers=HEADERS, allow_redirects=False) as answer:
                await answer.read()
                return {name.lower(): value for name, value in answer.headers.items()}

        return await timed(send, orders, gap_s)


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--orders", type=int, default=1_000, help="of each turn back to back")
    options, _ = parser.parse_known_args()
    load = os.getloadavg()[0]
    context = multiprocessing.get_context("spawn")
    port = context.SimpleQueue()
    server = context.Process(target=serve, args=(port,), daemon=True)
    server.start()
    try:
        root = f"http://127.0.0.1:{port.get()}"
        print("| processor time of an order, µs | aiohttp | ours | ratio |")
        print("| --- | ---: | ---: | ---: |")
        for gap_s in GAPS:
            orders = options.orders // 5 if gap_s else options.orders
            found: dict[str, list[float]] = {"theirs": [], "ours": []}
            for _ in range(options.rounds):
                for name, run in (("theirs", theirs), ("ours", ours)):
                    with asyncio.Runner(loop_factory=loop_factory()) as runner:
                        found[name].append(runner.run(run(root, orders, gap_s)))
            before, after = (statistics.median(found[name]) for name in ("theirs", "ours"))
            text = f"{gap_s * 1e3:.0f} ms gaps" if gap_s else "back to back"
            print(f"| {text} | {before:.0f} | {after:.0f} | {after / before:.2f} |")
    finally:
        server.terminate()
    print(f"\n1-minute load average {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    return 0


if __name__ == "__main__":
    sys.exit(main())
