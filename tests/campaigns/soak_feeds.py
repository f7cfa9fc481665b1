"""Many venues at once, for long, faster than life: ``make soak``.

A server process plays captures in a loop at 20 times their real speed, each venue on its own path;
this process runs the real Aggregator against it and keeps the books that an engine would. Every
capture that ends hangs up, so that reconnects are part of the soak. Where a venue's snapshots come
over HTTP the server keeps the book too, and answers with it.

The exit code is 1 when memory grew by more than the bound after the warm-up, when a task is left,
when a book never came to LIVE, or when anything was lost or unreadable: the captures have no fault,
so every gap is ours. Memory is looked at in three ways: what is resident, and what of it is in use
by the C library's and by Python's allocator. The first is what a machine runs out of, the others
tell a leak from a heap that keeps what it once needed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kit"))

import structlog
import uvloop
from aiohttp import web
from memory_kit import Holding, holding, slope

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, QuoteTick, TradeTick
from citadel_micro.shell.capture.books import plain
from citadel_micro.shell.capture.frames import read_capture
from citadel_micro.shell.marketdata import connection
from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection

ROOT: Final = Path(__file__).resolve().parents[2]
CAPTURES: Final = {
    "binance-spot": "binance-spot-btcusdt-20240808",
    "binance-usdm": "binance-usdm-btcusdt-20240808",
    "bitget-v1": "bitget-spot-v1-2022",
    "bybit-linear": "bybit-v5-linear.transcoded",
    "coinbase-advanced": "coinbase-advanced.transcoded",
    "kraken-futures": "kraken-futures-2021",
    "kraken-spot": "kraken-v2.transcoded",
    "okx": "okx-2026-checksum.transcoded",
}
SNAPSHOT: Final = b'{"lastUpdateId"'
"""A frame that begins so is the HTTP snapshot, as some recordings hold it."""
WARM_UP_S: Final = 180.0
WARM_UP_MOST: Final = 0.5
"""Part of the run: a short one is judged by its second half."""
GROWTH_LIMIT: Final = 0.02
"""Part of the resident memory that it, or what is in use, may grow by from after the warm-up to the
end: by the medians of the first and the last part of that time, and by the line through all of it.
One object of 32 bytes leaked a frame would be 250 MB in the seven minutes of a run of ten."""
LOOP_S: Final = 20.0
"""Books grow while a capture plays, so medians are of at least the longest capture's time."""
STALL_AT: Final = 0.2
"""Part of the warm-up."""
STALL_S: Final = 4.0
"""During the warm-up our loop is blocked for this long, once: sockets' buffers grow to what piles up
meanwhile and stay so, and what they take on a busy machine would look like a leak later."""
SAMPLE_S: Final = 2.0
SNAPSHOT_WAIT_S: Final = 5.0
LATE_S: Final = 0.002
"""The server sleeps when it is ahead of its time by this."""


