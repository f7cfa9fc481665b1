"""Socket to book, live: processor time a frame of a whole client process, against nautilus_trader.

A server process plays the books of a capture at a steady multiple of their real speed. In turns it
plays to a process with our Aggregator and books, and to one with nautilus_trader's websocket client
(Rust) and order books. What is counted is the processor time, user and system and of all threads,
between a process's first and last frame: socket, TLS aside, parsing, checks, book, best bid and ask,
and whatever the process does in between. At the end the best prices are compared.

``make bench`` and ``make race`` bring nautilus_trader into ``.venv-race``; another interpreter that has it is named
by ``--nautilus-python PATH``. Without one only ours is measured.
OKX and Bybit are the venues whose clients of theirs take an address and whose protocol of today
there is a capture of; theirs for Kraken verifies no checksum, theirs for Binance parses in Python.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from environments import race_python
from socket_server import Play, serve

from citadel_micro.shell.capture.frames import read_capture

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

HERE = Path(__file__).resolve().parent
START_S = 30.0
SPARE_S = 30.0
"""A client may take this much longer than the play itself."""
AIM = 3.0


@dataclass(frozen=True)
class Case:
    """One capture."""

    title: str
    venue: str
    capture: str
    books: bytes
    path: str
    loops: int
    """So that a round takes a few seconds at 20 times real speed."""


CASES = (
    Case("OKX, books", "okx", "okx-2026-checksum0.transcoded", b'"books"', "/ws/v5/public", 10),
    Case(
        "Bybit linear, orderbook.50", "bybit-linear", "bybit-v5-linear.transcoded",
        b'"orderbook.50.', "/v5/public/linear", 4,
    ),
)  # fmt: skip


def main() -> int:
    """Measure in turns, compare, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--speed", type=float, default=20.0, help="times real speed")
    parser.add_argument("--only", default="", help="cases whose title has this in it")
    parser.add_argument(
        "--nautilus-python",
        default=race_python(),
        help="an interpreter that has nautilus_trader",
    )
    args = parser.parse_args()
    shared = Path(os.environ.get("CITADEL_SHARED") or HERE.parents[1] / "shared")
    if not (shared / "captures").is_dir():
        print(f"bench_socket: skipped, no captures at {shared}; set CITADEL_SHARED")
        return 0
    contenders = {"stoic-citadel": (sys.executable, "socket_ours.py")}
    if _has_nautilus(args.nautilus_python):
        contenders["nautilus_trader"] = (args.nautilus_python, "socket_nautilus.py")
    else:
        print(
            f"nautilus_trader is not installed for {args.nautilus_python}, so it is not measured; "
            "give --nautilus-python PATH of an interpreter that has it"
        )
    print("| frames | contender | a second | us/frame, processor, median | against ours | aim |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    measured = [
        _measure(case, shared, contenders, args.rounds, args.speed)
        for case in CASES
        if args.only in case.title
    ]
    return 0 if all(measured) else 1


