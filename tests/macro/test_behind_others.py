"""Freqtrade starts on a micro that remembers more than fits an answer, of another bot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from freqtrade_kit import RealMicro, running

from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from freqtrade_kit import Simulator

PAIR = "BTC/USDT"
OTHERS = 700


def leave_orders(signals: str, market: str) -> str:
    """Another bot of the same strategy sends hundreds of orders and goes; the id of its stop."""
    other = HybridConnector(
        ConnectorConfig(
            signals=signals,
            market=(market,),
            strategy="Puppet",
            ready_timeout=60.0,
            ack_timeout=60.0,
        )
    )
    try:
        other.start()
        assert other.wait_ready()
        stop = NewSignal(
            venue="binance-spot",
            symbol=PAIR,
            side="sell",
            quantity="0.1",
            kind="stop",
            order_type="market",
            stop_price="1000",
            algo="stop",
            ttl=86_400.0,
        )
        sent = other.submit(stop)
        assert sent.report is not None
        assert sent.report.status == "accepted", sent.report.reason
        for _ in range(OTHERS):
            small = NewSignal(
                venue="binance-spot", symbol=PAIR, side="buy", quantity="0.00000001", ttl=60.0
            )
            assert other.submit(small).report is not None
        return sent.signal_id
    finally:
        other.close()


@pytest.mark.campaign
def test_a_bot_starts_and_trades_behind_the_orders_of_another(
    simulator: Simulator, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    signals, market = f"tcp://127.0.0.1:{port}", f"ipc://{tmp_path / 'market'}"
    with RealMicro(simulator, tmp_path, signals, market) as micro:
        theirs = leave_orders(signals, market)
        with running(simulator, tmp_path, port, micro=micro, puppet_enter=[PAIR]) as rig:
            rig.until(lambda: not rig.exchange.reconcile_due)
            trade = rig.until(lambda: rig.trade(PAIR))
            link = rig.exchange.link
            assert theirs not in {order.order_id for order in trade.orders}
            everything = link.connector.query_orders("binance-spot")
            assert len(everything) >= OTHERS + 2
            report = link.connector.query_order(theirs)
            assert report is not None
            assert report.status == "accepted"
            assert {r.signal_id for r in link.orders_since(PAIR, 0)} == {
                order.order_id for order in trade.orders
            }
