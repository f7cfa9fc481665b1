"""Orders at micro that Freqtrade's database does not know, and how they are settled.

A crash between publishing a signal and committing the order leaves an orphan. After
``FreqtradeBot.startup``, and before anything is traded, every order of this bot that is not in the
database is queried at micro:

=====================================  ==============================================================
never arrived, and cannot any more     dropped
working                                canceled first, then handled by what it filled
nothing filled                         dropped
an exit or stop of an open trade       attached to that trade
an entry with fills, policy adopt      becomes a trade (or joins the open trade of its pair)
an entry with fills, policy flatten    sold again at once; adopted if that is rejected
=====================================  ==============================================================
"""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from freqtrade.enums import TradingMode
from freqtrade.exchange import timeframe_to_minutes
from freqtrade.persistence import Order, Trade
from sqlalchemy import select

from citadel_bridge.config import NewSignal
from citadel_bridge.errors import MicroUnavailable
from citadel_macro import ccxt_orders as orders
from citadel_macro.micro_client import makes_sense

if TYPE_CHECKING:
    from freqtrade.freqtradebot import FreqtradeBot

    from citadel_macro.exchange import BridgeMixin
    from citadel_proto.messages import ExecutionReport, Signal

logger = logging.getLogger(__name__)

FLATTEN_ALGO: Final = "marketable_limit"
FLATTEN_TAG: Final = "citadel-flatten"
ADOPTED_TAG: Final = "citadel-orphan"
SETTLE_S: Final = 10.0
"""How long one reconciliation waits for a cancel or a flattening before it is tried again."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What one reconciliation did, by order id."""

    forgotten: tuple[str, ...]
    attached: tuple[str, ...]
    adopted: tuple[str, ...]
    flattened: tuple[str, ...]
    left: tuple[str, ...] = ()
    """Of a micro that is silent while others are not: looked at again when it is back."""


def reconcile(bot: FreqtradeBot, exchange: BridgeMixin) -> Reconciled:
    """Settle every orphan; safe to repeat after an interruption at any point.

    Raises:
        MicroUnavailable: micro does not answer, or an orphan is not closed yet. Nothing
            is lost: the next attempt starts where this one stopped.
    """
    done: dict[str, list[str]] = {"forgotten": [], "attached": [], "adopted": [], "flattened": []}
    done["left"] = []
    for signal_id, symbol, signal in _unknown(exchange):
        if exchange.link.is_away(symbol):
            done["left"].append(signal_id)
            continue
        report = _final(exchange, signal_id, symbol)
        if report is None and exchange.link.was_acknowledged(signal_id):
            logger.error(
                "micro had acknowledged order %s on %s and does not know it any more: its fills "
                "are in no trade database. Compare the account with the trades.",
                signal_id,
                symbol,
            )
        # The filled total of an old order is known even when its single fills are not any more.
        if report is None or not Decimal(report.filled):
            what = "forgotten"
        else:
            leverage = float(signal.leverage) if signal else 1.0
            what = _dispose(bot, exchange, report, leverage)
        logger.warning(
            "Orphan order %s on %s (%s, filled %s): %s.",
            signal_id,
            symbol,
            report.status if report else "unknown to micro",
            report.filled if report else "0",
            what,
        )
        exchange.link.settle(signal_id, what)
        done[what].append(signal_id)
    return Reconciled(**{name: tuple(ids) for name, ids in done.items()})


def _unknown(exchange: BridgeMixin) -> list[tuple[str, str, Signal | None]]:
    """Orders of this bot that its database lacks, from the intent log and from micro."""
    booked = frozenset(Order.session.scalars(select(Order.order_id)).all())
    found: dict[str, tuple[str, str, Signal | None]] = {}
    for signal in exchange.link.unsettled(booked):
        if signal.tag != FLATTEN_TAG:
            found[signal.signal_id] = (signal.signal_id, signal.symbol, signal)
    for report in exchange.link.mine_working():
        id_ = report.signal_id
        if id_ not in booked and report.tag != FLATTEN_TAG:
            found.setdefault(id_, (id_, report.symbol, exchange.link.signal(id_)))
    return list(found.values())


