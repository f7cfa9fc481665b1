"""What is sold is sold once and booked once: orders that fill as they are canceled, or are looked at again.

The wallet holds coins of its owner beside those of the trades, so that a second sale of the same would
succeed.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
from effort import campaign
from freqtrade.enums import ExitCheckTuple, ExitType, State
from freqtrade.exceptions import DependencyException
from freqtrade.persistence import Trade
from freqtrade.rpc.rpc import RPC, RPCException
from freqtrade_kit import HELD_STOPS, impatient, running, unlock
from process_kit import until
from scripted_orders import Script

from citadel_macro.ccxt_orders import is_terminal
from citadel_macro.closed_by_others import UNKNOWN
from citadel_proto.messages import Signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from freqtrade_kit import Rig, Simulator

    from citadel_proto.messages import ExecutionReport

OWN: Final = Decimal(100_000)
"""Coins that are no trade's."""
COINS: Final = ("ADA", "BTC", "DOGE", "SOL", "XRP")
FEE: Final = Decimal("0.001")


@pytest.fixture(scope="module")
def rig(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory, signals_port: int
) -> Iterator[Rig]:
    over: dict[str, Any] = {
        "order_types": HELD_STOPS,
        "unfilledtimeout": {"entry": 300, "exit": 300, "unit": "seconds"},
        "force_entry_enable": True,
    }
    with running(simulator, tmp_path_factory.mktemp("once"), signals_port, **over) as rig:
        rig.micro.totals |= dict.fromkeys(COINS, OWN)
        rig.until(lambda: rig.bot.state == State.RUNNING)
        yield rig


@pytest.fixture(autouse=True)
def _fresh(rig: Rig) -> Iterator[None]:
    before = dict(rig.quotes)
    yield
    rig.quotes.update(before)
    rig.micro.scripts.clear()
    rig.strategy.enter, rig.strategy.leave, rig.strategy.adjust = set(), set(), {}
    for trade in Trade.get_open_trades():
        RPC(rig.bot)._rpc_force_exit(str(trade.id))
    rig.until(lambda: not Trade.get_open_trades())
    unlock(*rig.quotes)


def entered(rig: Rig, pair: str) -> Any:  # noqa: ANN401 - a Trade
    """A trade with its stop."""
    rig.strategy.enter = {pair}
    rig.until(lambda: rig.trade(pair) and rig.trade(pair).has_open_sl_orders)
    rig.strategy.enter = set()
    return rig.trade(pair)


def sold(rig: Rig, trade: Any) -> Decimal:  # noqa: ANN401 - a Trade
    """What micro has sold since the trade was entered, less what it has bought."""
    ours = {order.order_id for order in trade.orders}
    parents = [p for p in rig.micro.parents.values() if p.signal.signal_id in ours]
    return sum((p.filled if p.signal.side == "sell" else -p.filled for p in parents), Decimal(0))


def sold_by_another(rig: Rig, pair: str, quantity: str) -> None:
    """An order that was placed at the exchange itself."""
    now = time.time_ns()
    signal = Signal(
        signal_id=f"hand-{now}",
        strategy=UNKNOWN,
        venue=rig.micro.venue,
        symbol=pair,
        side="sell",
        quantity=quantity,
        order_type="market",
        created_ns=now,
        expires_ns=now + 10**9,
        epoch=0,
        seq=0,
    )
    with rig.micro._lock:
        rig.micro._admit(signal, Script(), own=True)


@contextmanager
def filling_as_canceled(rig: Rig) -> Iterator[None]:
    """Each cancel is a moment too late: what it is for has filled."""
    link = rig.exchange.link
    cancel = link.cancel

    def too_late(
        signal_id: str, reason: str, wait_s: float | None = None
    ) -> ExecutionReport | None:
        parent = rig.micro.parents[signal_id]
        parent.triggered, parent.script, parent.due = True, Script(), 0.0
        until(lambda: (report := link.report(signal_id)) is not None and is_terminal(report))
        return cancel(signal_id, reason, wait_s)

    link.cancel = too_late  # type: ignore[method-assign]
    try:
        yield
    finally:
        del link.cancel


