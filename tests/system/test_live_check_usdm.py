"""`citadel live check` on USD-M futures: every step of it, over the private protocol, as a program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from key_kit import write_key
from live_kit import LIMITS
from process_kit import Program, citadel

if TYPE_CHECKING:
    from pathlib import Path

SYMBOL = "BTC/USDT:USDT"


def test_the_test_order_is_placed_amended_and_canceled(tmp_path: Path) -> None:
    simulator = Program(
        tmp_path, "sim", "sim", "--port", "0", "--symbols", "BTC/USDT", "--history-days", "1"
    )
    try:
        ready = simulator.start()
        (key,) = [each for each in ready["accounts"]["demo"] if each["kind"] == "ed25519"]
        path = write_key(
            tmp_path / "keys",
            "venue = 'binance-usdm'\nnetwork = 'demo'\naccount = 'demo'\n"
            f"id = '{key['key']}'\nprivate_key = '''\n{key['secret']}'''\n",
        )
        usdm = ready["usdm"]
        config = tmp_path / "micro.toml"
        config.write_text(
            f"mode = 'live'\nlive_account = 'demo'\nrun_dir = '{tmp_path / 'run'}'\n"
            f"[venues.binance-usdm]\nnetwork = 'demo'\nkey_file = '{path}'\nsymbols = ['{SYMBOL}']\n"
            f"rest_url = '{usdm['rest']}'\nprivate_rest_url = '{usdm['rest']}'\n"
            f"ws_url = '{usdm['ws']}/public/stream'\nprivate_ws_url = '{usdm['ws']}'\n"
            f"ws_api_url = '{usdm['ws_api']}'\nleverage = 3\nmargin_mode = 'isolated'\n{LIMITS}"
        )
        done = citadel("live", "check", "--config", str(config), "--place-test-order", "--json")
    finally:
        simulator.close()
    assert done.returncode == 0, done.stderr + done.stdout
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    verdicts = {row["name"]: row["verdict"] for row in rows if "name" in row}
    assert verdicts["place"] == verdicts["amend"] == verdicts["cancel"] == "ok"
    assert verdicts["hedge mode"] == verdicts["multi-asset mode"] == "ok"
    assert verdicts["venue timer"] == "ok"
