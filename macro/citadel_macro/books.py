"""Keeping Freqtrade's books true where Freqtrade alone would not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from freqtrade.persistence import Trade

from citadel_macro import tca

if TYPE_CHECKING:
    from collections.abc import Iterable

    from freqtrade.persistence import Order

    from citadel_macro.exchange import BridgeMixin

logger = logging.getLogger(__name__)

DATA_PREFIX: Final = "citadel."
"""Key of an order's fills and costs in ``Trade.get_custom_data``: this, and the order's id."""


def record_costs(exchange: BridgeMixin, trade: Trade, order: Order) -> None:
    """Write what an order cost (see ``tca.summary``) into the custom data of its trade."""
    report = exchange.link.report(order.order_id)
    if report is not None and report.fills:
        trade.set_custom_data(f"{DATA_PREFIX}{order.order_id}", tca.summary(report))


def close_dust(exchange: BridgeMixin, trades: Iterable[Trade]) -> list[Trade]:
    """Close trades whose rest is smaller than the venue lets anyone sell; return the open ones.

    An exit can end with a residual below the venue's minimum (``done_dust``). No order can sell
    it, so Freqtrade would try, and be rejected, for ever. The units stay in the wallet.
    """
    open_trades = []
    for trade in trades:
        if _is_dust(exchange, trade):
            rest, rate = trade.amount, trade.select_filled_orders(trade.exit_side)[-1].safe_price
            trade.exit_reason = trade.exit_reason or "dust"
            trade.close(rate, show_msg=False)
            trade.set_custom_data(f"{DATA_PREFIX}dust", rest)
            Trade.commit()  # type: ignore[no-untyped-call]
            logger.warning(
                "Closed %s: the rest of %s %s is below the venue's minimum and stays in the wallet.",
                trade.pair,
                rest,
                trade.safe_base_currency,
            )
        else:
            open_trades.append(trade)
    return open_trades


def _is_dust(exchange: BridgeMixin, trade: Trade) -> bool:
    if trade.has_open_orders or not trade.select_filled_orders(trade.exit_side):
        return False
    limits = exchange.markets.get(trade.pair, {}).get("limits", {})
    least = (limits.get("amount") or {}).get("min") or 0.0
    least_cost = (limits.get("cost") or {}).get("min") or 0.0
    rate = trade.select_filled_orders(trade.exit_side)[-1].safe_price
    contracts = exchange._amount_to_contracts(trade.pair, trade.amount)  # noqa: SLF001 - our own base class
    return trade.amount > 0 and (contracts < least or trade.amount * rate < least_cost)
