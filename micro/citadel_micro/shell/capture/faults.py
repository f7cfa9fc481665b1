"""Fault injection: which faults each protocol's proof detects in its traffic, and how soon.

A capture is played twice in step: unchanged, and with one fault at a time. From the fault on, every
update of the damaged book is compared with the undamaged one, until the book is no longer LIVE
(detected), is correct again (harmless: what was lost has been overwritten), or has been wrong
while LIVE for too long (missed). Then a snapshot restores it, as the live feed would, and it is
compared again (recovered); the next fault follows.

The faults:

- ``drop``, ``duplicate``, ``reorder``: a message is lost, comes twice, or after the next one;
- ``corrupt digit``, ``truncate``: a digit is changed, or the message is cut;
- ``replay``: the last messages of the connection are sent again, unannounced;
- ``reconnect``: the connection is lost; the new one begins with a window of old messages, continues,
  and its snapshot comes some updates later;
- ``silence``: no more depth comes for this book, while its connection is up, and its quotes and trades
  where the capture has them; they, a poll of the venue's book or resubscribing must reveal it;
- ``clock jump``: the venue's clock, and with it every timestamp, jumps by an hour, back or forth;
- ``late snapshot``: see ``delay_snapshot``, because it happens once per capture.
"""

from __future__ import annotations

import random
import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, get_args

from citadel_micro.core.model.events import BookLook, DepthUpdate, FeedStatus, QuoteTick, TradeTick
from citadel_micro.shell.capture.books import Rebuilder
from citadel_micro.shell.capture.frames import Record, read_capture
from citadel_micro.shell.marketdata.decode import Control

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.shell.capture.offline import Decoded
    from citadel_micro.shell.marketdata.decode import FeedEvent

Fault = Literal[
    "drop",
    "duplicate",
    "reorder",
    "corrupt digit",
    "truncate",
    "replay",
    "reconnect",
    "silence",
    "clock jump",
]
FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
PATIENCE: Final = 200
"""Updates after which a book that is wrong and LIVE counts as missed."""
CALM: Final = 3
"""Undamaged updates between two faults."""
WINDOW: Final = 20
"""Messages of a connection that are replayed."""
SNAPSHOT_AFTER: Final = 5
"""Updates of the book between a reconnect and its snapshot."""
SILENT_NS: Final = 1_000_000_000
"""Silence after which a book is polled, or resubscribed: captures are short."""
TELL_NS: Final = 5_000_000_000
"""A silence that has not been detected after this long is missed."""
JUMP_NS: Final = 3_600_000_000_000
JUMPED: Final = 5
"""Updates with shifted timestamps."""


@dataclass(slots=True)
class Tally:
    """Results for one kind of fault."""

    injected: int = 0
    detected: int = 0
    harmless: int = 0
    missed: int = 0
    wrong: int = 0
    """Updates after which a wrong book was LIVE."""
    unrecovered: int = 0
    """Snapshots after which the book was not LIVE and correct."""
    delays: list[int] = field(default_factory=list)
    """Updates of the book from the fault to its detection; 0: with the frame itself."""

    @property
    def median_delay(self) -> float:
        """Median of the delays; 0 when there is none."""
        return statistics.median(self.delays) if self.delays else 0.0


def inject(
    capture: Path, venue: str, *, seed: int = 1, faults: Sequence[Fault] = FAULTS, lines: int = 0
) -> dict[Fault, Tally]:
    """Play a capture with faults of these kinds in turn; ``lines`` limits its length."""
    session = _Session(venue, random.Random(seed), faults)
    for line, record in read_capture(capture):
        if lines and line > lines:
            break
        session.take(line, record)
    return session.tallies


