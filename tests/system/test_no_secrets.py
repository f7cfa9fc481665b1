"""A live run leaves no trace of its key: in no file, no log line, no answer, no recording."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from key_kit import KEY_ID, KEY_SECRET, hmac_text, write_key
from live_kit import LIMITS, PATIENT, UNHURRIED
from process_kit import Program, citadel, health, until
from quick_start import Started

from citadel_micro.shell.keys.redaction import Redactor
from citadel_micro.shell.keys.secret import Secret
from citadel_micro.simulator.binance_spot.order_json import number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SYMBOL = "BTC/USDT"
ACCOUNTS = {
    "planted": ["trade"],
    "ccxt": ["trade"],
    "withdrawals": ["trade", "withdraw"],
    "transfers": ["trade", "transfer"],
    "may not trade": ["futures"],
}
"""Name -> what its key may do."""
SIGNED = re.compile(r"signature[\"']?\s*[=:]\s*[\"']?(?!\*\*\*)[A-Za-z0-9+/=%]{8}")


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A simulator with one account for each set of permissions, the first with the planted key."""
    folder = tmp_path_factory.mktemp("exchange")
    accounts = folder / "accounts.toml"
    accounts.write_text(
        "".join(
            f"[[account]]\nname = '{name}'\n[[account.keys]]\nid = '{key_id(name)}'\n"
            f"secret = '{KEY_SECRET}'\npermissions = {permissions}\n"
            for name, permissions in ACCOUNTS.items()
        )
    )
    simulator = Program(
        folder,
        "sim",
        *("sim", "--port", "0", "--symbols", SYMBOL, "--history-days", "1"),
        *("--no-futures", "--accounts", str(accounts)),
    )
    yield simulator.start()
    simulator.close()


def key_id(account: str) -> str:
    return KEY_ID if account == "planted" else f"{KEY_ID}-{account.replace(' ', '-')}"


