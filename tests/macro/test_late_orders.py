"""Orders that outlive their trade: withdrawn at its end, and what fills all the same is somebody's."""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
from effort import campaign
from freqtrade.enums import State, TradingMode
from freqtrade.persistence import Order, Trade
from freqtrade.rpc.rpc import RPC, RPCException
from freqtrade_kit import HELD_STOPS, running, unlock
from scripted_orders import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from freqtrade_kit import Rig, Simulator


@pytest.fixture(scope="module")
def rig(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory, signals_port: int
) -> Iterator[Rig]:
    over: dict[str, Any] = {
        "order_types": HELD_STOPS,
        # A further entry stays out for as long as a test wants it to.
        "unfilledtimeout": {"entry": 300, "exit": 300, "unit": "seconds"},
        "force_entry_enable": True,
    }
    with running(simulator, tmp_path_factory.mktemp("late"), signals_port, **over) as rig:
        rig.until(lambda: rig.bot.state == State.RUNNING)
        yield rig


@pytest.fixture(autouse=True)
def _fresh(rig: Rig) -> Iterator[None]:
    before = dict(rig.quotes)
    yield
    rig.quotes.update(before)
    rig.micro.scripts.clear()
    rig.strategy.enter, rig.strategy.leave, rig.strategy.adjust = set(), set(), {}
    unlock(*rig.quotes)


def stopped_with_a_further_entry(rig: Rig, pair: str, script: Script) -> tuple[Any, Any]:
    """A closed trade whose further entry was at work when its stop was hit; that entry at micro."""
    rig.strategy.enter = {pair}
    rig.until(lambda: rig.trade(pair) and rig.trade(pair).has_open_sl_orders)
    rig.strategy.enter = set()
    rig.micro.scripts[pair, "buy"] = script
    rig.strategy.adjust = {pair: 150.0}
    rig.until(lambda: len(rig.micro.signals_of(pair, "buy")) == 2)
    further = rig.micro.parents[rig.micro.signals_of(pair, "buy")[1].signal_id]
    bid, ask = rig.quotes[pair]
    number = rig.trade(pair).id
    rig.quotes[pair] = (bid * 0.4, ask * 0.4)
    trade = rig.until(
        lambda: Trade.get_trades([Trade.id == number, Trade.is_open.is_(False)]).first()
    )
    rig.quotes[pair] = (bid, ask)
    assert trade.exit_reason == "stoploss_on_exchange"
    return trade, further


def numbered(number: int) -> Any:  # noqa: ANN401 - a Trade
    return Trade.get_trades([Trade.id == number]).first()


def row_of(parent: Any) -> Any:  # noqa: ANN401 - an Order
    found = Order.order_by_id(parent.signal.signal_id)
    assert found is not None
    return found


def held(rig: Rig, pair: str) -> Decimal:
    total: Decimal = rig.micro.totals.get(pair.partition("/")[0], Decimal(0))
    return total


def test_a_further_entry_is_withdrawn_when_the_stop_closes_its_trade(rig: Rig) -> None:
    trade, further = stopped_with_a_further_entry(rig, "ADA/USDT", Script(fraction="0"))
    assert further.status == "canceled", "in the same turn"
    rig.step()
    assert not row_of(further).ft_is_open
    assert row_of(further).ft_trade_id == trade.id
    assert rig.trade("ADA/USDT") is None


@pytest.mark.parametrize("share", ["0.4", "1"])
def test_what_fills_all_the_same_is_adopted_while_freqtrade_runs(rig: Rig, share: str) -> None:
    pair = {"0.4": "SOL/USDT", "1": "XRP/USDT"}[share]
    # Part of it filled before the stop, untold; or the whole after the cancel, which comes too late.
    late = Script(fraction="0", sticky=True)
    script = late if share == "1" else Script(fraction=share, lose_reports=True)
    closed, further = stopped_with_a_further_entry(rig, pair, script)
    if share == "1":
        further.script = Script(sticky=True)
    trade = rig.until(
        lambda: rig.trade(pair) and not rig.trade(pair).has_open_orders and rig.trade(pair)
    )
    assert trade.id != closed.id
    assert row_of(further).ft_trade_id == trade.id
    assert float(further.filled) == row_of(further).filled > 0
    fee = sum(Decimal(f.fee) for f in further.fills)
    assert trade.amount == pytest.approx(float(further.filled - fee), rel=2e-2)
    assert trade.amount <= float(held(rig, pair))
    closed = numbered(closed.id)
    assert further.signal.signal_id not in {order.order_id for order in closed.orders}
    rig.strategy.leave = {pair}
    rig.until(lambda: rig.trade(pair) is None)