def resting_exit(rig: Rig, pair: str, stake: float) -> Any:  # noqa: ANN401 - an Order
    """An exit of so much, which does not fill."""
    rig.micro.scripts[pair, "sell"] = Script(fraction="0")
    rig.strategy.adjust = {pair: -stake}
    rig.until(lambda: rig.trade(pair).has_open_orders)
    rig.micro.scripts.clear()
    (order,) = rig.trade(pair).open_orders
    return order


def closed_once(rig: Rig, trade: Any) -> None:  # noqa: ANN401 - a Trade
    """A trade is closed, and has sold what it held and no more."""
    for _ in range(3):
        rig.step()
    Trade.session.expire_all()
    assert not trade.is_open
    assert -FEE * 200 < sold(rig, trade) <= 0


def test_an_exit_is_not_sent_after_a_stop_that_fills_as_it_is_canceled(rig: Rig) -> None:
    trade = entered(rig, "SOL/USDT")
    with (
        filling_as_canceled(rig),
        pytest.raises(RPCException, match="has been closed meanwhile"),
    ):
        RPC(rig.bot)._rpc_force_exit(str(trade.id))
    closed_once(rig, trade)
    assert trade.exit_reason == "stoploss_on_exchange"


def test_an_exit_waits_for_the_end_of_the_stop(rig: Rig) -> None:
    pair = "XRP/USDT"
    trade = entered(rig, pair)
    (stop,) = trade.open_sl_orders
    parent = rig.micro.parents[stop.order_id]
    parent.script = Script(sticky=True)
    with (
        impatient(rig.exchange.link),
        pytest.raises(RPCException, match="is not canceled yet"),
    ):
        RPC(rig.bot)._rpc_force_exit(str(trade.id))
    assert [s.kind for s in rig.micro.signals_of(pair, "sell")] == ["stop"]
    # Nor is a stop put beside it that could sell the same.
    assert not rig.bot.create_stoploss_order(trade, trade.stop_loss * 1.1)
    assert [s.kind for s in rig.micro.signals_of(pair, "sell")] == ["stop"]
    parent.script = Script()
    RPC(rig.bot)._rpc_force_exit(str(trade.id))
    rig.until(lambda: rig.trade(pair) is None)
    closed_once(rig, trade)


def test_what_is_left_of_an_exit_that_fills_as_it_is_replaced_is_not_all_of_the_trade(
    rig: Rig,
) -> None:
    pair = "XRP/USDT"
    trade = entered(rig, pair)
    order = resting_exit(rig, pair, 50.0)
    with filling_as_canceled(rig):
        shown = rig.exchange.fetch_order(order.order_id, pair)
        bid = rig.quotes[pair][0]
        rig.bot.handle_replace_order(shown, order, trade, bid, False, "replace", replacing=True)
    rig.until(lambda: trade.has_open_sl_orders)
    assert trade.is_open
    assert len(trade.select_filled_orders("sell")) == 1
    assert trade.amount == pytest.approx(-float(sold(rig, trade)), rel=2e-3)


@pytest.mark.campaign
def test_another_exit_is_not_sent_after_one_that_fills_as_it_is_canceled(rig: Rig) -> None:
    pair = "ADA/USDT"
    trade = entered(rig, pair)
    rig.micro.scripts[pair, "sell"] = Script(fraction="0")
    told = ExitCheckTuple(exit_type=ExitType.CUSTOM_EXIT, exit_reason="told")
    bid = rig.quotes[pair][0]
    assert rig.bot.execute_trade_exit(trade, bid * 1.01, told)
    rig.micro.scripts.clear()
    with filling_as_canceled(rig):
        assert not rig.bot.execute_trade_exit(trade, bid, told)
    closed_once(rig, trade)


