"""What all connections of one venue share, and the shapes of what they give out."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from citadel_micro.shell.marketdata.backoff import Pacer
from citadel_micro.shell.marketdata.decode import FeedEvent, Symbols
from citadel_micro.shell.marketdata.event_queue import Outlet
from citadel_micro.shell.marketdata.spec import Channel, VenueSpec
from citadel_micro.shell.marketdata.trade_filter import TradeNews

if TYPE_CHECKING:
    from citadel_micro.core.model.events import BookLook, FeedStatus, StreamProof

    SinkEvent = FeedEvent | FeedStatus | StreamProof | BookLook


class Emit(Protocol):
    """Takes one event, at the time it was received."""

    def __call__(self, event: SinkEvent, recv_ns: int, /) -> None:
        """Take it, at once."""


class Tap(Protocol):
    """Takes raw traffic in the terms of a capture: kind, connection, address, text."""

    def __call__(self, recv_ns: int, kind: str, conn: int, url: str, text: str, /) -> None:
        """Take it, at once."""


@dataclass(slots=True)
class Counts:
    """What a connection has seen so far."""

    frames: int = 0
    octets: int = 0
    violations: int = 0
    connects: int = 0
    failures: int = 0
    resubscribed: int = 0
    last_frame_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all connections of one venue share."""

    spec: VenueSpec
    url: str
    rest_url: str
    given_url: bool
    """The address was configured, so no ticket is asked for."""
    symbols: Symbols
    channels: Sequence[Channel]
    outlet: Outlet
    clock: Callable[[], int]
    rng: random.Random
    connects: Pacer
    want_snapshot: Callable[[str, str], None] | None
    """(venue symbol, unified symbol); None where the stream brings its own."""
    want_look: Callable[[str, str, Callable[[str], None]], None] | None
    """(venue symbol, unified symbol, who is called with the latter when the answer has been given
    out); None where the venue's book cannot be looked at."""
    drop_snapshot: Callable[[str], None]
    quiet_s: float
    news: TradeNews
    tap: Tap | None
