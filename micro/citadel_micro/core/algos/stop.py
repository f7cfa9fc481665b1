"""Stop: held by micro, triggered by the venue's own market, then executed at once.

A sell stop looks at the best bid, a buy stop at the best ask (what it would trade at), and both at
the last trade. One look through the stop price may be a flicker: it takes ``confirm_updates`` in a
row, or ``confirm_ms`` without any other look while the book stays fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.algos.base import (
    KEEP,
    Algorithm,
    Decision,
    Param,
    Trigger,
    Value,
)
from citadel_micro.core.algos.chase_limit import ChaseLimit
from citadel_micro.core.algos.limit import MarketableLimit
from citadel_micro.core.lifecycle import ParentState
from citadel_micro.core.times import FAR, MS
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.desk import Desk
    from citadel_micro.core.events import SignalReceived, TradeTick
    from citadel_micro.core.orders import Parent


class Stop(Algorithm):
    """See the module. After the trigger an inner algorithm executes."""

    name = "stop"
    params = (
        Param("trigger", "either", "What triggers", choices=("either", "book", "trade")),
        Param("confirm_updates", 2, "Looks in a row through the stop price", 1, 1_000),
        Param("confirm_ms", 500, "Or this long without another look", 0, 60_000),
        Param("after", "ioc", "How it executes", choices=("ioc", "chase")),
        Param("max_cross_bps", 50.0, "Worst price of each order, from the touch", 0, 1_000),
        Param("chase_ms", 2_000, "With chase: how long before it crosses", 100, 60_000),
    )

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        self._on = str(values["trigger"])
        self._needed = self.number("confirm_updates")
        self._confirm_ns = self.number("confirm_ms") * MS
        self._price = 0.0
        self._book_hits = 0
        self._trade_hits = 0
        self._first_ns = 0
        self._book_seen = -1
        self._quote_seen: tuple[float, float, float, float] | None = None
        self._trade_seen: TradeTick | None = None
        self._taker = MarketableLimit.make(
            (("max_cross_bps", values["max_cross_bps"]), ("time_limit_ms", 0))
        )
        self._chaser = ChaseLimit.make(
            (
                ("urgency", "high"),
                ("allow_taker", True),
                ("max_cross_bps", values["max_cross_bps"]),
                ("max_chase_bps", 1_000.0),
                ("time_limit_ms", values["chase_ms"]),
                ("on_timeout", "rest"),
            )
        )

    def check(self, signal: SignalReceived) -> None:
        """See ``Algorithm.check``."""
        if signal.stop_price is None:
            raise BadInput("a stop needs a stop price", mend="give stop_price")

    def forget(self) -> None:
        """See ``Algorithm.forget``."""
        self._chaser.forget()

    def decide(self, parent: Parent, desk: Desk, now_ns: int) -> Decision:
        """See ``Algorithm.decide``."""
        if parent.state is ParentState.HELD:
            return self._watch(parent, desk, now_ns)
        chase = self.values["after"] == "chase"
        inner: Algorithm = self._chaser if chase else self._taker
        decision = inner.decide(parent, desk, now_ns)
        self.wake_ns = inner.wake_ns
        return decision

    def _watch(self, parent: Parent, desk: Desk, now_ns: int) -> Decision:
        market = desk.market
        stop = parent.stop_ticks
        best = market.best()
        if stop is None or best is None or market.state != "LIVE" or best[0] >= best[2]:
            self._book_hits = self._trade_hits = 0
            self._first_ns = 0
            self.wake_ns = FAR
            return KEEP
        if self._price == 0.0:
            self._price = desk.instrument.price_float(stop)
        price = self._price
        sell = parent.sign < 0
        if self._on != "trade" and (market.last_seq != self._book_seen or best != self._quote_seen):
            self._book_seen, self._quote_seen = market.last_seq, best
            through = best[0] <= price if sell else best[2] >= price
            self._book_hits = self._book_hits + 1 if through else 0
        trade = market.last_trade
        if self._on != "book" and trade is not None and trade is not self._trade_seen:
            first = self._trade_seen is None
            self._trade_seen = trade
            # The trade that was there before us is history, not news.
            if not first or trade.recv_ns >= parent.created_ns:
                through = trade.price <= price if sell else trade.price >= price
                self._trade_hits = self._trade_hits + 1 if through else 0
        if not self._book_hits and not self._trade_hits:
            self._first_ns = 0
            self.wake_ns = FAR
            return KEEP
        if self._first_ns == 0:
            self._first_ns = now_ns
        waited = self._confirm_ns and now_ns - self._first_ns >= self._confirm_ns
        if self._book_hits >= self._needed or self._trade_hits >= self._needed or waited:
            source = "book" if self._book_hits else "last trade"
            return Trigger(f"{source} through {desk.instrument.price(stop)}")
        self.wake_ns = self._first_ns + self._confirm_ns if self._confirm_ns else FAR
        return KEEP
