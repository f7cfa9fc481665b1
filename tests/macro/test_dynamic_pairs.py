"""Pair lists that change: a real Freqtrade chooses its pairs, and a real micro follows them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from freqtrade.enums import State
from freqtrade.persistence import PairLocks
from freqtrade_kit import RealMicro, running

from citadel_macro.demo import demo_config
from citadel_micro.sim.flow_symbols import DEFAULT_SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from freqtrade_kit import Rig, Simulator

ALWAYS = ("BTC/USDT", "ETH/USDT")
"""Micro follows these by itself."""
FIRST, SECOND = [name for name in DEFAULT_SYMBOLS if name not in ALWAYS][:2]


def remote(path: Path) -> list[dict[str, Any]]:
    """A list that is read anew about every second."""
    list_of = {"method": "RemotePairList", "pairlist_url": f"file:///{path}"}
    return [list_of | {"number_assets": 9, "refresh_period": 1}]


def lists(path: Path, *pairs: str) -> None:
    path.write_text(json.dumps({"pairs": pairs, "refresh_period": 1}))


@pytest.fixture
def rig(simulator: Simulator, tmp_path: Path, signals_port: int) -> Iterator[Rig]:
    signals, market = f"tcp://127.0.0.1:{signals_port}", f"ipc://{tmp_path / 'market'}"
    config = demo_config(simulator.rest, simulator.ws, signals="", market="", user_dir=tmp_path)
    exchange = config["exchange"] | {"pair_whitelist": []}
    volume = {"method": "VolumePairList", "number_assets": 3, "sort_key": "quoteVolume"}
    with (
        RealMicro(simulator, tmp_path, signals, market, "--on-demand", "*/USDT") as micro,
        running(
            simulator,
            tmp_path,
            signals_port,
            micro=micro,
            exchange=exchange,
            pairlists=[volume | {"refresh_period": 60}],
        ) as rig,
    ):
        yield rig


def entered(rig: Rig, pair: str) -> None:
    rig.strategy.enter = {pair}
    rig.until(lambda: rig.trade(pair) and rig.trade(pair).has_open_position)
    rig.strategy.enter = set()


def test_entries_on_pairs_that_come_and_after_a_reload(rig: Rig, tmp_path: Path) -> None:
    rig.until(lambda: rig.state == State.RUNNING)
    chosen = rig.bot.active_pair_whitelist
    assert len(chosen) == 3
    assert {pair for _, pair in rig.exchange.link.connector.pairs} >= set(chosen)
    entered(rig, chosen[-1])

    # Another list, as a person would set it.
    path = tmp_path / "pairs.json"
    lists(path, FIRST)
    (tmp_path / "config.json").write_text(json.dumps(rig.config | {"pairlists": remote(path)}))
    rig.bot.state = State.RELOAD_CONFIG
    rig.until(lambda: rig.state == State.RUNNING and FIRST in rig.bot.active_pair_whitelist)
    rig.worker._throttle_secs = 0.1
    entered(rig, FIRST)

    # It rotates: the new pair is traded within seconds of its coming, and the old one, which is held, too.
    lists(path, SECOND)
    rig.until(lambda: SECOND in rig.bot.active_pair_whitelist)
    assert FIRST in rig.bot.active_pair_whitelist, "its trade is open"
    entered(rig, SECOND)
    rig.strategy.leave = {FIRST}
    rig.until(lambda: not rig.trade(FIRST))
    for lock in PairLocks.get_pair_locks(None):
        seconds = (lock.lock_end_time - lock.lock_time).total_seconds()
        assert "BOOK_NOT_LIVE" not in str(lock.reason) or seconds <= 6, lock.reason
