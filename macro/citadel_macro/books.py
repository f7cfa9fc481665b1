"""Corrections to Freqtrade's trade database where Freqtrade alone would book wrongly."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from ccxt import DECIMAL_PLACES, TICK_SIZE
from freqtrade.enums import TradingMode
from freqtrade.exceptions import DependencyException, TemporaryError
from freqtrade.persistence import KeyValueStore, Trade

from citadel_macro import funding, tca
from citadel_macro import late_orders as late

if TYPE_CHECKING:
    from collections.abc import Iterable

    from freqtrade.exchange.exchange_types import CcxtOrder
    from freqtrade.freqtradebot import FreqtradeBot
    from freqtrade.persistence import Order

    from citadel_macro.exchange import BridgeMixin

logger = logging.getLogger(__name__)

DATA_PREFIX: Final = "citadel."
"""Key of an order's fills and costs in ``Trade.get_custom_data``: this and the order's id."""

OWNER_KEY: Final = "citadel_owner"
"""In Freqtrade's key-value table: owners of the intent logs used with this database."""
DELETED_KEY: Final = "citadel_deleted."
"""In the same table, with an order's id behind it: filled, and its trade was deleted."""
LONGEST_KEY: Final = 50
OWNERS_KEPT: Final = 8
"""As many as fit its column of 255 characters."""
NEAR_MINIMUM: Final = 1.5
"""Where micro says that an exit is below the venue's minimum, it knows that minimum and the price
better than we do. An exit worth more than this many minimums was rejected for another reason."""


def name_owner(exchange: BridgeMixin) -> None:
    """Write into Freqtrade's database which owner sent its orders, for the audit.

    A new intent log has a new owner: orders of the old one stay in this database.
    """
    owner = exchange.link.connector.owner
    known = KeyValueStore.get_string_value(OWNER_KEY) or ""  # type: ignore[arg-type]
    if owner and owner not in known.split(","):
        names = [*(name for name in known.split(",") if name), owner]
        text = ",".join(names[-OWNERS_KEPT:])
        KeyValueStore.store_value(OWNER_KEY, text)  # type: ignore[arg-type]


def note_deleted(trade: Trade) -> None:
    """Note the filled orders of a trade that is about to be deleted, for the audit: no row is left of them."""
    for order in trade.orders:
        key = f"{DELETED_KEY}{order.order_id}"
        if order.filled and len(key) <= LONGEST_KEY:
            KeyValueStore.store_value(key, trade.pair)  # type: ignore[arg-type]


def end_stops(bot: FreqtradeBot, exchange: BridgeMixin, trade: Trade) -> None:
    """Cancel the stops of a trade that is to be exited, and make sure that they are.

    Freqtrade sends its exit whatever has become of them: after a stop that fills as it is canceled, and
    beside one whose cancel is not confirmed, it would sell the same a second time, out of coins that are
    not the trade's.

    Raises:
        DependencyException: there is nothing to exit any more, or a stop is not ended yet.
    """
    if trade.is_open:
        bot.cancel_stoploss_on_exchange(trade, allow_nonblocking=True)
    if not trade.is_open:
        raise DependencyException(f"trade {trade.id} ({trade.pair}) has been closed meanwhile")
    if trade.open_sl_orders:
        why = "" if exchange.link.alive() else ", because micro is silent"
        raise DependencyException(
            f"the stop of trade {trade.id} ({trade.pair}) is not canceled yet{why}, and may still fill"
        )


def keep_close_rate(trade: Trade) -> None:
    """Restore the close rate of a trade.

    Freqtrade clears it after canceling an exit, even when the cancel returned that the exit had
    filled, which has closed the trade.
    """
    exits = _exits(trade)
    if not trade.is_open and trade.close_rate is None and exits:
        trade.close_rate = exits[-1].safe_price
        Trade.commit()  # type: ignore[no-untyped-call]


def keep_paid_before(exchange: BridgeMixin, trade: Trade, order_id: str | None) -> None:
    """Write with a trade what its first entry has found; it outlives a restart then."""
    before = exchange.take_paid_before(order_id)
    if before and trade.get_custom_data(funding.BEFORE_KEY) is None:
        trade.set_custom_data(funding.BEFORE_KEY, str(before))


def take_funding(
    exchange: BridgeMixin, trade: Trade, order_id: str | None, told: CcxtOrder
) -> None:
    """Give an exit that has ended the funding that came before it.

    Freqtrade asks for funding at full hours and as it sends an exit, and never after its last one. With a
    stop at the exchange it books none at all: what came since the entry would be in no trade.
    """
    if exchange.trading_mode != TradingMode.FUTURES or not order_id or not trade.is_open:
        return
    order = trade.select_order_by_order_id(order_id)
    if order is None or order.ft_order_side == trade.entry_side or order.funding_fee is not None:
        return
    if told["status"] == "open" or not told["filled"]:
        return
    try:
        paid = exchange._get_funding_fees_from_exchange(trade.pair, 0)  # noqa: SLF001 - our own
    except TemporaryError as error:
        logger.warning("The funding of %s is that of before its exit: %s", trade.pair, error)
    else:
        trade.set_funding_fees(paid)
    if order.ft_order_side == "stoploss":
        order.funding_fee = trade.funding_fee_running or 0.0
        trade.funding_fee_running = 0.0