class Player:
    """Plays one capture to whoever connects."""

    def __init__(self, folder: Path, venue: str, speed: float) -> None:
        self.spec = venue_spec(venue)
        self.speed = speed
        self.frames: list[tuple[int, bytes]] = []
        self.played = 0
        self.late_s = 0.0
        self._decoder = self.spec.decoder(self.spec.symbols())
        self._markets: dict[str, MarketBook] = {}
        path = folder / "captures" / f"{CAPTURES[venue]}.jsonl.gz"
        for _, record in read_capture(path):
            if record.kind == "frame":
                self.frames.append((record.recv_ns, record.text.encode()))

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await socket.receive()  # the subscription
        self._decoder = self.spec.decoder(self.spec.symbols())
        self._markets.clear()
        began_ns, began_s = self.frames[0][0], time.monotonic()
        try:
            for recv_ns, data in self.frames:
                ahead_s = (recv_ns - began_ns) / 1e9 / self.speed - (time.monotonic() - began_s)
                self.late_s = max(self.late_s, -ahead_s)
                if ahead_s > LATE_S:
                    await asyncio.sleep(ahead_s)
                if self.spec.snapshot is not None:
                    self._follow(data, recv_ns)
                    if data.startswith(SNAPSHOT):
                        continue
                await socket.send_frame(data, web.WSMsgType.TEXT)
                self.played += 1
        except ConnectionError:
            return socket
        await socket.close(code=1001, message=b"the capture ends")
        return socket

    def _follow(self, data: bytes, recv_ns: int) -> None:
        """Keep the book that the snapshots of this venue are taken from."""
        if data.startswith(SNAPSHOT):
            events = self._decoder.rest("BTCUSDT", data, recv_ns)
        else:
            events = self._decoder.frame(data, recv_ns)
        for event in events:
            if isinstance(event, DepthUpdate):
                market = self._markets.get(event.symbol)
                if market is None:
                    market = MarketBook(self.spec.venue, event.symbol, self.spec.integrity)
                    self._markets[event.symbol] = market
                market.on_depth(event)

    async def snapshot(self, request: web.Request) -> web.Response:
        symbol = self.spec.unify(request.query["symbol"])
        due_s = time.monotonic() + SNAPSHOT_WAIT_S
        while (market := self._markets.get(symbol)) is None or market.state != "LIVE":
            # The capture has its snapshot a moment after its first updates; a venue has one always.
            if time.monotonic() > due_s:
                return web.Response(status=503)
            await asyncio.sleep(0.005)
        bids, asks = market.book.top(1_000_000)
        sides = {"bids": bids, "asks": asks}
        texts = {name: [[plain(p), plain(s)] for p, s in side] for name, side in sides.items()}
        return web.json_response({"lastUpdateId": market.last_seq, **texts})


def serve(pipe: Connection, folder: Path, speed: float) -> None:
    """Run the server until told to stop; then say how it went."""
    uvloop.run(_serve(pipe, folder, speed))


async def _serve(pipe: Connection, folder: Path, speed: float) -> None:
    app = web.Application()
    players = {venue: Player(folder, venue, speed) for venue in CAPTURES}
    for venue, player in players.items():
        app.router.add_get(f"/{venue}/ws", player.socket)
        app.router.add_get(f"/{venue}/{{rest:.*}}", player.snapshot)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(runner.addresses[0][1])
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    played = sum(player.played for player in players.values())
    pipe.send((played, max(player.late_s for player in players.values())))
    await runner.cleanup()


class Keeper:
    """The books that an engine would keep, and what became of them."""

    def __init__(self, feeds: list[FeedConfig]) -> None:
        self.markets = {
            (feed.venue, symbol): MarketBook(feed.venue, symbol, venue_spec(feed.venue).integrity)
            for feed in feeds
            for symbol in feed.symbols
        }
        self.kinds: dict[str, int] = defaultdict(int)
        self.lives: dict[tuple[str, str], int] = defaultdict(int)
        self.faults: list[Exception] = []
        self.aggregator = Aggregator(feeds, self.sink, time.time_ns, on_fault=self.faults.append)

    def sink(self, event: Any, recv_ns: int) -> None:  # noqa: ANN401, ARG002 - any event
        kind = type(event)
        self.kinds[kind.__name__] += 1
        market = self.markets.get((event.venue, event.symbol))
        if market is None:
            return  # the capture has more symbols than were asked for
        if kind is DepthUpdate:
            changed = market.on_depth(event)
            if changed & Change.GAP:
                self.aggregator.request_snapshot(event.venue, event.symbol, market.reason)
            if changed & Change.STATE and market.state == "LIVE":
                self.lives[event.venue, event.symbol] += 1
        elif kind is QuoteTick:
            market.on_quote(event)
        elif kind is TradeTick:
            market.on_trade(event)
        elif isinstance(event, FeedStatus):
            market.on_status(event)


def warm_up_s(minutes: float) -> float:
    """How long memory may still grow in a run of so many minutes."""
    return min(WARM_UP_S, minutes * 60 * WARM_UP_MOST)


