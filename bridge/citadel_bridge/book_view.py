"""Read-only view of one published book."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from citadel_proto.messages import BookSnapshot, BookState

_LEVEL: Final = np.dtype("<f8")


class BookView:
    """The latest ``BookSnapshot`` of one instrument; immutable, so it may be kept and shared.

    Levels are unpacked on access, without copying: ``bids`` and ``asks`` are
    read-only arrays of shape (n, 2), price and size, best first.
    """

    __slots__ = ("message",)

    def __init__(self, message: BookSnapshot) -> None:
        self.message = message

    def __repr__(self) -> str:
        best = self.best()
        return f"BookView({self.venue} {self.symbol} {self.state}, best={best})"

    @property
    def venue(self) -> str:
        """Venue id."""
        return self.message.venue

    @property
    def symbol(self) -> str:
        """Unified symbol."""
        return self.message.symbol

    @property
    def state(self) -> BookState:
        """Integrity, as of its publication by micro."""
        return self.message.state

    @property
    def bids(self) -> NDArray[np.float64]:
        """Bids, best (highest) first."""
        return np.frombuffer(self.message.bids, _LEVEL).reshape(-1, 2)

    @property
    def asks(self) -> NDArray[np.float64]:
        """Asks, best (lowest) first."""
        return np.frombuffer(self.message.asks, _LEVEL).reshape(-1, 2)

    def levels(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both sides: (bids, asks)."""
        return self.bids, self.asks

    def best(self) -> tuple[float, float, float, float] | None:
        """(bid, bid size, ask, ask size), or None when a side is empty."""
        if not (self.message.bids and self.message.asks):
            return None
        bid, ask = self.bids[0], self.asks[0]
        return float(bid[0]), float(bid[1]), float(ask[0]), float(ask[1])

    @property
    def mid(self) -> float:
        """Middle of best bid and ask; NaN when a side is empty."""
        best = self.best()
        return math.nan if best is None else (best[0] + best[2]) / 2

    @property
    def microprice(self) -> float:
        """Mid weighted by the opposite sizes; NaN when a side is empty."""
        return self.message.microprice

    @property
    def imbalance(self) -> float:
        """(bid size - ask size) / (bid size + ask size), in [-1, 1]."""
        return self.message.imbalance

    @property
    def spread(self) -> float:
        """Best ask minus best bid in price units; NaN when a side is empty."""
        return self.message.spread

    @property
    def signed_flow(self) -> float:
        """Taker buys minus taker sells in base units over ``message.flow_window_ms``."""
        return self.message.signed_flow

    @property
    def features(self) -> Mapping[str, float]:
        """Further order-flow features by name."""
        return self.message.features

    def age_ns(self, now_ns: int | None = None) -> int:
        """Time since micro received the last update of this book.

        Args:
            now_ns: wall clock; None reads it.
        """
        return (time.time_ns() if now_ns is None else now_ns) - self.message.recv_ns

    def proof_age_ns(self, now_ns: int | None = None) -> int:
        """Time since the book was last proven current; a quiet market is not an old book.

        Args:
            now_ns: wall clock; None reads it.
        """
        proof_ns = self.message.proof_ns or self.message.recv_ns
        return (time.time_ns() if now_ns is None else now_ns) - proof_ns

    def fresh(self, max_age_ns: int, now_ns: int | None = None) -> bool:
        """Whether the book may be traded on: LIVE, two-sided and proven within ``max_age_ns``."""
        message = self.message
        return (
            message.state == "LIVE"
            and bool(message.bids)
            and bool(message.asks)
            and self.proof_age_ns(now_ns) <= max_age_ns
        )
