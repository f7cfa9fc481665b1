"""``citadel books``: the books of a capture, rebuilt as the feed would have built them.

Faults are handled as in the live feed: an unreadable frame invalidates the
books that it names, or all of its connection; a gap in a connection's numbers invalidates all of it.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, TradeTick
from citadel_micro.shell.capture.offline import REOPENED, CaptureDecoder
from citadel_micro.shell.marketdata.decode import Control, is_beside, mentioned
from citadel_micro.shell.marketdata.spec import VenueSpec, venue_spec
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.core.marketdata.book import Book, Level
    from citadel_micro.shell.capture.offline import Decoded

TOP: Final = 20
MAX_ERRORS: Final = 1_000
"""Errors listed; more are counted only."""

TraceRow = list[Any]
"""[n, sequence, crc32 of the top]"""


def plain(value: float) -> str:
    """Shortest decimal text that means the same float, without exponent or trailing zeros."""
    text = repr(value)
    if "e" in text or "E" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def top_crc(book: Book) -> int:
    """CRC32 of the best 20 levels as ``b<size>@<price>;...|a<size>@<price>;...``."""
    bids, asks = book.top(TOP)
    text = "|".join(
        ";".join(f"{letter}{plain(size)}@{plain(price)}" for price, size in levels)
        for letter, levels in (("b", bids), ("a", asks))
    )
    return zlib.crc32(text.encode())


class TracedBook(MarketBook):
    """A book that records its top every so many applied updates."""

    __slots__ = ("_every", "_spec", "applied", "trace")

    def __init__(self, spec: VenueSpec, symbol: str, every: int) -> None:
        super().__init__(spec.venue, symbol, spec.integrity)
        self._spec = spec
        self._every = every
        self.applied = 0
        self.trace: list[TraceRow] = []

    def shown_seq(self) -> int | str | None:
        """Last sequence as the venue has it: a number, its time, or nothing."""
        if self._spec.sequence == "time" and self.exchange_ns:
            moment = datetime.fromtimestamp(self.exchange_ns // 10**9, UTC)
            micros = self.exchange_ns % 10**9 // 1_000
            return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros:06d}Z"
        return self.last_seq if self.last_seq >= 0 else None

    def _apply(self, update: DepthUpdate) -> int:
        change = super()._apply(update)
        self._count()
        return change

    def _on_snapshot(self, update: DepthUpdate) -> int:
        if self._spec.snapshot_counts:
            self.applied += 1
        return super()._on_snapshot(update)

    def _count(self) -> None:
        self.applied += 1
        if self._every and self.applied % self._every == 0:
            self.trace.append([self.applied, self.shown_seq(), top_crc(self.book)])


@dataclass(slots=True)
class Rebuilt:
    """Books of one capture."""

    spec: VenueSpec
    every: int = 0
    books: dict[str, TracedBook] = field(default_factory=dict)
    """By venue symbol."""
    frames: int = 0
    trades: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    error_count: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain data, as ``citadel books --json`` prints it."""
        return {
            "venue": self.spec.venue,
            "symbols": {native: self._one(book) for native, book in sorted(self.books.items())},
            "frames": self.frames,
            "trades": self.trades,
            "errors": self.errors,
        }

    def _one(self, market: TracedBook) -> dict[str, Any]:
        bids, asks = market.book.top(TOP)
        passed, failed = market.checksums
        one: dict[str, Any] = {
            "unified": market.symbol,
            "state": market.state,
            "reason": market.reason,
            "last_seq": market.shown_seq(),
            "levels": [market.book.bid_count, market.book.ask_count],
            "top20": {"bids": _texts(bids), "asks": _texts(asks)},
            "deltas": market.deltas,
            "gaps": market.gaps,
            "resyncs": market.resyncs,
            "checksums": {"ok": passed, "failed": failed},
        }
        if self.every:
            one["trace"] = market.trace
        return one

    def note(self, line: int, error: str) -> None:
        """Record the error of a line."""
        self.error_count += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append({"line": line, "error": error})


def _texts(levels: list[Level]) -> list[list[str]]:
    return [[plain(price), plain(size)] for price, size in levels]


