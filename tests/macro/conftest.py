"""A simulator for market data, and what real Freqtrade needs of pytest."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Final

import pytest
from freqtrade_kit import Simulator
from ports import free_port
from quick_start import Started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings that arise inside Freqtrade and its libraries are not ours to mend."""
    here = f"{Path(__file__).parent}{os.sep}"
    for item in items:
        if str(item.path).startswith(here):  # eight thousand times, in each worker
            for module in ("freqtrade", "sqlalchemy", "lightgbm", "sklearn", "datasieve", "ccxt"):
                item.add_marker(pytest.mark.filterwarnings(rf"ignore::Warning:{module}\..*"))


class _Shared:
    """One ``citadel sim`` for all files here that a worker runs in a row."""

    def __init__(self) -> None:
        self._process: Started | None = None
        self._addresses = Simulator("", "")

    def running(self, folder: Path) -> Simulator:
        """Its addresses; started when there is none."""
        if self._process is None:
            self._start(folder)
        return self._addresses

    def end(self) -> None:
        """Its market goes on when nobody looks: 5 % of a core, until the worker ends."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def _start(self, folder: Path) -> None:
        try:
            self._begin(folder)
        except BaseException:
            self.end()  # the next test starts another, and does not ask one that has no address
            raise

    def _begin(self, folder: Path) -> None:
        ready, log = folder / "ready.json", folder / "sim.log"
        # Futures would cost two thirds more, all the time; the files that trade them have their own.
        words = ["sim", "--port", "0", "--history-days", "3", "--no-futures"]
        words += ["--ready-file", str(ready)]
        with log.open("wb") as sink:
            self._process = Started(words, stdout=sink, stderr=sink)
        deadline = time.monotonic() + 150
        while not ready.exists():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "the simulator is not ready after 150 s"
            time.sleep(0.05)
        addresses = json.loads(ready.read_text())
        self._addresses = Simulator(addresses["rest"], addresses["ws"])


_SHARED: Final = _Shared()


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Simulator:
    return _SHARED.running(tmp_path_factory.mktemp("sim"))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """The simulator ends with the last test here, not with the worker."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        _SHARED.end()


def pytest_sessionfinish() -> None:
    """Nor does it outlive tests that were interrupted."""
    _SHARED.end()


@pytest.fixture(scope="module")
def signals_port() -> int:
    """A loopback port for macro to bind, for fixtures that live as long as their module."""
    return free_port()
