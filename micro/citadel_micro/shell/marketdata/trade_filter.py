"""Which of a venue's trades are passed on: each once, and none from before the subscription.

One filter for all connections of a venue, so that a reconnect repeats nothing. History that a venue
does not mark comes in the first message after subscribing, and is recognized by its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.marketdata.trade_news import SeenTrades

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.model.events import TradeTick


class TradeNews:
    """See the module.

    Args:
        unmarked: the venue sends trades from before the subscription, and does not mark them.
    """

    def __init__(self, *, unmarked: bool) -> None:
        self._unmarked = unmarked
        self._seen: dict[str, Callable[[TradeTick], bool]] = {}
        self._first: dict[str, tuple[int, int]] = {}
        """For each symbol: when it was subscribed, and when the first message after that came."""

    def take(self, trade: TradeTick, began_ns: int) -> bool:
        """Whether to pass it on.

        Args:
            trade: of any symbol of the venue.
            began_ns: when this symbol was subscribed on the connection that it came by.
        """
        if trade[8] or (self._unmarked and self._before(trade, began_ns)):  # history
            return False
        symbol = trade[1]
        take = self._seen.get(symbol)
        if take is None:
            take = self._seen[symbol] = SeenTrades().take
        return take(trade)

    def _before(self, trade: TradeTick, began_ns: int) -> bool:
        began, first_ns = self._first.get(trade.symbol, (-1, 0))
        if began != began_ns:
            first_ns = trade.recv_ns
            self._first[trade.symbol] = (began_ns, first_ns)
        return trade.recv_ns == first_ns and trade.exchange_ns < began_ns
