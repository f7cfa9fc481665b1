"""Frame bytes to best bid and ask: ours, ccxt.pro's and cryptofeed's own handlers, side by side.

Each is fed at the place where its websocket client hands over a message, and is asked for the best
bid and ask after each frame, as somebody who trades on them would be told.
"""

from __future__ import annotations

import importlib.util
import logging
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.config import EngineConfig, VenueConfig
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.shell.capture.frames import read_capture
from citadel_micro.shell.instruments.capture import infer_instruments
from citadel_micro.shell.marketdata.decode import Control
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Frame(NamedTuple):
    """One message, in the forms that the contenders' clients give it."""

    data: bytes
    text: str
    recv_ns: int

    @property
    def is_snapshot(self) -> bool:
        """The answer of the venue's HTTP interface, which some captures hold as a frame."""
        return self.data.startswith(b'{"lastUpdateId"')


Tops = dict[str, tuple[float, float]]
"""Venue symbol to its best bid and ask."""


class Contender(Protocol):
    """Takes frames of one venue, and knows the best bid and ask of each symbol."""

    name: str

    def snapshot(self, frame: Frame) -> None:
        """Take the HTTP snapshot."""

    def given(self, frames: Sequence[Frame]) -> Any:  # noqa: ANN401 - its own kind
        """The frames as its websocket client hands them over, each just made: this is not measured."""

    def run(self, given: Any, /) -> None:  # noqa: ANN401
        """Process them."""

    def tops(self) -> Tops:
        """Best prices as of the books."""

    async def close(self) -> None:
        """Free what it holds."""


def frames_of(path: Path) -> list[Frame]:
    """All messages of a capture."""
    return [
        Frame(record.text.encode(), record.text, record.recv_ns)
        for _, record in read_capture(path)
        if record.kind == "frame"
    ]


def _received(frames: Sequence[Frame]) -> list[tuple[bytes, int]]:
    return [(frame.text.encode(), frame.recv_ns) for frame in frames]


def installed(name: str) -> bool:
    """Whether this peer can be measured here."""
    return importlib.util.find_spec(name) is not None


class Ours:
    """Decoder and books, with every check that the venue permits."""

    name = "stoic-citadel"

    def __init__(self, venue: str, natives: Sequence[str]) -> None:
        self.spec = venue_spec(venue)
        self.symbols = self.spec.symbols()
        # A connection knows what it has subscribed.
        self.symbols.update({native: self.spec.unify(native) for native in natives})
        self.decoder = self.spec.decoder(self.symbols)
        self.natives = list(natives)
        self.markets = {
            self.symbols[native]: MarketBook(venue, self.symbols[native], self.spec.integrity)
            for native in natives
        }
        self.best: object = None

    def snapshot(self, frame: Frame) -> None:
        for event in self.decoder.rest(self.natives[0], frame.data, frame.recv_ns):
            self.markets[event.symbol].on_depth(event)  # type: ignore[arg-type]

    def given(self, frames: Sequence[Frame]) -> list[tuple[bytes, int]]:
        return _received(frames)

    def run(self, given: list[tuple[bytes, int]]) -> None:
        decode, markets = self.decoder.frame, self.markets
        for data, at_ns in given:
            for event in decode(data, at_ns):
                kind = type(event)
                if kind is Control:
                    continue
                market = markets[event.symbol]
                if kind is DepthUpdate:
                    market.on_depth(event)  # type: ignore[arg-type] # narrowed by kind
                    self.best = market.best()
                elif kind is QuoteTick:
                    market.on_quote(event)  # type: ignore[arg-type]
                    self.best = market.best()
                elif kind is TradeTick:
                    market.on_trade(event)  # type: ignore[arg-type]

    def tops(self) -> Tops:
        tops = {}
        for native in self.natives:
            market = self.markets[self.symbols[native]]
            bid, ask = market.book.best_bid(), market.book.best_ask()
            if bid and ask and market.state == "LIVE":
                tops[native] = (bid[0], ask[0])
        return tops

    async def close(self) -> None:
        """It holds nothing open."""


