"""What others sold of what Freqtrade holds, booked as exits of its trades.

A flattening, an order from a command line, a person at the exchange: each can close what a trade holds.
Freqtrade looks for orders that it did not send only when it cannot exit for lack of funds, which may be
never; until then it shows trades of an empty wallet, and would enter again with a stake that it does not
have.

Not every sale by others is of ours. What the trades should hold, less what the account does hold, is what
is missing; so much of the newest sales by others is booked, at their average price and with their fees, and
no more. Somebody who sells coins of his own leaves nothing missing.
"""

from __future__ import annotations

import logging
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Final

from freqtrade.enums import TradingMode
from freqtrade.persistence import Order, Trade

from citadel_macro import books
from citadel_macro import ccxt_orders as orders

if TYPE_CHECKING:
    from freqtrade.freqtradebot import FreqtradeBot

    from citadel_macro.exchange import BridgeMixin
    from citadel_proto.messages import ExecutionReport

logger = logging.getLogger(__name__)

UNKNOWN: Final = "unknown"
"""Strategy of orders that were placed at the exchange itself."""
MANUAL: Final = "manual"
"""Exit reason of a trade that an order without a tag has closed."""
SETTLED_NS: Final = 5_000_000_000
"""Balances of so much later know a sale: if nothing is missing then, it was not of ours."""
_ZERO: Final = Decimal(0)


def due(exchange: BridgeMixin) -> list[ExecutionReport]:
    """Closed orders of others with fills, and what the account held then was not looked at yet."""
    for report in exchange.link.take_of_others():
        exchange.of_others[report.signal_id] = report
    return [
        report
        for name, report in tuple(exchange.of_others.items())
        if exchange.weighed.get(name) != _held(exchange, report.symbol)
    ]


def check_history(exchange: BridgeMixin) -> bool:
    """Ask micro for the orders of others since the open trades were opened, as after a restart.

    Each pair once. Returns whether all were asked about: of several micros one may be silent.

    Raises:
        MicroUnavailable: no answer in time.
    """
    complete = True
    for trade in Trade.get_open_trades():
        if exchange.link.is_away(trade.pair):
            complete = False
            continue
        if trade.pair in exchange.history_checked:
            continue
        since_ns = int(trade.open_date_utc.timestamp() * 1e9)
        for report in exchange.link.orders_since(trade.pair, since_ns, mine=False):
            ours = exchange.link.owns(report) and not report.own
            if not ours and orders.is_terminal(report) and orders.has_filled(report):
                exchange.of_others[report.signal_id] = report
        exchange.history_checked.add(trade.pair)
    return complete


def book(bot: FreqtradeBot, exchange: BridgeMixin) -> None:
    """Book what others have sold of each open trade."""
    found: list[tuple[Trade, ExecutionReport, Decimal]] = []
    missing: dict[str, Decimal] = {}
    for report in sorted(due(exchange), key=lambda each: -each.updated_ns):
        if exchange.link.is_away(report.symbol):
            continue  # its account is not known now
        exchange.weighed[report.signal_id] = _held(exchange, report.symbol)
        trade = _closed_by(exchange, report)
        if trade is None:
            _forget(exchange, report)
            continue
        if report.owner and report.owner == exchange.link.connector.owner:
            found.append((trade, report, Decimal(report.filled)))  # the exit of a bracket of ours
            continue
        if _is_leaving(exchange, trade):
            exchange.weighed.pop(report.signal_id, None)  # balances may know its fills before we do
            continue
        base = trade.safe_base_currency
        if base not in missing:
            missing[base] = _missing(exchange, trade)
        if report.own and report.strategy != UNKNOWN:
            # A flattening: it sells all that is held through micro, and leaves coins of others alone.
            share = min(Decimal(report.filled), max(_ZERO, _expected(exchange, trade)))
        else:
            share = _share(exchange, trade, report, missing[base])
        if share > 0:
            missing[base] -= share
            found.append((trade, report, share))
        elif exchange.link.now_of(report) - report.updated_ns > SETTLED_NS:
            _forget(exchange, report)
    for trade, report, share in reversed(found):
        exchange.shares[report.signal_id] = share
        if trade.is_open:
            _book(bot, exchange, trade, report)
        if Order.order_by_id(report.signal_id, report.symbol) is not None:
            _forget(exchange, report)
        else:
            # micro did not answer: in the next loop again
            exchange.weighed.pop(report.signal_id, None)


def _forget(exchange: BridgeMixin, report: ExecutionReport) -> None:
    exchange.of_others.pop(report.signal_id, None)
    exchange.weighed.pop(report.signal_id, None)