def rebuild(capture: Path, venue: str, every: int = 0) -> tuple[Rebuilt, BadInput | None]:
    """Rebuild all books of a capture.

    Args:
        capture: the file.
        venue: venue id.
        every: record the top of each book every so many applied updates; 0 for never.

    Returns:
        The books, and why the file ended early if it did; everything before that is in the books.

    Raises:
        BadInput: unknown venue, or a file that is no capture of it at all.
    """
    rebuilder = Rebuilder(venue, every)
    try:
        for decoded in rebuilder.decoder.decode(capture):
            rebuilder.take(decoded)
    except BadInput as error:
        if not rebuilder.rebuilt.books:
            raise
        rebuilder.rebuilt.note(rebuilder.line + 1, str(error))
        return rebuilder.rebuilt, error
    rebuilt = rebuilder.rebuilt
    if rebuilt.errors and not any(book.state == "LIVE" for book in rebuilt.books.values()):
        first = rebuilt.errors[0]
        return rebuilt, BadInput(
            f"no book in it could be built by the rules of {venue}; first error at line "
            f"{first['line']}: {first['error']}",
            where=str(capture),
            mend="give the venue that it was captured from with --venue",
        )
    return rebuilt, None


class Rebuilder:
    """Takes decoded lines one after the other; ``rebuilt`` is the result so far."""

    def __init__(self, venue: str, every: int) -> None:
        self.rebuilt = Rebuilt(venue_spec(venue), every)
        self.decoder = CaptureDecoder(self.rebuilt.spec)
        self.line = 0
        self.by_symbol: dict[str, TracedBook] = {}
        self._of_connection: dict[int, dict[str, TracedBook]] = {}
        self._carrier: dict[str, int] = {}
        """The connection of each unified symbol's last book message."""
        self._brought: dict[int, bool] = {}
        """Whether a connection has carried books itself, and not only HTTP snapshots."""

    def take(self, decoded: Decoded) -> None:
        """Take the next line."""
        self.line = decoded.line
        rebuilt = self.rebuilt
        if decoded.is_frame:
            rebuilt.frames += 1
        elif decoded.opened and self._brought.get(decoded.conn):
            self._void(decoded, REOPENED)
        if decoded.error:
            rebuilt.note(decoded.line, decoded.error)
            if not is_beside(decoded.data, rebuilt.spec.beside):
                self._void(decoded, decoded.error)
        for event in decoded.events:
            if isinstance(event, DepthUpdate):
                self._book(event, decoded).on_depth(event)
            elif isinstance(event, TradeTick):
                rebuilt.trades += 1
            elif isinstance(event, Control) and event.kind == "lost":
                rebuilt.note(decoded.line, event.text)
                self._void(decoded, event.text)

    def replace(self, symbol: str, book: TracedBook) -> None:
        """Replace this unified symbol's book."""
        old = self.by_symbol[symbol]
        self.by_symbol[symbol] = book
        for books in (self.rebuilt.books, *self._of_connection.values()):
            for native, each in books.items():
                if each is old:
                    books[native] = book

    def _book(self, update: DepthUpdate, decoded: Decoded) -> TracedBook:
        symbol, conn = update.symbol, decoded.conn
        book = self.by_symbol.get(symbol)
        if book is None:
            book = TracedBook(self.rebuilt.spec, symbol, self.rebuilt.every)
            native = self._native(symbol)
            self.by_symbol[symbol] = self.rebuilt.books[native] = book
            self._of_connection.setdefault(conn, {})[native] = book
            self._carrier[symbol] = conn
        if decoded.is_frame:
            self._brought[conn] = True
            if self._carrier[symbol] != conn:
                native = self._native(symbol)
                self._of_connection[self._carrier[symbol]].pop(native)
                self._of_connection.setdefault(conn, {})[native] = book
                self._carrier[symbol] = conn
        return book

    def _native(self, symbol: str) -> str:
        symbols = self.decoder.symbols.items()
        return next(native for native, unified in symbols if unified == symbol)

    def _void(self, decoded: Decoded, reason: str) -> None:
        """As a live connection: the named books resynchronize, or all of the connection."""
        books = self._of_connection.get(decoded.conn, {})
        named = mentioned(decoded.data, books) if decoded.error else []
        for native in named or list(books):
            book = books[native]
            status = FeedStatus(
                venue=book.venue, symbol=book.symbol, up=False, reason=reason, refused=False
            )
            book.on_status(status)


def dumps(rebuilt: Rebuilt) -> str:
    """One line of JSON."""
    return json.dumps(rebuilt.to_json(), separators=(",", ":"))
