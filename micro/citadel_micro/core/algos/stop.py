"""Stop: held by micro, triggered by the venue's own market, then executed at once.

A sell stop looks at the best bid, a buy stop at the best ask (what it would trade at), and both at
the last trade. One look through the stop price may be a flicker: it takes ``confirm_updates`` of the
book or of the trades in a row, or ``confirm_ms`` without another look while the book stays through.

Trades are not believed against a book that is LIVE and says otherwise; every update of it starts
their count anew. Where there is no such book (lost, stale, crossed, one-sided), or it has said
nothing for a second after the first of several, trades alone trigger, and two at least: a position
must not stand unprotected because its book is gone. Trades count once, and not when they are told
late (``core.orders.held_stops``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
from citadel_micro.core.model.time_units import FAR, MS, SECOND
from citadel_micro.core.model.traits import Traits
from citadel_micro.core.orders.order_states import ParentState
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.model.events import SignalReceived
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

BOOK_ANSWERS_NS: Final = SECOND
"""Within this time a book that is alive shows a trade that went through it: streams of depth come
every 100 ms, the slowest every second."""
ALONE: Final = 2
"""So many trades at least, where no book agrees."""


class Stop(Algorithm):
    """See the module. After the trigger an inner algorithm executes."""

    name = "stop"
    traits = Traits(held=True)
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
        self._trade_ns = self._trade_at_ns = 0
        self._sweep = False
        """All trades of the present count happened at one time: of one order, perhaps."""
        self._book_seen = -1
        self._quote_seen: tuple[float, float, float, float] | None = None
        self._trade_seen = 0
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

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Algorithm.decide``."""
        if parent.state is ParentState.HELD:
            return self._book_monitor(parent, inst, now_ns)
        chase = self.values["after"] == "chase"
        inner: Algorithm = self._chaser if chase else self._taker
        decision = inner.decide(parent, inst, now_ns)
        self.wake_ns = inner.wake_ns
        return decision

    @property
    def armed(self) -> bool:  # type: ignore[override]  # others hold nothing
        """See ``Algorithm.armed``."""
        return self._book_hits > 0 or self._trade_hits > 0

    def _book_monitor(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        stop = parent.stop_ticks
        if stop is None:
            return KEEP
        if self._price == 0.0:
            self._price = inst.instrument.price_float(stop)
            self._trade_seen = inst.held.news.count  # what was traded before is history
        through = self._look_at_book(parent, inst, now_ns)
        self._look_at_trade(parent, inst, now_ns)
        self.wake_ns = FAR
        if not self.armed:
            return KEEP
        needed, price = self._needed, inst.instrument.price(stop)
        if through and self._book_hits >= needed:
            return Trigger(f"book through {price}")
        if self._traded(through, now_ns):
            return Trigger(f"last trade through {price}")
        if through and self._confirm_ns:
            due_ns = self._first_ns + self._confirm_ns
            if now_ns >= due_ns:
                return Trigger(f"{'book' if self._book_hits else 'last trade'} through {price}")
            self.wake_ns = min(self.wake_ns, due_ns)
        return KEEP

    def _look_at_book(self, parent: Parent, inst: InstrumentState, now_ns: int) -> bool | None:
        """Whether the book has reached the stop; None where it is not one to go by."""
        if not inst.fit:
            self._book_hits = 0
            return None
        market = inst.market
        best = market.best()
        if best is None:
            return None
        through = best[0] <= self._price if parent.sign < 0 else best[2] >= self._price
        if market.last_seq == self._book_seen and best == self._quote_seen:
            return through
        self._book_seen, self._quote_seen = market.last_seq, best
        if not through:
            self._book_hits = self._trade_hits = 0
        elif self._on != "trade":
            self._first_ns = self._first_ns if self.armed else now_ns
            self._book_hits += 1
        return through

    def _look_at_trade(self, parent: Parent, inst: InstrumentState, now_ns: int) -> None:
        news = inst.held.news
        if self._on == "book" or news.count == self._trade_seen or news.last is None:
            return
        trade = news.last
        self._trade_seen = news.count
        if not (trade.price <= self._price if parent.sign < 0 else trade.price >= self._price):
            self._trade_hits = 0
            return
        at_ns = trade.exchange_ns or trade.recv_ns
        if self._trade_hits == 0:
            self._trade_ns, self._trade_at_ns, self._sweep = now_ns, at_ns, True
            self._first_ns = self._first_ns if self.armed else now_ns
        self._sweep = self._sweep and at_ns == self._trade_at_ns
        self._trade_hits += 1

    def _traded(self, through: bool | None, now_ns: int) -> bool:  # noqa: FBT001 - of the book
        """Whether trades alone have said enough.

        A book that can be trusted and disagrees is believed, unless it says nothing for so long
        that it cannot have seen these trades: its next update starts the count anew.
        """
        if through:
            return self._trade_hits >= self._needed
        if self._trade_hits < max(self._needed, ALONE):
            return False
        if through is None:
            return True
        if self._sweep:
            return False
        due_ns = self._trade_ns + BOOK_ANSWERS_NS
        self.wake_ns = min(self.wake_ns, due_ns) if now_ns < due_ns else self.wake_ns
        return now_ns >= due_ns
