"""`citadel live check` on Hyperliquid: every step of it, over the private protocol, as a program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from key_kit import write_key
from live_kit import LIMITS
from process_kit import Program, citadel

from citadel_micro.simulator.hyperliquid.wallets import wallet_of

if TYPE_CHECKING:
    from pathlib import Path

# On Binance's futures it is in the suite. What it asks Hyperliquid for has tests of its own.
pytestmark = pytest.mark.campaign
SYMBOL = "BTC/USDC:USDC"


def test_the_test_order_is_placed_and_canceled(tmp_path: Path) -> None:
    simulator = Program(
        tmp_path, "sim", "sim", "--port", "0", "--symbols", "BTC/USDT", "--history-days", "1",
        "--no-futures", "--venues", "hyperliquid",
    )  # fmt: skip
    try:
        ready: dict[str, Any] = simulator.start()
        at = ready["venues"]["hyperliquid"]
        account = at["demo.account"]
        assert account == wallet_of("demo").address
        for name, private, code in (
            ("agent", at["demo.private_key"], 0),
            ("master", wallet_of("demo").master.secret, 3),
            ("stranger", "11" * 32, 2),
        ):
            done = checked(tmp_path, at, name, private)
            assert done.returncode == code, done.stdout + done.stderr
            assert private not in done.stdout + done.stderr
            rows = [json.loads(line) for line in done.stdout.splitlines()]
            verdicts = {row["name"]: row["verdict"] for row in rows if "name" in row}
            if name == "agent":
                assert verdicts["place"] == verdicts["cancel"] == verdicts["query again"] == "ok"
                # An account that has traded less than a million has no timer.
                assert verdicts["venue timer"] == "warn"
            elif name == "master":
                assert verdicts["withdrawals"] == "refused"
    finally:
        simulator.close()


def checked(folder: Path, at: dict[str, str], name: str, private: str) -> Any:  # noqa: ANN401 - a process
    """The check with one of the keys."""
    account = at["demo.account"]
    key = write_key(
        folder / "keys",
        f"venue = 'hyperliquid'\nnetwork = 'testnet'\naccount = '{account}'\n"
        f"private_key = '0x{private}'\n",
        name=f"{name}.toml",
    )
    names = ("rest_url", "ws_url", "private_rest_url", "ws_api_url")
    urls = "".join(f"{each} = '{at[each]}'\n" for each in names)
    config = folder / "micro.toml"
    config.write_text(
        f"mode = 'live'\nlive_account = '{account}'\nrun_dir = '{folder / 'run'}'\n"
        f"[venues.hyperliquid]\nnetwork = 'testnet'\nkey_file = '{key}'\nsymbols = ['{SYMBOL}']\n"
        f"{urls}{LIMITS}"
    )
    return citadel("live", "check", "--config", str(config), "--json", "--place-test-order")