@pytest.mark.campaign
def test_an_exit_that_fills_as_it_times_out_is_no_emergency(rig: Rig) -> None:
    pair = "DOGE/USDT"
    trade = entered(rig, pair)
    limits = rig.bot.config["unfilledtimeout"]
    try:
        for _ in range(2):  # one that is canceled, and one that fills
            rig.micro.scripts[pair, "sell"] = Script(fraction="0")
            told = ExitCheckTuple(exit_type=ExitType.CUSTOM_EXIT, exit_reason="told")
            assert rig.bot.execute_trade_exit(trade, rig.quotes[pair][0] * 1.01, told)
            rig.micro.scripts.clear()
            (order,) = trade.open_orders
            shown = rig.exchange.fetch_order(order.order_id, pair)
            if trade.canceled_exit_order_count:
                limits["exit_timeout_count"] = 1
                with filling_as_canceled(rig):
                    assert not rig.bot.handle_cancel_order(shown, order, trade, "timeout")
            else:
                assert rig.bot.handle_cancel_order(shown, order, trade, "timeout")
    finally:
        limits["exit_timeout_count"] = 0
    closed_once(rig, trade)


@pytest.mark.campaign
def test_nothing_is_exited_of_a_trade_that_is_closed(rig: Rig) -> None:
    trade = entered(rig, "BTC/USDT")
    RPC(rig.bot)._rpc_force_exit(str(trade.id))
    rig.until(lambda: not trade.is_open)
    told = ExitCheckTuple(exit_type=ExitType.EMERGENCY_EXIT)
    with pytest.raises(DependencyException, match="has been closed meanwhile"):
        rig.bot.execute_trade_exit(trade, rig.quotes[trade.pair][0], told)
    closed_once(rig, trade)


@pytest.mark.parametrize("by_others", [campaign(False), True])
def test_a_trade_of_which_half_is_sold_is_reloaded_as_it_is(rig: Rig, *, by_others: bool) -> None:
    """Freqtrade takes an exit of as much as is left for the exit of all, when it looks at it again."""
    pair = "ADA/USDT"
    trade = entered(rig, pair)
    exits = 0

    def left() -> bool:
        return trade.nr_of_successful_exits == exits and bool(trade.has_open_sl_orders)

    if round(trade.amount * 10) % 2:
        exits += 1
        RPC(rig.bot)._rpc_force_exit(str(trade.id), None, amount=20.1)
        rig.until(left)
    half = trade.amount / 2
    exits += 1
    if by_others:  # somebody sells his own fifty and half of the trade in one order
        rig.micro.totals["ADA"] = Decimal(repr(trade.amount)) + 50
        sold_by_another(rig, pair, f"{half + 50:.1f}")
    else:
        RPC(rig.bot)._rpc_force_exit(str(trade.id), None, amount=half)
    rig.until(left)
    assert trade.amount == pytest.approx(half)
    RPC(rig.bot)._rpc_reload_trade_from_exchange(trade.id)
    rig.step()
    assert trade.is_open
    assert trade.amount == pytest.approx(half)
    assert trade.has_open_sl_orders
    rig.micro.totals["ADA"] += OWN


def test_what_each_entry_has_paid_in_coins_is_no_part_of_the_amount(rig: Rig) -> None:
    """Also of one that had filled in part when another one replaced it, and of two in one loop."""
    pair = "ETH/USDT"  # of which the wallet has nothing else
    trade = entered(rig, pair)
    rig.micro.scripts[pair, "buy"] = Script(fraction="0.5")
    rig.strategy.adjust = {pair: 20_000.0}
    rig.until(lambda: len(trade.orders) >= 3 and trade.open_orders)
    rig.micro.scripts[pair, "buy"] = Script(fraction="0")
    rig.strategy.adjust = {pair: 10_000.0}
    rig.until(lambda: len(trade.select_filled_orders("buy")) == 2 and trade.open_orders)
    (last,) = trade.open_orders
    rig.micro.parents[last.order_id].script = Script()
    rig.micro.scripts.clear()
    rig.until(lambda: not trade.has_open_orders)
    for _ in range(2):
        assert rig.bot.execute_entry(pair, 10_000.0, trade=trade, mode="pos_adjust")
    rig.until(lambda: trade.has_open_sl_orders)
    entries = trade.select_filled_orders("buy")
    assert len(entries) == 5
    for order in entries:
        paid = sum(Decimal(fill.fee) for fill in rig.micro.parents[order.order_id].fills)
        assert order.ft_fee_base == pytest.approx(float(paid), rel=1e-12), order
    held = rig.micro.totals["ETH"]
    assert 0 <= float(held) - trade.amount < 1e-3
    (stop,) = trade.open_sl_orders
    assert stop.amount <= float(held)
