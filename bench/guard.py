"""What compiled code and shorter records must save, as ratios: ``make guard``, some seconds.

    python bench/guard.py [--rounds 9] [--json FILE]

Each ratio is of two ways to do the same work in one process, in turns, by processor time; of every way the
quickest round counts, since other programs can only make a round slower. So a busy machine moves both sides, and
the floors are about half of what was measured. The last column is the noise: how far the ratios
of single rounds lie apart. Ends 1 when a ratio is below its floor.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
from citadel_micro.core.marketdata import deltas, kernel
from citadel_micro.core.marketdata.book import Book
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.journal import records
from citadel_micro.shell.marketdata import levels
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.model.events import Levels, MarketEvent

T0: Final = 1_700_000_000_000_000_000
EVENTS: Final = 600
ROUNDS: Final = 9


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as long the slower way takes."""

    name: str
    floor: float
    ratio: float
    low: float
    high: float
    """Of single rounds."""

    @property
    def good(self) -> bool:
        """Whether it is not below its floor."""
        return self.ratio >= self.floor


def market() -> list[MarketEvent]:
    """A mixed stream like that of a USD-M symbol: quotes, trades, and some changes of 60 levels."""
    found: list[MarketEvent] = []
    for number in range(EVENTS):
        tick = (number * 7919) % 23 - 11
        bid, ask = (610_000 + tick) / 10, (610_001 + tick) / 10
        at = T0 + number * 3_700_000
        stamp = at // 1_000_000 * 1_000_000
        size = (number * 104_729 % 9_000 + 1) / 1_000
        if number % 14 == 0:
            bids = _side(
                [((610_000 + tick - n * 3) / 10, (n * 37 % 500) / 1_000) for n in range(30)]
            )
            asks = _side(
                [((610_001 + tick + n * 3) / 10, (n * 41 % 500) / 1_000) for n in range(30)]
            )
            span = (number * 40, number * 40 + 39, number * 40 - 1)
            found.append(
                DepthUpdate("v", "BTC/USDT:USDT", False, *span, None, bids, asks, stamp, at)  # noqa: FBT003 - by position, as decoders do
            )
        elif number % 5 == 0:
            found.append(TradeTick("v", "BTC/USDT:USDT", str(number), ask, size, "buy", stamp, at))
        else:
            found.append(
                QuoteTick("v", "BTC/USDT:USDT", number * 40, bid, size, ask, 2 * size, stamp, at)
            )
    return found


def _side(pairs: list[tuple[float, float]]) -> Levels:
    """As a decoder gives them."""
    return levels.pairs(msgspec.Raw(msgspec.json.encode(pairs)))


def depth_frames() -> list[bytes]:
    """Changes of a USD-M book of 60 levels, as the venue writes them."""
    found = []
    for number in range(1, 200):
        sides = [
            ",".join(
                f'["{(610_000 + sign * (number % 23 + 3 * n)) / 10:.2f}","{(n * 37 + number) % 500 / 1_000:.3f}"]'
                for n in range(1, 31)
            )
            for sign in (-1, 1)
        ]
        at = T0 // 1_000_000 + 100 * number
        found.append(
            f'{{"stream":"btcusdt@depth","data":{{"e":"depthUpdate","E":{at},"T":{at - 5},"s":"BTCUSDT",'
            f'"U":{40 * number},"u":{40 * number + 39},"pu":{40 * number - 1},'
            f'"b":[{sides[0]}],"a":[{sides[1]}]}}}}'.encode()
        )
    return found


def compare(
    name: str, floor: float, slow: Callable[[], object], fast: Callable[[], object], rounds: int
) -> Ratio:
    """Measure two ways in turns."""
    spent: list[tuple[int, int]] = []
    for way in (slow, fast):
        way()  # what happens once is no part of it
    for number in range(rounds):
        times = [0, 0]
        for which in (0, 1) if number % 2 else (1, 0):
            began = time.process_time_ns()
            (slow, fast)[which]()
            times[which] = max(time.process_time_ns() - began, 1)
        spent.append((times[0], times[1]))
    single = sorted(one / other for one, other in spent)
    best = min(one for one, _ in spent) / min(other for _, other in spent)
    return Ratio(name, floor, best, single[0], single[-1])


def measure(rounds: int = ROUNDS) -> list[Ratio]:
    """Every ratio; none where the kernel is not compiled."""
    if not kernel.COMPILED or kernel.DELTAS is None:
        return []
    events = market()
    text = msgspec.json.encode([[f"{610_000 + n}.10", f"0.{n:03d}"] for n in range(500)])
    raw = msgspec.Raw(text)

    def plain() -> list[bytes]:
        return [records.encode(event) for event in events]

    def packed() -> bytes:
        writer = deltas.new_writer()
        for event in events:
            writer.add(event.recv_ns, event)
        return writer.take()

    one_by_one, frame = plain(), packed()

    def read_plain() -> list[object]:
        return [records.decode_event(each) for each in one_by_one]

    def read_packed() -> list[object]:
        return list(deltas.read_events(frame))

    def twin() -> object:
        return levels.PYTHON["pairs"](raw)  # type: ignore[operator] # readers of several kinds

    def compiled() -> object:
        return levels.pairs(raw)

    spec = venue_spec("binance-usdm")
    frames = depth_frames()
    every: Any = spec.decoder(spec.symbols())
    at_once = spec.decoder(spec.symbols())
    at_once.frame(frames[0], T0)  # so that the form of the stream is known

    def decode() -> None:
        for frame in frames:
            every.decode(frame, T0)

    def read() -> None:
        for frame in frames:
            at_once.frame(frame, T0)

    def plain_json() -> None:
        """A yardstick that is not ours: msgspec's objects of the whole frame."""
        for frame in frames:
            msgspec.json.decode(frame)

    snapshot = _side([(610_000 - n / 10, 1 + n / 1_000) for n in range(5_000)])
    pairs = list(snapshot)

    def twin_book() -> None:
        Book().replace(pairs, ())

    def compiled_book() -> None:
        kernel.Book().replace(snapshot, ())

    return [
        compare("journal: a record an event, against differences", 1.6, plain, packed, rounds),
        compare("reading it back", 1.8, read_plain, read_packed, rounds),
        compare("levels: Python, against the compiled twin", 1.4, twin, compiled, rounds),
        compare("a snapshot of 5,000 bids: the same", 1.7, twin_book, compiled_book, rounds),
        compare("frames of 60 levels: decoded, against read at once", 2.3, decode, read, rounds),
        compare(
            "the same: plain JSON objects, against read at once", 2.7, plain_json, read, rounds
        ),
        # Not a time: the same on every machine.
        Ratio(
            "bytes of the journal",
            5.0,
            *[sum(len(each) + 13 for each in one_by_one) / (len(frame) + 13)] * 3,
        ),
    ]


def main() -> int:
    """Measure, print a table, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="also write the ratios to this file")
    args = parser.parse_args()
    found = measure(args.rounds)
    if not found:
        print("not measured: the kernel is not compiled", file=sys.stderr)
        return 0
    print("| ratio | measured | floor | of single rounds |")
    print("| --- | ---: | ---: | --- |")
    for each in found:
        print(
            f"| {each.name} | {each.ratio:.2f}x | {each.floor:g}x | {each.low:.2f} to {each.high:.2f} |"
        )
    if args.json is not None:
        args.json.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n")
    below = [each.name for each in found if not each.good]
    print(f"\nbelow the floor: {', '.join(below) or 'none'}")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
