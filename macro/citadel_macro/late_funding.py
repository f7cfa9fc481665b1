"""Funding that is told after its trade was closed.

A venue settles funding at a full hour, which is when candles close and strategies exit: what was paid for a
position is often told after it is gone. Freqtrade does not ask again. macro does for a while, and books it
with the order that has closed the trade.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from freqtrade.enums import TradingMode
from freqtrade.persistence import Trade

from citadel_bridge.errors import MicroUnavailable
from citadel_macro import books, funding

if TYPE_CHECKING:
    from citadel_macro.exchange import BridgeMixin
    from citadel_proto.messages import Position

logger = logging.getLogger(__name__)

LOOK: Final = timedelta(minutes=3)
"""micro asks half a minute after a settlement at the latest, and again where the venue does not answer."""


def book(exchange: BridgeMixin) -> None:
    """Book what was told of the trades that were closed just now, unless another one holds the position."""
    if exchange.trading_mode != TradingMode.FUTURES:
        return
    since = datetime.now(UTC) - LOOK
    trades = Trade.get_trades([Trade.is_open.is_(False), Trade.close_date >= since]).all()
    if not trades:
        return
    try:
        positions = {each.symbol: each for each in exchange.link.positions()}
    except MicroUnavailable:
        return  # in the next loop again
    for trade in trades:
        position = positions.get(trade.pair)
        if position is not None and not _has_followed(trade, position):
            _book(trade, Decimal(position.funding))


def _has_followed(trade: Trade, position: Position) -> bool:
    """Whether another trade, or somebody else, has held the position since: its funding begins anew then."""
    later = [Trade.pair == trade.pair, Trade.id > trade.id]
    if Decimal(position.quantity) or not Decimal(position.funding):
        return True
    return Trade.get_trades(later).first() is not None


def _book(trade: Trade, paid: Decimal) -> None:
    late = paid - funding.of_trades([trade])
    exits = [
        each for each in trade.select_filled_orders() if each.ft_order_side != trade.entry_side
    ]
    if not late or not exits:
        return
    exits[-1].funding_fee = float(Decimal(repr(exits[-1].funding_fee or 0.0)) + late)
    books.recalculate(trade)
    logger.info("Funding of %s came after trade %s was closed: %s.", trade.pair, trade.id, late)