def symbols_of(folder: Path, venue: str) -> Mapping[str, str]:
    """Unified to venue symbol of the books in a venue's capture."""
    spec = venue_spec(venue)
    golden = json.loads((folder / "golden" / f"{CAPTURES[venue]}.json").read_text())
    return {spec.unify(native): native for native in golden["symbols"]}


async def soak(
    folder: Path, port: int, minutes: float
) -> tuple[Keeper, list[tuple[float, Holding]], float, int]:
    """Run the client.

    Returns:
        What it kept; (seconds since the start, memory) every so often; the loop's worst delay but
        for the stall, in s; how many tasks are left.
    """
    feeds = [
        FeedConfig(
            venue=venue,
            symbols=symbols_of(folder, venue),
            websocket_url=f"ws://127.0.0.1:{port}/{venue}/ws",
            rest_url=f"http://127.0.0.1:{port}/{venue}",
        )
        for venue in CAPTURES
    ]
    keeper = Keeper(feeds)
    await keeper.aggregator.start()
    samples: list[tuple[float, Holding]] = []
    late_s = 0.0
    start_s = time.monotonic()
    stall_s = start_s + warm_up_s(minutes) * STALL_AT
    end_s = start_s + minutes * 60
    sample_s = start_s + SAMPLE_S
    while (now_s := time.monotonic()) < end_s:
        await asyncio.sleep(0.05)
        late_s = max(late_s, time.monotonic() - now_s - 0.05)
        if stall_s and now_s >= stall_s:
            stall_s = 0.0
            time.sleep(STALL_S)  # noqa: ASYNC251 - blocking the loop is what is wanted
        if now_s >= sample_s:
            sample_s += SAMPLE_S
            # Without a collection, whose time would count as a consumer that is slow.
            samples.append((now_s - start_s, holding(collect=False)))
    health = keeper.aggregator.health()
    for each in health:
        print(
            f"{each.venue:<18} {each.frames:>9} frames  {each.connects:>4} connects  "
            f"{each.failures} failures  {each.violations} violations  "
            f"{each.resubscribed} resubscribed"
        )
    await keeper.aggregator.close()
    await asyncio.sleep(0.1)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        print("left:", task)
    keeper.kinds["violations"] = sum(each.violations for each in health)
    keeper.kinds["connects"] = sum(each.connects for each in health)
    keeper.kinds["conflated"] = sum(each.load.conflated for each in health)
    keeper.kinds["overloaded_ms"] = max(each.load.overloaded_ns for each in health) // 1_000_000
    return keeper, samples, late_s, len(left)