class OursEngine:
    """Decoder, books and the engine around them, with books published as in a run."""

    name = "stoic-citadel, engine"

    def __init__(self, venue: str, natives: Sequence[str], capture: Path) -> None:
        spec = venue_spec(venue)
        self.symbols = spec.symbols()
        self.decoder = spec.decoder(self.symbols)
        self.natives = list(natives)
        self.keys = {native: (venue, self.symbols[native]) for native in natives}
        config = EngineConfig(
            run_id="bench",
            instance="bench",
            venues={venue: VenueConfig(integrity=spec.integrity)},
            limits=paper_defaults(),
        )
        names = [symbol for _, symbol in self.keys.values()]
        self.engine = Engine(config, infer_instruments(capture, venue, names))
        self.best: object = None

    def snapshot(self, frame: Frame) -> None:
        for event in self.decoder.rest(self.natives[0], frame.data, frame.recv_ns):
            self.engine.handle(event, frame.recv_ns)  # type: ignore[arg-type] # market events only

    def given(self, frames: Sequence[Frame]) -> list[tuple[bytes, int]]:
        return _received(frames)

    def run(self, given: list[tuple[bytes, int]]) -> None:
        decode, handle = self.decoder.frame, self.engine.handle
        market = self.engine.markets[self.keys[self.natives[0]]]
        for data, at_ns in given:
            for event in decode(data, at_ns):
                handle(event, at_ns)  # type: ignore[arg-type] # market events only
            self.best = market.best()

    def tops(self) -> Tops:
        tops = {}
        for native, key in self.keys.items():
            best = self.engine.markets[key].book.best()
            if best is not None:
                tops[native] = (best[0], best[2])
        return tops

    async def close(self) -> None:
        """It holds nothing open."""


class CcxtPro:
    """ccxt.pro's client of a venue, fed where its websocket client takes a message."""

    name = "ccxt.pro"
    EXCHANGES: ClassVar = {
        "binance-usdm": ("binanceusdm", "depth"),
        "okx": ("okx", "books:{}"),
        "kraken-spot": ("kraken", "orderbook:{}"),
        "coinbase-advanced": ("coinbase", "level2::{}"),
    }

    def __init__(self, venue: str, natives: Sequence[str]) -> None:
        import ccxt.pro  # noqa: PLC0415 - its import takes a second

        name, subscription = self.EXCHANGES[venue]
        self.exchange: Any = getattr(ccxt.pro, name)()
        unify = venue_spec(venue).unify
        self.natives = {native: unify(native) for native in natives}
        markets = [self._market(native, symbol) for native, symbol in self.natives.items()]
        self.exchange.set_markets(markets)
        self.client: Any = self.exchange.client("wss://localhost/ws/0")
        for symbol in self.natives.values():
            self.client.subscriptions[subscription.format(symbol)] = True
        if venue == "binance-usdm":
            for symbol in self.natives.values():
                self.exchange.orderbooks[symbol] = self.exchange.order_book({}, 1000)
        self.best: object = None

    def _market(self, native: str, symbol: str) -> dict[str, Any]:
        main, _, settle = symbol.partition(":")
        base, _, quote = main.partition("/")
        settle, _, expiry = settle.partition("-")
        future = bool(expiry)
        market: dict[str, Any] = self.exchange.safe_market_structure(
            {
                "id": native,
                "symbol": symbol,
                "base": base,
                "quote": quote,
                "settle": settle or None,
                "baseId": base,
                "quoteId": quote,
                "settleId": settle or None,
                "type": "future" if future else "swap" if settle else "spot",
                "spot": not settle,
                "swap": bool(settle) and not future,
                "future": future,
                "contract": bool(settle),
                "linear": settle == quote,
                "inverse": settle == base,
                "contractSize": 1.0,
                "precision": {"amount": 1e-8, "price": 1e-8},
            }
        )
        return market

    def snapshot(self, frame: Frame) -> None:
        from ccxt.async_support.base.ws import client  # noqa: PLC0415

        answer = client.json_parser.loads(frame.data)
        (symbol,) = self.natives.values()
        parsed = self.exchange.parse_order_book(answer, symbol, answer.get("T"), "bids", "asks")
        parsed["nonce"] = answer["lastUpdateId"]
        book = self.exchange.orderbooks[symbol]
        waiting, book.cache = book.cache, []
        book.reset(parsed)
        for message in waiting:
            if message["u"] >= parsed["nonce"]:
                self.exchange.handle_order_book_message(self.client, message, book)

    def given(self, frames: Sequence[Frame]) -> list[str]:
        return [frame.data.decode() for frame in frames]

    def run(self, given: list[str]) -> None:
        take, books = self.client.handle_text_or_binary_message, self.exchange.orderbooks
        quotes, best = self.exchange.bidsasks, None
        single = next(iter(self.natives.values())) if len(self.natives) == 1 else ""
        for text in given:
            take(text)
            if single:
                # Where there is but one book it can be read as soon as it may have changed.
                if '"e":"bookTicker"' in text:
                    quote = quotes[single]
                    best = (quote["bid"], quote["ask"])
                else:
                    book = books[single]
                    if book["bids"] and book["asks"]:
                        best = (book["bids"][0][0], book["asks"][0][0])
        self.best = best

    def tops(self) -> Tops:
        tops = {}
        for native, symbol in self.natives.items():
            book = self.exchange.orderbooks.get(symbol)
            if book and book["bids"] and book["asks"]:
                tops[native] = (book["bids"][0][0], book["asks"][0][0])
        return tops

    async def close(self) -> None:
        await self.exchange.close()


