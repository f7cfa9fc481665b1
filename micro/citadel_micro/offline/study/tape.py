"""A recording as a list of events: a capture of raw traffic, or a table of messages.

A table is CSV with the columns ``time_ns,exch_ns,kind,side,price,size,first_id,last_id``: ``kind`` is
snapshot, depth (absolute size, 0 deletes), bbo (a row a side) or trade (``side`` is the aggressor's).
Rows of one message follow each other with the same time and ``last_id``.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.streams import WHOLE_VENUE
from citadel_micro.core.model.events import (
    DepthUpdate,
    FeedStatus,
    QuoteTick,
    StreamProof,
    TradeTick,
)
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.offline.prepared_cache import Source
from citadel_micro.shell.capture.offline import LONGEST_NS, PULSE_NS
from citadel_micro.shell.instruments.capture import Steps
from citadel_micro.shell.instruments.rules import kind_of, make_instrument
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_micro.sim.paper_rules import SelfTrade
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from citadel_micro.core.model.events import MarketEvent

    Step = tuple[int, Sequence[MarketEvent] | StreamProof | FeedStatus]
    Group = list[dict[str, str]]

COLUMNS: Final = ("time_ns", "exch_ns", "kind", "side", "price", "size", "first_id", "last_id")
_TABLE_INTEGRITY: Final = "chain"
"""A table says nothing of lost messages; its own are numbered here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """One instrument's recording. ``steps`` are (receive time ns, events of one message)."""

    name: str
    instrument: Instrument
    integrity: str
    self_trade: SelfTrade
    steps: list[Step]
    trades: int
    """How many trades it holds: without any, nothing rests and fills."""


def load(
    path: Path, venue: str, symbol: str, rules: Path | None = None, *, cache: Path | None = None
) -> Tape:
    """Read a recording whole.

    Args:
        path: a capture or a table.
        venue: that it is of.
        symbol: unified.
        rules: file of trading rules, before those that the recording lets infer.
        cache: folder of prepared captures; None to decode a capture, and to keep nothing.

    Raises:
        BadInput: it cannot be read, or lacks the symbol.
    """
    name = path.name.partition(".")[0]
    self_trade: SelfTrade = "expire_maker"
    if ".csv" in path.suffixes:
        steps, instrument = _table(path, venue, symbol)
        integrity = _TABLE_INTEGRITY
    else:
        spec = venue_spec(venue)
        source = Source(path, venue, symbol, folder=cache, file=rules)
        instrument, _ = source.rules
        steps = list(source.steps())
        integrity, self_trade = spec.integrity, spec.self_trade
    trades = sum(
        isinstance(event, TradeTick)
        for _, events in steps
        if not isinstance(events, StreamProof | FeedStatus)
        for event in events
    )
    return Tape(
        name=name,
        instrument=instrument,
        integrity=integrity,
        self_trade=self_trade,
        steps=steps,
        trades=trades,
    )


def _table(path: Path, venue: str, symbol: str) -> tuple[list[Step], Instrument]:
    prices, sizes = Steps(1.0), Steps(0.995)
    steps: list[Step] = []
    proven_ns = number = last = 0
    for group in _groups(path):
        first = group[0]
        now_ns, exchange_ns = int(first["time_ns"]), int(first["exch_ns"])
        if PULSE_NS < now_ns - proven_ns <= LONGEST_NS and steps:
            while proven_ns + PULSE_NS < now_ns:
                proven_ns += PULSE_NS
                proof = StreamProof(venue=venue, stream=WHOLE_VENUE, recv_ns=proven_ns)
                steps.append((proven_ns, proof))
        proven_ns = now_ns
        if number < _SAMPLE:
            prices.add(float(row["price"]) for row in group)
            sizes.add(float(row["size"]) for row in group)
        number += 1
        if first["kind"] == "trade":
            steps.append((now_ns, [_trade(venue, symbol, row) for row in group]))
            continue
        levels: dict[str, list[tuple[float, float]]] = {"bid": [], "ask": []}
        for row in group:
            levels[row["side"]].append((float(row["price"]), float(row["size"])))
        whole = first["kind"] != "depth"
        update = DepthUpdate(
            *(venue, symbol, whole, number, number, -1 if whole else last),
            *(None, levels["bid"], levels["ask"], exchange_ns, now_ns),
        )
        last = number
        steps.append((now_ns, [update]))
    if not steps:
        raise BadInput("it holds no rows", where=str(path), allowed=",".join(COLUMNS))
    lot = sizes.step()
    instrument = make_instrument(
        venue=venue,
        symbol=symbol,
        native=symbol,
        kind=kind_of(symbol),
        tick=prices.step(),
        lot=lot,
        min_quantity=lot,
    )
    return steps, instrument


_SAMPLE: Final = 20_000
"""Messages from which tick and lot are inferred."""


def _trade(venue: str, symbol: str, row: dict[str, str]) -> TradeTick:
    side = "buy" if row["side"] == "buy" else "sell"
    return TradeTick(
        *(venue, symbol, row["last_id"], float(row["price"]), float(row["size"]), side),  # type: ignore[arg-type]
        *(int(row["exch_ns"]), int(row["time_ns"])),
    )


def _groups(path: Path) -> Iterator[Group]:
    """Rows of one message each."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise BadInput(
                f"its columns are {reader.fieldnames}", where=str(path), allowed=",".join(COLUMNS)
            )
        for _, rows in groupby(reader, lambda row: (row["time_ns"], row["kind"], row["last_id"])):
            yield list(rows)


def best_sizes(tape: Tape, sample: int = 20_000) -> list[float]:
    """Sizes at the best bid after each message of the beginning, in the units of the books."""
    rules = tape.instrument
    market = MarketBook(rules.venue, rules.symbol, tape.integrity)
    found: list[float] = []
    for _, events in tape.steps[:sample]:
        if isinstance(events, StreamProof | FeedStatus):
            continue
        for event in events:
            if isinstance(event, DepthUpdate):
                market.on_depth(event)
            elif isinstance(event, QuoteTick):
                market.on_quote(event)
        best = market.best()
        if best is not None:
            found.append(best[1])
    return found
