"""The cap is lifted by a command with a reason, after some orders have filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from live_kit import live_file
from preflight_kit import RULES

from citadel_bridge.cli import main
from citadel_micro.core.model.commands import Persist
from citadel_micro.core.model.config import EngineConfig
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.preflight.first_run import capped_venues
from citadel_micro.shell.config.config import load
from citadel_micro.shell.journal.filled_orders import filled_orders
from citadel_micro.shell.journal.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def a_run(folder: Path, number: int, *fills: str) -> None:
    """A run whose engine has kept these fills, each of the child that it is named by."""
    held = RunFolder(folder, instance="micro")
    config = EngineConfig(run_id=held.run_id, instance="micro", venues={}, limits=paper_defaults())
    journal = held.create(config, {("binance-spot", "BTC/USDT"): RULES}, number)
    for index, child in enumerate(fills):
        journal.command(number + index, Persist(key=f"fill/{child}/0", value={"trade_id": "1"}))
    journal.sync()
    journal.close()
    held.close()


def test_parents_are_counted_once_over_all_runs(tmp_path: Path) -> None:
    assert filled_orders(tmp_path) == 0
    a_run(tmp_path, 1, "scmarkrun1-1-1", "scmarkrun1-1-2", "scmarkrun1-2-1")
    a_run(tmp_path, 2, "scmarkrun2-1-1")
    assert filled_orders(tmp_path) == 3


def test_it_waits_for_orders_or_for_a_request(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = live_file(tmp_path)
    path.write_text(
        path.read_text().replace("'testnet'", "'mainnet'") + "[live]\nfirst_run_orders = 2\n"
    )
    run_dir = load(path).run_dir
    arguments = ["live", "lift-cap", "--config", str(path), "--reason", "seen"]
    assert main(arguments) == 3
    assert "0 orders have filled" in capfd.readouterr().err
    a_run(run_dir, 1, "scmarkrun1-1-1", "scmarkrun1-2-1")
    assert main([*arguments[:-1], " "]) == 2
    assert capped_venues(load(path))
    assert main(arguments) == 0
    assert capped_venues(load(path)) == []
    assert "lifted: binance-spot:mainnet:354937868" in capfd.readouterr().out
    assert main(arguments) == 0
    assert "no cap holds" in capfd.readouterr().out


def test_early(tmp_path: Path) -> None:
    path = live_file(tmp_path)
    path.write_text(path.read_text().replace("'testnet'", "'mainnet'"))
    assert main(["live", "lift-cap", "--config", str(path), "--reason", "mine", "--early"]) == 0
    assert capped_venues(load(path)) == []