def sold_again(rig: Rig, pair: str, closed: Any) -> Any:  # noqa: ANN401 - Trades
    """The trade after one that was closed, once it is closed itself."""
    newest = rig.trade(pair, is_open=False)
    return newest if rig.trade(pair) is None and newest.id != closed.id else None


def test_it_is_sold_again_where_that_is_the_policy(rig: Rig) -> None:
    pair = "DOGE/USDT"
    kind = type(rig.exchange)
    before = kind.settings
    kind.settings = before.model_copy(update={"orphan_policy": "flatten"})
    try:
        closed, further = stopped_with_a_further_entry(rig, pair, Script(fraction="0", sticky=True))
        further.script = Script(sticky=True)
        rig.until(lambda: further.status == "filled" and not row_of(further).ft_is_open)
        trade = rig.until(lambda: sold_again(rig, pair, closed))
        bought, sold = trade.orders
        assert (bought.order_id, sold.side) == (further.signal.signal_id, "sell")
        assert held(rig, pair) < Decimal(2), "less than a lot"
    finally:
        kind.settings = before


def test_a_restart_does_not_book_it_on_the_closed_trade(rig: Rig) -> None:
    pair = "BTC/USDT"
    closed, further = stopped_with_a_further_entry(rig, pair, Script(fraction="0", sticky=True))
    amount, rate = closed.amount, closed.open_rate
    further.script = Script(sticky=True)
    deadline = time.monotonic() + 60
    while further.status != "filled":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    rig.exchange.link.ask(further.signal.signal_id)
    rig.bot.startup_update_open_orders()
    closed = numbered(closed.id)
    assert (closed.amount, closed.open_rate, closed.is_open) == (amount, rate, False)
    assert row_of(further).ft_is_open
    rig.until(lambda: rig.trade(pair))
    assert row_of(further).ft_trade_id != closed.id
    rig.strategy.leave = {pair}
    rig.until(lambda: rig.trade(pair) is None)


def test_what_a_deleted_trade_leaves_at_work_is_not_lost(rig: Rig) -> None:
    pair = "ETH/USDT"
    rig.micro.scripts[pair, "buy"] = Script(fraction="0", sticky=True)
    rig.strategy.enter = {pair}
    trade = rig.until(lambda: rig.trade(pair))
    rig.strategy.enter = set()
    parent = rig.micro.parents[trade.orders[0].order_id]
    RPC(rig.bot)._rpc_delete(trade.id)
    assert rig.trade(pair) is None
    rig.step()
    parent.script = Script(sticky=True)
    trade = rig.until(lambda: rig.trade(pair))
    assert trade.orders[0].order_id == parent.signal.signal_id
    assert trade.amount > 0
    rig.strategy.leave = {pair}
    rig.until(lambda: rig.trade(pair) is None)


def entered_by_hand(rig: Rig, pair: str) -> Any:  # noqa: ANN401 - a Trade
    """A trade that a person has opened, and that no turn of the loop has seen."""
    RPC(rig.bot)._rpc_force_entry(pair, None)
    trade = rig.trade(pair)
    assert trade.has_open_position
    return trade


def test_a_trade_that_is_deleted_before_the_loop_has_seen_it_stays_deleted(rig: Rig) -> None:
    """Its entry would be an orphan of the next reload, and be booked on the next trade of the pair."""
    pair = "ADA/USDT"
    RPC(rig.bot)._rpc_delete(entered_by_hand(rig, pair).id)
    rig.step()
    rig.exchange.reconcile_due = True
    rig.step()
    assert not rig.exchange.reconcile_due
    assert rig.trade(pair) is None


