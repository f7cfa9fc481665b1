"""A venue is one ``VenueSpec``: everything that the shared feed engine needs to know about it."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Literal, Protocol

from citadel_micro.shell.marketdata.decode import Decoder, Symbols
from citadel_micro.shell.slot import Slot
from citadel_micro.sim.paper_rules import SelfTrade
from citadel_proto.errors import BadInput

Channel = Literal["depth", "quote", "trade"]
CHANNELS: Final[tuple[Channel, ...]] = ("depth", "quote", "trade")
PREFIX: Final = "ccxt-"
"""Prefix of venue ids without a spec of their own, which are live only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What the client must send to stay connected, and how long silence may last.

    ``text`` is sent every ``interval_s``; empty where the websocket's own pings are enough.
    """

    text: str = ""
    interval_s: float = 15.0
    silence_s: float = 45.0
    """Without any frame for this long the connection counts as dead, whatever TCP says. Pongs count
    as frames only where no other message need come when all markets are quiet."""
    frames: bool = False
    """The venue sends heartbeats of its own, even in quiet markets. True as well where there
    is a ``text``, because it is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits that the venue documents, with some margin."""

    symbols_per_connection: int = 100
    symbols_per_message: int = 50
    messages_per_s: float = 4.0
    requests_per_h: int = 0
    """Subscribe and unsubscribe requests an hour, of one connection. 0: not counted."""
    connects_per_s: float = 1.0
    snapshots_per_s: float = 5.0
    snapshot_burst: int = 0
    """Snapshots that may be fetched at once after a pause, before that rate applies."""
    lifetime_s: float = 0.0
    """Connections are cut after this; ours are replaced a little earlier. 0: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSpec:
    """One venue. See ``citadel_micro.adapters.binance.market_data`` for an example.

    Args:
        venue: venue id, as used in commands and configuration.
        integrity: strategy of ``core.marketdata.sequencing`` by which the books are checked.
        websocket_url: where to connect.
        rest_url: base of HTTP requests; empty where none are needed.
        decoder: creates the decoder of one connection.
        subscribe: messages that subscribe these venue symbols to these channels; the number is
            that of the first message, for venues that echo it.
        unsubscribe: the same to end it; None where only reconnecting does.
        sequence: what ``last_seq`` of an update is: a number, nothing, or the venue's time.
        snapshot_counts: the snapshot is a message of the book's own channel, and is counted as one
            where messages are counted.
        ticket: path of an HTTP POST whose answer gives the address to connect to; empty where the
            address is always the same.
        ticket_url: address to connect to, from the answer to ``ticket``.
        snapshot: path and query of the HTTP snapshot of a venue symbol; None where the snapshot
            comes in the stream after subscribing.
        own_snapshots: the stream brings snapshots all the same, so that none is fetched.
        quick_snapshot: the same of a snapshot with fewer levels, for when many symbols wait for
            theirs; None where all cost the same.
        quick_cost: its cost, as a fraction of a full one's.
        look: the same of the best few levels, to be compared with a book whose stream is silent.
        beside: texts that occur only in messages of other channels than the book's: an unreadable
            one of those invalidates no book.
        snapshot_symbol: venue symbol that a snapshot's address is about, for reading captures.
        unify: unified symbol of a venue symbol, by rule.
        native: venue symbol of a unified symbol, by rule.
        unmarked_history: the first message of a trade subscription holds earlier trades, and
            does not mark them.
        capture_only: why it cannot be followed live (any more); empty where it can.
        deflate: the venue needs permessage-deflate, which the fast client does not have.
        ccxt: ccxt's id of the exchange, for the trading rules of its symbols; empty for the venues
            that ``adapters.ccxt.venues`` knows, and where there is none.
        self_trade: which order ends when two of one account meet, where the request does not say.
        reduce_only_exempt: its derivatives take reduce-only orders below the minimum notional, as its
            documentation says; an order refused by the venue is worse than dust told in time.
    """

    venue: str
    integrity: str
    websocket_url: str
    rest_url: str = ""
    decoder: Callable[[Symbols], Decoder]
    subscribe: Callable[[Sequence[str], Sequence[Channel], int], list[str]]
    unsubscribe: Callable[[Sequence[str], Sequence[Channel], int], list[str]] | None = None
    sequence: Literal["number", "none", "time"] = "number"
    snapshot_counts: bool = False
    ticket: str = ""
    ticket_url: Callable[[bytes], str] = lambda _answer: ""
    snapshot: Callable[[str], str] | None = None
    quick_snapshot: Callable[[str], str] | None = None
    quick_cost: float = 1.0
    poll: Callable[[str], str] | None = None
    beside: tuple[bytes, ...] = ()
    snapshot_symbol: Callable[[str], str | None] = lambda _url: None
    own_snapshots: bool = False
    unify: Callable[[str], str]
    native: Callable[[str], str]
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    limits: Limits = field(default_factory=Limits)
    unmarked_history: bool = False
    capture_only: str = ""
    deflate: bool = False
    ccxt: str = ""
    self_trade: SelfTrade = "expire_maker"
    reduce_only_exempt: bool = False

    def symbols(self) -> Symbols:
        """An empty symbol map of this venue."""
        return Symbols(self.unify)