class _Truth:
    """The undamaged books, and the snapshots made from them."""

    def __init__(self, venue: str) -> None:
        self.rebuilder = Rebuilder(venue, 0)
        self._last: dict[str, DepthUpdate] = {}
        self._texts: dict[str, tuple[dict[float, tuple[str, str]], ...]] = {}

    def take(self, decoded: Decoded) -> None:
        self.rebuilder.take(decoded)
        for event in decoded.events:
            if isinstance(event, DepthUpdate):
                self._last[event.symbol] = event
                if event.texts is not None:
                    kept = self._texts.setdefault(event.symbol, ({}, {}))
                    sides = zip(kept, (event.bids, event.asks), event.texts, strict=True)
                    for known, levels, texts in sides:
                        known.update(
                            (price, text) for (price, _), text in zip(levels, texts, strict=True)
                        )

    def book(self, symbol: str) -> MarketBook | None:
        return self.rebuilder.by_symbol.get(symbol)

    def snapshot(self, symbol: str) -> DepthUpdate:
        """The snapshot that the venue would send now; in the form of its last update."""
        last, book = self._last[symbol], self.rebuilder.by_symbol[symbol]
        bids = list(book.book.sizes("buy").items())
        asks = list(book.book.sizes("sell").items())
        texts = None
        if symbol in self._texts:
            known_bids, known_asks = self._texts[symbol]
            texts = (
                [known_bids[price] for price, _ in bids],
                [known_asks[price] for price, _ in asks],
            )
        return last._replace(
            snapshot=True,
            first_seq=-1 if last.first_seq < 0 else book.last_seq,
            last_seq=book.last_seq,
            prev_seq=-1,
            bids=bids,
            asks=asks,
            texts=texts,
        )


