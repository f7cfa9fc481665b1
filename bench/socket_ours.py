"""Our end of ``bench_socket``: the real Aggregator and books; one job on stdin, its result on stdout.

A process of its own, so that nothing else is in its processor time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from importlib.metadata import version
from typing import Any

import structlog
import uvloop

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, FeedStatus
from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig
from citadel_micro.shell.marketdata.spec import venue_spec


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Keep the books of all that comes, with every check; best bid and ask after each frame."""
    spec = venue_spec(job["venue"])
    natives = {spec.unify(native): native for native in job["natives"]}
    markets = {symbol: MarketBook(spec.venue, symbol, spec.integrity) for symbol in natives}
    expected: int = job["frames"]
    first: int = job.get("first", 1)
    seen = 0
    best: object = None
    start_s = end_s = start_cpu_s = end_cpu_s = 0.0
    done = asyncio.Event()
    faults: list[Exception] = []

    def sink(event: object, _recv_ns: int) -> None:
        nonlocal seen, best, start_s, end_s, start_cpu_s, end_cpu_s
        if type(event) is DepthUpdate:
            market = markets[event.symbol]
            if market.on_depth(event) & Change.GAP:
                aggregator.request_snapshot(event.venue, event.symbol, market.reason)
            best = market.best()
            seen += 1
            if seen == expected:
                end_s, end_cpu_s = time.monotonic(), time.process_time()
                done.set()
            elif seen == first:
                start_s, start_cpu_s = time.monotonic(), time.process_time()
        elif isinstance(event, FeedStatus):
            markets[event.symbol].on_status(event)

    feed = FeedConfig(
        venue=spec.venue, symbols=natives, websocket_url=job["url"], channels=("depth",)
    )
    aggregator = Aggregator([feed], sink, time.time_ns, on_fault=faults.append)
    await aggregator.start()
    try:
        async with asyncio.timeout(job["limit_s"]):
            await done.wait()
    except TimeoutError:
        joined = sum(each.load.conflated for each in aggregator.health())
        return {"error": f"{seen} of {expected} frames came, {joined} joined; faults {faults[:1]}"}
    finally:
        await aggregator.close()
    tops = {}
    for symbol, market in markets.items():
        prices = market.best()
        if prices is not None and market.state == "LIVE":
            tops[natives[symbol]] = (prices[0], prices[2])
    return {
        "cpu_s": end_cpu_s - start_cpu_s,
        "seconds": end_s - start_s,
        "tops": tops,
        "version": f"stoic-citadel {version('stoic-citadel')}, Python {sys.version.split()[0]}",
    }


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    print(json.dumps(uvloop.run(run(json.load(sys.stdin)))))
