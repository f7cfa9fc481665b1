"""Freqtrade builds and reduces trades in parts on a real micro; the audit agrees with every figure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from freqtrade.enums import State
from freqtrade_kit import RealMicro, running

from citadel_macro.demo import demo_config
from citadel_micro.demo.audit import compare, read_freqtrade, read_owners
from citadel_micro.demo.journals import read_micro

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from freqtrade_kit import Rig, Simulator


def more_than(rig: Rig, pair: str, count: int) -> bool:
    """Whether the open trade has more filled orders than that."""
    return len(rig.trade(pair).select_filled_orders()) > count


@pytest.mark.campaign
def test_a_trade_built_and_reduced_in_parts_agrees(
    simulator: Simulator, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    signals, market = f"tcp://127.0.0.1:{port}", f"ipc://{tmp_path / 'market'}"
    wanted = demo_config(
        simulator.rest,
        simulator.ws,
        signals="",
        market="",
        user_dir=tmp_path,
        pairs=["BTC/USDT", "ETH/USDT"],
    )
    pair = "BTC/USDT"
    urgent = {"price_side": "other", "use_order_book": True, "order_book_top": 1}
    with (
        RealMicro(simulator, tmp_path, signals, market) as micro,
        running(
            simulator,
            tmp_path,
            port,
            micro=micro,
            exchange=wanted["exchange"],
            entry_pricing=urgent,
            exit_pricing=urgent,
            order_types={
                "entry": "market",
                "exit": "market",
                "stoploss": "market",
                "stoploss_on_exchange": False,
            },
            unfilledtimeout={"entry": 20, "exit": 20, "unit": "seconds"},
        ) as rig,
    ):
        rig.until(lambda: rig.bot.state == State.RUNNING)
        rig.strategy.enter = {pair}
        rig.until(lambda: rig.trade(pair) and rig.trade(pair).has_open_position, 60)
        rig.strategy.enter = set()
        for stake in (-80.0, 120.0, -60.0, 90.0):
            count = len(rig.trade(pair).select_filled_orders())
            rig.strategy.adjust = {pair: stake}
            rig.until(partial(more_than, rig, pair, count), 60)
            rig.until(lambda: not rig.trade(pair).has_open_orders, 60)
            for _ in range(2):
                rig.step()  # a further entry's fee is found in the turn after it
            found = compare(
                *read_freqtrade(tmp_path / "trades.sqlite"), read_micro(tmp_path / "micro")
            )
            assert found.differences == ()
        rig.strategy.leave = {pair}
        rig.until(lambda: rig.trade(pair) is None, 60)
        rig.step()
    books = read_freqtrade(tmp_path / "trades.sqlite")
    owners = read_owners(tmp_path / "trades.sqlite")
    found = compare(*books, read_micro(tmp_path / "micro"), owners)
    assert found.differences == ()
    assert (len(found.owners), found.others) == (1, 0)
    assert found.rows[0].owner == found.owners[0]
    stranger = compare(*books, read_micro(tmp_path / "micro"), {"o" + "0" * 24})
    # An exit of another owner may be booked, as that of a flattening is; an entry never.
    assert len(stranger.differences) == sum(order.side == "buy" for order in books[0]) > 0
