"""Rates of fees of a trade that several orders have entered, or left.

Freqtrade has one rate for all entries of a trade and one for all exits: that of the last entry, and that of
the first exit, which each further entry replaces by its own. Where orders of one trade have paid different
rates (as makers, as takers, in another currency), its profit is not what the wallet has gained. Both are
the mean of what the orders have paid here, by their values, as soon as there are several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from freqtrade.exchange.exchange import Exchange
    from freqtrade.exchange.exchange_types import CcxtOrder
    from freqtrade.persistence import Order, Trade

KEY: Final = "citadel.fee_rates"
"""In a trade's custom data: by order id, its fees as a share of its value."""


def note(exchange: Exchange, trade: Trade, order: Order, told: CcxtOrder) -> None:
    """Take an order that has ended into the rates of its trade."""
    if told["status"] == "open" or not told["filled"]:
        return
    rate = rate_of(exchange, told)
    if rate is None:
        return
    rates: dict[str, float] = dict(trade.get_custom_data(KEY, {}))
    if rates.get(order.order_id) != rate:
        rates[order.order_id] = rate
        trade.set_custom_data(KEY, rates)
    filled = trade.select_filled_orders()
    entries = [each for each in filled if each.ft_order_side == trade.entry_side]
    exits = [each for each in filled if each.ft_order_side != trade.entry_side]
    further = len(entries) > 1
    if further and (mean := _mean(entries, rates)) is not None:
        trade.fee_open = mean
    if (further or len(exits) > 1) and (mean := _mean(exits, rates)) is not None:
        trade.fee_close = mean


def rate_of(exchange: Exchange, told: CcxtOrder) -> float | None:
    """Fees of an order as a share of its value; None where one of them cannot be valued."""
    pair = told["symbol"]
    base, quote = exchange.get_pair_base_currency(pair), exchange.get_pair_quote_currency(pair)
    paid = value = 0.0
    fills: list[dict[str, Any]] = told.get("trades") or []
    for fill in fills:
        fee, cost = fill["fee"], fill["cost"]
        value += cost
        if fee["currency"] == quote:
            paid += fee["cost"]
        elif fee["currency"] == base:
            paid += fee["cost"] * fill["price"]
        elif fee["cost"]:
            rate = exchange.calculate_fee_rate(fee, pair, cost, fill["amount"])
            if rate is None:
                return None
            paid += rate * cost
    return paid / value if value else None


def _mean(orders: Iterable[Order], rates: Mapping[str, float]) -> float | None:
    """Mean of rates by value; None where nothing was filled, or a rate is not known."""
    known = [(rates.get(each.order_id), each.safe_filled * each.safe_price) for each in orders]
    value = sum(each for _, each in known)
    paid = 0.0
    for rate, each in known:
        if rate is None:
            return None
        paid += rate * each
    return paid / value if value else None
