"""A strategy's interface to micro: its books, and how orders are executed.

``class MyStrategy(CitadelStrategy, IStrategy)`` adds one attribute, ``self.micro``. In backtesting,
hyperopt and dry runs it is there too, but returns nothing and does nothing, so results with and
without the mixin are identical.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from citadel_bridge.config import plain_params
from citadel_proto.errors import BadInput
from citadel_proto.messages import Param

if TYPE_CHECKING:
    from citadel_proto.messages import ExecutionReport

FloatArray = np.ndarray[tuple[int, int], np.dtype[np.float64]]

HINT_LIFE_S = 30.0
"""An execution request whose order never came is dropped after this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookView:
    """Micro's book of one pair at one moment.

    ``bids`` and ``asks`` are arrays of shape (levels, 2), columns price and size, best first.
    ``imbalance`` is (bid size - ask size) / (bid size + ask size) over the published levels;
    ``flow`` is taker buys minus taker sells in base units over ``flow_window_s``. ``age_s`` is the
    time since micro received the last update, ``proof_age_s`` since the book was last proven
    current: a quiet pair is old by the first and fresh by the second.
    """

    pair: str
    state: str
    age_s: float
    max_age_s: float
    bids: FloatArray
    asks: FloatArray
    microprice: float
    imbalance: float
    spread: float
    flow: float
    flow_window_s: float
    features: Mapping[str, float]
    proof_age_s: float | None = None
    """None: not sent, ``age_s`` then."""

    @property
    def fresh(self) -> bool:
        """Whether an order may be priced from this book: LIVE, proven, and with both sides."""
        age_s = self.age_s if self.proof_age_s is None else self.proof_age_s
        return (
            self.state == "LIVE"
            and 0 <= age_s <= self.max_age_s
            and len(self.bids) > 0
            and len(self.asks) > 0
        )

    @property
    def best_bid(self) -> float:
        """Best bid price; NaN without bids."""
        return float(self.bids[0, 0]) if len(self.bids) else math.nan

    @property
    def best_ask(self) -> float:
        """Best ask price; NaN without asks."""
        return float(self.asks[0, 0]) if len(self.asks) else math.nan

    @property
    def mid(self) -> float:
        """Middle of best bid and best ask; NaN when one-sided."""
        return (self.best_bid + self.best_ask) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How the next order of a pair is executed."""

    algo: str | None
    params: Mapping[str, Param]
    confidence: float | None
    model_id: str
    tag: str
    made: float
    """``time.monotonic()`` of the request."""


class Micro(Protocol):
    """Interface of ``self.micro``."""

    @property
    def live(self) -> bool:
        """Whether orders go to micro in this run."""

    def book(self, pair: str) -> BookView | None:
        """Newest book of ``pair``, or None when micro has sent none (always so in backtests)."""

    def execution(
        self,
        pair: str,
        *,
        algo: str | None = None,
        urgency: str | None = None,
        confidence: float | None = None,
        model_id: str = "",
        tag: str = "",
        **params: Param,
    ) -> None:
        """Choose how the next order of ``pair`` is executed; the last call before it counts.

        Args:
            pair: the pair, as Freqtrade names it.
            algo: execution algorithm; None for the configured one.
            urgency: of a chase: ``passive``, ``normal``, ``high`` or ``cross``.
            confidence: calibrated probability in [0, 1]; micro never sizes up on it.
            model_id: names the model that ``confidence`` comes from.
            tag: free text sent with the order.
            **params: parameters of the algorithm, with units in their names.
        """

    def report(self, order_id: str) -> ExecutionReport | None:
        """Newest execution report of one of this bot's orders."""


class InertMicro:
    """``self.micro`` where there is no micro: no books, no effect, no rejects."""

    live = False

    def book(self, pair: str) -> None:
        """No book."""

    def execution(
        self,
        pair: str,
        *,
        algo: str | None = None,
        urgency: str | None = None,
        confidence: float | None = None,
        model_id: str = "",
        tag: str = "",
        **params: Param,
    ) -> None:
        """Nothing to attach to."""

    def report(self, order_id: str) -> None:
        """No report."""


class ExecutionHints:
    """Execution requests by pair, each used once, by the next order of its pair."""

    def __init__(self) -> None:
        self._by_pair: dict[str, Execution] = {}

    def put(
        self,
        pair: str,
        *,
        algo: str | None,
        urgency: str | None,
        confidence: float | None,
        model_id: str,
        tag: str,
        params: Mapping[str, Param],
    ) -> None:
        """Store a request; raises BadInput for an invalid confidence or parameter."""
        if confidence is not None and not 0 <= confidence <= 1:  # NaN too
            raise BadInput(
                f"confidence {confidence}",
                where=f"micro.execution({pair!r})",
                allowed="a probability from 0 to 1, or None",
            )
        merged = plain_params(params)
        if urgency is not None:
            merged["urgency"] = urgency
        self._by_pair[pair] = Execution(
            algo=algo,
            params=merged,
            confidence=None if confidence is None else float(confidence),
            model_id=model_id,
            tag=tag,
            made=time.monotonic(),
        )

    def take(self, pair: str) -> Execution | None:
        """Remove and return the request for ``pair``, if there is one and it is recent."""
        hint = self._by_pair.pop(pair, None)
        if hint is None or time.monotonic() - hint.made > HINT_LIFE_S:
            return None
        return hint


_INERT = InertMicro()
_live: Micro | None = None


def attach(micro: Micro | None) -> None:
    """Make ``self.micro`` of every strategy in this process the given one; None detaches."""
    global _live  # noqa: PLW0603 - Freqtrade builds strategies itself and passes nothing in
    _live = micro


class CitadelStrategy:
    """Mixin for an ``IStrategy``: adds ``self.micro``."""

    @property
    def micro(self) -> Micro:
        """Micro in a bridged run, else an object with the same methods that does nothing."""
        return _live or _INERT
