"""What one viewer of the page costs: micro's side and the browser's, in shares of a core.

Twenty symbols, each with ten updates a second, all of them on the screen. The server's share is the
difference between a time with a viewer and one without. Needs Chromium: ``apt-get install chromium``.
Ends with 1 when either side takes more of a core than is allowed, three times in a row: a busy machine
makes work longer, never shorter.

    .venv/bin/python bench/bench_page.py [SECONDS]
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "kit"))

from chromium import NAMES, running
from engine_kit import MS, VENUE, config, rules
from page_kit import PageRun, served

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.events import DepthUpdate, Started, TimerFired

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SYMBOLS = tuple(f"C{number:02}/USDT" for number in range(20))
EVERY_S = 0.1
LEVELS = 50
WHOLE = True
MOST = 0.10
"""Of a core, on either side."""
TRIES = 3


class ManyBooks(PageRun):
    """An engine that follows twenty symbols."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = Engine(
            config(),
            {
                (VENUE, symbol): rules(symbol=symbol, venue_symbol=symbol.replace("/", ""))
                for symbol in SYMBOLS
            },
        )
        self.vitals.engine = self.engine
        self.turns: list[float] = []

    def update(self) -> None:
        """A whole new book for each."""
        self.now += 100 * MS
        self.seq += 1
        for number, symbol in enumerate(SYMBOLS):
            bid = 60_000.0 + (self.seq * (number + 3)) % 97 / 10
            bids, asks = (
                [
                    (round(bid + sign * n / 10 + (sign > 0) / 10, 1), 1.0 + (n * self.seq) % 7)
                    for n in range(LEVELS)
                ]
                for sign in (-1, 1)
            )
            self.send(
                DepthUpdate(
                    VENUE,
                    symbol,
                    WHOLE,
                    self.seq,
                    self.seq,
                    -1,
                    None,
                    bids,
                    asks,
                    self.now,
                    self.now,
                )
            )
        self.send(TimerFired())


def serve(pipe: Connection, folder: Path) -> None:
    """The server's process: updates books, and measures its own turns."""

    async def main() -> None:
        run = ManyBooks()
        run.send(Started(state={}, damaged=""))
        async with served(folder / "run", run) as page:
            live = page.page._live  # noqa: SLF001
            if live is None:
                raise AssertionError("the run was not attached")
            refresh = live.refresh

            # Time of the thread, so that others on the machine do not count.
            def timed_refresh() -> None:
                started = time.thread_time()
                refresh()
                run.turns.append(time.thread_time() - started)

            live.refresh = timed_refresh  # type: ignore[method-assign]
            pipe.send(page.url)
            loop = asyncio.get_running_loop()
            due = loop.time()
            while not pipe.poll():
                run.update()
                due += EVERY_S
                await asyncio.sleep(max(0.0, due - loop.time()))
        pipe.send(sorted(run.turns))

    asyncio.run(main())


def worked_s(pid: int) -> float:
    """Processor time of a process and all below it."""
    total = 0.0
    parents: dict[int, int] = {}
    times: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        times[int(entry.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    for each, spent in times.items():
        at = each
        while at and at != pid:
            at = parents.get(at, 0)
        total += spent if at == pid else 0.0
    return total


async def measure(seconds: float, url: str, server: int, folder: Path) -> bool:
    """Print the table. Whether both sides take no more than they may."""
    await asyncio.sleep(1)
    before = worked_s(server)
    await asyncio.sleep(seconds)
    alone = (worked_s(server) - before) / seconds
    async with running(folder) as browser, browser.tab(width=1440, height=1600) as tab:
        await tab.open(url)
        await tab.until("document.querySelectorAll('.tile').length === 20")
        await asyncio.sleep(3)
        shown = await tab.value("document.querySelectorAll('.tile').length")
        before, theirs = worked_s(server), worked_s(browser.process.pid)
        main = await tab.processor_s()
        await asyncio.sleep(seconds)
        watched = (worked_s(server) - before) / seconds
        whole = (worked_s(browser.process.pid) - theirs) / seconds
        script = (await tab.processor_s() - main) / seconds
        print(f"{shown} books at {1 / EVERY_S:.0f} updates a second, one viewer, {seconds:g} s\n")
        print("| who | of a core |")
        print("| --- | ---: |")
        print(f"| server without a viewer | {alone:.1%} |")
        print(f"| server with one | {watched:.1%} |")
        print(f"| so the page | {watched - alone:.1%} |")
        print(f"| browser, the page's thread | {script:.1%} |")
        print(f"| browser, all its processes | {whole:.1%} |")
        return max(watched - alone, whole) <= MOST


def main() -> int:
    """Start the server, then measure."""
    if not any(shutil.which(name) for name in NAMES):
        print("no Chromium here, so what a viewer costs is not measured")
        return 0
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, its = get_context("spawn").Pipe()
        process = get_context("spawn").Process(target=serve, args=(its, folder))
        process.start()
        url, within = ours.recv(), False
        for number in range(TRIES):
            profile = folder / f"try-{number}"
            profile.mkdir()
            within = asyncio.run(measure(seconds, url, int(process.pid or 0), profile))
            if within:
                break
        ours.send("end")
        turns = ours.recv()
        process.join()
        print("\n| one turn on the loop | within, ms |")
        print("| --- | ---: |")
        for share in (0.5, 0.99, 1.0):
            at = turns[min(len(turns) - 1, int(share * len(turns)))]
            print(f"| {share:.0%} of them | {at * 1e3:.2f} |")
    print(f"\nallowed: {MOST:.0%} on either side" + ("" if within else ", which was exceeded"))
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
