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
from citadel_micro.core.marketdata.deltas import PythonWriter
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_proto.errors import DecodeError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kit"))
from book_lives import deep_life
from digit_lives import digit_life

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCES: Final = Path(__file__).resolve().parents[2] / "micro/citadel_micro/core/marketdata"
MODULES: Final = (
    "_levels",
    "_book",
    "_forms",
    "_deltas",
)  # the others take the levels of the first
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
_PRICE_FIRST: Final = (b'{"price":', "price", b',"qty":', "size", b"}")
_SIDES: Final = (
    *(b'{"side":"', ("side", b'bid"', b'offer"'), b',"time":', "skip", b',"price":'),
    *("quoted price", b',"size":', "quoted size", b"}"),
)
FORMS: Final = (
    (
        b'{"s":"A","u":17,"t":5,"m":true,"x":"y","T":1700000000000,"B":"1.5","b":[["1","2"]],"a":[]}',
        (
            *((b"17", ("whole", 3)), (b"5", ("digits", 4)), (b"true", ("flag", -1))),
            *(
                (b'"y"', ("skip", -1)),
                (b"1700000000000", ("millis", 9)),
                (b'"1.5"', ("number", -1)),
            ),
            *((b'[["1","2"]]', ("pairs", 7)), (b"[]", ("long pairs", 8))),
        ),
        None,
    ),
    (
        b'{"s":"B","b":[["1","2"]],"a":[],"ts":"17","sum":-5,"u":7}',
        (
            *((b'[["1","2"]]', ("long pairs", 7)), (b"[]", ("long pairs", 8))),
            *((b'"17"', ("quoted millis", 9)), (b"-5", ("sum", 6)), (b"7", ("later", 3))),
        ),
        (11, 7, 8),
    ),
    (
        b'{"s":"C","b":[{"price":1.50,"qty":0.7}],"a":[],"t":"2021-04-17T16:43:37.085687Z"}',
        (
            *(
                (b'[{"price":1.50,"qty":0.7}]', ("rows", 7, -1, _PRICE_FIRST)),
                (b"[]", ("rows", 8, -1, _PRICE_FIRST)),
            ),
            (b'"2021-04-17T16:43:37.085687Z"', ("time", 9)),
        ),
        (11, 7, 8),
    ),
    (
        b'{"s":"D","l":[{"side":"bid","time":"x","price":"1","size":"2"},{"side":"offer","time":"y","price":"3","size":"0"}]}',
        (
            (
                b'[{"side":"bid","time":"x","price":"1","size":"2"},{"side":"offer","time":"y","price":"3","size":"0"}]',
                ("rows", 7, 8, _SIDES),
            ),
        ),
        None,
    ),
)
"""Frames, where their values are, and whether their levels have digits."""
INTEGRITY: Final = (
    *("range_bridge_spot", "range_bridge_futures", "chain", "contiguous", "conn_seq", "unnumbered"),
    *("unnumbered+crc:kraken:10+depth:10,25", "chain+crc:colon:25"),
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
    levels, compiled, forms, deltas = (_load(built, name) for name in MODULES)
    rng = random.Random(seed)
    readers = [*_readers(levels), _form_reader(forms)]
    from market_twins import damaged, random_events, twins  # noqa: PLC0415 - takes the modules above

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
            _market_events(deltas, rng)
            deep_life(compiled.Book(), Book(), rng, updates=20)
            kept = compiled.Book(keep_text=True), Book(keep_text=True)
            digit_life(*kept, rng, read=rng.choice((None, levels.text_pairs)), updates=20)
            books += 3
        if frames % 50 == 0:
            both = twins("v", "s", rng.choice(INTEGRITY))
            for event in damaged(random_events(rng, 200, "crc"), rng):
                both.take(event)
            both.compare()
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


def _form_reader(forms: Any) -> Callable[[bytes], object]:  # noqa: ANN401 - a module of ours
    """Reads frames of known forms with the damaged text in every place that could hold it."""

    class Decoder(forms.FormDecoder):  # type: ignore[misc] # a module of ours
        def decode(self, data: bytes, recv_ns: int) -> None:
            """Any other frame."""

    decoder = Decoder(3, 4)
    fields = ("", "", False, 0, 0, -1, None, (), (), 0, 0, None, 0)
    for number in range(200):  # names that are no frame's: the table grows
        decoder.add(b'{"s":"%d"}' % number, forms.Form(DepthUpdate, fields, recv=10, parts=[b"x"]))
    plain = []
    for frame, holes, texts in FORMS:
        parts: list[object] = []
        rest = frame
        for value, hole in holes:
            before, rest = rest.split(value, 1)
            parts += [before, hole]
        form = forms.Form(DepthUpdate, fields, recv=10, parts=[*parts, rest], texts=texts)
        assert form.read(frame, 1) is not None, frame
        decoder.add(frame, form)
        plain.append(frame)
    parts = [b'{"s":"', ("name", -1), b'","u":', ("whole", 3), b"}"]
    named = forms.Form(DepthUpdate, fields, recv=10, parts=parts, named=1)
    # As many characters as are kept in place, and more; books of this symbol have come and gone.
    for count in (1, 24, 25, 39, 40, 41, 90):
        frame = b'{"s":"%s","u":7}' % (b"n" * count)
        decoder.add(frame, named.renamed(b"n" * count, "s"))
        plain.append(frame)

    def read(data: bytes) -> object:
        answers = []
        for frame in plain:
            cut = len(data) * 7 % len(frame)
            # So many levels that they are not copied, or nearly so; whole, cut and damaged.
            count = 124 + len(data) % 9
            for one in (b'["1","2"]', b'{"price":1.50,"qty":0.7}'):
                long = frame.replace(b"[%s]" % one, b"[%s]" % b",".join([one] * count))
                more = long.replace(b"[]", b"[%s]" % b",".join([one] * (count + 3)))
                answers += [decoder.frame(each, 1) for each in (long, more, more[: -1 - cut])]
                answers.append(decoder.frame(more.replace(b"[]", data)[:-9] + data, 1))
            answers += [
                decoder.frame(frame.replace(b"[]", data), 1),
                decoder.frame(frame.replace(b'[["1","2"]]', data), 1),
                decoder.frame(frame[:cut] + data, 1),
                decoder.frame(frame[:cut] + data[:3] + frame[cut:], 1),
                decoder.frame(frame[:cut] + data[:1] + frame[cut + 1 :], 1),
                decoder.frame(frame[:cut], 1),
            ]
        return answers

    return read


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


def _market_events(module: Any, rng: random.Random) -> None:  # noqa: ANN401 - a module of ours
    """Random changes of a book as one frame of both twins, and read back whole and damaged."""
    kinds = (DepthUpdate, QuoteTick, TradeTick)
    one, other = module.Writer(*kinds), PythonWriter()
    for number in range(rng.randint(1, 20)):
        bids, asks = _levels(rng, 500), _levels(rng, 500)
        sides = [[(float(p), float(s)) for p, s in side] for side in (bids, asks)]
        texts = (bids, asks) if rng.random() < 0.3 else None
        seq = rng.randint(-(2**62), 2**62)
        event = DepthUpdate(
            *("v", f"S{rng.randint(0, 3)}", False, seq, seq + 1, -1, None),
            bids=sides[0],
            asks=sides[1],
            exchange_ns=number,
            recv_ns=number,
            texts=texts,
        )
        assert one.add(number, event) == other.add(number, event)
    frame = bytearray(one.take())
    assert frame == other.take()
    for _ in range(10):
        if frame:
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        try:
            repr(list(module.Reader(bytes(frame[: rng.randint(0, len(frame))]), *kinds)))
        except DecodeError:
            continue


def _levels(rng: random.Random, span: int) -> Text:
    count = rng.randint(0, rng.choice([3, 80]))
    return [(str(rng.randint(1, span) / 4), str(rng.choice([0, 0, 1, 2.5]))) for _ in range(count)]


if __name__ == "__main__":
    sys.exit(main())
