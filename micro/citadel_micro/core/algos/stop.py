"""Stop: held by micro, triggered by the venue's market data, then executed at once.

A sell stop watches the best bid, a buy stop the best ask (what it would trade at), and both
the last trade. One price through the stop may be noise: it takes ``confirm_updates`` consecutive
book updates or trades, or ``confirm_ms`` without another update while the book stays through.

Trades do not trigger against a LIVE book that disagrees; every update of it resets
their count. Where there is no such book (lost, stale, crossed, one-sided), or it has not changed
for a second after the first of several, trades alone trigger, at least two: a position
must not stay unprotected because its book is missing. Trades count once, and not when they are sent
late (``core.orders.held_stops``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

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
    from citadel_micro.core.orders.held_stops import TradeNews
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

BOOK_ANSWERS_NS: Final = SECOND
"""Within this time a live book shows a trade that went through it: streams of depth come
every 100 ms, the slowest every second."""
ALONE: Final = 2
"""Minimum number of trades, where no book agrees."""


TRIGGER: Final = (
    Param("trigger", "either", "What triggers", choices=("either", "book", "trade")),
    Param("confirm_updates", 2, "Consecutive prices through the stop price", 1, 1_000),
    Param("confirm_ms", 500, "Or this long without another update", 0, 60_000),
)
"""Parameters of all stops."""


class Stop(Algorithm):
    """See the module. After the trigger an inner algorithm executes."""

    name = "stop"
    traits = Traits(held=True)
    params: ClassVar[tuple[Param, ...]] = (
        *TRIGGER,
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
        """All trades of the current count happened at one time: perhaps of one order."""
        self._book_seen = -1
        self._quote_seen: tuple[float, float, float, float] | None = None
        self._trade_seen = 0
        self._level = 0
        self._inner = self.executing()

    def executing(self) -> Algorithm:
        """The algorithm that works the order once it has triggered."""
        values = self.values
        if values["after"] == "chase":
            return ChaseLimit.make(
                (
                    ("urgency", "high"),
                    ("allow_taker", True),
                    ("max_cross_bps", values["max_cross_bps"]),
                    ("max_chase_bps", 1_000.0),
                    ("time_limit_ms", values["chase_ms"]),
                    ("on_timeout", "rest"),
                )
            )
        return MarketableLimit.make(
            (("max_cross_bps", values["max_cross_bps"]), ("time_limit_ms", 0))
        )

    def check(self, signal: SignalReceived) -> None:
        """See ``Algorithm.check``."""
        if signal.stop_price is None:
            raise BadInput("a stop needs a stop price", mend="give stop_price")

    def forget(self) -> None:
        """See ``Algorithm.forget``."""
        self._inner.forget()

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Algorithm.decide``."""
        if parent.state is ParentState.HELD:
            return self.watch(parent, inst, now_ns)
        decision: Decision = self._inner.decide(parent, inst, now_ns)
        self.wake_ns = self._inner.wake_ns
        return decision

    @property
    def armed(self) -> bool:  # type: ignore[override]  # others hold nothing
        """See ``Algorithm.armed``."""
        return self._counting

    @property
    def _counting(self) -> bool:
        """Its price was reached at least once, and not left since."""
        return self._book_hits > 0 or self._trade_hits > 0

    def news(self, inst: InstrumentState) -> TradeNews:
        """The trades of the market, each once."""
        return inst.held.news

    def watch(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """Whether it has triggered. Called while it is held."""
        stop = self.trigger_ticks(parent)
        if stop is None:
            return KEEP
        if self._level == 0:
            self._trade_seen = self.news(inst).count  # earlier trades are history
        if self._level != stop:
            self._level, self._price = stop, inst.instrument.price_float(stop)
        through = self._check_book(parent, inst, now_ns)
        self._check_trade(parent, inst, now_ns)
        self.wake_ns = FAR
        if not self._counting:
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

    def _check_book(self, parent: Parent, inst: InstrumentState, now_ns: int) -> bool | None:
        """Whether the book has reached the stop; None where it cannot be used."""
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
            self._first_ns = self._first_ns if self._counting else now_ns
            self._book_hits += 1
        return through

    def _check_trade(self, parent: Parent, inst: InstrumentState, now_ns: int) -> None:
        news = self.news(inst)
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
            self._first_ns = self._first_ns if self._counting else now_ns
        self._sweep = self._sweep and at_ns == self._trade_at_ns
        self._trade_hits += 1

    def _traded(self, through: bool | None, now_ns: int) -> bool:  # noqa: FBT001 - of the book
        """Whether trades alone trigger.

        A usable book that disagrees takes precedence, unless it has not changed for so long
        that it cannot contain these trades: its next update resets the count.
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
