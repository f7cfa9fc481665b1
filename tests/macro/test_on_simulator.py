"""Anybody's strategy on the simulator: the three commands of the page, and what the option makes of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from freqtrade.commands import Arguments
from freqtrade.configuration.load_config import load_from_files
from quick_start import Started

from citadel_macro.on_simulator import on_simulator
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from freqtrade_kit import Simulator

PAGE = "docs/howto/use-your-own-strategy.md"
SIM = "http://127.0.0.1:8180"
THEIRS: dict[str, Any] = {
    "strategy": "Mine",
    "stake_currency": "USDT",
    "stake_amount": 77,
    "dry_run": True,
    "exchange": {"name": "kraken", "pair_whitelist": ["ETH/USDT"]},
}
MINE = """
from freqtrade.strategy import IStrategy


class MyStrategy(IStrategy):
    timeframe = "1m"
    minimal_roi = {"0": 10}
    stoploss = -0.5
    startup_candle_count = 0

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe
"""


def resolved(folder: Path, *words: str) -> dict[str, Any]:
    """The configuration that Freqtrade reads."""
    said = on_simulator(["--userdir", str(folder), "--simulator", SIM, *words], "--simulator")
    paths = Arguments(["trade", *said]).get_parsed_arg()["config"]
    return load_from_files(paths)


def test_a_configuration_keeps_all_that_is_not_of_its_exchange(tmp_path: Path) -> None:
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(THEIRS))
    found = resolved(tmp_path, "-c", str(path))
    assert found["dry_run"] is False
    assert found["stake_amount"] == 77
    assert found["strategy"] == "Mine"
    assert found["exchange"]["pair_whitelist"] == ["ETH/USDT"]
    assert found["exchange"]["name"] == "binance"
    assert found["exchange"]["ccxt_config"]["urls"]["api"]["public"] == f"{SIM}/api/v3"
    assert found["db_url"] == f"sqlite:///{tmp_path}/simulator.sqlite"


def test_without_one_it_is_complete(tmp_path: Path) -> None:
    found = resolved(tmp_path)
    assert found["exchange"]["pair_whitelist"]
    assert found["stake_amount"] > 0
    assert found["citadel"]["market"] == "tcp://127.0.0.1:5556"


def test_other_words_are_passed_on_as_they_are(tmp_path: Path) -> None:
    words = ["--strategy", "X", "-c", "a.json", "--dry-run"]
    assert on_simulator(words, "--simulator") == words
    said = on_simulator([f"--userdir={tmp_path}", f"--simulator={SIM}"], "--simulator")
    assert said[0] == f"--userdir={tmp_path}"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--simulator"], "needs a value"),
        (["--simulator", "--strategy"], "needs a value"),
        (["--simulator", "127.0.0.1:8180"], "no address of a simulator"),
        (["--simulator", SIM, "-c", "missing.json"], "not found"),
    ],
)
def test_bad_words_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=what):
        on_simulator(words, "--simulator")


def test_futures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(THEIRS | {"trading_mode": "futures"}))
    with pytest.raises(BadInput, match="trading_mode is futures"):
        resolved(tmp_path, "--config", str(path))


@contextlib.contextmanager
def started(words: list[str], log: Path, **environment: str) -> Iterator[Started]:
    with log.open("wb") as sink:
        process = Started(
            words,
            stdout=sink,
            stderr=sink,
            environment=os.environ | environment | {"NO_COLOR": "1", "PYTHONFAULTHANDLER": "1"},
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # where each of its threads is goes to its log
            process.wait(60)
            pytest.fail(f"it did not stop:\n{log.read_text()[-20_000:]}")


def test_the_pages_commands_trade(
    simulator: Simulator,
    repository: Path,
    tmp_path: Path,
    free_port: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (repository / PAGE).read_text()
    (block,) = re.findall(r"^```\n(citadel sim\n.*?)^```$", text, re.MULTILINE | re.DOTALL)
    sim, *others = [shlex.split(line)[1:] for line in block.splitlines()]
    assert sim == ["sim"]  # it runs already, for other tests too, on a port of its own
    here = {SIM: simulator.rest, SIM.replace("http", "ws"): simulator.ws}
    micro, macro = ([here.get(word, word) for word in words] for words in others)
    (tmp_path / "user_data/strategies").mkdir(parents=True)
    (tmp_path / "user_data/strategies/mine.py").write_text(MINE)
    signals, market = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    database = tmp_path / "user_data/simulator.sqlite"

    def traded() -> int:
        if not database.exists():
            return 0
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as link:
            try:
                found = link.execute("SELECT count(*) FROM orders WHERE filled > 0")
                return int(found.fetchone()[0])
            except sqlite3.OperationalError:  # its tables are being made
                return 0

    log = tmp_path / "macro.log"
    with (
        started(
            micro,
            tmp_path / "micro.log",
            CITADEL_BRIDGE__MACROS=signals,
            CITADEL_BRIDGE__MARKET=market,
            CITADEL_BRIDGE__COMMAND_LINES="[]",
            CITADEL_HTTP__PORT="0",
        ) as one,
        started(
            macro,
            log,
            FREQTRADE__CITADEL__SIGNALS=signals,
            FREQTRADE__CITADEL__MARKET=market,
        ) as two,
    ):
        deadline = time.monotonic() + 120
        while not traded():
            assert one.poll() is None, (tmp_path / "micro.log").read_text()[-3000:]
            assert two.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.05)
