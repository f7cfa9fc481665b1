"""The account's news where ccxt streams none: asked for again and again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.adapters.ccxt.order_rows import (
    Frame,
    balance_rows,
    oldest_first,
    order_row,
    trade_row,
)
from citadel_micro.adapters.ccxt.order_venue import CcxtVenue

if TYPE_CHECKING:
    from collections.abc import Callable


LATE_MS: Final = 60_000
"""Trades may be listed so late; those that are known count once."""
ENDED: Final = ("closed", "canceled", "expired", "rejected")

Exchange = Any
"""An object of ccxt.pro, which has no useful types."""


@dataclass(slots=True)
class Poller:
    """The account's news where the venue streams none: asked for, again and again.

    Args:
        venue: which.
        interval_s: between the beginnings of two rounds.
        wanted: currencies whose balances are told though they are 0.
    """

    venue: CcxtVenue
    interval_s: float
    wanted: frozenset[str]
    _open: dict[tuple[str, str], None] = field(default_factory=dict)

    async def run(
        self, exchange: Exchange, report: Callable[[Frame], None], venue_ms: Callable[[], int]
    ) -> None:
        """Poll. Raises what ccxt raises."""
        loop = asyncio.get_running_loop()
        since_ms = venue_ms() - LATE_MS
        while True:
            began_s, began_ms = loop.time(), venue_ms()
            for symbol in self.venue.symbols:
                await self._round(exchange, symbol, since_ms, report)
            told = await exchange.fetch_balance()
            report(Frame(balances=balance_rows(told, self.wanted), stamp_ms=began_ms))
            since_ms = began_ms - LATE_MS
            await asyncio.sleep(max(began_s + self.interval_s - loop.time(), 0.0))

    async def _round(
        self, exchange: Exchange, symbol: str, since_ms: int, report: Callable[[Frame], None]
    ) -> None:
        rows = await exchange.fetch_open_orders(symbol)
        orders = [order_row(each, symbol) for each in rows]
        there = {(symbol, each.id): None for each in orders}
        before = [key for key in (*self._open, *self.venue.awaited) if key[0] == symbol]
        for _, order_id in [key for key in dict.fromkeys(before) if key not in there]:
            row = order_row(await exchange.fetch_order(order_id, symbol), symbol)
            orders.append(row)
            if row.status not in ENDED:
                there[symbol, order_id] = None  # its end comes in a later round
            else:
                self.venue.awaited.pop((symbol, order_id), None)
        self._open = {key: None for key in self._open if key[0] != symbol} | there
        raws = await exchange.fetch_my_trades(symbol, since_ms, self.venue.page("fetchMyTrades"))
        trades = oldest_first(trade_row(each, symbol) for each in raws)
        if self.venue.may_be_cut("fetchMyTrades", len(trades)):
            report(Frame(ends=f"{len(trades)} trades at once, perhaps not all"))
            return
        stamp = max((each.stamp_ms for each in orders), default=0)
        report(Frame(orders=oldest_first(orders), trades=trades, stamp_ms=stamp))
