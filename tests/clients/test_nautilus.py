"""nautilus_trader's Binance adapter trades spot and USD-M: a node of its own, in a Python of its own."""

from __future__ import annotations

import json
import os
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from stock_exchange import Exchange

PYTHON: Final = os.environ.get("CITADEL_NAUTILUS", "")
NODE: Final = Path(__file__).parent / "nautilus_node.py"
MOST_S: Final = 240

pytestmark = pytest.mark.skipif(
    not PYTHON, reason="nautilus_trader needs Python 3.12 or later: make clients RACE_PYTHON=..."
)


def walk(exchange: Exchange, account: str, kind: str, *, futures: bool) -> dict[str, Any]:
    """Let a node trade, and return what it was told."""
    ready = exchange.ready
    key, secret = exchange.key(account, kind)
    given = {
        "futures": futures,
        "instrument": "BTCUSDT-PERP.BINANCE" if futures else "BTCUSDT.BINANCE",
        "key": key,
        "secret": secret,
        "rest": ready["usdm"]["rest"] if futures else ready["rest"],
        "streams": ready["usdm"]["ws"] if futures else ready["ws"],
        "ws_api": f"{ready['usdm']['ws_api']}/ws-fapi/v1"
        if futures
        else f"{ready['ws']}/ws-api/v3",
        "user_stream": f"{ready['usdm']['ws']}/private/ws",
    }
    node = subprocess.run(
        [PYTHON, str(NODE)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=MOST_S,
        check=False,
    )
    output = node.stdout + node.stderr
    assert node.returncode == 0, output
    told: dict[str, Any] = json.loads(node.stdout.splitlines()[-1])
    assert told["why"] == "", output
    return told


def check_against_the_ledger(told: dict[str, Any], ledger: dict[str, Any]) -> None:
    """Its fills and its account are the exchange's, to the last unit."""
    theirs = [
        (fill["side"], *(Decimal(fill[name]) for name in ("quantity", "price", "fee")))
        for fill in ledger["fills"]
    ]
    ours = [
        (fill["side"], *(Decimal(fill[name]) for name in ("quantity", "price", "fee")))
        for fill in told["fills"]
    ]
    assert ours == theirs
    assert [fill["id"] for fill in told["fills"]] == [str(f["tradeId"]) for f in ledger["fills"]]
    assert [fill["fee_asset"] for fill in told["fills"]] == [f["feeAsset"] for f in ledger["fills"]]
    balances = {asset: Decimal(amount) for asset, amount in ledger["balances"].items()}
    assert {asset: Decimal(amount) for asset, amount in told["balances"].items()} == balances
    assert told["orders"][1:3] == ["FILLED", "FILLED"]
    assert {told["orders"][0], *told["orders"][3:]} == {"CANCELED"}


def test_spot(exchange: Exchange) -> None:
    told = walk(exchange, "nautilus", "ed25519", futures=False)
    assert told["resting"] == ["LIMIT", "STOP_LIMIT"]
    assert told["counts"]["candles"] > 15
    ledger = exchange.ledger("nautilus")
    check_against_the_ledger(told, ledger)
    gained = Decimal(ledger["balances"]["BTC"]) - Decimal(ledger["opening"]["BTC"])
    assert Decimal(told["held"]) == gained


@pytest.mark.parametrize(("account", "kind"), [("nautilus", "ed25519"), ("node", "hmac")])
def test_usdm(exchange: Exchange, account: str, kind: str) -> None:
    """With Ed25519 by a session of the websocket API, with HMAC by a listen key over REST."""
    told = walk(exchange, account, kind, futures=True)
    assert told["resting"] == [
        *("LIMIT", "STOP_LIMIT", "STOP_MARKET", "TRAILING_STOP_MARKET"),
    ]
    assert told["moved"][0] == told["moved"][1]
    check_against_the_ledger(told, exchange.operate("GET", f"ledger?account={account}&market=usdm"))
    assert Decimal(told["held"]) == Decimal("0.006")
    sold = exchange.order(
        account, "BTCUSDT", "SELL", "0.006", path="/fapi/v1/order", reduceOnly="true"
    )
    assert Decimal(sold["executedQty"]) == Decimal("0.006")  # the rest of it, and no more
