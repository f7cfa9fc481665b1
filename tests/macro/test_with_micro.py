"""All of it for real: simulator, micro in a process of its own, and Freqtrade."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from freqtrade.exceptions import InvalidOrderException
from freqtrade.persistence import Trade
from freqtrade_kit import RealMicro, running, unlock

from citadel_macro import fee_rates
from citadel_macro.demo import demo_config
from citadel_macro.userdata import user_data

if TYPE_CHECKING:
    from collections.abc import Iterator

    from freqtrade_kit import Rig, Simulator

PAIRS = ["BTC/USDT", "ETH/USDT"]
LEAN = -1


@pytest.fixture(scope="module")
def rig(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory, signals_port: int
) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("real")
    signals, market = f"tcp://127.0.0.1:{signals_port}", f"ipc://{folder / 'market'}"
    wanted = demo_config(
        simulator.rest, simulator.ws, signals="", market="", user_dir=folder, pairs=PAIRS
    )
    with (
        RealMicro(simulator, folder, signals, market) as micro,
        running(
            simulator,
            folder,
            signals_port,
            micro=micro,
            strategy="CitadelSample",
            strategy_path=str(user_data() / "strategies"),
            exchange=wanted["exchange"],
            citadel_sample={"hold_s": 3, "patience_s": 2, "min_imbalance": LEAN, "room_bps": 20},
            unfilledtimeout={"entry": 20, "exit": 20, "unit": "seconds"},
        ) as rig,
    ):
        yield rig


def closed() -> list[Trade]:
    return list(Trade.get_trades([Trade.is_open.is_(False)]).all())


def same_books(rig: Rig) -> None:
    """Every order in Freqtrade's database is what micro answers when it is asked anew.

    Nothing may be at work meanwhile: micro would go on where Freqtrade's last look was.
    """
    rig.strategy.min_imbalance = 2.0  # no book leans so far: nothing new is entered
    rig.until(lambda: not Trade.get_open_trades(), 60)
    rig.step()  # Freqtrade takes the last balances
    rig.strategy.min_imbalance = LEAN
    link = rig.exchange.link
    for trade in Trade.get_trades([]).all():
        for order in trade.orders:
            report = link.ask(order.order_id)
            assert report is not None
            assert order.filled == float(Decimal(report.filled))
            paid = sum(Decimal(f.price) * Decimal(f.quantity) for f in report.fills)
            assert order.cost == float(paid)
            fees = {f.fee_currency for f in report.fills}
            if order.ft_order_side == "buy" and order.filled:
                assert fees == {trade.base_currency}
                fee = float(sum(Decimal(f.fee) for f in report.fills))
                # None: Freqtrade pays it from dust that earlier trades left in the wallet.
                assert order.ft_fee_base in (None, pytest.approx(fee, rel=1e-9))
    rows = {row.currency: row for row in link.balances() or ()}
    assert rig.bot.wallets.get_total("USDT") == float(Decimal(rows["USDT"].total))


def test_the_sample_strategy_trades_and_the_books_agree(rig: Rig) -> None:
    rig.until(lambda: len(closed()) >= 2, 60)
    same_books(rig)
    kept = closed()[0].get_all_custom_data()
    told = [entry.value for entry in kept if entry.cd_key != fee_rates.KEY]
    assert any(each["algo"] == "auto" for each in told)


def test_micro_says_no_with_its_own_words(rig: Rig) -> None:
    with pytest.raises(
        InvalidOrderException, match=r"micro rejected buy 1000 BTC/USDT: [A-Z_]+ \("
    ):
        rig.exchange.create_order(
            pair="BTC/USDT",
            ordertype="limit",
            side="buy",
            amount=1000,
            rate=50_000,
            leverage=1,
            initial_order=False,
        )
    rig.exchange.execution("BTC/USDT", urgancy="high")
    with pytest.raises(InvalidOrderException, match="no parameter 'urgancy'"):
        rig.exchange.create_order(
            pair="BTC/USDT",
            ordertype="limit",
            side="buy",
            amount=0.01,
            rate=50_000,
            leverage=1,
            initial_order=False,
        )


@pytest.mark.campaign
def test_micro_killed_and_back_loses_nothing(rig: Rig) -> None:
    count = len(closed())
    rig.strategy.hold_s = 1
    unlock(*PAIRS)
    rig.until(lambda: any(trade.has_open_orders for trade in Trade.get_open_trades()), 60)
    rig.micro.kill()
    for _ in range(3):
        rig.step()
    rig.micro.start()
    rig.until(lambda: len(closed()) > count, 60)
    same_books(rig)
