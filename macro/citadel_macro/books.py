"""Keeping Freqtrade's books true where Freqtrade alone would not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from freqtrade.enums import TradingMode
from freqtrade.persistence import KeyValueStore, Trade

from citadel_macro import late_orders as late
from citadel_macro import tca

if TYPE_CHECKING:
    from collections.abc import Iterable

    from freqtrade.freqtradebot import FreqtradeBot
    from freqtrade.persistence import Order

    from citadel_macro.exchange import BridgeMixin

logger = logging.getLogger(__name__)

DATA_PREFIX: Final = "citadel."
"""Key of an order's fills and costs in ``Trade.get_custom_data``: this, and the order's id."""

OWNER_KEY: Final = "citadel_owner"
"""In Freqtrade's key-value table: owners of the intent logs that these books were kept with."""
OWNERS_KEPT: Final = 8
"""As many as its column of 255 characters holds."""
NEAR_MINIMUM: Final = 1.5
"""Where micro says that an exit is below the venue's minimum, it knows that minimum and the price
better than we do. What is worth more than this many minimums was refused for something else."""


def name_owner(exchange: BridgeMixin) -> None:
    """Write into Freqtrade's database whose orders its rows are, for the audit.

    A new intent log has a new owner: what the old one sent stays in these books.
    """
    owner = exchange.link.connector.owner
    known = KeyValueStore.get_string_value(OWNER_KEY) or ""  # type: ignore[arg-type]
    if owner and owner not in known.split(","):
        names = [*(name for name in known.split(",") if name), owner]
        text = ",".join(names[-OWNERS_KEPT:])
        KeyValueStore.store_value(OWNER_KEY, text)  # type: ignore[arg-type]


def keep_close_rate(trade: Trade) -> None:
    """Give a trade its close rate back.

    Freqtrade clears it after cancelling an exit, also when the answer to the cancel was that the
    exit had filled, which has closed the trade.
    """
    exits = _exits(trade)
    if not trade.is_open and trade.close_rate is None and exits:
        trade.close_rate = exits[-1].safe_price
        Trade.commit()  # type: ignore[no-untyped-call]


def record_costs(exchange: BridgeMixin, trade: Trade, order: Order) -> None:
    """Write what an order cost (see ``tca.summary``) into the custom data of its trade."""
    report = exchange.link.report(order.order_id)
    if report is not None and report.fills:
        trade.set_custom_data(f"{DATA_PREFIX}{order.order_id}", tca.summary(report))


def close_dust(bot: FreqtradeBot, exchange: BridgeMixin, trades: Iterable[Trade]) -> list[Trade]:
    """Close trades whose rest is smaller than the venue lets anyone sell; return the open ones.

    An exit, a stop or an entry can end with less than the venue's minimum held. No order can sell
    it, so Freqtrade would try, and be refused, for ever. The units stay in the wallet, and the
    trade's custom data say how many.
    """
    open_trades = []
    for trade in trades:
        rest = _dust(exchange, trade)
        if rest is None:
            open_trades.append(trade)
        else:
            _close(bot, exchange, trade, rest)
    return open_trades


def _close(bot: FreqtradeBot, exchange: BridgeMixin, trade: Trade, rest: float) -> None:
    """Close a trade at the price of its last exit; of one that sold nothing, at its own."""
    exits = _exits(trade)
    trade.exit_reason = trade.exit_reason or "dust"
    trade.close(exits[-1].safe_price if exits else trade.open_rate, show_msg=False)
    # Freqtrade leaves a trade that still holds something with the profit of its last exit alone.
    trade.close_profit_abs = trade.realized_profit or trade.close_profit_abs or 0.0
    trade.close_profit = trade.close_profit or 0.0
    trade.set_custom_data(f"{DATA_PREFIX}dust", rest)
    Trade.commit()  # type: ignore[no-untyped-call]
    exchange.unsellable.discard(trade.pair)
    late.withdraw(exchange, trade)
    text = f"the rest of {rest} {trade.safe_base_currency} is below the venue's minimum"
    logger.warning("Closed %s: %s and stays in the wallet.", trade.pair, text)
    if exits:
        bot.handle_protections(trade.pair, trade.trade_direction)
    else:
        # Its signal may stand: the next entry would end as this one did.
        exchange.lock(trade.pair, f"DUST: an entry ended so small that nobody can sell it, {text}")
    bot.wallets.update()


def _exits(trade: Trade) -> list[Order]:
    """Ended orders that have sold something of a trade: exits and stops, in the order of the rows."""
    return [
        order for order in trade.select_filled_orders() if order.ft_order_side != trade.entry_side
    ]


def _dust(exchange: BridgeMixin, trade: Trade) -> float | None:
    """What is left of a trade if nobody can sell it; None if somebody can, or may yet."""
    filled = trade.select_filled_orders()
    if trade.has_open_orders or not filled:
        return None
    exits = _exits(trade)
    sold = sum(order.safe_amount_after_fee for order in exits)
    left = sum(order.safe_amount_after_fee for order in filled) - 2 * sold
    # Freqtrade leaves the amount as it was where the rest rounds to nothing.
    rest = max(min(trade.amount, left), 0.0)
    if rest <= 0 and not exits:
        return None
    limits = exchange.markets.get(trade.pair, {}).get("limits", {})
    least = (limits.get("amount") or {}).get("min") or 0.0
    least_cost = (limits.get("cost") or {}).get("min") or 0.0
    if exchange.amount_to_contract_precision(trade.pair, rest) <= 0:
        return rest
    if exchange._amount_to_contracts(trade.pair, rest) < least:  # noqa: SLF001 - our own base class
        return rest
    worth = rest * (exits[-1].safe_price if exits else trade.open_rate)
    told = trade.pair in exchange.unsellable
    if worth < least_cost and (told or exchange.trading_mode != TradingMode.FUTURES):
        return rest  # venues of contracts let an order below the minimum close a position
    return rest if told and worth < least_cost * NEAR_MINIMUM else None
