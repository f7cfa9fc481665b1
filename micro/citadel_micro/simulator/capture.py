"""Reads a recorded Binance spot capture into a recording that can be replayed.

A capture is a (gzipped) file of JSON lines with ``recv_ns``, ``kind`` and ``text``, in the order of
receipt. Needed per symbol: a book snapshot, and the diff. depth stream that continues it.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import msgspec
import zstandard

from citadel_micro.shell.marketdata.naming import QUOTES, split_name
from citadel_micro.sim.flow_book import Depth, Print, Quote
from citadel_micro.sim.flow_feed import DepthBatch, FeedEvent
from citadel_micro.sim.flow_replay import Recorded, Recording
from citadel_micro.sim.flow_symbols import E8, SymbolSpec
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MS_NS = 1_000_000
_REST_SYMBOL = re.compile(r"[?&]symbol=([^&]+)")
_LOOP_GAP_NS = 100_000_000
_NAMELESS = ""
"""Symbol of a snapshot that came before any message that names its symbol."""
_FUTURES = re.compile(r"(fstream|dstream|fapi|dapi)\.binance")


class _Line(msgspec.Struct):
    recv_ns: int
    kind: str
    text: str = ""
    url: str = ""


Levels = list[tuple[str, str]]


@dataclass(slots=True)
class _Raw:
    """One symbol's traffic as text, before its tick and lot are known."""

    snapshot: tuple[int, Levels, Levels] | None = None
    snapshot_line: int = 0
    depth: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)
    quotes: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)
    trades: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)
    agg_trades: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)


def _e8(value: object) -> int:
    """Read a decimal, as text or as a number of JSON, as an exact integer of 1e-8."""
    text = format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)
    whole, _, part = text.partition(".")
    if not whole.isdigit() or (part and not part.isdigit()) or len(part.rstrip("0")) > 8:  # noqa: PLR2004 - decimals
        msg = f"{text!r} is not a decimal of at most eight places"
        raise ValueError(msg)
    return int(whole) * E8 + int(part[:8].ljust(8, "0"))


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.suffix == ".zst":
        return cast(
            "IO[bytes]",
            io.BufferedReader(
                zstandard.ZstdDecompressor().stream_reader(
                    path.open("rb"), closefd=True, read_across_frames=True
                )
            ),
        )
    return path.open("rb")


