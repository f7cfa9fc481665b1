"""micro as a process of its own: killed, started again, told to stop, started in vain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SYMBOL = "BTC/USDT"


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:  # noqa: ANN401 - its result
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
        self.arguments = [
            sys.executable,
            *("-m", "citadel_bridge.cli", *arguments),
            *("--ready-file", str(self.ready_file)),
        ]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> dict[str, Any]:
        self.ready_file.unlink(missing_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CITADEL_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.arguments, stdout=log, stderr=log, env=environment)
        process = self.process
        until(lambda: self.ready_file.exists() or process.poll() is not None)
        assert process.poll() is None, self.log.read_text()
        ready: dict[str, Any] = json.loads(self.ready_file.read_text())
        return ready

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=30)


def citadel(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "citadel_bridge.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def health(ready: dict[str, Any]) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(ready["http"] + "/healthz", timeout=5) as response:  # noqa: S310 - loopback
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
            folder, "sim", "sim", "--port", "0", "--symbols", SYMBOL, "--history-days", "1"
        )
        self.exchange = self.simulator.start()
        self.micro = self.program("micro", self.run_dir, self.market)

    def program(self, name: str, run_dir: Path, market: str, *more: str) -> Program:
        return Program(
            self.folder,
            name,
            *("micro", "--mode", "paper", "--run-dir", str(run_dir), "--symbols", SYMBOL),
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
            *("signal", *arguments, "--connect", self.market, "--bind", self.commands, "--json")
        ]

    def journals(self) -> list[Path]:
        return sorted(self.run_dir.glob("journal-*"))

    def close(self) -> None:
        self.micro.close()
        self.simulator.close()


@pytest.fixture
def bench(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Bench]:
    made = Bench(tmp_path, (free_port(), free_port()))
    yield made
    made.close()


def mid(bench: Bench) -> float:
    url = bench.exchange["rest"] + "/api/v3/ticker/bookTicker?symbol=BTCUSDT"
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - loopback
        ticker = json.loads(response.read())
    return (float(ticker["bidPrice"]) + float(ticker["askPrice"])) / 2


def test_killed_in_the_middle_of_an_order_and_started_again(bench: Bench) -> None:
    ready = bench.up()
    low = f"{mid(bench) * 0.95:.2f}"
    order = subprocess.Popen(
        [
            *(sys.executable, "-m", "citadel_bridge.cli"),
            *bench.signal("buy", SYMBOL, "0.2", "--limit-price", low, "--ttl", "60s"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        until(lambda: health(ready)["open_parents"] == 1)
        bench.micro.end(signal.SIGKILL)

        ready = bench.up()
        # The order lives on, once: adopted, not placed a second time.
        assert health(ready)["open_parents"] == 1
        until(lambda: health(ready)["heard_by"])
        log = bench.micro.log.read_text()
        assert '"orders_in_doubt": 1' in log
        assert bench.micro.end(signal.SIGTERM) == 0
        output, _ = order.communicate(timeout=30)
    finally:
        order.kill()
        order.wait(timeout=10)
    report = json.loads(output)
    assert (report["status"], report["reason_code"]) == ("canceled", "SHUTDOWN")
    assert report["filled"] == "0.00000"
    assert order.returncode == 1

    journals = bench.journals()
    assert len(journals) == 2
    for journal in journals:
        verified = citadel("replay", str(journal), "--verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert "commands agreed" in verified.stdout


def test_fills_before_a_kill_are_not_forgotten(bench: Bench) -> None:
    bench.up()
    arguments = bench.signal("buy", SYMBOL, "0.05", "--algo", "marketable_limit")
    bought = citadel(*arguments)
    assert bought.returncode == 0, bought.stderr
    bench.micro.end(signal.SIGKILL)
    bench.up()
    sold = citadel(*bench.signal("sell", SYMBOL, "0.04", "--algo", "marketable_limit"))
    assert sold.returncode == 0, sold.stderr
    fills = json.loads(bought.stdout)["fills"]
    fees = sum(float(fill["fee"]) for fill in fills)
    balances = {row["currency"]: row["total"] for row in json.loads(sold.stdout)["balances"]}
    assert float(balances["BTC"]) == pytest.approx(0.05 - fees - 0.04)
    trades = {fill["trade_id"] for fill in fills}
    assert not trades & {fill["trade_id"] for fill in json.loads(sold.stdout)["fills"]}


def test_started_in_vain(bench: Bench, tmp_path: Path) -> None:
    bench.up()
    cases = [
        (bench.program("a", bench.run_dir, "tcp://127.0.0.1:*"), 4, "run folder"),
        (bench.program("b", tmp_path / "b", bench.market), 4, "in use"),
        (bench.program("c", tmp_path / "c", "tcp://0.0.0.0:*"), 2, "citadel keys make"),
        (
            bench.program("d", tmp_path / "d", "tcp://127.0.0.1:*", "--symbols", "BTC/USDX"),
            2,
            "BTC/USDT",
        ),
    ]
    for program, code, words in cases:
        ended = subprocess.run(
            program.arguments, capture_output=True, text=True, timeout=50, check=False
        )
        assert ended.returncode == code, ended.stderr
        assert words in ended.stderr
        assert "Traceback" not in ended.stderr
    assert bench.micro.end(signal.SIGINT) == 0


def test_told_to_stop_while_it_waits_for_the_venue(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "citadel_bridge.cli", "micro", "--http", "off"),
            *("--run-dir", str(tmp_path), "--rest-url", f"http://127.0.0.1:{free_port()}"),
            *("--market", f"tcp://127.0.0.1:{free_port()}"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "waiting for the venue" in line:
            break
    process.send_signal(signal.SIGTERM)
    process.stderr.read()
    assert process.wait(timeout=30) == 0
    process.stderr.close()


def test_the_configuration_is_printed_and_refused(tmp_path: Path) -> None:
    printed = citadel("micro", "--symbols", "A/B", "--http", "127.0.0.1:9", "--print-config")
    assert printed.returncode == 0
    path = tmp_path / "micro.toml"
    path.write_text(printed.stdout)
    again = citadel("micro", "--config", str(path), "--print-config")
    assert again.stdout == printed.stdout
    path.write_text("[htpp]\nport = 1\n")
    refused = citadel("micro", "--config", str(path))
    assert refused.returncode == 2
    assert f"where: {path}:1" in refused.stderr
    assert "did you mean http?" in refused.stderr


def test_the_module_is_the_same_program() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "citadel_micro", "--print-config", "--symbols", "X/Y"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert 'symbols = ["X/Y"]' in shown.stdout