class Beside:
    """Another thread acts as soon as a call has returned, or waits for who holds the lock.

    Args:
        rig: the system.
        act: what it does.
    """

    def __init__(self, rig: Rig, act: Callable[[], object]) -> None:
        self._bot, self._act = rig.bot, act
        self._went_on = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def after(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with what is done behind it, once."""

        def called(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Freqtrade's
            answer = call(*args, **kwargs)
            if self._thread.ident is None:
                self._thread.start()
                assert self._went_on.wait(60)
            return answer

        return called

    def join(self) -> None:
        """Wait until it is done."""
        assert self._thread.ident is not None, "the call was never made"
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        lock = self._bot._exit_lock._lock
        if lock.acquire(blocking=False):
            lock.release()
        else:
            self._went_on.set()
        try:
            self._act()
        finally:
            Trade.session.remove()
            self._went_on.set()


FEES: Final = "update_trades_without_assigned_fees"


def _with_a_stop(rig: Rig, trade: Any) -> None:  # noqa: ANN401 - a Trade
    rig.until(lambda: trade.has_open_sl_orders)


def _without_fees(_: Rig, trade: Any) -> None:  # noqa: ANN401 - a Trade
    trade.fee_open_currency = None


def _closed_without_fees(rig: Rig, trade: Any) -> None:  # noqa: ANN401 - a Trade
    RPC(rig.bot)._rpc_force_exit(str(trade.id), None)
    rig.until(lambda: not trade.is_open)
    trade.fee_close_currency = None


@pytest.mark.parametrize(
    ("prepare", "work", "moment"),
    [
        (_without_fees, FEES, (Trade, "get_open_trades_without_assigned_fees")),
        campaign(_closed_without_fees, FEES, (Trade, "get_closed_trades_without_assigned_fees")),
        (_closed_without_fees, FEES, (None, "fetch_order")),
        (_with_a_stop, "update_funding_fees", (None, "get_funding_fees")),
        campaign(_with_a_stop, "startup_update_open_orders", (Order, "get_open_orders")),
        (_with_a_stop, "startup_update_open_orders", (None, "fetch_order")),
        campaign(_with_a_stop, "cancel_all_open_orders", (Trade, "get_open_trades")),
        (_with_a_stop, "reload_trade_from_exchange", (None, "fetch_orders")),
        (_with_a_stop, "process", (Trade, "get_open_trades")),
    ],
)
def test_a_trade_can_be_deleted_while_something_else_works_on_it(
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Rig, Any], None],
    work: str,
    moment: tuple[Any, str],
) -> None:
    """An error of the database ends the bot."""
    owner, name = moment
    trade = entered_by_hand(rig, "XRP/USDT")
    number = trade.id
    prepare(rig, trade)
    Trade.commit()  # type: ignore[no-untyped-call]
    deletion = Beside(rig, lambda: RPC(rig.bot)._rpc_delete(number))
    at = owner or rig.exchange
    hooked = deletion.after(getattr(at, name))
    with monkeypatch.context() as patch:
        patch.setattr(at, name, staticmethod(hooked) if owner else hooked)
        if work == "update_funding_fees":
            patch.setattr(rig.bot, "trading_mode", TradingMode.FUTURES)
        if work == "reload_trade_from_exchange":
            RPC(rig.bot)._rpc_reload_trade_from_exchange(number)
        else:
            getattr(rig.bot, work)()
        Trade.commit()  # type: ignore[no-untyped-call]
    deletion.join()
    rig.step()
    assert numbered(number) is None


def test_two_people_who_enter_a_pair_at_once_open_one_trade(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Freqtrade looks for a trade of the pair, then takes its lock."""
    pair, refused = "ADA/USDT", []

    def enter_too() -> None:
        with pytest.raises(RPCException) as error:
            RPC(rig.bot)._rpc_force_entry(pair, None)
        refused.append(error.value.message)

    other = Beside(rig, enter_too)
    wallets = rig.bot.wallets
    stake = other.after(wallets.get_trade_stake_amount)
    with monkeypatch.context() as patch:
        patch.setattr(wallets, "get_trade_stake_amount", stake)
        patch.setattr(rig.strategy, "position_adjustment_enable", False)
        RPC(rig.bot)._rpc_force_entry(pair, None)
        other.join()
    assert "already open" in refused[0]
    (trade,) = Trade.get_trades([Trade.pair == pair, Trade.is_open.is_(True)]).all()
    RPC(rig.bot)._rpc_delete(trade.id)