class SpecFinder(Protocol):
    """Finds the existing specs."""

    def specs(self) -> Mapping[str, VenueSpec]:
        """All of them, by venue id. Raises BadInput for a broken file."""

    def spec(self, venue: str) -> VenueSpec | None:
        """That of a venue whose id says which package it is in, without reading all others; else None.

        Raises BadInput for a broken file.
        """

    def folders(self) -> Sequence[Path]:
        """Where the venues' packages are."""


SPECS: Final[Slot[SpecFinder]] = Slot("specs of venues")


@cache
def _specs() -> Mapping[str, VenueSpec]:
    return SPECS.get().specs()


def _spec(venue: str) -> VenueSpec | None:
    return SPECS.get().spec(venue) or _specs().get(venue)


def broken_venue(name: str, error: Exception) -> BadInput:
    """The error for a venue's file that cannot be used, with its line."""
    path = ""
    line = 0
    folders = SPECS.get().folders()
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).parent.parent in folders:
            path, line = frame.filename, frame.lineno or 0
    if isinstance(error, SyntaxError) and error.filename:
        path, line = error.filename, error.lineno or 0
    return BadInput(
        f"the venue file {name.rpartition('.')[2]} cannot be used: {type(error).__name__}: {error}",
        where=f"{path}, line {line}" if path else name,
        allowed="a module with SPECS; docs/howto/add-a-venue.md has whole examples",
        mend="fix the file, or remove it",
    )


def venue_ids() -> list[str]:
    """Ids of the venues with a spec of their own, sorted."""
    return sorted(_specs())


def known_spec(venue: str) -> VenueSpec | None:
    """Spec of this venue; None where it has none, as those that ccxt follows."""
    return _spec(venue)


def venue_spec(venue: str) -> VenueSpec:
    """Spec of this venue. Raises BadInput, with the nearest names, for an unknown one."""
    spec = _spec(venue)
    if spec is not None:
        return spec
    if venue.startswith(PREFIX):
        raise BadInput(
            f"{venue} is live only: ccxt provides books, not the messages they are built from",
            where="venue",
            allowed=", ".join(venue_ids()),
        )
    ids = venue_ids()
    # The same exchange first: letters alone would put ftx beside okx.
    near = [name for name in ids if name.startswith(f"{venue.partition('-')[0]}-")]
    near = difflib.get_close_matches(venue, near, n=3, cutoff=0.0) or difflib.get_close_matches(
        venue, ids, n=3, cutoff=0.7
    )
    raise BadInput(
        f"no venue is called {venue!r}",
        where="venue",
        allowed=", ".join([*ids, "and live only, through ccxt: ccxt-<exchange>"]),
        mend=f"did you mean {' or '.join(near)}?" if near else None,
    )