def _final(exchange: BridgeMixin, signal_id: str, symbol: str) -> ExecutionReport | None:
    """Cancel an orphan and return its final report; None when micro confirms it never had it."""
    deadline = time.monotonic() + SETTLE_S
    report = exchange.link.ask(signal_id)
    while report is None or not orders.is_terminal(report):
        # Also for an order that micro does not know: the cancel keeps it from being accepted later.
        reason = f"orphan on {symbol} after a restart of Freqtrade"
        report = exchange.link.cancel(signal_id, reason) or exchange.link.ask(signal_id)
        if report is None:
            return None
        if not orders.is_terminal(report) and time.monotonic() > deadline:
            raise MicroUnavailable(f"orphan order {signal_id} is still {report.status} at micro")
    return report


def _dispose(
    bot: FreqtradeBot, exchange: BridgeMixin, report: ExecutionReport, leverage: float
) -> str:
    trades = Trade.get_trades([Trade.pair == report.symbol, Trade.is_open.is_(True)]).all()
    trade = trades[0] if trades else None
    if trade is not None and report.side == trade.exit_side:
        side = "stoploss" if report.kind == "stop" else report.side
        _join(bot, exchange, trade, report, side)
        return "attached"
    if report.kind == "stop" or (report.side == "sell" and not bot.strategy.can_short):
        logger.error(
            "Orphan %s has sold %s %s, and there is no open trade to book it on.",
            report.signal_id,
            report.filled,
            report.symbol,
        )
        return "forgotten"
    flattening = None
    if _flattens(exchange):
        flattening = _flatten(exchange, report)
        if flattening is not None and Decimal(flattening.filled) >= Decimal(flattening.quantity):
            return "flattened"
    if trade is None:
        trade = _new_trade(bot, exchange, report, leverage)
    _join(bot, exchange, trade, report, report.side)
    if flattening is not None and orders.has_filled(flattening):
        _join(bot, exchange, trade, flattening, flattening.side)
    return "adopted"


def rebook(
    bot: FreqtradeBot,
    exchange: BridgeMixin,
    report: ExecutionReport,
    leverage: float,
    row: Order | None = None,
) -> str:
    """Book a closed order with fills that has outlived its trade; returns what was done.

    Args:
        bot: running.
        exchange: its exchange.
        report: the order.
        leverage: of the trade it belonged to.
        row: the order as the database has it, on the closed trade; it moves to the new one.
    """
    if row is None:
        return _dispose(bot, exchange, report, leverage)
    flattening = _flatten(exchange, report) if _flattens(exchange) else None
    trades = Trade.get_trades([Trade.pair == report.symbol, Trade.is_open.is_(True)]).all()
    trade = trades[0] if trades else _new_trade(bot, exchange, report, leverage)
    _join(bot, exchange, trade, report, report.side, row=row)
    if flattening is None or not orders.has_filled(flattening):
        return "adopted"
    _join(bot, exchange, trade, flattening, flattening.side)
    trade.exit_reason = FLATTEN_TAG
    Trade.commit()  # type: ignore[no-untyped-call]
    return "flattened"


def _flattens(exchange: BridgeMixin) -> bool:
    return exchange.settings.orphan_policy == "flatten"


def _join(
    bot: FreqtradeBot,
    exchange: BridgeMixin,
    trade: Trade,
    report: ExecutionReport,
    side: str,
    *,
    row: Order | None = None,
) -> None:
    """Add an order to a trade the way Freqtrade does for one that it finds on the exchange."""
    order = orders.order_dict(report, exchange.link.sent_ns(report))
    price = float(Decimal(report.average or "0"))
    if row is None:
        row = Order.parse_from_ccxt_object(order, trade.pair, side, order["amount"], price)
    else:
        row.update_from_ccxt_object(order)  # type: ignore[no-untyped-call]
    row.ft_order_tag = ADOPTED_TAG
    trade.orders.append(row)
    Trade.session.add(trade)
    Trade.commit()  # type: ignore[no-untyped-call]
    # In row order, which an order that has moved may change: averages depend on it.
    Trade.session.refresh(trade)
    trade.recalc_trade_from_orders()
    Trade.session.add(trade)
    Trade.commit()  # type: ignore[no-untyped-call]
    bot.wallets.update()
    bot.update_trade_state(trade, report.signal_id, order, stoploss_order=side == "stoploss")
    Trade.commit()  # type: ignore[no-untyped-call]


