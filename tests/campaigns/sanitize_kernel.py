"""The compiled modules under the address and undefined-behaviour sanitizers: ``make sanitize``.

Builds them anew with both, starts itself again with their libraries loaded, and gives them
damaged JSON and random books for a while. A finding ends the process with its report; a difference
from the Python twin ends it with a traceback. Needs gcc.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.marketdata.book import Book

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCES: Final = Path(__file__).resolve().parents[2] / "micro/citadel_micro/core/marketdata"
MODULES: Final = ("_levels", "_book")  # the second takes the levels of the first
FRAMES: Final = (
    b'[["58000.10","0.500"],["58000.20","1.250"]]',
    b'[{"price":58000.1,"qty":0.5},{"qty":1e3,"price":12.0}]',
    (
        b'[{"side":"bid","event_time":"x\\"y","price_level":"0.7","new_quantity":"0.0"},'
        b'{"side":"offer","price_level":"0.8","new_quantity":"1"}]'
    ),
    b'[["1","2","0","4"],["3","4",{"a":[1,"]"]},null]]',
    b"[]",
)
SPICE: Final = b'[]{}",.:0123456789eE-\\ \x00\xff'
Text = list[tuple[str, str]]


def main() -> int:
    """Build, start again under the sanitizers, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--built", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.built is not None:
        return _campaign(args.built, args.seed, args.seconds)
    with tempfile.TemporaryDirectory() as folder:
        _build(Path(folder))
        loaded = " ".join(
            _output("gcc", f"-print-file-name=lib{name}.so") for name in ("asan", "ubsan")
        )
        options = ["--seed", str(args.seed), "--seconds", str(args.seconds)]
        return subprocess.run(
            [sys.executable, __file__, "--built", folder, *options],
            # CPython keeps some of its memory to the end, so leaks cannot be told from that.
            env={**os.environ, "LD_PRELOAD": loaded, "ASAN_OPTIONS": "detect_leaks=0"},
            timeout=args.seconds + 120,
            check=False,
        ).returncode


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _build(folder: Path) -> None:
    flags = ["-shared", "-fPIC", "-g", "-O1", "-fwrapv", "-fsanitize=address,undefined"]
    include = sysconfig.get_path("include")
    for name in MODULES:
        source, library = folder / f"{name}.c", folder / f"{name}.so"
        _output(
            *(sys.executable, "-m", "cython", "-3"), str(SOURCES / f"{name}.pyx"), "-o", str(source)
        )
        _output("gcc", *flags, f"-I{include}", str(source), "-o", str(library))


def _load(folder: Path, name: str) -> Any:  # noqa: ANN401 - a module of ours
    """The module as it was built here, in the place of the installed one."""
    full = f"citadel_micro.core.marketdata.{name}"
    spec = importlib.util.spec_from_file_location(full, folder / f"{name}.so")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[full] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _campaign(built: Path, seed: int, seconds: float) -> int:
    levels, compiled = (_load(built, name) for name in MODULES)
    rng = random.Random(seed)
    readers = _readers(levels)
    frames = books = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = _damaged(rng)
        for read in readers:
            try:
                repr(read(data))
            except (ValueError, OverflowError):
                continue
        frames += 1
        if frames % 20 == 0:
            _compare(compiled, rng)
            books += 1
    print(f"{frames} damaged texts and {books} random books, no finding (seed {seed})")
    return 0


def _readers(levels: Any) -> list[Callable[[bytes], object]]:  # noqa: ANN401 - a module of ours
    sided = {"side_key": b"side", "bid": b"bid", "ask": b"offer"}
    return [
        levels.pairs,
        lambda data: levels.pairs(data, more=True),
        lambda data: levels.text_pairs(data, more=True),
        lambda data: levels.objects(data, b"price_level", b"new_quantity"),
        lambda data: levels.text_objects(data, b"price", b"qty"),
        lambda data: levels.sides(data, b"price_level", b"new_quantity", **sided),
    ]


def _damaged(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(FRAMES))
    for _ in range(rng.randint(0, 4)):
        at = rng.randint(0, len(data))
        match rng.randint(0, 3):
            case 0:
                data[at : at + 1] = bytes([rng.choice(SPICE)])
            case 1:
                del data[at:]
            case 2:
                data.insert(at, rng.choice(SPICE))
            case _:
                data[at:at] = bytes(rng.choices(b"0123456789", k=rng.randint(1, 400)))
    return bytes(data)


def _compare(compiled: Any, rng: random.Random) -> None:  # noqa: ANN401
    """The same random life of two books, one of each twin."""
    keep, depth = rng.random() < 0.5, rng.choice([0, 0, 5, 25])
    one, other = compiled.Book(keep_text=keep, depth=depth), Book(keep_text=keep, depth=depth)
    span = rng.choice([5, 50, 3_000])
    for _ in range(rng.randint(1, 60)):
        bids, asks = _levels(rng, span), _levels(rng, span)
        texts = (bids, asks) if rng.random() < 0.8 else None
        whole = rng.random() < 0.1
        for book in (one, other):
            change = book.replace if whole else book.apply
            change([(float(p), float(s)) for p, s in bids],
                   [(float(p), float(s)) for p, s in asks], texts)  # fmt: skip
            if depth:
                book.truncate(depth)
        assert (one.best(), one.crossed) == (other.best(), other.crossed)
        assert one.top(7) == other.top(7)
        assert one.checksum("kraken", 10) == other.checksum("kraken", 10)
        assert one.checksum("colon", 25) == other.checksum("colon", 25)
    assert one.top(10_000) == other.top(10_000)
    price = rng.randint(1, span) / 4
    for side in ("buy", "sell"):
        for name, args in (("worse", (price,)), ("size_at", (price,)),
                           ("displayed", (price, 9.0, 3.0))):  # fmt: skip
            assert getattr(one, name)(side, *args) == getattr(other, name)(side, *args)


def _levels(rng: random.Random, span: int) -> Text:
    count = rng.randint(0, rng.choice([3, 80]))
    return [(str(rng.randint(1, span) / 4), str(rng.choice([0, 0, 1, 2.5]))) for _ in range(count)]


if __name__ == "__main__":
    sys.exit(main())
