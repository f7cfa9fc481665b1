"""Every place where Freqtrade itself is patched, and only while a bridged bot runs.

Each hook calls the original and does nothing else when the bot's exchange is not bridged.
"""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import freqtrade
import freqtrade.worker
from freqtrade.constants import CANCELED_EXCHANGE_STATES
from freqtrade.enums import RPCMessageType
from freqtrade.exceptions import TemporaryError
from freqtrade.freqtradebot import FreqtradeBot
from freqtrade.persistence import Trade
from freqtrade.rpc.rpc import RPC
from freqtrade.worker import Worker

from citadel_bridge.errors import MicroUnavailable
from citadel_macro import books, fee_rates, late_funding
from citadel_macro import closed_by_others as others
from citadel_macro import late_orders as late
from citadel_macro import manual_orders as byhand
from citadel_macro.exchange import BridgeMixin
from citadel_macro.reconciliation import reconcile
from citadel_macro.stopping import StopRequest
from citadel_macro.trade_lock import TradeLock, under_lock
from citadel_macro.wakeup import Budget, WakeUp
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from freqtrade.exchange.exchange_types import CcxtOrder
    from freqtrade.persistence import Order

    from citadel_macro.config import BridgeSettings

logger = logging.getLogger(__name__)


MADE_FOR: Final = "2026.9"
"""The version of Freqtrade that all of this was tried with."""


def check_version() -> str:
    """What to say of the Freqtrade that is installed; empty for the one that this was made for.

    Raises:
        BadInput: it has other insides, so that its books would not follow micro's.
    """
    found = freqtrade.__version__
    hooks = _hooks(StopRequest())
    missing = [f"{owner.__name__}.{name}" for owner, name, _ in hooks if name not in vars(owner)]
    if missing:
        raise BadInput(
            f"Freqtrade {found} has no {', '.join(missing)}, which its books are kept true through",
            where=str(Path(freqtrade.__file__).parent),
            allowed=f"Freqtrade {MADE_FOR}",
            mend=f'pip install "freqtrade=={MADE_FOR}"',
        )
    if found == MADE_FOR:
        return ""
    return (
        f"Freqtrade {found} is not the version that the bridge was tried with ({MADE_FOR}): trade on "
        f'the simulator first (citadel demo), or pip install "freqtrade=={MADE_FOR}"'
    )


@contextlib.contextmanager
def installed(bridge: Callable[[], BridgeMixin | None]) -> Iterator[None]:
    """Install the hooks for the duration of a ``with`` block.

    Args:
        bridge: the bridged exchange that is in use, if any.
    """
    with contextlib.ExitStack() as stack:
        for owner, name, make in _hooks(stack.enter_context(StopRequest())):
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


