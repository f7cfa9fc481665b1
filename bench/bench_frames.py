"""Frame bytes to best bid and ask: ours against ccxt.pro's and cryptofeed's own handlers.

Every contender gets the same frames of a recorded Binance USD-M stream, chunk by chunk in turn, so
that a machine that slows down slows all of them; what is counted is processor time. Ours is
measured with all checks on, once up to the book and once through the engine; ccxt.pro is the real
client with its socket left out, from the text of the frame on.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from citadel_micro.core.config import EngineConfig, VenueConfig
from citadel_micro.core.engine import Engine
from citadel_micro.core.events import DepthUpdate, QuoteTick
from citadel_micro.core.limits import paper_defaults
from citadel_micro.core.market import MarketBook
from citadel_micro.shell.feeds.capture import read_capture
from citadel_micro.shell.feeds.spec import venue_spec
from citadel_micro.shell.instruments import infer_instruments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VENUE, SYMBOL, NATIVE = "binance-usdm", "BTC/USDT:USDT", "BTCUSDT"
CHUNK = 1_000
Frame = tuple[bytes, str, int]
"""(payload, the same as text, receive time)"""
Best = tuple[float, float]


class Contender(Protocol):
    """Takes frames, and knows the best bid and ask after each."""

    name: str

    def snapshot(self, payload: bytes, at_ns: int) -> None:
        """Take the HTTP snapshot."""

    def run(self, frames: Sequence[Frame]) -> Best | None:
        """Process frames; returns the last best bid and ask."""

    async def close(self) -> None:
        """Free what it holds."""


class OursBook:
    """Decoder and book."""

    name = "stoic-citadel, book"

    def __init__(self) -> None:
        spec = venue_spec(VENUE)
        self.decoder = spec.decoder(spec.symbols())
        self.market = MarketBook(VENUE, SYMBOL, spec.integrity)

    def snapshot(self, payload: bytes, at_ns: int) -> None:
        """See Contender."""
        for event in self.decoder.rest(NATIVE, payload, at_ns):
            if isinstance(event, DepthUpdate):
                self.market.on_depth(event)

    def run(self, frames: Sequence[Frame]) -> Best | None:
        """See Contender."""
        frame, market = self.decoder.frame, self.market
        best = None
        for data, _, at_ns in frames:
            for event in frame(data, at_ns):
                kind = type(event)
                if kind is QuoteTick:
                    market.on_quote(event)  # type: ignore[arg-type] # narrowed by kind
                elif kind is DepthUpdate:
                    market.on_depth(event)  # type: ignore[arg-type]
                else:
                    market.on_trade(event)  # type: ignore[arg-type]
            best = market.best()
        return None if best is None else (best[0], best[2])

    async def close(self) -> None:
        """It holds nothing open."""


class OursEngine:
    """Decoder, book and engine, with books published as in a run."""

    name = "stoic-citadel, engine"

    def __init__(self, capture: Path) -> None:
        spec = venue_spec(VENUE)
        self.decoder = spec.decoder(spec.symbols())
        config = EngineConfig(
            run_id="bench",
            instance="bench",
            venues={VENUE: VenueConfig(integrity=spec.integrity)},
            limits=paper_defaults(),
        )
        self.engine = Engine(config, infer_instruments(capture, VENUE, [SYMBOL]))

    def snapshot(self, payload: bytes, at_ns: int) -> None:
        """See Contender."""
        for event in self.decoder.rest(NATIVE, payload, at_ns):
            self.engine.handle(event, at_ns)  # type: ignore[arg-type] # a depth update

    def run(self, frames: Sequence[Frame]) -> Best | None:
        """See Contender."""
        frame, handle = self.decoder.frame, self.engine.handle
        market = self.engine.markets[VENUE, SYMBOL]
        best = None
        for data, _, at_ns in frames:
            for event in frame(data, at_ns):
                handle(event, at_ns)  # type: ignore[arg-type] # market events only
            best = market.best()
        return None if best is None else (best[0], best[2])

    async def close(self) -> None:
        """It holds nothing open."""


class CcxtPro:
    """ccxt.pro's binanceusdm, fed at the place where its websocket client takes a message."""

    name = "ccxt.pro"

    def __init__(self) -> None:
        import ccxt.pro  # noqa: PLC0415 - its import takes a second

        self.exchange: Any = ccxt.pro.binanceusdm()
        market = self.exchange.safe_market_structure(
            {
                "id": NATIVE,
                "symbol": SYMBOL,
                "base": "BTC",
                "quote": "USDT",
                "settle": "USDT",
                "baseId": "BTC",
                "quoteId": "USDT",
                "settleId": "USDT",
                "type": "swap",
                "swap": True,
                "spot": False,
                "contract": True,
                "linear": True,
                "inverse": False,
                "contractSize": 1.0,
                "precision": {"amount": 0.001, "price": 0.1},
            }
        )
        self.exchange.set_markets([market])
        self.client: Any = self.exchange.client("wss://fstream.binance.com/ws/0")
        self.exchange.orderbooks[SYMBOL] = self.exchange.order_book({}, 1000)

    def snapshot(self, payload: bytes, at_ns: int) -> None:  # noqa: ARG002
        """See Contender."""
        from ccxt.async_support.base.ws import client  # noqa: PLC0415

        answer = client.json_parser.loads(payload)
        timestamp = answer.get("T")
        parsed = self.exchange.parse_order_book(answer, SYMBOL, timestamp, "bids", "asks")
        parsed["nonce"] = answer["lastUpdateId"]
        book = self.exchange.orderbooks[SYMBOL]
        waiting, book.cache = book.cache, []
        book.reset(parsed)
        for message in waiting:
            if message["u"] >= parsed["nonce"]:
                self.exchange.handle_order_book_message(self.client, message, book)

    def run(self, frames: Sequence[Frame]) -> Best | None:
        """See Contender."""
        take, exchange = self.client.handle_text_or_binary_message, self.exchange
        book = exchange.orderbooks[SYMBOL]
        quotes = exchange.bidsasks
        best = None
        for _, text, _ in frames:
            take(text)
            if '"e":"bookTicker"' in text:
                quote = quotes[SYMBOL]
                best = (quote["bid"], quote["ask"])
            elif book["bids"] and book["asks"]:
                best = (book["bids"][0][0], book["asks"][0][0])
        return best

    async def close(self) -> None:
        """See Contender."""
        await self.exchange.close()


