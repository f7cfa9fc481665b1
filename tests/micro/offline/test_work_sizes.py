"""What is traded by the contract or by the trillion is worked like anything else."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from citadel_micro.offline.work import WorkOrder, work

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.core.model.events import Side

MS = 1_000_000
BEGIN_NS = 1_760_000_000_000 * MS


def capture(folder: Path, native: str, best: tuple[str, str], size: str, *, prev: bool) -> Path:
    """Ten seconds of a book that does not move, and trades on both of its sides."""
    lines: list[dict[str, Any]] = [
        {"recv_ns": BEGIN_NS, "kind": "open", "conn": 0, "url": "wss://x"}
    ]

    def frame(at: int, text: object) -> None:
        lines.append(
            {"recv_ns": BEGIN_NS + at * MS, "kind": "frame", "conn": 0, "text": json.dumps(text)}
        )

    bid, ask = best
    book = {"lastUpdateId": 100, "bids": [[bid, size]], "asks": [[ask, size]]}
    if prev:
        book |= {"symbol": native, "E": BEGIN_NS // MS, "T": BEGIN_NS // MS}
    frame(10, book)
    for number in range(1, 101):
        at = number * 100
        stamp, shown = BEGIN_NS // MS + at, str(int(size) + number)
        update: dict[str, Any] = {
            "e": "depthUpdate",
            "E": stamp,
            "s": native,
            "U": 100 + number,
            "u": 100 + number,
            "b": [[bid, shown]],
            "a": [[ask, shown]],
        }
        if prev:
            update |= {"T": stamp, "ps": native.partition("_")[0], "pu": 99 + number}
        frame(at, {"stream": f"{native.lower()}@depth@100ms", "data": update})
        trade = {
            "e": "trade",
            "E": stamp,
            "T": stamp,
            "s": native,
            "t": number,
            "p": bid if number % 2 else ask,
            "q": shown,
            "m": bool(number % 2),
        }
        frame(at + 1, {"stream": f"{native.lower()}@trade", "data": trade})
    path = folder / "capture.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines)))
    return path


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_an_inverse_contract_is_worked_and_pays_in_its_coin(tmp_path: Path, side: Side) -> None:
    path = capture(tmp_path, "BTCUSD_PERP", ("61800.0", "61800.1"), "50", prev=True)
    order = WorkOrder(
        capture=path,
        venue="binance-coinm",
        symbol="BTC/USD:BTC",
        side=side,
        quantity=Decimal(5),
        algo="marketable_limit",
    )
    outcome = work(order).outcome
    assert (outcome["status"], outcome["filled"]) == ("filled", "5")
    fees: Any = outcome["fees"]
    assert list(fees) == ["BTC"]
    parts: Any = outcome["shortfall_parts_bps"]
    assert parts["fees"] == pytest.approx(5, rel=1e-4)  # the taker's five basis points


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_trillion_coins_are_worked(tmp_path: Path, side: Side) -> None:
    path = capture(tmp_path, "PEPEUSDT", ("0.00001012", "0.00001013"), "30000000000000", prev=False)
    order = WorkOrder(
        capture=path,
        venue="binance-spot",
        symbol="PEPE/USDT",
        side=side,
        quantity=Decimal(10) ** 12,
    )
    outcome = work(order).outcome
    assert (outcome["status"], outcome["filled"]) == ("filled", "1000000000000")
