"""A venue is one ``VenueSpec``: all that the shared feed engine has to know about it."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from citadel_micro.shell.feeds.decode import Decoder, Symbols
from citadel_proto.errors import BadInput

Channel = Literal["depth", "quote", "trade"]
CHANNELS: Final[tuple[Channel, ...]] = ("depth", "quote", "trade")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What the client must send to be kept, and how long silence may last.

    ``text`` is sent every ``interval_s``; empty where the websocket's own pings are enough.
    """

    text: str = ""
    interval_s: float = 15.0
    silence_s: float = 45.0
    """Without any frame for this long the connection counts as dead, whatever TCP says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits that the venue documents, kept with some room."""

    symbols_per_connection: int = 100
    symbols_per_message: int = 50
    messages_per_s: float = 4.0
    connects_per_s: float = 1.0
    snapshots_per_s: float = 5.0
    lifetime_s: float = 0.0
    """Connections are cut after this; ours are renewed a little before. 0: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSpec:
    """One venue. See ``citadel_micro.shell.feeds.binance`` for an example.

    Args:
        venue: venue id, as commands and configuration take it.
        integrity: strategy of ``core.integrity`` by which the books are judged.
        websocket_url: where to connect.
        rest_url: base of HTTP requests; empty where none are needed.
        decoder: makes the decoder of one connection.
        subscribe: messages that subscribe these venue symbols to these channels; the number is
            that of the first message, for venues that echo it.
        unsubscribe: the same to end it; None where only reconnecting does.
        snapshot: path and query of the HTTP snapshot of a venue symbol; None where the snapshot
            comes in the stream after subscribing.
        snapshot_symbol: venue symbol that a snapshot's address is about, for reading captures.
        unify: unified symbol of a venue symbol, by rule.
        native: venue symbol of a unified symbol, by rule.
        deflate: the venue needs permessage-deflate, which the quick client does not have.
    """

    venue: str
    integrity: str
    websocket_url: str
    rest_url: str = ""
    decoder: Callable[[Symbols], Decoder]
    subscribe: Callable[[Sequence[str], Sequence[Channel], int], list[str]]
    unsubscribe: Callable[[Sequence[str], Sequence[Channel], int], list[str]] | None = None
    snapshot: Callable[[str], str] | None = None
    snapshot_symbol: Callable[[str], str | None] = lambda _url: None
    unify: Callable[[str], str]
    native: Callable[[str], str]
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    limits: Limits = field(default_factory=Limits)
    deflate: bool = False

    def symbols(self) -> Symbols:
        """An empty symbol map of this venue."""
        return Symbols(self.unify)


_MODULES: Final = {
    "binance-spot": "binance",
    "binance-usdm": "binance",
    "binance-coinm": "binance",
}
"""Which module of this package holds the spec of each venue, in its ``SPECS``."""


def venue_ids() -> list[str]:
    """Ids of the venues with a spec of their own, sorted."""
    return sorted(_MODULES)


def venue_spec(venue: str) -> VenueSpec:
    """Spec of this venue. Raises BadInput, with the nearest names, for an unknown one."""
    module_name = _MODULES.get(venue)
    if module_name is None:
        near = difflib.get_close_matches(venue, _MODULES, n=3, cutoff=0.4)
        raise BadInput(
            f"no venue is called {venue!r}",
            where="venue",
            allowed=", ".join(venue_ids()),
            mend=f"did you mean {' or '.join(near)}?" if near else None,
        )
    module = importlib.import_module(f"citadel_micro.shell.feeds.{module_name}")
    specs: dict[str, VenueSpec] = module.SPECS
    return specs[venue]