def main() -> int:
    """Measure, check that everybody ends at the same book, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="passes over the capture")
    rounds: int = parser.parse_args().rounds
    shared = Path(
        os.environ.get("CITADEL_SHARED") or Path(__file__).resolve().parents[2] / "shared"
    )
    capture = shared / "captures" / "binance-usdm-btcusdt-20240808.jsonl.gz"
    if not capture.is_file():
        print(f"bench_frames: skipped, no {capture}; set CITADEL_SHARED")
        return 0
    return asyncio.run(_measure(capture, rounds))


async def _measure(capture: Path, rounds: int) -> int:
    """Inside a loop, because ccxt's client makes futures."""
    frames = [
        (record.text.encode(), record.text, record.recv_ns)
        for _, record in read_capture(capture)
        if record.kind == "frame"
    ]
    depth = [frame for frame in frames if b"@depth" in frame[0] or b"lastUpdateId" in frame[0][:20]]
    print(f"Binance USD-M, {len(frames)} frames, {len(depth)} of them depth, {rounds} rounds\n")
    print("| frames | contender | us/frame, median | against ccxt.pro |")
    print("| --- | --- | --- | --- |")
    for title, chosen in (("mixed", frames), ("depth only", depth)):
        await _compare(title, chosen, rounds, capture)
    print("\ncryptofeed: " + ("not measured here" if _has("cryptofeed") else "not installed"))
    return 0


def _has(name: str) -> bool:
    import importlib.util  # noqa: PLC0415

    return importlib.util.find_spec(name) is not None


async def _compare(title: str, frames: list[Frame], rounds: int, capture: Path) -> None:
    makers: list[Callable[[], Contender]] = [OursBook, lambda: OursEngine(capture), CcxtPro]
    times: dict[str, list[float]] = {}
    for number in range(rounds):
        contenders = [make() for make in makers]
        chunks = _chunks(frames)
        ends: list[Best | None] = []
        gc.freeze()  # what is loaded by now is no garbage of anybody's
        for at, (before, chunk) in enumerate(chunks):
            order = contenders if (at + number) % 2 else contenders[::-1]
            ends = []
            for each in order:
                if before is not None:
                    each.snapshot(before[0], before[2])
                start = time.process_time_ns()
                end = each.run(chunk)
                spent = time.process_time_ns() - start
                ends.append(end)
                times.setdefault(each.name, []).append(spent / len(chunk) / 1_000)
        if len(set(ends)) != 1:
            sys.exit(f"bench_frames: the contenders disagree: {ends}")
        for each in contenders:
            await each.close()
    base = times[CcxtPro.name]
    for name, series in times.items():
        ratio = statistics.median(theirs / ours for theirs, ours in zip(base, series, strict=True))
        print(f"| {title} | {name} | {statistics.median(series):.2f} | {ratio:.1f}x |")


def _chunks(frames: list[Frame]) -> list[tuple[Frame | None, list[Frame]]]:
    """Chunks, each with the snapshot that comes before it."""
    chunks: list[tuple[Frame | None, list[Frame]]] = []
    before: Frame | None = None
    chunk: list[Frame] = []
    for frame in frames:
        is_snapshot = frame[0].startswith(b'{"lastUpdateId"')
        if is_snapshot or len(chunk) == CHUNK:
            if chunk:
                chunks.append((before, chunk))
            before, chunk = (frame if is_snapshot else None), []
        if not is_snapshot:
            chunk.append(frame)
    chunks.append((before, chunk))
    return chunks


if __name__ == "__main__":
    sys.exit(main())
