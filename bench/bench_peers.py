"""Microseconds a frame, from its bytes to a validated book and its best bid and ask.

Every contender gets the same frames of a capture, chunk by chunk in turn, so that a machine that
slows down slows all of them; what is counted is processor time. At the end the best prices are
compared. Ours has every check on. ccxt.pro is as it ships, which is without checksums; cryptofeed
verifies those that it can, and is shown without that too.

The floors read the same bytes with no checks and little else (``floors.py``). ``make bench`` brings cryptofeed and
the parsers into an environment of their own; what is not there is said and left out.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from environments import use_peers
from floors import Floor, compiled, floors, missing
from peers import (
    CcxtPro,
    Contender,
    Cryptofeed,
    CryptofeedUnread,
    Frame,
    Ours,
    OursEngine,
    frames_of,
    installed,
)

CHUNK = 500
Chunks = list[tuple[Frame | None, list[Frame]]]


@dataclass(frozen=True)
class Older:
    """The same traffic in the older protocol that cryptofeed speaks."""

    capture: str
    venue: str
    keep: Callable[[Frame], bool]


@dataclass(frozen=True)
class Case:
    """One capture, who reads it, and how many times as long they should take at least."""

    title: str
    capture: str
    venue: str
    peers: tuple[type[CcxtPro] | type[Cryptofeed], ...]
    keep: Callable[[Frame], bool]
    targets: Mapping[str, float] = field(default_factory=dict)
    older: Older | None = None
    checksums: bool = False
    engine: float = 0
    """Also through the whole engine, which shall still be this many times as fast as ccxt.pro."""
    floors: bool = False
    """The scan in C reads USD-M only."""


def _depth_only(frame: Frame) -> bool:
    return b"@depth" in frame.data[:60] or frame.is_snapshot


def _books(frame: Frame) -> bool:
    """Changes of books: ticker frames are of a channel that ours does not subscribe."""
    return b'"books"' in frame.data[:90] and b'"data"' in frame.data


def _all(_frame: Frame) -> bool:
    return True


def _v1_books(frame: Frame) -> bool:
    return frame.data.startswith(b"[") and b'"book-' in frame.data[-40:]


BTC = "binance-usdm-btcusdt-20240808"
BOTH = (CcxtPro, Cryptofeed, CryptofeedUnread)
CASES = (
    Case("USD-M, depth", BTC, "binance-usdm", BOTH, _depth_only, {"ccxt.pro": 30}, floors=True),
    Case("USD-M, mixed", BTC, "binance-usdm", BOTH, _all, {"ccxt.pro": 38}, engine=24, floors=True),
    Case("OKX, seqId", "okx-2026-checksum0.transcoded", "okx", BOTH, _books, {"ccxt.pro": 14}),
    Case("OKX, seqId and CRC", "okx-2026-checksum.transcoded", "okx", BOTH, _books,
         checksums=True),
    # The same updates in both versions of the protocol: cryptofeed speaks the older one only.
    Case(
        "Kraken, CRC", "kraken-v2.transcoded", "kraken-spot", BOTH, _all, {"ccxt.pro": 9},
        older=Older("kraken-v1-2021", "kraken-v1", _v1_books), checksums=True,
    ),
    Case("Coinbase Advanced", "coinbase-advanced.transcoded", "coinbase-advanced", BOTH, _all,
         {"ccxt.pro": 9}),
)  # fmt: skip


def main() -> int:
    """Measure, check that everybody ends at the same prices, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="passes over the longest capture")
    parser.add_argument("--only", default="", help="cases whose title has this in it")
    args = parser.parse_args()
    shared = Path(
        os.environ.get("CITADEL_SHARED") or Path(__file__).resolve().parents[2] / "shared"
    )
    if not (shared / "captures").is_dir():
        print(f"bench_peers: skipped, no captures at {shared}; set CITADEL_SHARED")
        return 0
    use_peers()
    for name, package in (("ccxt.pro", "ccxt"), ("cryptofeed", "cryptofeed")):
        if not installed(package):
            print(f"{name} is not installed here, so it is not measured: make bench")
    print("\n".join(missing()))
    print("| frames | contender | us/frame, median | against ours | target |")
    print("| --- | --- | ---: | ---: | ---: |")
    missed = []
    for case in CASES:
        if args.only in case.title:
            missed += asyncio.run(_measure(case, shared, args.rounds))
    print("\nmissed: " + ("; ".join(missed) or "none"))
    return 0