def _lines(path: Path) -> Iterator[tuple[int, _Line]]:
    decoder = msgspec.json.Decoder(_Line)
    number = 0
    try:
        with _open(path) as file:
            for raw in file:
                number += 1
                try:
                    yield number, decoder.decode(raw)
                except msgspec.DecodeError as error:
                    what = f"not a capture line ({error})"
                    raise BadInput(
                        what,
                        where=f"{path} line {number}",
                        allowed='one JSON object a line with "recv_ns", "kind" and "text"',
                    ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        what = f"the file is cut off or damaged ({error})"
        raise BadInput(
            what,
            where=f"{path} after line {number}",
            mend="copy or record the capture again",
        ) from error
    except OSError as error:
        what = f"cannot be read ({error.strerror or error})"
        raise BadInput(what, where=str(path)) from error


def _sort_in(raws: dict[str, _Raw], number: int, line: _Line) -> None:
    """File one line by its symbol and kind; lines of other kinds and streams are skipped."""
    if _FUTURES.search(line.url):
        msg = "this is a futures capture; the simulator replays Binance spot"
        raise ValueError(msg)
    if line.kind not in {"frame", "rest"}:
        return
    body = msgspec.json.decode(line.text)
    if not isinstance(body, dict):
        return
    stream = body.get("stream")
    data = body.get("data", body)
    if not isinstance(data, dict):
        return
    if "pu" in data:
        msg = "this is a futures capture; the simulator replays Binance spot"
        raise ValueError(msg)
    if "lastUpdateId" in data and (stream is None or line.kind == "rest"):
        found = _REST_SYMBOL.search(line.url)
        raw = raws.setdefault(unquote(found[1]) if found else _NAMELESS, _Raw())
        if raw.snapshot is None:
            raw.snapshot = (data["lastUpdateId"], data["bids"], data["asks"])
            raw.snapshot_line = number
        return
    symbol = data.get("s")
    if not isinstance(symbol, str):
        return
    raw = raws.setdefault(symbol, _Raw())
    entry = (number, line.recv_ns, data)
    match data.get("e"):
        case "depthUpdate":
            raw.depth.append(entry)
        case "trade":
            raw.trades.append(entry)
        case "aggTrade":
            raw.agg_trades.append(entry)
        case None if "B" in data and "A" in data:
            raw.quotes.append(entry)


def _name(path: Path, raws: dict[str, _Raw]) -> None:
    """Give a snapshot that names no symbol to the only one there is."""
    nameless = raws.pop(_NAMELESS, None)
    if nameless is None:
        return
    if len(raws) != 1:
        what = f"a book snapshot without its symbol, and the capture has {len(raws)} symbols"
        raise BadInput(what, where=f"{path} line {nameless.snapshot_line}")
    (raw,) = raws.values()
    if raw.snapshot is None:
        raw.snapshot, raw.snapshot_line = nameless.snapshot, nameless.snapshot_line


def _step(decimals: list[int]) -> int:
    """Return the largest power of ten (in 1e-8) that divides every value: the tick or lot."""
    step = E8
    for value in decimals:
        while value % step:
            step //= 10
    return step


def _spec(name: str, raw: _Raw) -> SymbolSpec:
    prices: list[int] = []
    sizes: list[int] = []
    if raw.snapshot is not None:
        for price, size in raw.snapshot[1] + raw.snapshot[2]:
            prices.append(_e8(price))
            sizes.append(_e8(size))
    for _, _, data in raw.depth:
        for price, size in data["b"] + data["a"]:
            prices.append(_e8(price))
            sizes.append(_e8(size))
    for _, _, data in raw.trades + raw.agg_trades:
        prices.append(_e8(data["p"]))
        sizes.append(_e8(data["q"]))
    for _, _, data in raw.quotes:
        prices += (_e8(data["b"]), _e8(data["a"]))
        sizes += (_e8(data["B"]), _e8(data["A"]))
    pair = split_name(name)
    if pair is None:
        msg = f"symbol {name} ends in none of the known quote currencies ({', '.join(QUOTES)})"
        raise ValueError(msg)
    base, quote = pair
    # The captured market's own minimum is not in the capture: 5 units of a dollar-like quote.
    minimum = 5 * E8 if "USD" in quote or quote == "EUR" else E8 // 10_000
    return SymbolSpec(
        base=base,
        quote=quote,
        tick_e8=_step(prices),
        lot_e8=_step(sizes),
        min_notional_e8=minimum,
    )


class _Convert:
    """Turns one symbol's texts into ticks and lots."""

    def __init__(self, spec: SymbolSpec) -> None:
        self.spec = spec

    def levels(self, levels: Levels) -> tuple[tuple[int, int], ...]:
        return tuple((self.ticks(price), self.lots(size)) for price, size in levels)

    def ticks(self, text: str) -> int:
        return _e8(text) // self.spec.tick_e8

    def lots(self, text: str) -> int:
        return _e8(text) // self.spec.lot_e8

    def depth(self, data: dict[str, Any], last: int) -> DepthBatch:
        first_id, last_id = int(data["U"]), int(data["u"])
        if not first_id <= last + 1 <= last_id:
            msg = f"depth of {self.spec.venue_symbol} jumps: {last} is followed by {first_id}"
            raise ValueError(msg)
        # A first event that begins before the snapshot is cut to where the snapshot ends.
        return DepthBatch(
            int(data["E"]) * _MS_NS, self.spec.symbol, last + 1, last_id,
            self.levels(data["b"]), self.levels(data["a"]),
        )  # fmt: skip

    def quote(self, recv_ns: int, data: dict[str, Any]) -> Quote:
        return Quote(
            recv_ns, self.spec.symbol, int(data["u"]), self.ticks(data["b"]), self.lots(data["B"]),
            self.ticks(data["a"]), self.lots(data["A"]),
        )  # fmt: skip

    def trade(self, data: dict[str, Any]) -> Print:
        number = data["t"] if "t" in data else data["a"]
        return Print(
            int(data["T"]) * _MS_NS, self.spec.symbol, int(number), self.ticks(data["p"]),
            self.lots(data["q"]), bool(data["m"]),
        )  # fmt: skip


def _events(path: Path, raw: _Raw, spec: SymbolSpec) -> tuple[Depth, list[tuple[int, FeedEvent]]]:
    """Return the opening book and (receive time, event with its own exchange time)."""
    convert = _Convert(spec)
    if raw.snapshot is None:
        msg = "no snapshot"
        raise BadInput(msg, where=f"{path} {spec.venue_symbol}")
    last, bids, asks = raw.snapshot
    opening = Depth(last, convert.levels(bids), convert.levels(asks))
    if not opening.bids or not opening.asks:
        what = "the snapshot has an empty side"
        raise BadInput(what, where=f"{path} line {raw.snapshot_line}")
    if max(opening.bids)[0] >= min(opening.asks)[0]:
        what = "the snapshot is crossed"
        raise BadInput(what, where=f"{path} line {raw.snapshot_line}")
    out: list[tuple[int, FeedEvent]] = []
    start_ns = 0
    line = 0
    try:
        for number, recv_ns, data in raw.depth:
            line = number
            if int(data["u"]) <= last:
                start_ns = recv_ns  # the snapshot's book is newer than this
                continue
            batch = convert.depth(data, last)
            last = batch.last_id
            out.append((recv_ns, batch))
        for number, recv_ns, data in raw.quotes:
            line = number
            if recv_ns > start_ns and int(data["u"]) > opening.last_update_id:
                out.append((recv_ns, convert.quote(recv_ns, data)))
        for number, recv_ns, data in raw.trades or raw.agg_trades:
            line = number
            if recv_ns > start_ns:
                out.append((recv_ns, convert.trade(data)))
    except (KeyError, TypeError, ValueError) as error:
        what = f"cannot be replayed ({error})"
        raise BadInput(what, where=f"{path} line {line}") from error
    return opening, out


def load_recording(path: Path) -> Recording:
    """Read a capture.

    Raises:
        BadInput: with the line, when the file is not a Binance spot capture, is cut off, holds no
            symbol with both snapshot and depth stream, or its depth ids have a gap.
    """
    raws: dict[str, _Raw] = {}
    for number, line in _lines(path):
        try:
            _sort_in(raws, number, line)
        except (KeyError, TypeError, ValueError, RecursionError, msgspec.DecodeError) as error:
            what = f"cannot be replayed ({error})"
            raise BadInput(what, where=f"{path} line {number}") from error
    _name(path, raws)
    specs: dict[str, SymbolSpec] = {}
    books: dict[str, Depth] = {}
    found: list[tuple[int, FeedEvent]] = []
    for name, raw in raws.items():
        if raw.snapshot is None or not raw.depth:
            continue
        try:
            spec = _spec(name, raw)
        except (KeyError, TypeError, ValueError) as error:
            what = f"cannot be replayed ({error})"
            raise BadInput(what, where=f"{path} symbol {name}") from error
        specs[spec.symbol] = spec
        books[spec.symbol], events = _events(path, raw, spec)
        found += events
    if not found:
        what = "no symbol has a book snapshot and a depth stream that goes on from it"
        raise BadInput(what, where=str(path), allowed="a Binance spot capture with @depth@100ms")
    found.sort(key=lambda item: item[0])
    start = found[0][0]
    # The recorder's clock and the exchange's differ. The fastest message is assumed to have
    # taken no time, so that no event is sent before it happened.
    lead = max(
        (event.time_ns - recv_ns for recv_ns, event in found if not isinstance(event, Quote)),
        default=0,
    )
    events_out = []
    for recv_ns, event in found:
        own = event.time_ns if isinstance(event, Quote) else event.time_ns - lead
        events_out.append(Recorded(recv_ns - start, replace(event, time_ns=own - start)))
    return Recording(specs, books, tuple(events_out), found[-1][0] - start + _LOOP_GAP_NS)
