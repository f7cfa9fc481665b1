"""Freqtrade dies between publishing an order and committing it; the next one puts the books right."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from freqtrade.persistence import Trade
from freqtrade_kit import puppet_config, running
from scripted_micro import ScriptedMicro
from scripted_orders import Script

from citadel_bridge.intents import IntentLog
from citadel_macro import ccxt_orders as orders
from citadel_macro.config import INTENTS_FILE
from citadel_macro.reconciliation import ADOPTED_TAG

if TYPE_CHECKING:
    from collections.abc import Callable

    from freqtrade_kit import Simulator

SCRIPT = Path(__file__).with_name("die_after_publish.py")


def die_on(side: str, config: dict[str, Any], folder: Path) -> str:
    """Run Freqtrade until it dies after publishing an order of ``side``; its log."""
    path, log = folder / "dying.json", folder / "dying.log"
    path.write_text(json.dumps(config))
    with log.open("w") as out:
        process = subprocess.run(
            [sys.executable, str(SCRIPT), side, "trade", "-c", str(path)],
            stdout=out,
            stderr=out,
            timeout=300,
            check=False,
        )
    text = " ".join(log.read_text().split())  # the console handler wraps lines
    assert process.returncode == -signal.SIGKILL, text[-3000:]
    return text


def trades_in(folder: Path) -> int:
    with sqlite3.connect(folder / "trades.sqlite") as db:
        count: int = db.execute("SELECT count(*) FROM trades").fetchone()[0]
    return count


@pytest.mark.campaign
def test_a_filled_entry_is_adopted_and_an_exit_is_attached(
    simulator: Simulator, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port, pair, quotes = free_port(), "BTC/USDT", simulator.quotes()
    signals = f"tcp://127.0.0.1:{port}"
    with ScriptedMicro(signals=signals, quotes=lambda: quotes) as micro:
        config = puppet_config(simulator, tmp_path, signals, micro.address)
        die_on("buy", config | {"puppet_enter": [pair]}, tmp_path)
        (entry,) = micro.parents.values()
        assert entry.status == "filled"
        assert trades_in(tmp_path) == 0, "Freqtrade's books know nothing of it"

        log = die_on("sell", config | {"puppet_leave": [pair]}, tmp_path)
        assert f"Orphan order {entry.signal.signal_id} on {pair}" in log
        assert trades_in(tmp_path) == 1

        with running(simulator, tmp_path, port, micro=micro, quotes=quotes) as rig:
            trade = rig.until(lambda: rig.trade(pair, is_open=False))
            assert len(micro.parents) == 2, "nothing was sold twice"
            bought, sold = trade.orders
            assert trade.enter_tag == ADOPTED_TAG
            assert bought.order_id == entry.signal.signal_id
            for order in (bought, sold):
                assert order.filled == float(micro.parents[order.order_id].filled)
                assert order.status == "closed"
            fee = sum(Decimal(f.fee) for f in entry.fills)
            assert bought.ft_fee_base == pytest.approx(float(fee))
            assert rig.bot.wallets.get_total("USDT") == float(micro.totals["USDT"])
            for _ in range(3):
                rig.step()
            assert len(Trade.get_trades([]).all()) == 1, "an orphan is settled once"


def test_a_working_entry_is_cancelled_and_its_fills_are_flattened(
    simulator: Simulator, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port, pair, quotes = free_port(), "SOL/USDT", simulator.quotes()
    signals = f"tcp://127.0.0.1:{port}"
    with ScriptedMicro(signals=signals, quotes=lambda: quotes) as micro:
        micro.scripts[pair, "buy"] = Script(fraction="0.5")
        config = puppet_config(simulator, tmp_path, signals, micro.address)
        # The default policy is stated by the configuration, so that this run differs by it only.
        die_on("buy", config | {"puppet_enter": [pair]}, tmp_path)
        (entry,) = micro.parents.values()
        assert not orders.is_terminal(micro.report_of(entry))

        over = {"citadel": config["citadel"] | {"orphan_policy": "flatten"}}
        with running(simulator, tmp_path, port, micro=micro, quotes=quotes, **over) as rig:
            rig.until(lambda: not rig.exchange.reconcile_due)
            assert entry.status == "canceled"
            flattening = next(p for p in micro.parents.values() if p is not entry)
            assert flattening.signal.side == "sell"
            assert flattening.status == "filled"
            fee = sum(Decimal(f.fee) for f in entry.fills)
            left = entry.filled - fee - flattening.filled
            assert 0 <= left < Decimal("0.001"), "less than a lot stays as dust"
            assert Trade.get_trades([]).all() == []
            rig.exchange.reconcile_due = True
            rig.until(lambda: not rig.exchange.reconcile_due)
            assert len(micro.parents) == 2, "flattened once"


@pytest.mark.campaign
def test_a_signal_that_never_arrived_is_forgotten_and_cannot_arrive_later(
    simulator: Simulator, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port, pair, quotes = free_port(), "ETH/USDT", simulator.quotes()
    signals = f"tcp://127.0.0.1:{port}"
    with ScriptedMicro(signals=signals, quotes=lambda: quotes) as micro:
        micro.scripts[pair, "buy"] = Script(silent=True)
        config = puppet_config(simulator, tmp_path, signals, micro.address)
        die_on("buy", config | {"puppet_enter": [pair]}, tmp_path)
        assert micro.parents == {}
        with running(simulator, tmp_path, port, micro=micro, quotes=quotes) as rig:
            rig.until(lambda: not rig.exchange.reconcile_due)
            micro.scripts[pair, "buy"] = Script()
            for _ in range(5):
                rig.step()
            assert micro.parents == {}
            assert Trade.get_trades([]).all() == []


@pytest.mark.campaign
def test_an_orphan_that_micro_has_lost_is_an_error_and_not_one_that_never_arrived(
    simulator: Simulator,
    tmp_path: Path,
    free_port: Callable[[], int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    port, pair, quotes = free_port(), "ETH/USDT", simulator.quotes()
    signals = f"tcp://127.0.0.1:{port}"
    with ScriptedMicro(signals=signals, quotes=lambda: quotes) as micro:
        config = puppet_config(simulator, tmp_path, signals, micro.address)
        die_on("buy", config | {"puppet_enter": [pair]}, tmp_path)
        (entry,) = micro.parents.values()
        log = IntentLog(tmp_path / INTENTS_FILE)
        log.acknowledge(entry.signal.signal_id, "working", 1)
        log.close()
        micro.parents.clear()
        with running(simulator, tmp_path, port, micro=micro, quotes=quotes) as rig:
            rig.until(lambda: not rig.exchange.reconcile_due)
            assert Trade.get_trades([]).all() == []
    assert f"had acknowledged order {entry.signal.signal_id} on {pair}" in caplog.text