def _new_trade(
    bot: FreqtradeBot, exchange: BridgeMixin, report: ExecutionReport, leverage: float
) -> Trade:
    """A trade as ``FreqtradeBot.execute_entry`` would have written it."""
    rate = float(Decimal(report.average or "0"))
    fee = exchange.get_fee(symbol=report.symbol, taker_or_maker="maker")
    trade = Trade(  # type: ignore[no-untyped-call]
        pair=report.symbol,
        base_currency=exchange.get_pair_base_currency(report.symbol),
        stake_currency=bot.config["stake_currency"],
        stake_amount=float(Decimal(report.filled)) * rate / leverage,
        amount=0,
        is_open=True,
        amount_requested=float(Decimal(report.quantity)),
        fee_open=fee,
        fee_close=fee,
        open_rate=rate,
        open_rate_requested=float(Decimal(report.limit_price)) if report.limit_price else rate,
        open_date=datetime.fromtimestamp(exchange.link.sent_ns(report) / 1e9, tz=UTC),
        exchange=exchange.id,
        strategy=bot.strategy.get_strategy_name(),
        enter_tag=ADOPTED_TAG,
        timeframe=timeframe_to_minutes(bot.config["timeframe"]),
        leverage=leverage,
        is_short=report.side == "sell",
        trading_mode=bot.trading_mode,
        funding_fees=0.0,
        amount_precision=exchange.get_precision_amount(report.symbol),
        price_precision=exchange.get_precision_price(report.symbol),
        precision_mode=exchange.precisionMode,
        precision_mode_price=exchange.precision_mode_price,
        contract_size=exchange.get_contract_size(report.symbol),
    )
    trade.adjust_stop_loss(trade.open_rate, bot.strategy.stoploss, initial=True)
    return trade


def _flatten(exchange: BridgeMixin, report: ExecutionReport) -> ExecutionReport | None:
    """Close an orphan's position, and return the result; None if nothing could be sent.

    The order has an id of its own derived from the orphan's: after a crash in here, the next
    attempt finds it instead of selling twice.
    """
    base = report.symbol.partition("/")[0]
    fees = sum(
        (Decimal(fill.fee) for fill in report.fills if fill.fee_currency == base), Decimal(0)
    )
    held = float(Decimal(report.filled) - fees)
    quantity = orders.text(exchange.amount_to_precision(report.symbol, held))
    if Decimal(quantity) <= 0:
        return None
    link = exchange.link
    with makes_sense():
        request = NewSignal(
            venue=link.settings.venue,
            symbol=report.symbol,
            side="sell" if report.side == "buy" else "buy",
            quantity=quantity,
            order_type="market",
            time_in_force="IOC",
            reduce_only=exchange.trading_mode == TradingMode.FUTURES,
            algo=FLATTEN_ALGO,
            tag=FLATTEN_TAG,
            ttl=SETTLE_S,
        )
    for attempt in itertools.count():
        flatten_id = f"{report.signal_id}-flat{attempt}"
        earlier = link.signal(flatten_id)
        if earlier is None:
            _, known = link.submit(request, signal_id=flatten_id)
            break
        known = link.ask(flatten_id)
        if known is not None or link.now_ns() <= earlier.expires_ns:
            break  # else it never arrived, and cannot any more
    deadline = time.monotonic() + SETTLE_S
    while known is None or not orders.is_terminal(known):
        if time.monotonic() > deadline:
            raise MicroUnavailable(f"flattening order {flatten_id} is not closed yet")
        time.sleep(0.05)
        known = exchange.link.ask(flatten_id)
    if Decimal(known.filled) < Decimal(quantity):
        logger.error(
            "Flattening of orphan %s ended %s with %s of %s (%s): adopting the rest.",
            report.signal_id,
            known.status,
            known.filled,
            quantity,
            known.reason_code or "no reason given",
        )
    return known
