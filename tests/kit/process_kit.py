"""The programs of the project as processes of their own: a simulator, a micro, the command line."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from live_kit import UNHURRIED
from quick_start import COMMAND, run, start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from quick_start import Process

SYMBOL = "BTC/USDT"
_UP_S = 150.0
"""A start of the interpreter and all imports, beside many others."""


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:  # noqa: ANN401 - its result
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s")
        time.sleep(0.02)
    return found


class Program:
    """One program of the project, its log, and its addresses once it is ready."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.log = folder / f"{name}.log"
        self.ready_file = folder / f"{name}.json"
        self.words = [*arguments, "--ready-file", str(self.ready_file)]
        self.arguments = [*COMMAND, *self.words]
        self.process: Process | None = None

    def start(self) -> dict[str, Any]:
        self.ready_file.unlink(missing_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CITADEL_")}
        with self.log.open("ab") as log:
            self.process = start(self.arguments, log=log, environment=environment)
        process = self.process
        try:
            until(lambda: self.ready_file.exists() or process.poll() is not None, _UP_S)
            assert process.poll() is None, self.log.read_text()
            ready: dict[str, Any] = json.loads(self.ready_file.read_text())
        except BaseException:
            self.close()  # who starts it in a fixture does not come to its end
            raise
        return ready

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=60)


def citadel(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(*arguments)


def health(ready: dict[str, Any]) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(ready["http"] + "/healthz", timeout=60) as response:  # noqa: S310 - loopback
            body: dict[str, Any] = json.loads(response.read())
    except urllib.error.HTTPError as error:
        body = json.loads(error.read())
    return body


class Bench:
    """A simulator, a micro, and the command line between them."""

    def __init__(self, folder: Path, ports: tuple[int, int]) -> None:
        self.folder = folder
        self.run_dir = folder / "run"
        self.commands = f"tcp://127.0.0.1:{ports[0]}"
        self.market = f"tcp://127.0.0.1:{ports[1]}"
        self.simulator = Program(
            *(folder, "sim", "sim", "--port", "0"),
            *("--symbols", SYMBOL, "--history-days", "1", "--no-futures"),
        )
        self.exchange = self.simulator.start()
        self.micro = self.program("micro", self.run_dir, self.market)

    def program(self, name: str, run_dir: Path, market: str, *more: str) -> Program:
        config = self.folder / "unhurried.toml"
        config.write_text(f"[risk]{UNHURRIED}")
        return Program(
            self.folder,
            name,
            *("micro", "--config", str(config), "--mode", "paper"),
            *("--run-dir", str(run_dir), "--symbols", SYMBOL),
            *("--rest-url", self.exchange["rest"], "--ws-url", self.exchange["ws"]),
            *("--signals", "tcp://127.0.0.1:1", "--commands", self.commands),
            *("--market", market, "--http", "0", *more),
        )

    def up(self) -> dict[str, Any]:
        ready = self.micro.start()
        until(lambda: health(ready)["status"] == "ok")
        return ready

    def signal(self, *arguments: str) -> list[str]:
        return [
            *("signal", *arguments, "--connect", self.market, "--bind", self.commands),
            *("--timeout", "60s", "--json"),
        ]

    def journals(self) -> list[Path]:
        return sorted(self.run_dir.glob("journal-*"))

    def close(self) -> None:
        try:
            self.micro.close()
        finally:
            self.simulator.close()


def mid(bench: Bench) -> float:
    url = bench.exchange["rest"] + "/api/v3/ticker/bookTicker?symbol=BTCUSDT"
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 - loopback
        ticker = json.loads(response.read())
    return (float(ticker["bidPrice"]) + float(ticker["askPrice"])) / 2
