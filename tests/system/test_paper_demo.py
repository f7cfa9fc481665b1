"""``citadel demo --paper``, cut short: micro fills on paper, and the exchange has no account of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from citadel_bridge.exit_codes import Exit
from citadel_micro.demo.audit import compare, read_freqtrade
from citadel_micro.demo.journals import read_micro

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(500)


@pytest.mark.campaign
def test_two_books_agree_and_there_is_no_third(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ("demo", "--paper", "--minutes", "0.5", "--run-dir", str(folder), "--json")
    done = subprocess.run(
        [sys.executable, "-m", "citadel_bridge.cli", *words],
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("CITADEL_")},
    )
    shown = done.stdout + done.stderr
    # Half a minute may be too few for every part of the story; the books agree at any time.
    assert done.returncode in {Exit.OK, Exit.DIFFERENCE}, shown
    assert " ended with " not in shown, shown
    assert "differs" not in shown
    told = json.loads(done.stdout)
    assert (told["agree"], told["finished"], told["run_dir"]) == (True, True, str(folder))
    assert "exchange's ledger" not in shown
    settings = tomllib.loads((folder / "micro.toml").read_text())
    assert settings["mode"] == "paper"
    assert "key_file" not in settings["venues"]["binance-spot"]
    assert not (folder / "exchange-ledger.json").exists()
    orders, trades = read_freqtrade(folder / "freqtrade" / "trades.sqlite")
    found = compare(orders, trades, read_micro(folder / "micro"))
    assert found.differences == ()
    assert found.orders > 0