class Course:
    """How one figure went: in the first part after the warm-up, in the last, and between."""

    def __init__(self, samples: list[tuple[float, float]], warm_s: float) -> None:
        warm = [each for each in samples if each[0] >= warm_s] or samples[-1:]
        few = max(round(LOOP_S / SAMPLE_S), len(warm) // 10)
        self.first = samples[0][1]
        self.warm = statistics.median(value for _, value in warm[:few])
        self.end = statistics.median(value for _, value in warm[-few:])
        times, values = [at for at, _ in warm], [value for _, value in warm]
        self.fitted = slope(times, values) * (times[-1] - times[0])
        """Growth over all of that time by the straight line through it."""

    def text(self, scale: float = 1e6) -> str:
        """As the table has it."""
        low, high = sorted((self.end - self.warm, self.fitted))
        return (
            f"{self.first / scale:.1f}, {self.warm / scale:.1f}, {self.end / scale:.1f} "
            f"({low / scale:+.2f} to {high / scale:+.2f})"
        )

    @property
    def growth(self) -> float:
        """The worse of both."""
        return max(self.end - self.warm, self.fitted)


def main() -> int:
    """Run it and judge it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--speed", type=float, default=20.0, help="times real speed")
    args = parser.parse_args()
    # At this speed a capture may last half a second, which is no reason to back off.
    connection.SETTLED_S = 0.3  # type: ignore[misc] # a constant for everybody else
    folder = Path(os.environ.get("CITADEL_SHARED") or ROOT.parent / "shared")
    if not (folder / "captures").is_dir():
        print(f"soak: no captures at {folder}; set CITADEL_SHARED")
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, args=(theirs, folder, args.speed), daemon=True)
    server.start()
    try:
        port = ours.recv()
        before = time.process_time()
        keeper, samples, late_s, left = uvloop.run(soak(folder, port, args.minutes))
        busy = (time.process_time() - before) / (args.minutes * 60)
        ours.send("stop")
        played, server_late_s = ours.recv()
    finally:
        server.terminate()
        server.join()
    return judge(
        keeper,
        samples,
        left,
        args.minutes,
        rows={
            "minutes, speed": f"{args.minutes:g}, {args.speed:g}x real speed",
            "frames played": f"{played} ({played / args.minutes / 60:.0f} a second)",
            "server behind its schedule at most": f"{server_late_s:.2f} s",
            "processor of the client": f"{busy:.0%} of a core",
            "event loop late at most, but for the stall": f"{late_s * 1e3:.0f} ms",
        },
    )


def judge(
    keeper: Keeper,
    samples: list[tuple[float, Holding]],
    left: int,
    minutes: float,
    rows: dict[str, str],
) -> int:
    """Print what was found; 1 if it is not as it should be."""
    warm_s = warm_up_s(minutes)
    readings: dict[str, Callable[[Holding], float]] = {
        "RSS": lambda each: each.resident,
        "in use in both heaps": lambda each: each.in_use,
        "in use in the C heap": lambda each: each.c_heap.in_use,
        "in use in Python's heap": lambda each: each.python.in_use,
        "free in the C heap": lambda each: each.c_heap.taken - each.c_heap.in_use,
        "free in Python's heap": lambda each: each.python.taken - each.python.in_use,
    }
    courses = {
        name: Course([(at, read(each)) for at, each in samples], warm_s)
        for name, read in readings.items()
    }
    books = keeper.markets.values()
    totals = {
        name: sum(getattr(book, name) for book in books) for name in ("deltas", "gaps", "resyncs")
    }
    failed_sums = sum(book.checksums[1] for book in books)
    never = [
        f"{venue} {symbol}" for venue, symbol in keeper.markets if not keeper.lives[venue, symbol]
    ]
    every = max(1, round(len(samples) / 20))
    course = " ".join(f"{each.resident / 1e6:.1f}" for _, each in samples[::every])
    print(f"\nRSS, MB, from start to end: {course}\n")
    print("| measure | value |")
    print("| --- | --- |")
    rows |= {
        "books, deltas applied": f"{len(keeper.markets)}, {totals['deltas']}",
        "connects, resyncs of books": f"{keeper.kinds['connects']}, {totals['resyncs']}",
        "gaps, violations, failed checksums": (
            f"{totals['gaps']}, {keeper.kinds['violations']}, {failed_sums}"
        ),
        "books never LIVE": ", ".join(never) or "none",
        "overloaded, updates joined meanwhile": (
            f"{keeper.kinds['overloaded_ms'] / 1e3:.0f} s, {keeper.kinds['conflated']}"
        ),
        "tasks left, faults": f"{left}, {len(keeper.faults)}",
    }
    rows |= {
        f"{name} at the start, after {warm_s:.0f} s, end (growth), MB": course.text()
        for name, course in courses.items()
    }
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    resident = courses["RSS"].warm
    growths = {name: courses[name].growth / resident for name in ("RSS", "in use in both heaps")}
    problems = {
        f"{name} grew by {growth:.1%} of the resident memory, more than {GROWTH_LIMIT:.0%}": growth
        > GROWTH_LIMIT
        for name, growth in growths.items()
    }
    problems |= {
        f"{left} tasks are left": left > 0,
        f"faults: {keeper.faults[:1]}": bool(keeper.faults),
        "something was lost or unreadable": bool(
            totals["gaps"] or keeper.kinds["violations"] or failed_sums
        ),
        f"never LIVE: {', '.join(never)}": bool(never),
    }
    bad = [text for text, is_bad in problems.items() if is_bad]
    print("\nsoak: " + ("; ".join(bad) if bad else "memory flat, nothing left behind"))
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
