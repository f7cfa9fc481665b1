"""micro, its watchdog and the exchange as processes: micro is killed, stopped, and cut off."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from effort import LONG, examples
from live_kit import LIMITS
from process_kit import Program, citadel, health, until
from relay import Relay
from spot_kit import SYMBOL, VENUE, demo_key
from watchdog_kit import watchdog_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SILENCE_S = 3.0
BOUND_S = SILENCE_S + 27.0
"""And one question that is just under way, with a listing and its cancels on a busy machine."""


class Scene:
    """An exchange; micro behind a network that can be cut; a watchdog beside it."""

    def __init__(self, folder: Path, free_port: Callable[[], int]) -> None:
        self.folder = folder
        self.simulator = Program(
            *(folder, "sim", "sim", "--port", "0"),
            *("--symbols", SYMBOL, "--history-days", "1", "--no-futures"),
        )
        self.exchange = self.simulator.start()
        self.relay = Relay(urlsplit(self.exchange["rest"]).port or 0)
        self.commands = f"tcp://127.0.0.1:{free_port()}"
        self.market = f"tcp://127.0.0.1:{free_port()}"
        direct = watchdog_file(folder, self.exchange["rest"], self.exchange["ws"])
        text = (
            direct.read_text()
            .replace("market = 'tcp://127.0.0.1:0'", f"market = '{self.market}'")
            .replace("command_lines = []", f"command_lines = ['{self.commands}']")
            .replace(LIMITS, f"{LIMITS}lease_required = false\ndms_venues = ['{VENUE}']\n")
        )
        direct.write_text(text)
        behind = folder / "behind.toml"
        for name in ("private_rest_url = 'http", "ws_api_url = 'ws"):
            text = text.replace(
                f"{name}://127.0.0.1:{urlsplit(self.exchange['rest']).port}",
                f"{name}://127.0.0.1:{self.relay.port}",
            )
        behind.write_text(text)
        self.micro = Program(folder, "micro", "micro", "--config", str(behind))
        self.ready: dict[str, Any] = {}
        self.dog_ready: dict[str, Any] = {}
        self.dog = Program(folder, "watchdog", "watchdog", "--config", str(direct))

    def ask(self, verb: str, path: str, body: object = None) -> dict[str, Any]:
        control = self.exchange["control"]
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{control['url']}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Sim-Token": control["token"]},
            method=verb,
        )
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - loopback
            found: dict[str, Any] = json.loads(response.read())
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Open orders of the account, asked with micro's key as a client of its own."""
        time.sleep(0.2)  # of 6,000 a minute, which the watchdog needs as well, each takes 6
        key = demo_key("hmac")
        query = f"symbol=BTCUSDT&timestamp={time.time_ns() // 1_000_000}"
        secret = key.secret.reveal().encode()
        signature = hmac.new(secret, query.encode(), hashlib.sha256).hexdigest()
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.exchange['rest']}/api/v3/openOrders?{query}&signature={signature}",
            headers={"X-MBX-APIKEY": key.id.reveal()},
        )
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - loopback
            found: list[dict[str, Any]] = json.loads(response.read())
        return found

    def open(self) -> list[str]:
        return [row["clientOrderId"] for row in self.rows()]

    def rest(self, count: int) -> None:
        """Bids of micro far below the market, and one of another client."""
        self.ask(
            "POST",
            "order",
            {
                "account": "demo",
                "symbol": "BTCUSDT",
                "side": "BUY",
                "quantity": "0.001",
                "price": "20000",
                "clientOrderId": "by-hand",
            },
        )
        connect = (
            "--connect",
            self.market,
            "--bind",
            self.commands,
            "--json",
            "--no-wait",
            "--ttl",
            "600s",
            "--timeout",
            "60s",
        )
        for _ in range(count):
            done = citadel(
                *("signal", "buy", SYMBOL, "0.001", "--algo", "limit"),
                *("--limit-price", self.far_below(), *connect),
            )
            assert done.returncode == 0, done.stdout + done.stderr
        until(lambda: len(self.open()) == count + 1)

    def far_below(self) -> str:
        url = self.exchange["rest"] + "/api/v3/ticker/bookTicker?symbol=BTCUSDT"
        with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310 - loopback
            return f"{float(json.loads(response.read())['bidPrice']) * 0.95:.2f}"

    def only_the_other_is_left(self, since_s: float) -> None:
        until(lambda: self.open() == ["by-hand"])
        assert time.monotonic() - since_s < BOUND_S

    def micro_works_on(self, *, observed: bool = LONG) -> None:
        """Micro places the orders again that it still has to work, and the watchdog leaves them."""
        until(lambda: health(self.ready)["status"] == "ok", 90)
        until(lambda: health(self.dog_ready)["status"] == "ok")
        until(lambda: len(self.open()) == 3)
        if observed:
            time.sleep(SILENCE_S + 1)
            assert len(self.open()) == 3

    def close(self) -> None:
        for each in (self.dog, self.micro, self.simulator):
            each.close()
        self.relay.__exit__()


@pytest.fixture
def scene(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Scene]:
    made = Scene(tmp_path, free_port)
    with made.relay:
        yield made
        made.close()


@pytest.mark.long
def test_killed_stopped_and_cut_off(scene: Scene) -> None:
    # Without a watchdog nothing new is risked.
    scene.ready = scene.micro.start()
    until(lambda: "no watchdog" in str(health(scene.ready)["reasons"]))
    connect = ("--connect", scene.market, "--bind", scene.commands, "--json")
    refused = citadel(
        *("signal", "buy", SYMBOL, "0.001", "--algo", "limit"),
        *("--limit-price", scene.far_below(), *connect),
    )
    assert "VENUE_DMS_NOT_ARMED" in refused.stdout
    scene.dog_ready = scene.dog.start()
    until(lambda: health(scene.ready)["status"] == "ok", 90)
    scene.rest(2)

    # Stopped: it answers nobody, though its process and its sockets are there.
    assert scene.micro.process is not None
    scene.micro.process.send_signal(signal.SIGSTOP)
    scene.only_the_other_is_left(time.monotonic())
    scene.micro.process.send_signal(signal.SIGCONT)
    scene.micro_works_on()

    # Cut off from the venue, which the watchdog reaches.
    scene.relay.cut()
    scene.only_the_other_is_left(time.monotonic())
    scene.relay.heal()
    scene.micro_works_on()

    # Killed, and started again.
    scene.micro.end(signal.SIGKILL)
    scene.only_the_other_is_left(time.monotonic())
    scene.ready = scene.micro.start()
    scene.micro_works_on(observed=True)

    # The watchdog ends and touches no order; micro says that it is gone.
    assert scene.dog.end(signal.SIGTERM) == 0
    assert len(scene.open()) == 3
    until(lambda: "no watchdog" in str(health(scene.ready)["reasons"]))


@pytest.mark.campaign
def test_a_busy_machine_is_no_silence(scene: Scene) -> None:
    """Micro trades beside programs that want all of the machine, and its watchdog leaves it alone."""
    scene.ready = scene.micro.start()
    scene.dog_ready = scene.dog.start()
    until(lambda: health(scene.ready)["status"] == "ok", 90)
    scene.rest(1)
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        end_s = time.monotonic() + examples(2, 5) * SILENCE_S
        while time.monotonic() < end_s:
            citadel(
                *("signal", "buy", SYMBOL, "0.0001", "--algo", "marketable_limit"),
                *("--connect", scene.market, "--bind", scene.commands, "--json"),
            )
            assert len(scene.open()) >= 2
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    assert "micro is silent" not in scene.dog.log.read_text()
    assert len(scene.open()) == 2
