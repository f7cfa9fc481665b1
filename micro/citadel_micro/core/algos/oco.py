"""OCO: take-profits and a stop for one position, of which one cancels the other.

Both are one order with one budget, so the position cannot be sold twice. The stop is held by micro and
watched as any other. A take-profit rests at the venue once the market is near, at its price or
better; when the stop triggers they are withdrawn first, and what is left is executed. It lives until
everything is done or it is canceled, over restarts too.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos.base import KEEP, Orders, Param, Trigger, Withdraw, Work, numbers_of
from citadel_micro.core.algos.stop import Stop
from citadel_micro.core.model.traits import Traits
from citadel_micro.core.orders.held_stops import TradeNews
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.algos.base import Decision, Value
    from citadel_micro.core.model.events import SignalReceived
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent

MOST: Final = 5


class Oco(Stop):
    """See the module."""

    name = "oco"
    traits = Traits(held=True, works_held=True, children=MOST + 1)  # one more: it is never busy
    params = (
        Param("take_profits", "", "Prices of the take-profits, 1 to 5", numbers=True),
        Param("shares", "", "Weights of these; none: equal parts", numbers=True),
        Param("rest_within_bps", 100.0, "Distance at which one rests at the venue", 0, 10_000),
        *Stop.params,
    )

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        self._prices = numbers_of(values["take_profits"]) or ()
        self._shares = numbers_of(values["shares"]) or (Decimal(1),) * len(self._prices)
        self._near = self.real("rest_within_bps") / 10_000
        self._own_news: TradeNews | None = None
        self._taken: object = None
        self._levels: tuple[int, tuple[tuple[int, int], ...]] = (0, ())

    def check(self, signal: SignalReceived) -> None:
        """See ``Algorithm.check``."""
        super().check(signal)
        prices, stop = self._prices, signal.stop_price or Decimal(0)
        if not 1 <= len(prices) <= MOST or len(set(prices)) < len(prices) or not all(prices):
            raise BadInput(
                f"take_profits is {self.values['take_profits']!r}",
                where="algorithm parameters",
                allowed=f"1 to {MOST} different prices above 0",
                mend="give take_profits, or use the stop",
            )
        if len(self._shares) != len(prices) or not all(self._shares):
            raise BadInput(
                f"shares is {self.values['shares']!r}",
                where="algorithm parameters",
                allowed=f"{len(prices)} weights above 0, or none",
            )
        sell = signal.side == "sell"
        wrong = [each for each in prices if (each <= stop if sell else each >= stop)]
        if wrong:
            raise BadInput(
                f"the take-profit {wrong[0]} is on the wrong side of the stop price {stop}",
                where="algorithm parameters",
                allowed=f"a {signal.side} takes its profit {'above' if sell else 'below'} its stop",
                mend="exchange them",
            )

    def news(self, inst: InstrumentState) -> TradeNews:
        """See ``Stop.news``. It is not among the held ones, so it listens by itself."""
        if self._own_news is None:
            self._own_news = TradeNews(inst.market)
            self._own_news.begin()
            self._taken = inst.market.news
        trade = inst.market.news
        if trade is not None and trade is not self._taken:
            self._taken = trade
            self._own_news.take(trade)
        return self._own_news

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        """See ``Algorithm.decide``."""
        if parent.triggered:
            if any(not child.ioc for child in parent.live):
                return Withdraw("TRIGGERED", "the take-profits make way for the stop")
            decision: Decision = self._inner.decide(parent, inst, now_ns)
            self.wake_ns = self._inner.wake_ns
            return decision
        watched = self.watch(parent, inst, now_ns)
        if isinstance(watched, Trigger) or not inst.fit:
            return watched
        works = self._due(parent, inst)
        return Orders(works) if works else KEEP

    def _due(self, parent: Parent, inst: InstrumentState) -> tuple[Work, ...]:
        """The take-profits that rest already, or that the market is near enough to."""
        touch = inst.touch_ticks()
        if touch is None:
            return ()
        if self._levels[0] != parent.target:  # it may grow
            self._levels = (parent.target, self._plan(parent))
        sign = parent.sign
        own = touch[0] if sign < 0 else touch[1]
        filled = dict.fromkeys((price for price, _ in self._levels[1]), 0)
        for child in parent.with_fills:
            if child.price_ticks in filled:
                filled[child.price_ticks] += child.filled
        resting = {child.price_ticks for child in parent.live}
        return tuple(
            Work(
                price, post_only=False, ioc=False, capped=False, quantity_lots=lots - filled[price]
            )
            for price, lots in self._levels[1]
            if lots > filled[price]
            and (price in resting or sign * (own - price) <= abs(own) * self._near)
        )

    def _plan(self, parent: Parent) -> tuple[tuple[int, int], ...]:
        """(price in ticks, lots) of each take-profit, nearest first: together the target.

        The last ones get nothing where the parts would be below the minimum.
        """
        rules = parent.rules
        rounding = "ceil" if parent.sign < 0 else "floor"
        pairs = sorted(
            zip(self._prices, self._shares, strict=True), key=lambda pair: -parent.sign * pair[0]
        )
        for count in range(len(pairs), 0, -1):
            chosen = pairs[:count]
            total = sum(share for _, share in chosen)
            ticks = [rules.ticks(price, rounding) for price, _ in chosen]  # type: ignore[arg-type]
            lots = [int(parent.target * share / total) for _, share in chosen]
            lots[0] += parent.target - sum(lots)
            smallest = [rules.min_lots_at(each, reduce_only=parent.reduce_only) for each in ticks]
            if len(set(ticks)) == count and all(
                size >= least for size, least in zip(lots, smallest, strict=True)
            ):
                return tuple(zip(ticks, lots, strict=True))
        return ((ticks[0], parent.target),)
