"""The events of a capture, as the feed would have given them, without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from citadel_micro.core.events import TradeTick
from citadel_micro.shell.feeds.capture import read_capture
from citadel_micro.shell.feeds.decode import MARKET_TYPES
from citadel_micro.shell.feeds.news import TradeNews
from citadel_micro.shell.feeds.spec import venue_spec
from citadel_proto.errors import BadInput, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from citadel_micro.shell.feeds.capture import Record
    from citadel_micro.shell.feeds.decode import Decoder, FeedEvent, Symbols
    from citadel_micro.shell.feeds.spec import VenueSpec

RECOGNISED_WITHIN = 2_000
"""A capture of which none of the first frames can be decoded is of another venue."""


class Decoded(NamedTuple):
    """What one line of a capture came to."""

    line: int
    recv_ns: int
    conn: int
    is_frame: bool
    """False for opened connections, requests and HTTP answers."""
    events: Sequence[FeedEvent]
    error: str
    """Empty, or why the line could not be decoded."""
    data: bytes
    """What could not be decoded; empty otherwise."""


class CaptureDecoder:
    """Decodes the lines of one capture of one venue; one decoder a connection, as in life."""

    def __init__(self, spec: VenueSpec, symbols: Symbols | None = None) -> None:
        self.spec = spec
        self.symbols: Symbols = spec.symbols() if symbols is None else symbols
        self._decoders: dict[int, Decoder] = {}
        self._news = TradeNews(unmarked=spec.unmarked_history)
        self._began_ns: dict[int, int] = {}
        self._early_snapshot = b""
        """Came before anything that says of which symbol it is."""

    def decode(self, path: Path) -> Iterator[Decoded]:
        """Each line decoded. Raises BadInput for a file that is no capture of this venue."""
        understood = False
        frames = errors = 0
        first_error = ""
        for line, record in read_capture(path):
            decoded = self._line(line, record)
            frames += decoded.is_frame
            if decoded.error:
                errors += 1
                first_error = first_error or f"line {line}: {decoded.error}"
            understood = understood or bool(decoded.events)
            if not understood and errors and frames >= RECOGNISED_WITHIN:
                break
            yield self._told(decoded)
        if not understood:
            raise BadInput(
                f"nothing in it is of {self.spec.venue}"
                + (f"; first error at {first_error}" if first_error else ""),
                where=str(path),
                mend="give the venue that it was captured from with --venue",
            )

    def line(self, line: int, record: Record) -> Decoded:
        """One line decoded. Never raises: what is wrong with it is in ``error``."""
        return self._told(self._line(line, record))

    def _told(self, decoded: Decoded) -> Decoded:
        """Without the trades that a live feed would not pass on."""
        began_ns = self._began_ns.get(decoded.conn, 0)
        take = self._news.take
        if any(type(event) is TradeTick for event in decoded.events):
            told = [
                event
                for event in decoded.events
                if not isinstance(event, TradeTick) or take(event, began_ns)
            ]
            return decoded._replace(events=told)
        return decoded

    def _line(self, line: int, record: Record) -> Decoded:
        conn = record.conn or 0
        if record.kind == "open" or conn not in self._began_ns:
            self._began_ns[conn] = record.recv_ns
        data = record.text.encode()
        is_frame = record.kind == "frame"
        events: Sequence[FeedEvent] = ()
        try:
            if is_frame:
                events = self._frame(conn, data, record.recv_ns)
            elif record.kind == "rest":
                symbol = self.spec.snapshot_symbol(record.url)
                if symbol is not None:
                    events = self._decoder(conn).rest(symbol, data, record.recv_ns)
            elif record.kind == "open":
                self._decoders.pop(conn, None)
        except VenueViolation as error:
            return Decoded(line, record.recv_ns, conn, is_frame, (), str(error), data)
        return Decoded(line, record.recv_ns, conn, is_frame, events, "", b"")

    def _decoder(self, conn: int) -> Decoder:
        decoder = self._decoders.get(conn)
        if decoder is None:
            decoder = self._decoders[conn] = self.spec.decoder(self.symbols)
        return decoder

    def _frame(self, conn: int, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        decoder = self._decoder(conn)
        if data.startswith(b'{"lastUpdateId"') and self.spec.snapshot is not None:
            # Some recordings hold the HTTP snapshot as a frame; it is of the file's only symbol.
            if not self.symbols:
                self._early_snapshot = data
                return ()
            return decoder.rest(self._only_symbol(), data, recv_ns)
        events = decoder.frame(data, recv_ns)
        if self._early_snapshot and self.symbols:
            data, self._early_snapshot = self._early_snapshot, b""
            return [*decoder.rest(self._only_symbol(), data, recv_ns), *events]
        return events

    def _only_symbol(self) -> str:
        if len(self.symbols) != 1:
            raise VenueViolation("a snapshot that does not say of which symbol")
        return next(iter(self.symbols))


def capture_events(
    path: Path, venue: str, symbol: str | None = None
) -> Iterator[tuple[int, Sequence[FeedEvent]]]:
    """(receive time, market events) of each frame and snapshot, for one unified symbol or all.

    Frames without a market event are yielded with none, so that they can be counted. Raises
    BadInput as ``CaptureDecoder.decode`` does.
    """
    for decoded in CaptureDecoder(venue_spec(venue)).decode(path):
        if not decoded.is_frame and not decoded.events:
            continue
        events = decoded.events
        yield (
            decoded.recv_ns,
            [
                event
                for event in events
                if type(event) in MARKET_TYPES and (symbol is None or event.symbol == symbol)
            ],
        )
