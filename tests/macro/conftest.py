"""A simulator for market data, and what real Freqtrade needs of pytest."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from freqtrade_kit import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings that arise inside Freqtrade and its libraries are not ours to mend."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for module in ("freqtrade", "sqlalchemy", "lightgbm", "sklearn", "datasieve", "ccxt"):
                item.add_marker(pytest.mark.filterwarnings(rf"ignore::Warning:{module}\..*"))


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder = tmp_path_factory.mktemp("sim")
    ready = folder / "ready.json"
    words = ["sim", "--port", "0", "--history-days", "3", "--ready-file", str(ready)]
    with (folder / "sim.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "citadel_bridge.cli", *words], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None, (folder / "sim.log").read_text()
            assert time.monotonic() < deadline, "the simulator is not ready after 60 s"
            time.sleep(0.05)
        addresses = json.loads(ready.read_text())
        yield Simulator(addresses["rest"], addresses["ws"])
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def signals_port() -> int:
    """A loopback port for macro to bind, for fixtures that live as long as their module."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
