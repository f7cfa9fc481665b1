"""What all connections of one venue share, and the callbacks that they use."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from citadel_micro.shell.marketdata.backoff import Pacer
from citadel_micro.shell.marketdata.decode import FeedEvent, Symbols
from citadel_micro.shell.marketdata.event_queue import EventQueue
from citadel_micro.shell.marketdata.spec import Channel, VenueSpec
from citadel_micro.shell.marketdata.trade_filter import TradeNews

if TYPE_CHECKING:
    from citadel_micro.core.model.events import BookLook, FeedStatus, StreamProof

    SinkEvent = FeedEvent | FeedStatus | StreamProof | BookLook


class Emit(Protocol):
    """Receives one event, at its receive time."""

    def __call__(self, event: SinkEvent, recv_ns: int, /) -> None:
        """Handle it at once."""


class Tap(Protocol):
    """Receives raw traffic in the terms of a capture: kind, connection, address, text."""

    def __call__(self, recv_ns: int, kind: str, conn: int, url: str, text: str, /) -> None:
        """Handle it at once."""


@dataclass(slots=True)
class Counts:
    """Counts of a connection so far."""

    frames: int = 0
    octets: int = 0
    violations: int = 0
    connects: int = 0
    failures: int = 0
    resubscribed: int = 0
    last_frame_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueContext:
    """What all connections of one venue share."""

    spec: VenueSpec
    url: str
    rest_url: str
    given_url: bool
    """The address was configured, so no ticket is requested."""
    symbols: Symbols
    channels: Sequence[Channel]
    outlet: EventQueue
    clock: Callable[[], int]
    rng: random.Random
    connects: Pacer
    want_snapshot: Callable[[str, str], None] | None
    """(venue symbol, unified symbol); None where the stream brings its own."""
    want_poll: Callable[[str, str, Callable[[str], None]], None] | None
    """(venue symbol, unified symbol, callback for the latter once the answer has been emitted);
    None where the venue's book cannot be polled."""
    drop_snapshot: Callable[[str], None]
    quiet_s: float
    news: TradeNews
    tap: Tap | None
