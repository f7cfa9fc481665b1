"""Trading rules of a capture: from a file, else inferred from the grid that its levels lie on.

The source is reported with them, because an inferred rule is a guess: good enough for paper, and
for nothing else.
"""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.capture.offline import CaptureDecoder
from citadel_micro.shell.instruments.file import read_instruments
from citadel_micro.shell.instruments.rules import (
    Instruments,
    kind_of,
    make_instrument,
    unknown_symbol,
)
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from citadel_micro.core.model.instrument import Instrument

SAMPLE_UPDATES: Final = 500
"""Updates of one book that are used to infer its grid."""
_SCALE: Final = 12
"""Inferred steps are never finer than 1e-12; no venue's are."""


def infer_instruments(capture: Path, venue: str, symbols: Collection[str] = ()) -> Instruments:
    """Rules of the symbols in a capture (these, or all), from the grid its levels lie on.

    Tick and lot are the greatest common divisor of the prices and sizes of the first updates. The
    minimum quantity is one lot and there is no minimum notional, because a capture does not hold them.
    Raises BadInput for an unknown venue, a file that is no capture of it, or a symbol that it lacks.
    """
    spec = venue_spec(venue)
    decoder = CaptureDecoder(spec)
    grids: dict[str, _Grid] = {}
    wanted = set(symbols)
    for decoded in decoder.decode(capture):
        for event in decoded.events:
            if type(event) is DepthUpdate and (not wanted or event.symbol in wanted):
                grids.setdefault(event.symbol, _Grid()).add(event)
        if wanted and len(grids) == len(wanted) and all(grid.enough for grid in grids.values()):
            break
    natives = {unified: native for native, unified in decoder.symbols.items()}
    for symbol in symbols:
        if symbol not in grids:
            raise unknown_symbol(f"{capture.name} ({venue})", symbol, list(natives))
    found: Instruments = {}
    for symbol in sorted(grids):
        tick, lot = grids[symbol].steps()
        found[venue, symbol] = make_instrument(
            venue=venue,
            symbol=symbol,
            native=natives[symbol],
            kind=kind_of(symbol),
            tick=tick,
            lot=lot,
            min_quantity=lot,
        )
    return found


class Steps:
    """The grid that numbers lie on: their greatest common divisor, by number of decimals.

    Binance spot's books hold a few old sizes that are finer than the lot, so a small share may be
    ignored; ``share`` is what must lie on the grid.
    """

    __slots__ = ("_seen", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._seen: Counter[float] = Counter()

    def add(self, values: Iterable[float]) -> None:
        """Take these numbers into account."""
        self._seen.update(values)

    def step(self) -> Decimal:
        """The coarsest step on which the share lies; 1 when nothing was added."""
        counts = [0] * (_SCALE + 1)
        divisors = [0] * (_SCALE + 1)
        for value, count in self._seen.items():
            # The shortest decimal that means the same float is what the venue wrote, but for zeros.
            text = repr(value)
            whole, _, part = (format(Decimal(text), "f") if "e" in text else text).partition(".")
            part = part.rstrip("0")[:_SCALE]
            places = len(part)
            counts[places] += count
            divisors[places] = math.gcd(divisors[places], int(whole + part.ljust(_SCALE, "0")))
        needed = self._share * sum(counts)
        seen, divisor = 0, 0
        for count, each in zip(counts, divisors, strict=True):
            seen += count
            divisor = math.gcd(divisor, each)
            if seen >= needed and divisor:
                return divisor * Decimal(1).scaleb(-_SCALE)
        return Decimal(1)


class _Grid:
    """Tick and lot of one book."""

    __slots__ = ("_lots", "_ticks", "_updates")

    def __init__(self) -> None:
        self._ticks = Steps(1.0)
        self._lots = Steps(0.995)
        self._updates = 0

    @property
    def enough(self) -> bool:
        return self._updates >= SAMPLE_UPDATES

    def add(self, update: DepthUpdate) -> None:
        if not self.enough:
            self._updates += 1
            for levels in (update.bids, update.asks):
                self._ticks.add(price for price, _ in levels)
                self._lots.add(size for _, size in levels)

    def steps(self) -> tuple[Decimal, Decimal]:
        return self._ticks.step(), self._lots.step()


def instruments_for_capture(
    capture: Path, venue: str, symbol: str, file: Path | None = None
) -> tuple[Instrument, str]:
    """(rules, their source) of one symbol of a capture; a file goes before inference."""
    if file is not None:
        from_file = read_instruments(file)
        if (venue, symbol) in from_file:
            return from_file[venue, symbol], f"file {file.name}"
    inferred = infer_instruments(capture, venue, (symbol,))
    return inferred[venue, symbol], "inferred from the capture's decimals"
