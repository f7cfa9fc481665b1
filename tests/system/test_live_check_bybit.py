"""`citadel live check` on Bybit: every step of it, over the private protocol, as a program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from key_kit import write_key
from live_kit import LIMITS
from process_kit import Program, citadel

from citadel_micro.simulator.binance_spot.records import account_uid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCOUNTS = """
[[account]]
name = "demo"

[[account.keys]]
id = "goodKeyOfTheDemoAccount"
secret = "goodSecretOfTheDemoAccount"
ips = ["127.0.0.1"]
permissions = ["trade", "futures"]

[[account.keys]]
id = "richKeyOfTheDemoAccount"
secret = "richSecretOfTheDemoAccount"
permissions = ["trade", "withdraw"]
"""
# On Binance's futures it is in the suite. What it asks Bybit for has tests of its own.
pytestmark = pytest.mark.campaign
Venues = dict[str, dict[str, str]]
"""Their addresses, by the simulator's names."""
UID = account_uid("demo")


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Venues]:
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(ACCOUNTS)
    simulator = Program(
        tmp_path, "sim", "sim", "--port", "0", "--symbols", "BTC/USDT", "--history-days", "1",
        "--no-futures", "--venues", "bybit,bybit-linear", "--accounts", str(accounts),
    )  # fmt: skip
    try:
        ready: dict[str, Any] = simulator.start()
        yield ready["venues"]
    finally:
        simulator.close()


def checked(
    folder: Path,
    at: Venues,
    which: str,
    *options: str,
    venue: str = "bybit-spot",
    symbol: str = "BTC/USDT",
    settings: str = "",
) -> tuple[int, Any, str]:
    """The check with one of the keys: its exit code, and verdicts and texts by name."""
    key = write_key(
        folder / "keys",
        f"venue = '{venue}'\nnetwork = 'testnet'\naccount = '{UID}'\n"
        f"id = '{which}KeyOfTheDemoAccount'\nsecret = '{which}SecretOfTheDemoAccount'\n",
        name=f"{which}.toml",
    )
    urls = "".join(f"{name} = '{url}'\n" for name, url in at[venue.removesuffix("-spot")].items())
    config = folder / "micro.toml"
    config.write_text(
        f"mode = 'live'\nlive_account = '{UID}'\nrun_dir = '{folder / 'run'}'\n"
        f"[venues.{venue}]\nnetwork = 'testnet'\nkey_file = '{key}'\nsymbols = ['{symbol}']\n"
        f"{urls}{settings}{LIMITS}"
    )
    done = citadel("live", "check", "--config", str(config), "--json", *options)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    verdicts = {row["name"]: row for row in rows if "name" in row}
    return done.returncode, verdicts, done.stderr + done.stdout


def test_the_test_order_is_placed_amended_and_canceled(tmp_path: Path, at: Venues) -> None:
    code, rows, text = checked(tmp_path, at, "good", "--place-test-order")
    assert code == 0, text
    verdicts = {name: row["verdict"] for name, row in rows.items()}
    assert verdicts["account"] == verdicts["clock"] == verdicts["withdrawals"] == "ok"
    assert verdicts["IP addresses"] == "ok"
    assert verdicts["place"] == verdicts["amend"] == verdicts["cancel"] == "ok"
    # Its own timer is for institutions, and nobody stands in for it here.
    assert verdicts["venue timer"] == "warn"
    code, rows, text = checked(tmp_path, at, "rich")
    assert code == 3, text
    assert rows["withdrawals"]["verdict"] == "refused"
    assert rows["IP addresses"]["verdict"] == "warn"
    code, _, text = checked(tmp_path, at, "no")
    assert code == 2, text
    assert "10003" in text
    assert "noSecret" not in text


def test_perpetuals_are_checked_and_tried_too(tmp_path: Path, at: Venues) -> None:
    linear = {"venue": "bybit-linear", "symbol": "BTC/USDT:USDT"}
    code, _, text = checked(tmp_path, at, "good", **linear, settings="leverage = 3\n")
    assert code == 2, text
    assert "margin mode is REGULAR_MARGIN" in text
    cross = "leverage = 3\nmargin_mode = 'cross'\n"
    code, rows, text = checked(tmp_path, at, "good", "--place-test-order", **linear, settings=cross)
    assert code == 0, text
    verdicts = {name: row["verdict"] for name, row in rows.items()}
    assert verdicts["hedge mode"] == verdicts["withdrawals"] == "ok"
    assert verdicts["place"] == verdicts["amend"] == verdicts["cancel"] == "ok"
