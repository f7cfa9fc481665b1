"""What book messages carry about the connection and the venues behind them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from citadel_proto.bounds import Count, Integer, Name


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A part of a message, never sent alone, so it carries no tag."""


class FeedHealth(Part, frozen=True, kw_only=True):
    """The connection behind a book: how far micro lags, and the offset of the venue's clock.

    Times in ns. Counts are since the start.
    """

    overloaded: bool = False
    """Micro is not keeping up: books are conflated, trades queue."""
    overloads: Count = 0
    overloaded_ns: Integer = 0
    behind_ns: Integer = 0
    """Age of the oldest data received but not handled."""
    behind_peak_ns: Integer = 0
    loop_lag_ns: Integer = 0
    waiting: Count = 0
    """Events waiting to be handled."""
    waiting_peak: Count = 0
    unread_octets: Count = 0
    unread_octets_peak: Count = 0
    conflated: Count = 0
    """Book updates that were merged into a newer one."""
    handled_ns: Annotated[tuple[Integer, ...], msgspec.Meta(max_length=16)] = ()
    """From receipt to handled, at 50, 90 and 99 % of the last events."""
    clock_offset_ns: Integer | None = None
    """The venue's clock minus micro's; None until it is known."""
    clock_error_ns: Integer | None = None
    """Error bound of the offset."""
    rtt_ns: Integer | None = None
    """The fastest round trip of the last minute."""


class VenueQuote(Part, frozen=True, kw_only=True):
    """Best bid and ask of one venue's LIVE book, as part of a consolidated one."""

    venue: Name
    bid: float
    bid_size: float
    """Base units, whatever unit the venue uses."""
    ask: float
    ask_size: float
    age_ns: Integer
    """Since micro received the last update of this book, at ``published_ns``."""
    verified: bool = True
    """The venue's protocol makes gaps detectable, and there was none."""
    proof_age_ns: Integer = 0
    """Since the last proof that the book equals the venue's, at ``published_ns``: at most ``age_ns``."""
