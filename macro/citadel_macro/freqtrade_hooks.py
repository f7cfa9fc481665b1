"""The places where Freqtrade itself is changed, all of them, and only while a bridged bot runs.

Each hook calls the original and does nothing else when the bot's exchange is not bridged.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

import freqtrade.worker
from freqtrade.exceptions import TemporaryError
from freqtrade.freqtradebot import FreqtradeBot
from freqtrade.persistence import Trade
from freqtrade.rpc.rpc import RPC
from freqtrade.worker import Worker

from citadel_bridge.errors import MicroUnavailable
from citadel_macro import books
from citadel_macro import late_orders as late
from citadel_macro import manual_orders as byhand
from citadel_macro.exchange import BridgeMixin
from citadel_macro.reconciliation import reconcile
from citadel_macro.wakeup import Budget, WakeUp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from freqtrade.exchange.exchange_types import CcxtOrder
    from freqtrade.persistence import Order

    from citadel_macro.config import BridgeSettings

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def installed(bridge: Callable[[], BridgeMixin | None]) -> Iterator[None]:
    """Install the hooks for the length of a ``with`` block.

    Args:
        bridge: the bridged exchange that is in use, if any.
    """
    with contextlib.ExitStack() as stack:
        for owner, name, make in _HOOKS:
            original = owner.__dict__[name]
            function = original.__func__ if isinstance(original, staticmethod) else original
            hook: Any = make(function, bridge)
            setattr(owner, name, staticmethod(hook) if isinstance(original, staticmethod) else hook)
            stack.callback(setattr, owner, name, original)
        stack.callback(setattr, freqtrade.worker, "RETRY_TIMEOUT", freqtrade.worker.RETRY_TIMEOUT)
        yield


def set_retry(settings: BridgeSettings) -> None:
    """Shorten the pause after a temporary error; ``installed`` restores it."""
    freqtrade.worker.RETRY_TIMEOUT = settings.retry_s  # type: ignore[assignment]


def _startup(original: Callable[[FreqtradeBot], None], _: object) -> object:
    def startup(bot: FreqtradeBot) -> None:
        original(bot)
        if isinstance(bot.exchange, BridgeMixin):
            books.name_owner(bot.exchange)
            bot.exchange.reconcile_due = True
            try:
                _reconcile(bot, bot.exchange)
            except MicroUnavailable as error:
                logger.warning("Orphans are looked for again before the first trade: %s", error)

    return startup


def _process(original: Callable[[FreqtradeBot], None], _: object) -> object:
    def process(bot: FreqtradeBot) -> None:
        if not isinstance(bot.exchange, BridgeMixin):
            original(bot)
            return
        try:
            _reconcile(bot, bot.exchange)
        except MicroUnavailable as error:
            raise TemporaryError(
                f"nothing is traded before orphans are settled: {error}"
            ) from error
        if bot.exchange.balances_changed():
            bot.wallets.update()
        ended = bot.exchange.ended()
        try:
            with bot._exit_lock:  # noqa: SLF001 - as its own ``process`` does
                if ended:
                    # What has happened is booked before strategies are asked for more, which takes
                    # a tenth of a second; Freqtrade itself does it in the other order.
                    bot.manage_open_orders()
                late.settle(bot, bot.exchange)
            original(bot)
            if bot.exchange.late_due:
                with bot._exit_lock:  # noqa: SLF001 - as its own ``process`` does
                    late.settle(bot, bot.exchange)
            bot.exchange.no_news(ended)
        finally:
            bot.exchange.settle_committed()

    return process


def _reconcile(bot: FreqtradeBot, exchange: BridgeMixin) -> None:
    if exchange.reconcile_due:
        result = reconcile(bot, exchange)
        exchange.reconcile_due = False
        logger.info("Reconciled with micro: %s", result)


def _exit_positions(original: Callable[[FreqtradeBot, list[Trade]], int], _: object) -> object:
    def exit_positions(bot: FreqtradeBot, trades: list[Trade]) -> int:
        if isinstance(bot.exchange, BridgeMixin):
            trades = books.close_dust(bot, bot.exchange, trades)
        closed = original(bot, trades)
        if isinstance(bot.exchange, BridgeMixin):
            # What a stop left is dust as soon as Freqtrade has booked the stop.
            books.close_dust(bot, bot.exchange, Trade.get_open_trades())
        return closed

    return exit_positions


def _execute_trade_exit(original: Callable[..., bool], _: object) -> object:
    def execute_trade_exit(bot: FreqtradeBot, trade: Trade, *args: Any, **kwargs: Any) -> bool:  # noqa: ANN401 - Freqtrade's
        if isinstance(bot.exchange, BridgeMixin):
            held = bot.exchange.held_back(trade.pair, trade.exit_side)
            if held:
                # Before the trade's stop is withdrawn for an exit that would not be sent.
                raise TemporaryError(held)
        return original(bot, trade, *args, **kwargs)

    return execute_trade_exit


def _handle_cancel_exit(original: Callable[..., bool], _: object) -> object:
    def handle_cancel_exit(bot: FreqtradeBot, trade: Trade, *args: Any, **kwargs: Any) -> bool:  # noqa: ANN401 - Freqtrade's
        canceled = original(bot, trade, *args, **kwargs)
        if isinstance(bot.exchange, BridgeMixin):
            books.keep_close_rate(trade)
        return canceled

    return handle_cancel_exit


def _create_stoploss_order(
    original: Callable[[FreqtradeBot, Trade, float], bool], _: object
) -> object:
    def create_stoploss_order(bot: FreqtradeBot, trade: Trade, stop_price: float) -> bool:
        if isinstance(bot.exchange, BridgeMixin):
            held = bot.exchange.held_back(trade.pair, trade.exit_side, "stop")
            if held:
                # Freqtrade would log the error with its whole stack, in every loop.
                bot.log_once(held, logger.warning)
                return False
        return original(bot, trade, stop_price)

    return create_stoploss_order


def _after_fill(original: Callable[[FreqtradeBot, Trade, Order, bool], Trade], _: object) -> object:
    def _update_trade_after_fill(
        bot: FreqtradeBot,
        trade: Trade,
        order: Order,
        send_msg: bool,  # noqa: FBT001 - as Freqtrade calls it
    ) -> Trade:
        trade = original(bot, trade, order, send_msg)
        if isinstance(bot.exchange, BridgeMixin) and not order.ft_is_open:
            books.record_costs(bot.exchange, trade, order)
            if not trade.is_open:
                late.withdraw(bot.exchange, trade)
        return trade

    return _update_trade_after_fill


def _update_trade_state(original: Callable[..., bool], _: object) -> object:
    def update_trade_state(
        bot: FreqtradeBot,
        trade: Trade,
        order_id: str | None,
        action_order: CcxtOrder | None = None,
        **kwargs: bool,
    ) -> bool:
        if isinstance(bot.exchange, BridgeMixin) and late.outlives(trade, order_id):
            bot.exchange.late_due = True
            return False  # not booked on a closed trade; ``late.settle`` does what is right
        return original(bot, trade, order_id, action_order, **kwargs)

    return update_trade_state


def _delete(original: Callable[[Trade], None], bridge: Callable[[], BridgeMixin | None]) -> object:
    def delete(trade: Trade) -> None:
        exchange = bridge()
        left = late.deserted(exchange, trade) if exchange is not None else []
        original(trade)
        if exchange is not None:
            late.desert(exchange, left)

    return delete


def _sleep(_: object, bridge: Callable[[], BridgeMixin | None]) -> object:
    budget = Budget()

    def sleep(sleep_duration: float) -> None:
        exchange = bridge()
        if exchange is None or not exchange.settings.wake_up:
            time.sleep(sleep_duration)
        else:
            news = WakeUp(exchange.link.wake, lambda: bool(exchange.news()), budget)
            news.sleep(sleep_duration)

    return sleep


_HOOKS: tuple[tuple[Any, str, Callable[[Any, Any], object]], ...] = (
    (FreqtradeBot, "startup", _startup),
    (FreqtradeBot, "process", _process),
    (FreqtradeBot, "exit_positions", _exit_positions),
    (FreqtradeBot, "_update_trade_after_fill", _after_fill),
    (FreqtradeBot, "execute_trade_exit", _execute_trade_exit),
    (FreqtradeBot, "handle_cancel_exit", _handle_cancel_exit),
    (FreqtradeBot, "create_stoploss_order", _create_stoploss_order),
    (FreqtradeBot, "update_trade_state", _update_trade_state),
    (Trade, "delete", _delete),
    (Worker, "_sleep", _sleep),
    (RPC, "_rpc_force_entry", byhand.force_entry),
    (RPC, "_rpc_force_exit", byhand.force_exit),
)