def _init(lock: TradeLock) -> Callable[[Callable[..., None], Any], object]:
    """Give each bot of this process the same lock: a reload makes another one while people may act on the old."""

    def hook(original: Callable[..., None], _: object) -> object:
        def __init__(bot: FreqtradeBot, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, N807 - Freqtrade's
            original(bot, *args, **kwargs)
            if isinstance(bot.exchange, BridgeMixin):
                bot._exit_lock = lock  # type: ignore[assignment] # noqa: SLF001 - all its users are to have it

        return __init__

    return hook


def _startup(original: Callable[[FreqtradeBot], None], _: object) -> object:
    def startup(bot: FreqtradeBot) -> None:
        original(bot)
        if isinstance(bot.exchange, BridgeMixin):
            books.name_owner(bot.exchange)
            bot.exchange.notices.say = lambda text: bot.rpc.send_msg(
                {"type": RPCMessageType.WARNING, "status": text.replace("`", "'")}
            )
            bot.exchange.reconcile_due = True
            bot.exchange.history_checked.clear()
            try:
                _reconcile(bot, bot.exchange)
            except MicroUnavailable as error:
                logger.warning("Looking for orphan orders again before the first trade: %s", error)

    return startup


def _process(original: Callable[[FreqtradeBot], None], _: object) -> object:
    def process(bot: FreqtradeBot) -> None:
        if not isinstance(bot.exchange, BridgeMixin):
            original(bot)
            return
        bot.exchange.notices.check()
        try:
            _reconcile(bot, bot.exchange)
        except MicroUnavailable as error:
            raise TemporaryError(f"no trading before orphan orders are settled: {error}") from error
        _follow_balances(bot, bot.exchange)
        ended = bot.exchange.ended()
        try:
            with bot._exit_lock:  # noqa: SLF001 - as its own ``process`` does
                if ended:
                    # Fills are booked before strategies are called, which takes a tenth of a
                    # second; Freqtrade itself does it in the other order.
                    bot.manage_open_orders()
                others.book(bot, bot.exchange)
                late.settle(bot, bot.exchange)
                late_funding.book(bot.exchange)
            original(bot)
            if bot.exchange.late_due:
                with bot._exit_lock:  # noqa: SLF001 - as its own ``process`` does
                    late.settle(bot, bot.exchange)
            bot.exchange.no_news(ended)
            # A report that came meanwhile has been looked at, and wakes nobody any more.
            _follow_balances(bot, bot.exchange)
        finally:
            with bot._exit_lock:  # noqa: SLF001 - a person may have sent an order that is not committed yet
                bot.exchange.settle_committed()

    return process


def _follow_balances(bot: FreqtradeBot, exchange: BridgeMixin) -> None:
    if exchange.balances_changed():
        bot.wallets.update()


def _refresh_active_whitelist(original: Callable[..., list[str]], _: object) -> object:
    def refresh_active_whitelist(bot: FreqtradeBot, trades: list[Trade] | None = None) -> list[str]:
        pairs = original(bot, trades)
        if isinstance(bot.exchange, BridgeMixin):
            # Before the loop that may trade them: a book takes a moment to be complete.
            informative = [each[0] for each in bot.strategy.gather_informative_pairs()]
            bot.exchange.link.name_pairs([*(t.pair for t in trades or ()), *pairs, *informative])
        return pairs

    return refresh_active_whitelist


def _reconcile(bot: FreqtradeBot, exchange: BridgeMixin) -> None:
    if exchange.reconcile_due:
        # An order of a person that is sent and not in the database yet would be taken for an orphan.
        with bot._exit_lock:  # noqa: SLF001 - as every order of its own is sent under
            result = reconcile(bot, exchange)
            complete = others.check_history(exchange)
            exchange.reconcile_due = bool(result.left) or not complete
        if result != exchange.reconciled:
            exchange.reconciled = result
            logger.info("Reconciled with micro: %s", result)


def _exit_positions(original: Callable[[FreqtradeBot, list[Trade]], int], _: object) -> object:
    def exit_positions(bot: FreqtradeBot, trades: list[Trade]) -> int:
        if isinstance(bot.exchange, BridgeMixin):
            trades = books.close_dust(bot, bot.exchange, trades)
        closed = original(bot, trades)
        if isinstance(bot.exchange, BridgeMixin):
            # The rest after a stop is dust as soon as Freqtrade has booked the stop.
            books.close_dust(bot, bot.exchange, Trade.get_open_trades())
        return closed

    return exit_positions


def _execute_trade_exit(original: Callable[..., bool], _: object) -> object:
    def execute_trade_exit(bot: FreqtradeBot, trade: Trade, *args: Any, **kwargs: Any) -> bool:  # noqa: ANN401 - Freqtrade's
        if isinstance(bot.exchange, BridgeMixin):
            held = bot.exchange.held_back(trade.pair, trade.exit_side)
            if held:
                # Before the trade's stop is canceled for an exit that would not be sent.
                raise TemporaryError(held)
            books.end_stops(bot, bot.exchange, trade)
        return original(bot, trade, *args, **kwargs)

    return execute_trade_exit


def _handle_similar_open_order(original: Callable[..., bool], _: object) -> object:
    def handle_similar_open_order(
        bot: FreqtradeBot,
        trade: Trade,
        *args: Any,  # noqa: ANN401 - Freqtrade's
    ) -> bool:
        before = trade.amount
        keeps = original(bot, trade, *args)
        if isinstance(bot.exchange, BridgeMixin) and (not trade.is_open or trade.amount < before):
            # An exit has filled as it was canceled, and the amount of the order that was to replace it
            # is from before: it would be sold a second time.
            return True
        return keeps

    return handle_similar_open_order


def _handle_cancel_exit(original: Callable[..., bool], _: object) -> object:
    def handle_cancel_exit(
        bot: FreqtradeBot, trade: Trade, order: CcxtOrder, order_obj: Order, reason: str
    ) -> bool:
        canceled = original(bot, trade, order, order_obj, reason)
        if isinstance(bot.exchange, BridgeMixin):
            books.keep_close_rate(trade)
            # One that has filled as it was canceled is not: Freqtrade would replace the nothing that
            # remains of it, which it takes for everything that the trade holds.
            return canceled and order_obj.status in CANCELED_EXCHANGE_STATES
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
            if trade.open_sl_orders:
                bot.log_once(f"A new stop of {trade} waits for its old one.", logger.warning)
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
        if isinstance(bot.exchange, BridgeMixin):
            if late.outlives(trade, order_id):
                bot.exchange.late_due = True
                return False  # not booked on a closed trade; ``late.settle`` handles it
            books.keep_paid_before(bot.exchange, trade, order_id)
            if action_order is not None:
                books.take_funding(bot.exchange, trade, order_id, action_order)
                books.look_for_fee(trade, order_id, action_order)
        return original(bot, trade, order_id, action_order, **kwargs)

    return update_trade_state


def _handle_order_fee(original: Callable[..., None], _: object) -> object:
    def handle_order_fee(
        bot: FreqtradeBot, trade: Trade, order_obj: Order, order: CcxtOrder
    ) -> None:
        original(bot, trade, order_obj, order)
        if isinstance(bot.exchange, BridgeMixin):
            fee_rates.note(bot.exchange, trade, order_obj, order)

    return handle_order_fee


def _delete(original: Callable[[Trade], None], bridge: Callable[[], BridgeMixin | None]) -> object:
    def delete(trade: Trade) -> None:
        exchange = bridge()
        left = late.leave(exchange, trade) if exchange is not None else []
        if exchange is not None:
            books.note_deleted(trade)
        original(trade)
        if exchange is not None:
            late.desert(exchange, left)

    return delete


def _sleep(_: object, bridge: Callable[[], BridgeMixin | None]) -> object:
    budget = Budget()

    def sleep(sleep_duration: float) -> None:
        exchange = bridge()
        if exchange is None:
            time.sleep(sleep_duration)
            return
        early = exchange.settings.wake_up
        news = WakeUp(
            exchange.link.wake,
            lambda: early and bool(exchange.news() or others.due(exchange)),
            budget,
            exchange.notices.check,
            exchange.take_request,
        )
        news.sleep(sleep_duration)

    return sleep


def _hooks(stop: StopRequest) -> tuple[tuple[Any, str, Callable[[Any, Any], object]], ...]:
    return (
        (FreqtradeBot, "__init__", _init(TradeLock())),
        *_OF_TRADING,
        *((owner, name, under_lock(bot_of)) for owner, name, bot_of in _UNLOCKED),
        (Worker, "__init__", stop.listening),
        (Worker, "_worker", stop.asked_again),
    )


_UNLOCKED: Final[tuple[tuple[Any, str, Callable[[Any], FreqtradeBot]], ...]] = (
    (FreqtradeBot, "startup_backpopulate_precision", lambda bot: bot),
    (FreqtradeBot, "startup_update_open_orders", lambda bot: bot),
    (FreqtradeBot, "update_trades_without_assigned_fees", lambda bot: bot),
    (FreqtradeBot, "update_funding_fees", lambda bot: bot),
    (FreqtradeBot, "update_all_liquidation_prices", lambda bot: bot),
    (FreqtradeBot, "cancel_all_open_orders", lambda bot: bot),
    (RPC, "_rpc_reload_trade_from_exchange", lambda rpc: rpc._freqtrade),  # noqa: SLF001 - as its own class does
)
"""What changes trades and takes no lock of its own."""

_OF_TRADING: tuple[tuple[Any, str, Callable[[Any, Any], object]], ...] = (
    (FreqtradeBot, "startup", _startup),
    (FreqtradeBot, "process", _process),
    (FreqtradeBot, "_refresh_active_whitelist", _refresh_active_whitelist),
    (FreqtradeBot, "exit_positions", _exit_positions),
    (FreqtradeBot, "_update_trade_after_fill", _after_fill),
    (FreqtradeBot, "execute_trade_exit", _execute_trade_exit),
    (FreqtradeBot, "handle_similar_open_order", _handle_similar_open_order),
    (FreqtradeBot, "handle_cancel_exit", _handle_cancel_exit),
    (FreqtradeBot, "create_stoploss_order", _create_stoploss_order),
    (FreqtradeBot, "update_trade_state", _update_trade_state),
    (FreqtradeBot, "handle_order_fee", _handle_order_fee),
    (Trade, "delete", _delete),
    (Worker, "_sleep", _sleep),
    *(
        (RPC, f"_rpc_{name}", byhand.at_once)
        for name in ("start", "stop", "pause", "reload_config")
    ),
    (RPC, "_rpc_force_entry", byhand.force_entry),
    (RPC, "_rpc_force_exit", byhand.force_exit),
)
