"""The events of a capture, as the feed would have emitted them, without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from citadel_micro.core.marketdata.streams import WHOLE_VENUE
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, StreamProof, TradeTick
from citadel_micro.shell.capture.compact import compact_lines, is_compact
from citadel_micro.shell.capture.frames import read_capture
from citadel_micro.shell.capture.origin import Origin
from citadel_micro.shell.marketdata.decode import Control, is_beside, make, mentioned
from citadel_micro.shell.marketdata.spec import broken_venue, venue_spec
from citadel_micro.shell.marketdata.trade_filter import TradeNews
from citadel_proto.errors import CitadelError, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from citadel_micro.core.model.events import MarketEvent
    from citadel_micro.shell.capture.frames import Record
    from citadel_micro.shell.marketdata.decode import Decoder, FeedEvent, Symbols
    from citadel_micro.shell.marketdata.spec import VenueSpec

PULSE_NS = 1_000_000_000
"""How often a recorded connection proves that it is alive: about as often as a live one is pinged."""
LONGEST_NS = 86_400_000_000_000
"""No venue keeps a connection for longer: a longer silence is a gap of the capture, or a wrong time."""
REOPENED = "the connection was opened anew"
_SNAPSHOT = b'{"lastUpdateId"'
RECOGNISED_WITHIN = 2_000
"""A capture of which none of the first frames can be decoded is of another venue."""


class Decoded(NamedTuple):
    """The result of decoding one line of a capture."""

    line: int
    recv_ns: int
    conn: int
    is_frame: bool
    """False for opened connections, requests and HTTP answers."""
    events: Sequence[FeedEvent]
    error: str
    """Empty, or why the line could not be decoded."""
    data: bytes
    """The undecodable bytes; empty otherwise."""
    opened: bool = False
    """The connection was opened: whatever was on it before has ended at an unknown time."""


class CaptureDecoder:
    """Decodes the lines of one capture of one venue; one decoder per connection, as live.

    Args:
        spec: the venue.
        symbols: its names, by default by its rule.
        judged: the receiver of the trades detects repeated ones itself, as a ``MarketBook`` does, so
            that only history that the venue does not mark is withheld here.
        whole: withhold nothing.
    """

    def __init__(
        self,
        spec: VenueSpec,
        symbols: Symbols | None = None,
        *,
        judged: bool = False,
        whole: bool = False,
    ) -> None:
        self.spec = spec
        self.symbols: Symbols = spec.symbols() if symbols is None else symbols
        self._decoders: dict[int, Decoder] = {}
        self._news = TradeNews(unmarked=spec.unmarked_history)
        self._judges = not whole and (spec.unmarked_history or not judged)
        self._began_ns: dict[int, int] = {}
        self._early_snapshot = b""
        """It came before any message that names its symbol."""

    def decode(self, path: Path) -> Iterator[Decoded]:
        """Each line decoded. Raises BadInput for a file that is no capture of this venue."""
        origin = Origin(self.spec, str(path))
        frames = 0
        for url, decoded in self._lines(path):
            if url:
                origin.address(url)
            if not origin.settled:
                frames += decoded.is_frame
                if decoded.error and not origin.first_error:
                    origin.first_error = f"line {decoded.line}: {decoded.error}"
                origin.take(decoded.events)
                if not origin.understood and origin.first_error and frames >= RECOGNISED_WITHIN:
                    break
            yield decoded
        origin.judge()

    def _lines(self, path: Path) -> Iterator[tuple[str, Decoded]]:
        """Each line and the address in it, of either kind of capture."""
        if is_compact(path):
            for number, each in enumerate(compact_lines(path, self.spec, self.symbols), 1):
                conn = each.conn
                if each.opened or conn not in self._began_ns:
                    self._began_ns[conn] = each.recv_ns
                events = self._heard(each.events, conn) if self._judges else each.events
                fields = (number, each.recv_ns, conn, each.is_frame, events, each.error, each.data)
                yield each.url, Decoded(*fields, each.opened)
            return
        for number, record in read_capture(path):
            yield record.url, self.line(number, record)

    def line(self, line: int, record: Record) -> Decoded:
        """Decode one line. Its problem, if any, is in ``error``.

        Raises what a decoder may not: see ``broken_venue``.
        """
        conn = record.conn or 0
        kind = record.kind
        if kind == "open" or conn not in self._began_ns:
            self._began_ns[conn] = record.recv_ns
        data = record.text.encode()
        is_frame = kind == "frame"
        events: Sequence[FeedEvent] = ()
        try:
            if is_frame:
                decoder = self._decoders.get(conn)
                if decoder is None or self._early_snapshot or data.startswith(_SNAPSHOT):
                    events = self._frame(conn, data, record.recv_ns)
                else:
                    events = decoder.frame(data, record.recv_ns)
            elif kind == "rest":
                symbol = self.spec.snapshot_symbol(record.url)
                if symbol is not None:
                    events = self._decoder(conn).rest(unquote(symbol), data, record.recv_ns)
            elif kind == "open":
                self._decoders.pop(conn, None)
        except VenueViolation as error:
            return Decoded(line, record.recv_ns, conn, is_frame, (), str(error), data)
        except CitadelError:
            raise
        except Exception as error:
            # A decoder gives events or a VenueViolation; this one has a bug.
            raise broken_venue(self.spec.venue, error) from error
        if self._judges:
            events = self._heard(events, conn)
        fields = (line, record.recv_ns, conn, is_frame, events, "", b"", kind == "open")
        return make(Decoded, fields)

    def _heard(self, events: Sequence[FeedEvent], conn: int) -> Sequence[FeedEvent]:
        """Without the trades that a live feed would not pass on."""
        if not any(type(event) is TradeTick for event in events):
            return events
        began_ns, take = self._began_ns[conn], self._news.take
        return [event for event in events if type(event) is not TradeTick or take(event, began_ns)]

    def _decoder(self, conn: int) -> Decoder:
        decoder = self._decoders.get(conn)
        if decoder is None:
            decoder = self._decoders[conn] = self.spec.decoder(self.symbols)
        return decoder

    def _frame(self, conn: int, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        decoder = self._decoder(conn)
        if data.startswith(_SNAPSHOT) and self.spec.snapshot is not None:
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
            raise VenueViolation("a snapshot that does not name its symbol")
        return next(iter(self.symbols))


def capture_events(
    path: Path, venue: str, symbol: str | None = None
) -> Iterator[tuple[int, Sequence[FeedEvent]]]:
    """(receive time, market events) of each frame and snapshot, for one unified symbol or all.

    Frames without a market event are yielded with none, so that they can be counted. Raises
    BadInput as ``CaptureDecoder.decode`` does.
    """
    for decoded in CaptureDecoder(venue_spec(venue)).decode(path):
        if decoded.is_frame or decoded.events:
            yield decoded.recv_ns, _of(decoded.events, symbol)


def capture_life(
    path: Path, venue: str, symbol: str
) -> Iterator[tuple[int, Sequence[MarketEvent] | StreamProof | FeedStatus]]:
    """As ``capture_events``, and between them the proofs that the recorded connection was alive.

    Captures hold no pongs. Instead, a connection that continues later was up meanwhile, and
    proves it every ``PULSE_NS``, as a live one would. One that was reopened was not; neither is
    one known to be up from which nothing came for as long as the venue's watchdog permits,
    while others of the capture continue. Whether something was lost meanwhile, its numbers show.

    Whatever makes a live feed resynchronize a book invalidates it here: its connection was reopened or
    its numbers show a loss, or a frame that may be of this book could not be read.
    """
    spec = venue_spec(venue)
    silence_ns = int(spec.heartbeat.silence_s * 1e9)
    conn, alive_ns, proven_ns = -1, 0, 0
    decoder = CaptureDecoder(spec, judged=True)
    for decoded in decoder.decode(path):
        _, recv_ns, at, is_frame, found, error, _, opened = decoded
        own = at == conn and not opened
        if (
            PULSE_NS < recv_ns - proven_ns <= LONGEST_NS
            and alive_ns
            and (own or (at != conn and recv_ns - alive_ns <= silence_ns))
        ):
            while proven_ns + PULSE_NS < recv_ns:
                proven_ns += PULSE_NS
                yield proven_ns, StreamProof(venue=venue, stream=WHOLE_VENUE, recv_ns=proven_ns)
        if len(found) == 1 and found[0][1] == symbol and type(found[0]) is not Control:
            events: Sequence[MarketEvent] = found  # type: ignore[assignment]  # just looked
        else:
            events = _of(found, symbol)
            if at == conn and (opened or error or len(events) < len(found)):
                why = _void(decoded, spec, decoder.symbols, symbol)
                if why:
                    yield (
                        recv_ns,
                        FeedStatus(venue=venue, symbol=symbol, up=False, reason=why, stream=-1),
                    )
        if own:
            alive_ns = proven_ns = recv_ns
        elif is_frame and (conn < 0 or any(type(each) is DepthUpdate for each in events)):
            conn = at
            alive_ns = proven_ns = recv_ns
        elif opened and at == conn:
            alive_ns = 0
        if is_frame or found:
            yield recv_ns, events


def _void(decoded: Decoded, spec: VenueSpec, symbols: Symbols, symbol: str) -> str:
    """Why the line invalidates this symbol's book; empty if it does not."""
    if decoded.opened:
        return REOPENED
    if decoded.error and not is_beside(decoded.data, spec.beside):
        named = mentioned(decoded.data, symbols)
        return decoded.error if not named or symbol in map(symbols.get, named) else ""
    lost = [each.text for each in decoded.events if type(each) is Control and each.kind == "lost"]
    return lost[0] if lost else ""


def _of(events: Sequence[FeedEvent], symbol: str | None) -> list[MarketEvent]:
    """The market events of one symbol, or of all."""
    return [
        event
        for event in events
        if not isinstance(event, Control) and (symbol is None or event.symbol == symbol)
    ]