def _has_nautilus(python: str) -> bool:
    try:
        done = subprocess.run(
            [python, "-c", "import nautilus_trader.core.nautilus_pyo3"],
            capture_output=True,
            timeout=START_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _measure(
    case: Case,
    shared: Path,
    contenders: dict[str, tuple[str, str]],
    rounds: int,
    speed: float,
) -> bool:
    """Print a row each; False when no round counts."""
    golden = json.loads((shared / "golden" / f"{case.capture}.json").read_text())["symbols"]
    capture = shared / "captures" / f"{case.capture}.jsonl.gz"
    play = Play(
        capture=capture, books=case.books, natives=list(golden), speed=speed, loops=case.loops
    )
    job = {"venue": case.venue, "natives": _decimals(capture, case.books, list(golden))}
    true_tops = {
        native: tuple(float(book["top20"][side][0][0]) for side in ("bids", "asks"))
        for native, book in golden.items()
    }
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    versions: dict[str, str] = {}
    for number in range(rounds):
        order = list(contenders.items())
        results = {}
        for name, (python, script) in order if number % 2 else order[::-1]:
            results[name], frames = _round(play, case.path, job, python, script)
        failed = [f"{name}: {each['error']}" for name, each in results.items() if "error" in each]
        if failed:  # a busy machine may make a client join updates, or be too late
            print(f"note: {case.title}: a round does not count: {'; '.join(failed)}")
            continue
        for name, result in results.items():
            spent[name].append(result["cpu_s"] / (frames - 1) * 1e6)
            rates[name].append((frames - 1) / result["seconds"])
            versions[name] = result["version"]
            tops = {native: tuple(top) for native, top in result["tops"].items()}
            for native, top in true_tops.items():
                if tops.get(native) != top:
                    print(
                        f"note: {case.title}, {native}: {name} ends at {tops.get(native)}, not {top}"
                    )
    ours = spent["stoic-citadel"]
    if not ours:
        print(f"note: {case.title}: no round counts")
        return False
    for name, each in spent.items():
        ratio = statistics.median(theirs / own for theirs, own in zip(each, ours, strict=True))
        aim = "" if each is ours else f"{AIM:g}x"
        print(
            f"| {case.title} ({frames}) | {versions[name]} | {statistics.median(rates[name]):.0f} "
            f"| {statistics.median(each):.1f} | {ratio:.1f}x | {aim} |"
        )
    return True


def _round(
    play: Play, path: str, job: dict[str, Any], python: str, script: str
) -> tuple[dict[str, Any], int]:
    """One client, one server. Returns the client's result, and how many frames were played."""
    frames = len(play.frames()) * play.loops
    given = {**job, "path": path, "frames": frames}
    return against(
        serve, play, given, python=python, script=script, seconds=_length_s(play)
    ), frames


def against(
    serve_it: Callable[[Connection, Any], None],
    play: object,
    job: dict[str, Any],
    *,
    python: str,
    script: str,
    seconds: float,
) -> dict[str, Any]:
    """A client's result with a server of its own.

    Args:
        serve_it: the server's process: it says its port first.
        play: what it plays.
        job: of the client, but for address and limit; its ``path`` is that of the address.
        python: the client's interpreter.
        script: the client.
        seconds: how long it is played.
    """
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve_it, args=(theirs, play))
    server.start()
    theirs.close()
    try:
        if not ours.poll(START_S):
            return {"error": "the server does not start"}
        port = ours.recv()
        limit_s = seconds + SPARE_S
        given = {**job, "url": f"ws://127.0.0.1:{port}{job['path']}", "limit_s": limit_s}
        try:
            done = subprocess.run(
                [python, str(HERE / script)],
                input=json.dumps(given),
                capture_output=True,
                text=True,
                timeout=limit_s + START_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"error": "it does not end"}
        try:
            result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        except (IndexError, ValueError):
            return {"error": f"it failed: {done.stderr[-500:]}"}
        return result
    finally:
        ours.close()
        server.join(5.0)
        if server.is_alive():
            server.kill()
            server.join()


def _length_s(play: Play) -> float:
    frames = play.frames()
    return (frames[-1][0] - frames[0][0]) / 1e9 / play.speed * play.loops


def _decimals(capture: Path, books: bytes, natives: list[str]) -> dict[str, tuple[int, int]]:
    """Venue symbol to the most decimals of its prices and sizes."""
    found = dict.fromkeys(natives, (0, 0))
    for _, record in read_capture(capture):
        if record.kind != "frame" or books not in record.text[:90].encode():
            continue
        frame = json.loads(record.text)
        changes = frame.get("data", [])
        for change in changes if isinstance(changes, list) else [changes]:
            native = change.get("s") or frame["arg"]["instId"]
            sides = [change.get(side, []) for side in ("bids", "asks", "b", "a")]
            for price, size, *_ in (level for side in sides for level in side):
                most = found[native]
                found[native] = (max(most[0], _places(price)), max(most[1], _places(size)))
    return found


def _places(text: str) -> int:
    return len(text.partition(".")[2])


if __name__ == "__main__":
    sys.exit(main())