class _Session:
    def __init__(self, venue: str, rng: random.Random, faults: Sequence[Fault]) -> None:
        self.tallies: dict[Fault, Tally] = {fault: Tally() for fault in faults}
        self._rng = rng
        self._faults = faults
        self._number = 0
        self._true = _Truth(venue)
        self._false = Rebuilder(venue, 0)
        self._recent: dict[int, deque[tuple[int, Record]]] = {}
        self._polled = False
        self._lost: set[int] = set()
        """Connections that the live feed would reconnect: their numbers showed a loss."""
        self._held: Record | None = None
        self._symbol = ""
        self._fault: Fault = faults[0]
        self._began_ns = 0
        self._jump_ns = 0
        self._age = 0
        self._calm = 0

    def take(self, line: int, record: Record) -> None:
        """The next line, for both."""
        truth = self._true.rebuilder.decoder.line(line, record)
        symbol = _changed(truth.events)
        self._remember(line, record, truth)
        ready = bool(symbol) and not self._symbol and self._calm >= CALM and self._live(symbol)
        self._true.take(truth)
        if self._symbol:
            self._go_on(line, record, symbol)
        elif ready:
            self._begin(line, record, symbol)
        else:
            self._give(line, record)
            self._calm += 1
            if symbol and not self._live(symbol):
                # A cut symbol name, say, has damaged another book than the one being compared.
                self._mend(symbol, record.recv_ns)

    def _remember(self, line: int, record: Record, truth: Decoded) -> None:
        recent = self._recent.setdefault(truth.conn, deque(maxlen=WINDOW))
        if record.kind != "frame" or any(
            isinstance(event, DepthUpdate) and event.snapshot for event in truth.events
        ):
            recent.clear()  # messages before a snapshot are of another session
        else:
            recent.append((line, record))

    def _go_on(self, line: int, record: Record, symbol: str) -> None:
        if self._fault == "silence" and symbol == self._symbol:
            pass  # dropped
        elif self._fault == "clock jump":
            self._give_jumped(line, record)
        else:
            self._give(line, record)
        if symbol == self._symbol:
            self._age += 1
            if self._held is not None:
                held, self._held = self._held, None
                self._give(line, held)
        if self._fault == "silence":
            self._watch_silence(record.recv_ns)
        self._judge(symbol, record.recv_ns)

    def _watch_silence(self, now_ns: int) -> None:
        """What the live feed and the engine do about a silent book on a live connection."""
        book, spec = self._false.by_symbol[self._symbol], self._false.rebuilt.spec
        book.stream.proof_ns = now_ns
        book.check_age(now_ns, SILENT_NS)
        if book.state != "LIVE" or self._polled or now_ns - self._began_ns <= SILENT_NS:
            return
        self._polled = True
        if spec.poll is not None:
            now = self._true.snapshot(self._symbol)
            book.on_poll(BookLook(*now[:2], now.last_seq, now.bids, now.asks, now_ns))
        else:
            book.on_status(FeedStatus(venue=book.venue, symbol=book.symbol, up=False, reason=""))

    def _begin(self, line: int, record: Record, symbol: str) -> None:
        self._fault = self._faults[self._number % len(self._faults)]
        self._number += 1
        self._symbol = symbol
        self._age = 0
        self._polled = False
        self._began_ns = record.recv_ns
        tally = self.tallies[self._fault]
        tally.injected += 1
        text = record.text
        match self._fault:
            case "drop" | "silence":
                pass
            case "duplicate":
                self._give(line, record)
                self._give(line, record)
            case "reorder":
                self._held = record
            case "corrupt digit":
                self._give(line, self._with(record, self._corrupted(text)))
            case "truncate":
                self._give(line, self._with(record, text[: self._rng.randrange(1, len(text))]))
            case "replay":
                self._give(line, record)
                self._replay(record.conn or 0)
            case "reconnect":
                self._disconnect(record)
                self._replay(record.conn or 0)
            case "clock jump":
                self._jump_ns = self._rng.choice((-JUMP_NS, JUMP_NS))
                self._give_jumped(line, record)
        self._judge(symbol, record.recv_ns)

    def _replay(self, conn: int) -> None:
        """Send the last messages again; in between a book may be wrong, but must not be LIVE."""
        book = self._false.by_symbol[self._symbol]
        for line, record in list(self._recent[conn]):
            self._give(line, record)
            truth = self._true.book(self._symbol)
            # Behind is not wrong: a book that reports an older update, and has it, is correct.
            at_truth = truth is not None and book.last_seq == truth.last_seq
            if book.state == "LIVE" and at_truth and not _same(truth, book):
                self.tallies[self._fault].wrong += 1

    def _disconnect(self, record: Record) -> None:
        conn = record.conn or 0
        gone = Control("lost", "", "disconnected")
        decoded = self._false.decoder.line(0, Record(record.recv_ns, "open", conn=record.conn))
        self._false.take(decoded._replace(events=[gone], conn=conn))

    def _corrupted(self, text: str) -> str:
        """Change one digit of a price or size, wherever there are numbers with a point."""
        places = [at for at, char in enumerate(text) if char.isdigit()]
        # The levels are in the last two thirds of every protocol's frames, numbers before them are
        # times and sequences.
        at = self._rng.choice(places[len(places) // 3 :])
        digit = self._rng.choice([each for each in "0123456789" if each != text[at]])
        return text[:at] + digit + text[at + 1 :]

    @staticmethod
    def _with(record: Record, text: str) -> Record:
        return Record(recv_ns=record.recv_ns, kind=record.kind, text=text, conn=record.conn)

    def _give(self, line: int, record: Record) -> None:
        decoded = self._false.decoder.line(line, record)
        if any(isinstance(event, Control) and event.kind == "lost" for event in decoded.events):
            self._lost.add(decoded.conn)
        self._false.take(decoded)
        if self._symbol and self._fault == "silence":
            book = self._false.by_symbol[self._symbol]
            for event in decoded.events:
                if isinstance(event, QuoteTick | TradeTick) and event.symbol == self._symbol:
                    (book.on_quote if isinstance(event, QuoteTick) else book.on_trade)(event)  # type: ignore[arg-type]

    def _give_jumped(self, line: int, record: Record) -> None:
        decoded = self._false.decoder.line(line, record)
        events = [
            event
            if isinstance(event, Control)
            else event._replace(exchange_ns=event.exchange_ns + self._jump_ns)
            for event in decoded.events
        ]
        self._false.take(decoded._replace(events=events))

    def _live(self, symbol: str) -> bool:
        """Both are LIVE; they have had the same updates, so they are equal."""
        truth, book = self._true.book(symbol), self._false.by_symbol.get(symbol)
        return truth is not None and book is not None and truth.state == book.state == "LIVE"

    def _judge(self, symbol: str, now_ns: int) -> None:
        """Whether the outcome of the fault is known."""
        fault, tally = self._fault, self.tallies[self._fault]
        book = self._false.by_symbol[self._symbol]
        nothing_came = not self._age and fault in ("drop", "reorder")
        if fault == "reconnect" and self._age < SNAPSHOT_AFTER:
            tally.wrong += symbol == self._symbol and book.state == "LIVE" and not self._right()
            return
        if book.state != "LIVE":
            tally.detected += 1
            tally.delays.append(0 if fault == "reconnect" else self._age)
        elif fault == "silence":
            # The outcome is not known before the time is up.
            if now_ns - self._began_ns <= TELL_NS:
                return
            tally.missed += 1
        elif symbol != self._symbol or nothing_came:
            return
        elif self._right():
            if fault == "clock jump" and self._age < JUMPED:
                return
            tally.harmless += 1
        else:
            tally.wrong += 1
            if self._age < PATIENCE:
                return
            tally.missed += 1
        self._mend(self._symbol, now_ns)

    def _right(self) -> bool:
        return _same(self._true.book(self._symbol), self._false.by_symbol[self._symbol])

    def _mend(self, damaged: str, now_ns: int) -> None:
        """As the live feed: a wrong book is void until its snapshot has come."""
        self._symbol = ""
        self._held = None
        self._calm = 0
        for conn in self._lost:
            self._false.decoder.line(0, Record(now_ns, "open", conn=conn))
        self._lost.clear()
        for symbol, truth in self._true.rebuilder.by_symbol.items():
            book = self._false.by_symbol.get(symbol)
            if book is None or truth.state != "LIVE":
                continue
            if book.state == "LIVE" and (symbol != damaged or _same(truth, book)):
                continue
            status = FeedStatus(
                venue=book.venue, symbol=symbol, up=False, reason="fetched anew", refused=False
            )
            book.on_status(status)
            book.on_depth(self._true.snapshot(symbol)._replace(recv_ns=now_ns))
            if not _same(truth, book) and symbol == damaged:
                self.tallies[self._fault].unrecovered += 1


@dataclass(slots=True, kw_only=True)
class LateSnapshot:
    """Result of a snapshot that came late."""

    state: str
    """Of the book, after the snapshot and the update that follows it."""
    right: bool
    """Whether it equaled the venue's book then."""
    wrong: int
    """Updates after which a wrong book was LIVE."""
    recovered: bool
    """A further snapshot, or the first if it held, has made it equal the venue's book."""


def delay_snapshot(capture: Path, venue: str, updates: int) -> LateSnapshot | None:
    """Delay the snapshot of the first book by so many of its updates.

    As on the wire: with its number, on its connection, through the decoder. None where there is no
    snapshot before the updates, or not enough of these follow.
    """
    true, false = _Truth(venue), Rebuilder(venue, 0)
    symbol = ""
    late: tuple[int, Record] | None = None
    seen = wrong = 0
    for line, record in read_capture(capture):
        truth = true.rebuilder.decoder.line(line, record)
        true.take(truth)
        if late is None and not symbol and (symbol := _brought(truth.events)):
            late = (line, record)
            continue
        false.take(false.decoder.line(line, record))
        if not symbol or _changed(truth.events) != symbol:
            continue
        seen += 1
        book = false.by_symbol.get(symbol)
        wrong += book is not None and book.state == "LIVE" and not _same(true.book(symbol), book)
        if seen == updates and late is not None:
            # A book at the snapshot's number is behind, not wrong; the next update decides.
            false.take(false.decoder.line(*late))
        if seen > updates and book is not None:
            found = LateSnapshot(
                state=book.state, right=_same(true.book(symbol), book), wrong=wrong, recovered=False
            )
            if not found.right:
                book.on_status(
                    FeedStatus(venue=venue, symbol=symbol, up=False, reason="anew", refused=False)
                )
                book.on_depth(true.snapshot(symbol))
            found.recovered = _same(true.book(symbol), book)
            return found
    return None


def _brought(events: Sequence[FeedEvent]) -> str:
    """The symbol whose snapshot this is."""
    for event in events:
        if isinstance(event, DepthUpdate):
            return event.symbol if event.snapshot else ""
    return ""


def _changed(events: Sequence[FeedEvent]) -> str:
    """The symbol whose book this frame changes; empty for snapshots and everything else."""
    for event in events:
        if isinstance(event, DepthUpdate):
            return "" if event.snapshot else event.symbol
    return ""


def _same(one: MarketBook | None, other: MarketBook | None) -> bool:
    return (
        one is not None
        and other is not None
        and one.state == other.state == "LIVE"
        and one.last_seq == other.last_seq  # or the next update would reveal it
        and one.book.sizes("buy") == other.book.sizes("buy")
        and one.book.sizes("sell") == other.book.sizes("sell")
    )
