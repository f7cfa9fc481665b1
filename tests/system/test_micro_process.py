"""micro as a process of its own: killed, started again, told to stop, started in vain."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from effort import LONG as CAMPAIGN
from process_kit import SYMBOL, Bench, citadel, health, mid, until
from quick_start import Started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


LONG = ("--ttl", "600s", "--param", "time_limit_ms=600000")
"""It is to outlive the start of another micro."""


def test_killed_in_the_middle_of_an_order_and_started_again(bench: Bench) -> None:
    ready = bench.up()
    low = f"{mid(bench) * 0.95:.2f}"
    order = Started(
        bench.signal("buy", SYMBOL, "0.2", "--limit-price", low, *LONG),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
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
        output, _ = order.communicate(timeout=120)
    finally:
        order.kill()
        order.wait(timeout=60)
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
        ended = citadel(*program.words)
        assert ended.returncode == code, ended.stderr
        assert words in ended.stderr
        assert "Traceback" not in ended.stderr
    assert bench.micro.end(signal.SIGINT) == 0


def one_is_open(ready: dict[str, Any]) -> bool:
    return bool(health(ready)["open_parents"] == 1)


ENDING = [
    *(signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM),
    *(signal.SIGIO, signal.SIGXCPU, signal.SIGRTMIN + 3),
]


@pytest.fixture
def _not_under_nohup() -> Iterator[None]:
    """What the tests' own parent ignores is ignored by all that they start."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.long
@pytest.mark.usefixtures("_not_under_nohup")
def test_every_signal_that_ends_it_withdraws_first(bench: Bench) -> None:
    for count, number in enumerate(ENDING if CAMPAIGN else ENDING[:2]):
        ready = bench.up()
        low = f"{mid(bench) * 0.95:.2f}"
        sent = citadel(*bench.signal("buy", SYMBOL, "0.1", "--limit-price", low, "--no-wait"))
        assert sent.returncode == 0, sent.stderr
        until(partial(one_is_open, ready))
        assert bench.micro.process is not None
        bench.micro.process.send_signal(number)  # twice, as a terminal that closes does
        assert bench.micro.end(number) == 0
        log = bench.micro.log.read_text()
        assert log.count('"clean": true') == count + 1
    ready = bench.up()
    assert '"orders_in_doubt": 1' not in bench.micro.log.read_text()
    assert health(ready)["open_parents"] == 0


def killed(ready: dict[str, Any]) -> bool:
    body = health(ready)
    return (body["risk"], body["open_parents"]) == ("killed", 0)


def test_the_kill_signal_cancels_and_stays_pulled_over_a_restart(bench: Bench) -> None:
    ready = bench.up()
    low = f"{mid(bench) * 0.95:.2f}"
    sent = citadel(*bench.signal("buy", SYMBOL, "0.1", "--limit-price", low, "--no-wait"))
    assert sent.returncode == 0, sent.stderr
    until(partial(one_is_open, ready))
    folder = ("--run-dir", str(bench.run_dir))
    shown = citadel("risk", "show", *folder)
    assert "open orders: 1 of 50" in shown.stdout, shown.stderr
    again = citadel("risk", "reload", "--reason", "the same limits", *folder)
    assert again.stdout.removeprefix("limits ").strip() in shown.stdout, again.stderr
    assert bench.micro.process is not None
    bench.micro.process.send_signal(signal.SIGUSR2)
    until(partial(killed, ready))
    assert bench.micro.end(signal.SIGTERM) == 0
    ready = bench.micro.start()
    until(partial(killed, ready))
    again = citadel(*bench.signal("buy", SYMBOL, "0.1", "--limit-price", low))
    assert "KILLED" in again.stdout + again.stderr
    assert bench.micro.end(signal.SIGTERM) == 0


@pytest.mark.campaign
def test_who_insists_later_does_not_wait_for_a_silent_venue(bench: Bench) -> None:
    slow = "CITADEL_PAPER__LATENCY_FLOOR_MS=4000"
    bench.micro.arguments = ["env", slow, *bench.micro.arguments]
    ready = bench.up()
    low = f"{mid(bench) * 0.95:.2f}"
    sent = citadel(*bench.signal("buy", SYMBOL, "0.1", "--limit-price", low, "--no-wait"))
    assert sent.returncode == 0, sent.stderr
    until(partial(one_is_open, ready))
    assert bench.micro.process is not None
    bench.micro.process.send_signal(signal.SIGTERM)
    time.sleep(1.2)  # a person who has seen nothing happen
    assert bench.micro.end(signal.SIGTERM) == 130


@pytest.mark.campaign
def test_what_its_parent_ignores_does_not_end_it(bench: Bench) -> None:
    bench.micro.arguments = ["nohup", *bench.micro.arguments]
    ready = bench.up()
    assert bench.micro.process is not None
    bench.micro.process.send_signal(signal.SIGHUP)
    seen = health(ready)["run"]
    until(lambda: health(ready)["run"] == seen)
    assert bench.micro.process.poll() is None
    assert bench.micro.end(signal.SIGTERM) == 0


def test_held_back_it_is_unhealthy_and_a_wrong_scope_holds_nothing_back(bench: Bench) -> None:
    ready = bench.up()
    operator = ("operator", "halt", "--reason", "a look", "--run-dir", str(bench.run_dir))
    wrong = citadel(*operator, "--scope", "symbol:binance-spot:BTCUSDT")
    assert wrong.returncode == 3
    assert "did you mean symbol:binance-spot:BTC/USDT?" in wrong.stderr
    until(lambda: health(ready)["status"] == "ok")
    assert health(ready)["trips"] == []
    right = citadel(*operator, "--scope", "symbol:binance-spot:BTC/USDT")
    assert right.returncode == 0, right.stderr
    why = "symbol:binance-spot:BTC/USDT is HALTED: OPERATOR_HALT (trip-1): a look"
    until(lambda: health(ready)["reasons"] == [why])  # a busy machine has another at times
    assert health(ready)["status"] == "unhealthy"
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(ready["http"] + "/healthz", timeout=20)  # noqa: S310 - loopback
    assert bench.micro.end(signal.SIGTERM) == 0


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
    assert process.wait(timeout=120) == 0
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
        timeout=120,
        check=False,
    )
    assert 'symbols = ["X/Y"]' in shown.stdout
