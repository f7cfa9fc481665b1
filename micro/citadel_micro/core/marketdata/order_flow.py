"""Order-flow features of a book and its trades, for the next seconds.

Two computations with the same results, byte for byte. ``FlowFeatures`` follows a live ``MarketBook`` at a
constant cost per event; ``offline.features`` applies the definitions below literally, to a list of
observations. Both are pure; their clock is the receive time of the events.

An *observation* is the best bid and ask after an event that changed them. Flows are summed over
windows as ``core.marketdata.rolling_sums`` cuts them, so that neither the order of addition nor values
that have left a window affect the last bit.

A window has no value (NaN) until the book has been LIVE, without a gap, for all of it: a number
from half a window would look like a quiet market. ``FEATURES`` lists each name with unit, window, source.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.core.marketdata.plain_events import quick_features
from citadel_micro.core.marketdata.rolling_sums import CellSums, added
from citadel_micro.core.model.commands import PublishBook
from citadel_micro.core.model.time_units import SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.marketdata.book import Best, Level
    from citadel_micro.core.marketdata.market_book import MarketBook

Top = tuple["Sequence[Level]", "Sequence[Level]"]
"""Best bids and best asks, (price, size), best first."""
GRID_NS: Final = SECOND
"""Sampling of mids for realized volatility. Finer sampling measures the bid-ask bounce instead of
the price."""
DEPTHS: Final = (1, 5, 20)
FLOW_S: Final = (1, 10, 60)
VOLATILITY_S: Final = (60, 300)
_DAY_S: Final = 86_400

_FLOW_NS: Final = tuple(seconds * SECOND for seconds in FLOW_S)
_BPS: Final = 1e4
_NOTHING: Final = -1


class Feature(NamedTuple):
    """Description of one feature."""

    name: str
    unit: str
    window_s: int
    """0 for the moment of reading."""
    text: str
    source: str


_CKS = "Cont, Kukanov, Stoikov (2014), The price impact of order book events"
_STOIKOV = "Stoikov (2018), The micro-price, first-order form"
_ABDL = "Andersen, Bollerslev, Diebold, Labys (2003), Modeling and forecasting realized volatility"

FEATURES: Final[tuple[Feature, ...]] = (
    *(
        Feature(
            f"imbalance_{depth}",
            "1, from -1 to 1",
            0,
            f"(bid size - ask size) / (bid size + ask size) over the best {depth} levels; "
            "0 when there are none",
            "Cao, Hansch, Wang (2009), The information content of an open limit-order book",
        )
        for depth in DEPTHS
    ),
    Feature(
        "microprice_bps",
        "basis points of the mid",
        0,
        "microprice - mid: positive when the ask is the thinner side",
        _STOIKOV,
    ),
    Feature("spread_bps", "basis points of the mid", 0, "best ask - best bid", "definition"),
    *(
        Feature(
            f"ofi_{seconds}s",
            "size, as the venue counts it",
            seconds,
            "order-flow imbalance at the best prices: what was added to the bid or taken from the "
            "ask, less what was taken from the bid or added to the ask",
            _CKS,
        )
        for seconds in FLOW_S
    ),
    *(
        Feature(
            f"flow_{seconds}s",
            "size, as the venue counts it",
            seconds,
            "signed trade flow: taker buys - taker sells",
            "Hasbrouck (1991), Measuring the information content of stock trades",
        )
        for seconds in FLOW_S
    ),
    *(
        Feature(
            f"volatility_{seconds}s",
            "standard deviation of the log return over the window, not annualised",
            seconds,
            "root of the sum of squared log returns of the mid, sampled every second",
            _ABDL,
        )
        for seconds in VOLATILITY_S
    ),
)
NAMES: Final = tuple(feature.name for feature in FEATURES)
_NONE: Final = (math.nan,) * len(NAMES)


def imbalance_of(before: Best, after: Best) -> float:
    """Order-flow imbalance of one change of the best prices, in size.

    e = [Pb >= Pb'] qb - [Pb <= Pb'] qb' - [Pa <= Pa'] qa + [Pa >= Pa'] qa', where ' marks the state
    before. Source: Cont, Kukanov, Stoikov (2014), section 2.
    """
    bid0, bid_size0, ask0, ask_size0 = before
    bid, bid_size, ask, ask_size = after
    flow = 0.0
    if bid >= bid0:
        flow += bid_size
    if bid <= bid0:
        flow -= bid_size0
    if ask <= ask0:
        flow -= ask_size
    if ask >= ask0:
        flow += ask_size0
    return flow


@quick_features
class FlowFeatures:
    """Features of one ``MarketBook``, updated by ``on_book`` after each of its events.

    O(1) per event; reading costs the levels, and the cells of the longest windows.
    """

    __slots__ = (
        "_best",
        "_flow",
        "_grid",
        "_last_ns",
        "_market",
        "_mid",
        "_resyncs",
        "_returns",
        "_since_ns",
    )

    def __init__(self, market: MarketBook) -> None:
        self._market: Final = market
        self._flow: Final = CellSums(_FLOW_NS[-1])
        self._returns: Final[deque[tuple[int, float]]] = deque()
        self._last_ns = 0
        self._best: Best | None = None
        self._grid = self._since_ns = self._resyncs = _NOTHING
        self._mid = 0.0

    def on_book(self, recv_ns: int) -> None:
        """The book applied a depth update or a quote that was received at this time."""
        market = self._market
        if market.state != "LIVE":
            if self._since_ns != _NOTHING:
                self._lose()
            return
        best = market.best()
        if best == self._best and market.resyncs == self._resyncs:
            return
        if recv_ns > self._last_ns:
            self._last_ns = recv_ns
        else:
            recv_ns = self._last_ns
        if best is None:
            self._lose()
            return
        before = self._best
        if before is None or market.resyncs != self._resyncs:
            self._lose()
            self._resyncs = market.resyncs
            self._since_ns = recv_ns
            self._grid = recv_ns // GRID_NS
            self._mid = (best[0] + best[2]) / 2
        else:
            self._flow.add(imbalance_of(before, best), recv_ns)
            grid = recv_ns // GRID_NS
            if grid > self._grid:
                self._close(before, grid)
        self._best = best

    def read(self, now_ns: int, top: Top | None = None) -> dict[str, float]:
        """``values`` by name."""
        return dict(zip(NAMES, self.values(now_ns, top), strict=True))

    def values(self, now_ns: int, top: Top | None = None) -> tuple[float, ...]:
        """All features as of ``now_ns``, in the order of ``NAMES``; NaN where there is none.

        Reading changes nothing.

        Args:
            now_ns: engine time.
            top: the bids and asks published with them, as deep as ``DEPTHS`` if there are as
                many; None for those of the depth.
        """
        market = self._market
        if market.state != "LIVE" or market.resyncs != self._resyncs:
            return _NONE
        now_ns = max(now_ns, self._last_ns)
        if top is None:
            top = market.book.top(DEPTHS[-1])
        values = [depth_imbalance(top, depth) for depth in DEPTHS]
        values += levels_of(market.best(), market.microprice())
        whole = [whole_window(self._since_ns, now_ns, seconds) for seconds in FLOW_S]
        for flows in (self._flow.sums(now_ns, _FLOW_NS), market.signed_flows(now_ns, _FLOW_NS)):
            values += [flow if seen else math.nan for flow, seen in zip(flows, whole, strict=True)]
        for seconds in VOLATILITY_S:
            seen = whole_window(self._since_ns, now_ns // GRID_NS * GRID_NS, seconds)
            values.append(self._volatility(now_ns // GRID_NS, seconds) if seen else math.nan)
        return tuple(values)

    def daily_volatility(self, now_ns: int) -> float | None:
        """Standard deviation of a day's log return, if it went on as over the longest window known.

        None where no window is.
        """
        market = self._market
        if market.state != "LIVE" or market.resyncs != self._resyncs:
            return None
        now_ns = max(now_ns, self._last_ns)
        for seconds in reversed(VOLATILITY_S):
            if whole_window(self._since_ns, now_ns // GRID_NS * GRID_NS, seconds):
                return self._volatility(now_ns // GRID_NS, seconds) * math.sqrt(_DAY_S / seconds)
        return None

    def _lose(self) -> None:
        """The book's history has a gap: later values are not joined to earlier ones."""
        self._best = None
        self._flow.clear()
        self._returns.clear()
        self._grid = self._since_ns = self._resyncs = _NOTHING
        self._mid = 0.0

    def _close(self, before: Best, grid: int) -> None:
        """Seconds have ended: their last mid was the one before this event."""
        mid = (before[0] + before[2]) / 2
        self._returns.append((self._grid, math.log(mid / self._mid)))
        oldest = grid - VOLATILITY_S[-1] - 1
        while self._returns and self._returns[0][0] < oldest:
            self._returns.popleft()
        self._grid = grid
        self._mid = mid

    def _volatility(self, grid: int, seconds: int) -> float:
        """Over the ``seconds`` whole seconds before that of reading."""
        oldest = grid - seconds
        squares = []
        if grid > self._grid >= oldest and self._best is not None:
            # The second of the last event has ended since, without an event.
            mid = (self._best[0] + self._best[2]) / 2
            squares.append(math.log(mid / self._mid) ** 2)
        for at, value in reversed(self._returns):
            if at < oldest:
                break
            squares.append(value * value)
        return math.sqrt(math.fsum(squares))


def publish_book(market: MarketBook, features: FlowFeatures | None, now_ns: int) -> PublishBook:
    """The command that publishes a book, with its current order flow."""
    values = () if features is None else features.values(now_ns, market.top(DEPTHS[-1]))
    return PublishBook(venue=market.venue, symbol=market.symbol, features=values)


# --- shared -------------------------------------------------------------------------------------


def depth_imbalance(top: Top, depth: int) -> float:
    """(bid size - ask size) / their sum over so many levels; 0 if empty."""
    bids = added(size for _, size in top[0][:depth])
    asks = added(size for _, size in top[1][:depth])
    return (bids - asks) / (bids + asks) if bids + asks > 0 else 0.0


def whole_window(since_ns: int, end_ns: int, seconds: int) -> bool:
    """Whether the book was followed for all of a window."""
    return end_ns - since_ns >= seconds * SECOND


def levels_of(best: Best | None, microprice: float | None) -> list[float]:
    """Microprice and spread, in basis points of the mid."""
    if best is None or microprice is None:
        return [math.nan, math.nan]
    mid = (best[0] + best[2]) / 2
    return [(microprice - mid) / mid * _BPS, (best[2] - best[0]) / mid * _BPS]