class Cryptofeed:
    """cryptofeed's exchange classes, fed at ``message_handler``, with book and ticker callbacks.

    Its book sorts itself when it is read after a new price, so that reading the best bid and ask
    at every update is its largest cost on a deep book. ``read_best`` says whether the callback does;
    without, it is told of each update and never learns the best prices.
    """

    name = "cryptofeed"
    read_best = True
    validates = True

    def __init__(self, venue: str, natives: Sequence[str], *, checksums: bool) -> None:
        from cryptofeed import exchanges  # noqa: PLC0415
        from cryptofeed.defines import L2_BOOK, TICKER, TRADES  # noqa: PLC0415
        from cryptofeed.symbols import Symbols  # noqa: PLC0415

        logging.getLogger("feedhandler").disabled = True  # what it skips costs it no log line
        name = {
            "binance-usdm": "BinanceFutures",
            "okx": "OKX",
            "kraken-v1": "Kraken",
            "coinbase-advanced": "Coinbase",
        }[venue]
        kind: Any = getattr(exchanges, name)
        Symbols.set(kind.id, {native: native for native in natives}, {"instrument_type": {}})
        self.natives = list(natives)
        self.best: object = None
        self.feed: Any = kind(
            symbols=self.natives,
            channels=[L2_BOOK, TRADES, TICKER] if venue != "coinbase-advanced" else [L2_BOOK],
            callbacks={L2_BOOK: self._on_book, TICKER: self._on_ticker, TRADES: self._on_trade},
            checksum_validation=self.validates and checksums,
        )
        if venue == "binance-usdm":
            self.feed._reset()  # noqa: SLF001 - what its connection does on connecting
            self.feed.last_update_id = {}
            self.feed.http_conn = self
        self._answer = ""

    async def _on_book(self, book: Any, _at: float) -> None:  # noqa: ANN401
        levels = book.book
        if self.read_best and len(levels.bids) and len(levels.asks):
            self.best = (levels.bids.index(0)[0], levels.asks.index(0)[0])

    async def _on_ticker(self, ticker: Any, _at: float) -> None:  # noqa: ANN401
        self.best = (ticker.bid, ticker.ask)

    async def _on_trade(self, trade: Any, _at: float) -> None:  # noqa: ANN401
        pass

    async def read(self, _address: str) -> str:
        """Stands where its HTTP connection would."""
        return self._answer

    def prime(self, answer: str) -> None:
        """Give the HTTP snapshot that it asks for at the first update, ahead of the stream."""
        self._answer = answer

    def snapshot(self, frame: Frame) -> None:
        """It has it since its first update."""

    def given(self, frames: Sequence[Frame]) -> list[tuple[str, float]]:
        return [(frame.data.decode(), frame.recv_ns / 1e9) for frame in frames]

    def run(self, given: list[tuple[str, float]]) -> None:
        handle = self.feed.message_handler
        for text, at_s in given:
            _drive(handle(text, None, at_s))

    def tops(self) -> Tops:
        tops = {}
        for native, book in self.feed._l2_book.items():  # noqa: SLF001
            levels = book.book
            if len(levels.bids) and len(levels.asks):
                tops[native] = (float(levels.bids.index(0)[0]), float(levels.asks.index(0)[0]))
        return tops

    async def close(self) -> None:
        """It opened nothing."""


class CryptofeedUnread(Cryptofeed):
    """The same, told of updates only: no checksum is verified and no best price is read."""

    name = "cryptofeed, unverified and unread"
    read_best = False
    validates = False


def _drive(coroutine: Any) -> None:  # noqa: ANN401 - any coroutine that waits for nothing
    """Run a coroutine that never waits: cheaper than a task, to the peer's advantage."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("the peer waits for something")