async def _measure(case: Case, shared: Path, rounds: int) -> list[str]:
    """Inside a loop, because ccxt's client makes futures."""
    captures = shared / "captures"
    natives = _natives(shared, case.capture)
    frames = _chunks(captures / f"{case.capture}.jsonl.gz", case.keep)
    older, older_natives = frames, natives
    if case.older is not None:
        older = _chunks(captures / f"{case.older.capture}.jsonl.gz", case.older.keep)
        older_natives = _natives(shared, case.older.capture)
    count = sum(len(chunk) for _, chunk in frames)
    times: dict[str, list[float]] = {}
    library = compiled() if case.floors else None
    # Short captures are played more often, so that all have about as many chunks.
    for number in range(max(rounds, min(20, rounds * 20_000 // count))):
        contenders: list[tuple[Contender, Chunks]] = [(Ours(case.venue, natives), frames)]
        if case.floors:
            plain = [chunk for _, chunk in frames]
            contenders += [(floor, frames) for floor in floors(natives[0], plain, library)]
        if case.engine:
            capture = captures / f"{case.capture}.jsonl.gz"
            contenders.append((OursEngine(case.venue, natives, capture), frames))
        for peer in case.peers:
            if issubclass(peer, Cryptofeed):
                if installed("cryptofeed"):
                    venue = case.venue if case.older is None else case.older.venue
                    reader = peer(venue, older_natives, checksums=case.checksums)
                    reader.prime(next((frame.text for frame, _ in older if frame), ""))
                    contenders.append((reader, older))
            elif installed("ccxt"):
                contenders.append((peer(case.venue, natives), frames))
        for each, _ in contenders:
            times.setdefault(each.name, [])
        gc.collect()
        gc.freeze()  # what is loaded by now is no garbage of anybody's
        for at in range(len(frames)):
            for each, chunks in contenders if (at + number) % 2 else contenders[::-1]:
                before, chunk = chunks[at]
                if before is not None:
                    each.snapshot(before)
                given = each.given(chunk)
                start = time.process_time_ns()
                each.run(given)
                spent = time.process_time_ns() - start
                times[each.name].append(spent / len(chunk) / 1_000)
        if not number:
            _agree(case, [each for each, _ in contenders])
        for each, _ in contenders:
            await each.close()
    return _print(case, count, times)


def _natives(shared: Path, capture: str) -> list[str]:
    golden = json.loads((shared / "golden" / f"{capture}.json").read_text())
    return list(golden["symbols"])


def _agree(case: Case, contenders: Sequence[Contender]) -> None:
    """Say who ended with other prices than we: by the tests, ours are the reference's."""
    ours = sorted(contenders[0].tops().values())
    for other in contenders[1:]:
        if isinstance(other, Floor) and not other.keeps_books:
            continue
        theirs = sorted(other.tops().values())
        if theirs != ours:
            wrong = len(set(ours) - set(theirs))
            print(f"note: {case.title}: {other.name} ends wrong in {wrong} of {len(ours)} books")


def _print(case: Case, count: int, times: dict[str, list[float]]) -> list[str]:
    base = times[Ours.name]
    missed = []
    for name, spent in times.items():
        ratio = statistics.median(theirs / ours for theirs, ours in zip(spent, base, strict=True))
        target = case.targets.get(name)
        goal = f"{target:g}x" if target else ""
        print(
            f"| {case.title} ({count}) | {name} | {statistics.median(spent):.2f} | "
            f"{ratio:.1f}x | {goal} |"
        )
        if target and ratio < target:
            missed.append(f"{case.title} against {name}: {ratio:.1f}x of {target:g}x")
    if case.engine and CcxtPro.name in times:
        pairs = zip(times[CcxtPro.name], times[OursEngine.name], strict=True)
        ratio = statistics.median(theirs / engine for theirs, engine in pairs)
        print(f"| {case.title} | ccxt.pro against our engine | | {ratio:.1f}x | {case.engine:g}x |")
        if ratio < case.engine:
            missed.append(f"{case.title}, engine: {ratio:.1f}x of {case.engine:g}x")
    return missed


def _chunks(capture: Path, keep: Callable[[Frame], bool]) -> Chunks:
    """Chunks, each with the snapshot that comes before it."""
    chunks: Chunks = []
    before: Frame | None = None
    chunk: list[Frame] = []
    for frame in filter(keep, frames_of(capture)):
        if frame.is_snapshot or len(chunk) == CHUNK:
            if chunk:
                chunks.append((before, chunk))
            before, chunk = (frame if frame.is_snapshot else None), []
        if not frame.is_snapshot:
            chunk.append(frame)
    if chunk:
        chunks.append((before, chunk))
    return chunks


if __name__ == "__main__":
    sys.exit(main())