class LiveBench:
    """A live micro on one account of a simulator."""

    def __init__(
        self,
        folder: Path,
        exchange: dict[str, Any],
        ports: tuple[int, int],
        account: str,
        venue: str = "binance-spot",
    ) -> None:
        self.folder = folder
        self.run_dir = folder / "run"
        self.exchange = exchange
        self.commands = f"tcp://127.0.0.1:{ports[0]}"
        self.market = f"tcp://127.0.0.1:{ports[1]}"
        self.config = folder / "micro.toml"
        self.micro = Program(folder, "micro", "micro", "--config", str(self.config))
        self.key_id = key_id(account)
        self.venue = venue
        self.tape = folder / "market.tape"
        self.recorder: Started | None = None
        self.begun: list[Started] = []
        self.shown: list[str] = []
        """Everything that a command has printed."""
        uid = number_of(account)
        text = hmac_text(venue=venue, account=str(uid), id=key_id(account))
        self.key = write_key(folder / "keys", text)
        own = ""
        if venue != "binance-spot":
            rules = folder / "rules.toml"
            rules.write_text(
                f"[[instrument]]\nvenue = '{venue}'\nsymbol = '{SYMBOL}'\nvenue_symbol = 'BTCUSDT'\n"
                "tick = '0.01'\nlot = '0.00001'\nmin_notional = '5'\n"
            )
            own = f"instruments_file = '{rules}'\n"
        rest, stream = exchange["rest"], exchange["ws"]
        self.config.write_text(
            f"mode = 'live'\nlive_account = '{uid}'\nrun_dir = '{self.run_dir}'\n"
            f"[live]\nunverified_share = 1\n"
            f"[venues.{venue}]\nnetwork = 'testnet'\nkey_file = '{self.key}'\n{own}"
            f"symbols = ['{SYMBOL}']\nrest_url = '{rest}'\nws_url = '{stream}'\n"
            f"private_rest_url = '{rest}'\nws_api_url = '{stream}'\n"
            f"[bridge]\nmacros = ['tcp://127.0.0.1:1']\ncommand_lines = ['{self.commands}']\n"
            f"market = '{self.market}'\n[http]\nport = 0\n[log]\nlevel = 'debug'\n{LIMITS}{UNHURRIED}{PATIENT}"
        )

    def begin(self, *arguments: str) -> Started:
        """Start a command beside; ``finish`` interrupts it and keeps what it has printed."""
        self.begun.append(Started(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        return self.begun[-1]

    def finish(self, process: Started) -> None:
        process.send_signal(signal.SIGINT)
        self.shown.append(process.communicate(timeout=60)[0])

    def close(self) -> None:
        """End what a failed test has left running."""
        for each in self.begun:
            each.kill()
            with each:
                pass
        self.micro.close()

    def citadel(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = citadel(*arguments)
        self.shown += [done.stdout, done.stderr]
        return done


@pytest.fixture
def bench(
    tmp_path: Path, exchange: dict[str, Any], free_port: Callable[[], int]
) -> Iterator[Callable[..., LiveBench]]:
    made: list[LiveBench] = []

    def make(account: str, venue: str = "binance-spot") -> LiveBench:
        made.append(LiveBench(tmp_path, exchange, (free_port(), free_port()), account, venue))
        return made[-1]

    yield make
    for each in made:
        each.close()


def traces(text: str) -> list[str]:
    """Where the key, or what it has signed, can be seen."""
    redactor = Redactor()
    redactor.add(Secret(KEY_ID), Secret(KEY_SECRET))
    found = [] if redactor.values(text) == text else ["the key"]
    return found + [each[0] for each in SIGNED.finditer(text)]


def test_the_search_finds_what_it_looks_for() -> None:
    assert traces(f"x {KEY_ID} y")
    assert traces(KEY_SECRET.encode().hex())
    assert traces("GET /order?signature=0123456789abcdef")
    assert not traces("GET /order?signature=***")


def test_nothing_of_the_key_is_left_anywhere(bench: Callable[..., LiveBench]) -> None:
    its = bench("planted")
    done = its.citadel("live", "check", "--config", str(its.config), "--place-test-order")
    assert done.returncode == 0, done.stdout + done.stderr
    trade_until_revoked(its)
    its.citadel("operator", "status", "--run-dir", str(its.run_dir), "--json")
    its.citadel("micro", "--config", str(its.config), "--print-config")
    end_and_look(its)


@pytest.mark.campaign
def test_nothing_of_the_key_is_left_by_ccxt_either(
    bench: Callable[..., LiveBench], exchange: dict[str, Any]
) -> None:
    """Its exceptions quote addresses with their signed queries, and whole answers."""
    its = bench("ccxt", "ccxt-binance")
    control(exchange, "/faults", {"rule": f"{key_id('ccxt')}:http-503-executed=once"})
    trade_until_revoked(its)
    end_and_look(its)


def trade_until_revoked(its: LiveBench) -> None:
    """One order; then the venue takes the key away: what is said of it then is the likeliest to show it."""
    ready = its.micro.start()
    until(lambda: health(ready)["status"] == "ok")
    its.recorder = its.begin("record", "--out", str(its.tape), "--market", its.market)
    # It takes what is there. One that waits for a fill may never have one; and a post-only order that the
    # market has come to meanwhile is refused, which nobody hears of where the answer is a 503.
    takes = ("--algo", "marketable_limit", "--param", "time_limit_ms=60000")
    connect = ("--connect", its.market, "--bind", its.commands, "--venue", its.venue)
    buy = ("signal", "buy", SYMBOL, "0.001", *takes, *connect, "--timeout", "60s", "--json")
    bought = its.citadel(*buy)
    assert bought.returncode == 0, bought.stdout + bought.stderr
    control(its.exchange, "/revoke", {"key": its.key_id})
    again = its.begin(*buy)
    # Through ccxt a stream is not at once known to be mute; the order's reject is in the log.
    until(lambda: "-2015" in json.dumps(health(ready)) + its.micro.log.read_text())
    # Ctrl-C in its first moments could meet Python while it ignores exceptions, of imports' finalizers.
    until(lambda: health(ready)["open_parents"] > 0 or again.poll() is not None)
    its.finish(again)
    its.shown += [get(ready["http"] + path) for path in ("/healthz", "/metrics", "/nothing")]


def end_and_look(its: LiveBench) -> None:
    """End it, and look for the key in everything that it has left behind."""
    its.micro.end(signal.SIGTERM)
    assert its.recorder is not None
    its.finish(its.recorder)
    # What is compressed or packed is read as what it holds.
    journals = sorted(its.run_dir.glob("journal-*"))
    assert journals
    for each in (*journals, its.tape):
        dumped = its.citadel("tape", "dump", str(each))
        assert len(dumped.stdout) > 1_000
    for path in its.folder.rglob("*"):
        if path.is_file() and path != its.key:
            assert not traces(path.read_bytes().decode("latin-1")), path
    for text in its.shown:
        assert not traces(text)
    log = its.micro.log.read_text()
    assert "clear to trade" in log
    assert len(log.splitlines()) > 5


@pytest.mark.parametrize("account", ["withdrawals", "transfers", "may not trade"])
def test_a_key_that_may_too_much_or_too_little(
    bench: Callable[..., LiveBench], account: str
) -> None:
    its = bench(account)
    done = its.citadel("micro", "--config", str(its.config))
    assert done.returncode == 3, done.stderr
    assert account in done.stderr
    assert "no order was sent" in done.stderr
    assert "fix:" in done.stderr
    assert not any(traces(text) for text in its.shown)


def test_a_wrong_key_and_a_key_that_others_can_read(bench: Callable[..., LiveBench]) -> None:
    its = bench("planted")
    good = its.key.read_text()
    its.key.write_text(good.replace(KEY_SECRET, KEY_SECRET[::-1]))
    done = its.citadel("micro", "--config", str(its.config))
    assert done.returncode == 2, done.stderr
    assert "does not take the key" in done.stderr
    its.key.write_text(good)
    its.key.chmod(0o644)
    done = its.citadel("micro", "--config", str(its.config))
    assert done.returncode == 2, done.stderr
    assert "chmod 600" in done.stderr
    assert KEY_SECRET[::-1] not in "".join(its.shown)
    assert not any(traces(text) for text in its.shown)


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310 - loopback
            text: str = response.read().decode()
    except urllib.error.HTTPError as error:
        text = error.read().decode()
    return text


def control(exchange: dict[str, Any], path: str, body: dict[str, Any]) -> None:
    """Something that only the venue's operator can do."""
    its = exchange["control"]
    request = urllib.request.Request(  # noqa: S310 - loopback
        its["url"] + path,
        data=json.dumps(body).encode(),
        headers={"X-Sim-Token": its["token"]},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - loopback
        assert response.status == 200
