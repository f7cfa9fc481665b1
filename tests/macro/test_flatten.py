"""A flattening at micro: Freqtrade's trades close with its fills at once, and nothing enters again."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from freqtrade.persistence import PairLocks, Trade
from freqtrade_kit import RealMicro, running, unlock

from citadel_macro.demo import demo_config
from citadel_micro.shell.ops.control import Request, ask
from citadel_proto.messages import TERMINAL_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from freqtrade_kit import Rig, Simulator

PAIRS = ["BTC/USDT", "ETH/USDT"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def rig(simulator: Simulator, folder: Path, signals_port: int) -> Iterator[Rig]:
    signals, market = f"tcp://127.0.0.1:{signals_port}", f"ipc://{folder / 'market'}"
    wanted = demo_config(
        simulator.rest, simulator.ws, signals="", market="", user_dir=folder, pairs=PAIRS
    )
    with (
        RealMicro(simulator, folder, signals, market) as micro,
        running(simulator, folder, signals_port, micro=micro, exchange=wanted["exchange"]) as rig,
    ):
        yield rig


def operate(folder: Path, action: str, trip_id: str = "") -> dict[str, Any]:
    request = Request(action, trip_id=trip_id, reason="the test says so")
    answer = ask(folder / "micro", request)
    assert answer["ok"], answer
    return answer


def held(rig: Rig) -> list[Trade]:
    """Every pair in a trade, wholly filled."""
    rig.strategy.enter = set(PAIRS)
    rig.until(
        lambda: (
            [
                trade.pair
                for trade in Trade.get_open_trades()
                if trade.amount > 0 and not trade.has_open_orders
            ]
            and len(Trade.get_open_trades()) == len(PAIRS)
            and not any(trade.has_open_orders for trade in Trade.get_open_trades())
        )
    )
    return list(Trade.get_open_trades())


def test_trades_close_with_its_fills_and_nothing_enters_again(rig: Rig, folder: Path) -> None:
    trades = {trade.pair: trade.id for trade in held(rig)}
    answer = operate(folder, "flatten")
    flattened = time.monotonic()
    rig.until(lambda: not Trade.get_open_trades())
    assert time.monotonic() - flattened < 30
    unlock(*PAIRS)
    rig.until(lambda: all(PairLocks.is_pair_locked(pair) for pair in PAIRS))
    assert not Trade.get_open_trades(), "its signal to enter still stands"
    reports = rig.exchange.link.connector.own_reports()
    own = {r.symbol: r for r in reports if r.status in TERMINAL_STATUSES}
    for pair, number in trades.items():
        (trade,) = Trade.get_trades([Trade.id == number]).all()
        assert trade.exit_reason == "flatten"
        (sold,) = [order for order in trade.orders if order.ft_order_side == "sell"]
        report = own[pair]
        assert sold.order_id == report.signal_id
        assert sold.filled == float(Decimal(report.filled))
        paid = sum(Decimal(f.price) * Decimal(f.quantity) for f in report.fills)
        assert sold.cost == pytest.approx(float(paid), rel=1e-12)
        assert trade.close_profit_abs is not None
    rows = {row.currency: row for row in rig.exchange.link.balances() or ()}
    assert rig.bot.wallets.get_total("USDT") == float(Decimal(rows["USDT"].total))
    for pair in PAIRS:
        (lock,) = PairLocks.get_pair_locks(pair)
        assert str(lock.reason).startswith("REDUCE_ONLY"), lock.reason
    # Once the pause is reset it may trade again.
    (trip,) = answer["trips"]
    assert trip["code"] == "OPERATOR_PAUSE"
    assert trip["reason"] == "flatten: the test says so"
    operate(folder, "reset", trip_id=trip["trip_id"])
    unlock(*PAIRS)
    rig.until(Trade.get_open_trades)


def test_one_that_freqtrade_slept_through_is_booked_at_its_start(rig: Rig, folder: Path) -> None:
    held(rig)
    rig.strategy.enter = set()
    operate(folder, "flatten")
    deadline = time.monotonic() + 60
    while ask(folder / "micro", Request("status"))["open_parents"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # As a new process: nothing received is remembered.
    mirror = rig.exchange.link.connector.mirror
    mirror.reports.clear()
    mirror.own.clear()
    rig.exchange.of_others.clear()
    rig.exchange.reconcile_due = True
    rig.until(lambda: not Trade.get_open_trades())
