"""Fault injection: what each protocol's proof notices of frames that go wrong, and how soon.

A capture is played twice in step: as it is, and with one fault at a time. From the fault on, every
update of the damaged book is compared with the truth, until the book says that it is not to be
trusted (detected), is right again (harmless: what was lost has been overwritten), or has been wrong
while LIVE for too long (missed). Then it is mended and the next fault follows.
"""

from __future__ import annotations

import copy
import random
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, get_args

from citadel_micro.core.events import DepthUpdate
from citadel_micro.shell.feeds.books import Rebuilder
from citadel_micro.shell.feeds.capture import Record, read_capture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from citadel_micro.core.market import MarketBook
    from citadel_micro.shell.feeds.decode import FeedEvent

Fault = Literal["drop", "duplicate", "reorder", "corrupt digit", "truncate"]
FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
PATIENCE: Final = 200
"""Updates after which a book that is wrong and LIVE counts as missed."""
CALM: Final = 3
"""Undamaged updates between two faults."""


@dataclass(slots=True)
class Tally:
    """What became of one kind of fault."""

    injected: int = 0
    detected: int = 0
    harmless: int = 0
    missed: int = 0
    delays: list[int] = field(default_factory=list)
    """Updates of the book from the fault to its detection; 0: with the frame itself."""

    @property
    def median_delay(self) -> float:
        """Median of the delays; 0 when there is none."""
        return statistics.median(self.delays) if self.delays else 0.0


def inject(
    capture: Path, venue: str, *, seed: int = 1, faults: Sequence[Fault] = FAULTS, lines: int = 0
) -> dict[Fault, Tally]:
    """Play a capture with faults of these kinds in turn; ``lines`` limits how much of it."""
    session = _Session(venue, random.Random(seed), faults)
    for line, record in read_capture(capture):
        if lines and line > lines:
            break
        session.take(line, record)
    return session.tallies


class _Session:
    def __init__(self, venue: str, rng: random.Random, faults: Sequence[Fault]) -> None:
        self.tallies: dict[Fault, Tally] = {fault: Tally() for fault in faults}
        self._rng = rng
        self._faults = faults
        self._number = 0
        self._true = Rebuilder(venue, 0)
        self._false = Rebuilder(venue, 0)
        self._held: Record | None = None
        self._symbol = ""
        self._fault: Fault = faults[0]
        self._age = 0
        self._calm = 0

    def take(self, line: int, record: Record) -> None:
        """The next line, to both."""
        truth = self._true.decoder.line(line, record)
        symbol = _changed(truth.events)
        ready = bool(symbol) and not self._symbol and self._calm >= CALM and self._agree(symbol)
        self._true.take(truth)
        if self._symbol:
            self._give(line, record)
            if symbol == self._symbol:
                self._age += 1
                if self._held is not None:
                    held, self._held = self._held, None
                    self._give(line, held)
            self._judge(symbol)
        elif ready:
            self._begin(line, record, symbol)
        else:
            self._give(line, record)
            self._calm += 1
            if symbol and not self._agree(symbol):
                self._mend()  # a connection's numbers show the fault once more, after the repair

    def _begin(self, line: int, record: Record, symbol: str) -> None:
        self._fault = self._faults[self._number % len(self._faults)]
        self._number += 1
        self._symbol = symbol
        self._age = 0
        text = record.text
        match self._fault:
            case "drop":
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
        self.tallies[self._fault].injected += 1
        self._judge(symbol)

    def _corrupted(self, text: str) -> str:
        """One digit of a price or size, wherever numbers with a point are, is another."""
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
        self._false.take(self._false.decoder.line(line, record))

    def _agree(self, symbol: str) -> bool:
        return _same(self._true.by_symbol.get(symbol), self._false.by_symbol.get(symbol))

    def _judge(self, symbol: str) -> None:
        """Whether the fault's story is over."""
        tally = self.tallies[self._fault]
        if self._false.by_symbol[self._symbol].state != "LIVE":
            tally.detected += 1
            tally.delays.append(self._age)
        elif symbol != self._symbol or (not self._age and self._fault in ("drop", "reorder")):
            return
        elif self._agree(self._symbol):
            tally.harmless += 1
        elif self._age >= PATIENCE:
            tally.missed += 1
        else:
            return
        self._mend()

    def _mend(self) -> None:
        """What a snapshot does, for every book that was damaged."""
        damaged, self._symbol = self._symbol, ""
        self._held = None
        self._calm = 0
        for symbol, truth in self._true.by_symbol.items():
            if symbol == damaged or not _same(truth, self._false.by_symbol.get(symbol)):
                self._false.replace(symbol, copy.deepcopy(truth))


def _changed(events: Sequence[FeedEvent]) -> str:
    """The symbol whose book this frame changes; none for snapshots and for anything else."""
    for event in events:
        if isinstance(event, DepthUpdate):
            return "" if event.snapshot else event.symbol
    return ""


def _same(one: MarketBook | None, other: MarketBook | None) -> bool:
    return (
        one is not None
        and other is not None
        and one.state == other.state == "LIVE"
        and one.book.bids == other.book.bids
        and one.book.asks == other.book.asks
    )