def _closed_by(exchange: BridgeMixin, report: ExecutionReport) -> Trade | None:
    """The trade that an order may have reduced; None if it is booked, or none of ours was open then."""
    if Order.order_by_id(report.signal_id, report.symbol) is not None:
        return None
    open_trades: list[Trade] = Trade.get_open_trades()
    for trade in open_trades:
        if (
            trade.pair == report.symbol
            and trade.exit_side == report.side
            and report.updated_ns > _opened_ns(exchange, trade)
        ):
            return trade
    return None


def _opened_ns(exchange: BridgeMixin, trade: Trade) -> int:
    """When a trade was opened, by the clock of micro's reports where that of its entry is known.

    That clock stands still while its machine is suspended, and does not follow one that is set: by
    Freqtrade's date an order that closed the trade could have come before it.
    """
    entries = (each for each in trade.orders if each.ft_order_side == trade.entry_side)
    first = next(entries, None)
    report = None if first is None else exchange.link.report(first.order_id)
    return int(trade.open_date_utc.timestamp() * 1e9) if report is None else report.created_ns


def _is_leaving(exchange: BridgeMixin, trade: Trade) -> bool:
    """Whether an exit of the trade is working, or a stop of it has triggered."""
    for order in trade.orders:
        if not order.ft_is_open or order.ft_order_side == trade.entry_side:
            continue
        report = exchange.link.report(order.order_id)
        waiting = report is not None and report.kind == "stop" and not report.triggered
        if not waiting:
            return True
    return False


def _held(exchange: BridgeMixin, pair: str) -> str:
    """What the account holds of a pair, as micro has last said: coins, or the position."""
    if exchange.trading_mode == TradingMode.FUTURES:
        position = exchange.link.position(pair)
        return "" if position is None else position.quantity
    row = exchange.link.balance(pair.partition("/")[0])
    return "" if row is None else row.total


def _missing(exchange: BridgeMixin, trade: Trade) -> Decimal:
    """What the trades of a coin should hold, less what the account holds."""
    held = Decimal(_held(exchange, trade.pair) or 0)
    if exchange.trading_mode == TradingMode.FUTURES:
        return _expected(exchange, trade) - max(_ZERO, -held if trade.is_short else held)
    open_trades: list[Trade] = Trade.get_open_trades()
    coins = (
        _expected(exchange, each)
        for each in open_trades
        if each.safe_base_currency == trade.safe_base_currency
    )
    return sum(coins, _ZERO) - held


def _expected(exchange: BridgeMixin, trade: Trade) -> Decimal:
    """What a trade should hold now: Freqtrade counts an order only once it is closed."""
    amount = Decimal(repr(trade.amount))
    for order in trade.orders:
        if not order.ft_is_open:
            continue
        report = exchange.link.report(order.order_id)
        if report is None:
            continue
        filled = Decimal(report.filled)
        if order.ft_order_side == trade.entry_side:
            fees = (f.fee for f in report.fills if f.fee_currency == trade.safe_base_currency)
            amount += filled - sum(map(Decimal, fees), _ZERO)
        else:
            amount -= filled
    return amount


def _share(
    exchange: BridgeMixin, trade: Trade, report: ExecutionReport, missing: Decimal
) -> Decimal:
    """How much of an order is of a trade: what is missing, in whole steps, and no rest that is dust."""
    filled, expected = Decimal(report.filled), _expected(exchange, trade)
    step = books.step_of(exchange, trade.pair)
    if missing < (step or Decimal("1e-12")) or expected <= 0:
        return _ZERO
    if step:
        missing = (missing / step).to_integral_value(ROUND_CEILING) * step
    share = min(filled, expected, missing)
    price = float(Decimal(report.average or 0))
    if share < expected and books.too_small(exchange, trade.pair, expected - share, price):
        share = min(filled, expected)
    return share


def _book(bot: FreqtradeBot, exchange: BridgeMixin, trade: Trade, report: ExecutionReport) -> None:
    share = exchange.shares[report.signal_id]
    logger.warning(
        "Somebody else has closed %s of %s in trade %s (%s): booking it as an exit.",
        share,
        trade.pair,
        trade.id,
        report.tag or report.strategy or report.signal_id,
    )
    exchange.booking = report.signal_id
    try:
        bot.handle_onexchange_order(trade)
    finally:
        exchange.booking = ""
    if not trade.is_open:
        trade.exit_reason = report.tag or MANUAL
        Trade.commit()  # type: ignore[no-untyped-call]
    bot.wallets.update()