def look_for_fee(trade: Trade, order_id: str | None, told: CcxtOrder) -> None:
    """Have Freqtrade look for what a further entry has paid in coins as it ends.

    It looks for the fee of one entry, and for that of a further one in its next loop, of the last and only
    while none is open. Where a further entry has replaced one that had filled in part, or two have ended in
    one loop, the amount of the trade stays more than what was received, and its stop more than can be sold.
    """
    order = trade.select_order_by_order_id(order_id) if order_id else None
    if order is None or order.ft_order_side != trade.entry_side or order.ft_fee_base is not None:
        return
    if told["status"] != "open" and told["filled"]:
        trade.fee_open_currency = None


def record_costs(exchange: BridgeMixin, trade: Trade, order: Order) -> None:
    """Write what an order cost (see ``tca.summary``) into the custom data of its trade."""
    report = exchange.link.report(order.order_id)
    if report is not None and report.fills:
        trade.set_custom_data(f"{DATA_PREFIX}{order.order_id}", tca.summary(report))


def close_dust(bot: FreqtradeBot, exchange: BridgeMixin, trades: Iterable[Trade]) -> list[Trade]:
    """Close trades whose rest is below the venue's minimum; return the open ones.

    An exit, a stop or an entry can end with less than the venue's minimum left. No order can sell
    it, so Freqtrade would retry, and be rejected, for ever. The units stay in the wallet, and the
    trade's custom data record how many.
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
    """Close a trade at the price of its last exit; without one, at its own."""
    exits = _exits(trade)
    trade.exit_reason = trade.exit_reason or "dust"
    trade.close(exits[-1].safe_price if exits else trade.open_rate, show_msg=False)
    trade.set_custom_data(f"{DATA_PREFIX}dust", rest)
    recalculate(trade)
    exchange.unsellable.discard(trade.pair)
    late.withdraw(exchange, trade)
    text = f"the rest of {rest} {trade.safe_base_currency} is below the venue's minimum"
    logger.warning("Closed %s: %s and stays in the wallet.", trade.pair, text)
    if exits:
        bot.handle_protections(trade.pair, trade.trade_direction)
    else:
        # Its signal may still stand: the next entry would end the same way.
        exchange.lock(trade.pair, f"DUST: an entry ended too small to be sold, {text}")
    bot.wallets.update()


def recalculate(trade: Trade) -> None:
    """Bring the profit of a closed trade up to date with its orders."""
    trade.recalc_trade_from_orders(is_closing=True)
    if trade.get_custom_data(f"{DATA_PREFIX}dust") is not None:
        # Freqtrade does not update the profit of a trade that still holds something after its last exit.
        trade.close_profit_abs = trade.realized_profit or trade.close_profit_abs or 0.0
        trade.close_profit = trade.close_profit or 0.0
    Trade.commit()  # type: ignore[no-untyped-call]


def _exits(trade: Trade) -> list[Order]:
    """Closed orders that have sold something of a trade: exits and stops, in row order."""
    return [
        order for order in trade.select_filled_orders() if order.ft_order_side != trade.entry_side
    ]


def _dust(exchange: BridgeMixin, trade: Trade) -> float | None:
    """The rest of a trade if it is too small to sell; None if it can be sold, now or later."""
    filled = trade.select_filled_orders()
    if trade.has_open_orders or not filled:
        return None
    exits = _exits(trade)
    sold = sum(order.safe_amount_after_fee for order in exits)
    left = sum(order.safe_amount_after_fee for order in filled) - 2 * sold
    # Freqtrade leaves the amount unchanged where the rest rounds to nothing.
    rest = max(min(trade.amount, left), 0.0)
    if rest <= 0 and not exits:
        return None
    least, least_cost = _least(exchange, trade.pair)
    if exchange.amount_to_contract_precision(trade.pair, rest) <= 0:
        return rest
    if exchange._amount_to_contracts(trade.pair, rest) < least:  # noqa: SLF001 - our own base class
        return rest
    worth = rest * (exits[-1].safe_price if exits else trade.open_rate)
    told = trade.pair in exchange.unsellable
    if worth < least_cost and (told or exchange.trading_mode != TradingMode.FUTURES):
        return rest  # derivatives venues let an order below the minimum close a position
    return rest if told and worth < least_cost * NEAR_MINIMUM else None


def step_of(exchange: BridgeMixin, pair: str) -> Decimal:
    """Quantities of a pair are multiples of this; 0 where that is not known."""
    one = exchange.get_precision_amount(pair)
    if one is None:
        return Decimal(0)
    if exchange.precisionMode == TICK_SIZE:
        step = Decimal(repr(one))
    elif exchange.precisionMode == DECIMAL_PLACES:
        step = Decimal(1).scaleb(-int(one))
    else:
        return Decimal(0)
    return step * Decimal(repr(exchange.get_contract_size(pair) or 1.0))


def too_small(exchange: BridgeMixin, pair: str, quantity: Decimal, price: float) -> bool:
    """Whether no order can sell so little."""
    least, least_cost = _least(exchange, pair)
    amount = float(quantity)
    if exchange.amount_to_contract_precision(pair, amount) <= 0:
        return True
    if exchange._amount_to_contracts(pair, amount) < least:  # noqa: SLF001 - our own base class
        return True
    return exchange.trading_mode != TradingMode.FUTURES and amount * price < least_cost


def _least(exchange: BridgeMixin, pair: str) -> tuple[float, float]:
    """The venue's minimum of one order: contracts, and money."""
    limits = exchange.markets.get(pair, {}).get("limits", {})
    least = (limits.get("amount") or {}).get("min") or 0.0
    return least, (limits.get("cost") or {}).get("min") or 0.0
