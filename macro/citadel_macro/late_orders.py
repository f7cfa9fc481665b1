"""Orders that outlive their trade, and how they are settled.

A stop can close a trade while a further entry of it is working; a trade can be deleted (by hand, or
because its order could not be replaced) before micro has confirmed the cancel. Freqtrade follows
orders of open trades only, so fills of such an order would belong to no trade.

- At the close or the deletion every open order of the trade is canceled.
- What fills before the cancel is not booked on the closed trade: it is adopted as a trade of its own
  (or joins the open one of its pair), or is sold again and booked as a round trip, by
  ``orphan_policy``.

Both happen while Freqtrade runs, in the loop in which the order closes. After a restart the same
orders are found again: the rows of a closed trade because they are open, the orders of a deleted
one in the intent log, as orphans.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from freqtrade.exceptions import TemporaryError
from freqtrade.persistence import Order, Trade
from sqlalchemy import select

from citadel_bridge.errors import MicroUnavailable
from citadel_macro import ccxt_orders as orders
from citadel_macro import reconciliation as orphans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from freqtrade.freqtradebot import FreqtradeBot

    from citadel_macro.exchange import BridgeMixin
    from citadel_proto.messages import ExecutionReport

logger = logging.getLogger(__name__)

CLOSED: Final = "its trade is closed"
DELETED: Final = "its trade is deleted"


def outlives(trade: Trade, order_id: str | None) -> bool:
    """Whether an order is an entry that was still open when its trade was closed."""
    if trade.is_open or not order_id:
        return False
    order = trade.select_order_by_order_id(order_id)
    return order is not None and order.ft_is_open and order.ft_order_side == trade.entry_side


def withdraw(exchange: BridgeMixin, trade: Trade) -> None:
    """Cancel every open order of a trade that has just been closed."""
    for order in trade.orders:
        if order.ft_is_open:
            logger.warning("Withdrawing %s on %s: %s.", order.order_id, trade.pair, CLOSED)
            exchange.link.cancel(order.order_id, CLOSED)
            exchange.late_due = True


def leave(exchange: BridgeMixin, trade: Trade) -> list[str]:
    """Give up the orders of a trade that is about to be deleted; ids of those that micro may still fill.

    The others are nobody's from now on: a person who deletes a trade before Freqtrade's loop has seen its
    order would otherwise find that order, after the next reload, on the next trade of its pair.
    """
    still_open = []
    for order in trade.orders:
        if order.ft_is_open and _is_open(exchange, order):
            still_open.append(order.order_id)
        else:
            exchange.link.settle(order.order_id, "deleted")
    return still_open


def _is_open(exchange: BridgeMixin, order: Order) -> bool:
    report = exchange.link.report(order.order_id)
    if report is not None:
        # Fills of a closed order are Freqtrade's to drop: they were reported to it.
        return not orders.is_terminal(report)
    signal = exchange.link.signal(order.order_id)
    return signal is not None and exchange.link.now_ns() <= signal.expires_ns


def desert(exchange: BridgeMixin, order_ids: list[str]) -> None:
    """Cancel the orders of a deleted trade; from now on they are orphans."""
    for order_id in order_ids:
        logger.warning("Withdrawing %s: %s.", order_id, DELETED)
        exchange.link.settle(order_id, "")
        exchange.deserted.add(order_id)
        exchange.link.cancel(order_id, DELETED)


def settle(bot: FreqtradeBot, exchange: BridgeMixin) -> None:
    """Settle every order that has outlived its trade and is closed.

    Never waits: an order that is still open is canceled once more and checked in the next loop.
    """
    exchange.late_due = False
    for order in _of_closed_trades():
        with _another_time(bot, exchange, order.order_id):
            _settle(bot, exchange, order)
    for order_id in tuple(exchange.deserted):
        with _another_time(bot, exchange, order_id):
            if _orphan(bot, exchange, order_id):
                exchange.deserted.discard(order_id)


@contextlib.contextmanager
def _another_time(bot: FreqtradeBot, exchange: BridgeMixin, order_id: str) -> Iterator[None]:
    """Leave an order that micro does not answer for to the next loop; the others are handled."""
    try:
        yield
    except (MicroUnavailable, TemporaryError) as error:
        exchange.late_due = True
        bot.log_once(
            f"Order {order_id} has outlived its trade and will be checked again: {error}",
            logger.warning,
        )


def _of_closed_trades() -> list[Order]:
    rows = select(Order).join(Trade, Order.ft_trade_id == Trade.id)
    open_rows = rows.where(Order.ft_is_open.is_(True), Trade.is_open.is_(False))
    return list(Order.session.scalars(open_rows).all())


def _settle(bot: FreqtradeBot, exchange: BridgeMixin, order: Order) -> None:
    shown = exchange.fetch_order(order.order_id, order.ft_pair)
    if shown["status"] == "open":
        exchange.link.cancel(order.order_id, CLOSED, wait_s=0.0)
        exchange.late_due = True
        return
    report = exchange.link.report(order.order_id)
    closed = order.trade
    filled = report is not None and orders.has_filled(report)
    if report is not None and filled and order.ft_order_side == closed.entry_side:
        what = orphans.rebook(bot, exchange, report, closed.leverage, order)
        logger.warning(
            "Order %s has filled %s %s after its trade %s was closed: %s.",
            order.order_id,
            report.filled,
            order.ft_pair,
            closed.id,
            what,
        )
        return
    if report is not None and filled:
        logger.error(
            "Order %s has traded %s %s after its trade %s was closed: no trade holds what it closed.",
            order.order_id,
            report.filled,
            order.ft_pair,
            closed.id,
        )
    order.update_from_ccxt_object(shown)  # type: ignore[no-untyped-call]
    order.ft_cancel_reason = order.ft_cancel_reason or CLOSED
    Trade.commit()  # type: ignore[no-untyped-call]


def _orphan(bot: FreqtradeBot, exchange: BridgeMixin, order_id: str) -> bool:
    """Settle an order whose trade is deleted; returns whether it is closed."""
    report: ExecutionReport | None = exchange.link.report(order_id) or exchange.link.ask(order_id)
    signal = exchange.link.signal(order_id)
    if report is None:
        if signal is not None and exchange.link.now_ns() <= signal.expires_ns:
            return False
        what = "forgotten"
    elif not orders.is_terminal(report):
        exchange.link.cancel(order_id, DELETED, wait_s=0.0)
        return False
    elif not orders.has_filled(report):
        what = "forgotten"
    else:
        what = orphans.rebook(bot, exchange, report, float(signal.leverage) if signal else 1.0)
    logger.warning("Order %s of a deleted trade: %s.", order_id, what)
    exchange.link.settle(order_id, what)
    return True
