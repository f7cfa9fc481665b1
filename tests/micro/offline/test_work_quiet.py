"""``citadel work`` on recordings of quiet pairs: silence of the market is no fault of the capture."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.micro.offline.conftest import Market

from citadel_micro.core.model.events import StreamProof
from citadel_micro.offline.account import engine_config
from citadel_micro.offline.work import WorkOrder, work
from citadel_micro.shell.capture.offline import capture_life
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.instrument import Instrument

SYMBOL = "AAA/USDT"
S = 1_000_000_000


def levels(low: int) -> dict[str, str]:
    return {f"{(low + n) / 10:.1f}": "5.01" for n in range(20)}


def quiet_market(gaps_s: list[int]) -> Market:
    """A book that changes once after each gap."""
    market = Market()
    market.snapshot(levels(980), levels(1_001))
    for number, gap_s in enumerate(gaps_s):
        market.wait(gap_s * 1_000)
        market.depth({"98.5": f"{2 + number % 3}.01"}, {})
    return market


def order(path: Path, start_after_s: float, **changes: object) -> WorkOrder:
    values: dict[str, object] = {
        "capture": path,
        "venue": "binance-spot",
        "symbol": SYMBOL,
        "side": "buy",
        "quantity": Decimal(1),
        "start_after_s": start_after_s,
    }
    return WorkOrder(**{**values, **changes})  # type: ignore[arg-type]  # fields of WorkOrder


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_an_order_is_worked_in_the_middle_of_long_gaps(tmp_path: Path, side: str) -> None:
    path = quiet_market([2, 40, 7, 43, 20, 30, 1, 44]).write(tmp_path / "quiet.jsonl.gz")
    for start_s in (10, 60, 95):
        outcome = work(order(path, start_s, side=side)).outcome
        assert outcome["reason_code"] in {"", "TIME_LIMIT"}, outcome["reason"]
        assert outcome["children"]


def test_an_order_that_ended_longer_ago_than_orders_are_kept_is_still_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are kept for a day; here for an hour, as a day of a market takes ten seconds."""

    def forgetful(instrument: Instrument, integrity: str) -> EngineConfig:
        return replace(engine_config(instrument, integrity), retention_ns=3_600 * S)

    monkeypatch.setattr("citadel_micro.offline.work.engine_config", forgetful)
    path = quiet_market([1, 1, 30] + [40] * 100).write(tmp_path / "hour.jsonl.gz")
    outcome = work(order(path, 1.5)).outcome
    assert outcome["status"] == "expired"


def test_a_connection_that_was_opened_anew_was_not_alive_before(tmp_path: Path) -> None:
    market = quiet_market([1, 1])
    last_ns = market.now_ns
    market.wait(20_000)
    market.lines.append(b'{"recv_ns":%d,"kind":"open","conn":0,"url":"x"}\n' % market.now_ns)
    market.snapshot(levels(980), levels(1_001))
    path = market.write(tmp_path / "anew.jsonl.gz")
    proofs = [
        at_ns
        for at_ns, events in capture_life(path, "binance-spot", SYMBOL)
        if isinstance(events, StreamProof)
    ]
    assert not [at_ns for at_ns in proofs if last_ns < at_ns < market.now_ns]


def test_proofs_come_in_order_and_no_later_than_the_next_frame(tmp_path: Path) -> None:
    path = quiet_market([3, 44, 1]).write(tmp_path / "order.jsonl.gz")
    times = [at_ns for at_ns, _ in capture_life(path, "binance-spot", SYMBOL)]
    assert times == sorted(times)
    assert max(b - a for a, b in pairwise(times)) <= S


def test_another_connection_vouches_only_as_long_as_the_watchdog_would(tmp_path: Path) -> None:
    """The depth's connection ends unseen; the other one of the capture goes on for minutes."""
    market = quiet_market([1, 1])
    last_ns = market.now_ns
    for _ in range(200):
        market.wait(1_000)
        market.trade("100.1", "0.2", buyer_is_maker=False)
        market.lines[-1] = market.lines[-1].replace(b'"conn": 0', b'"conn": 1')
    path = market.write(tmp_path / "two.jsonl.gz")
    proofs = [
        at_ns
        for at_ns, events in capture_life(path, "binance-spot", SYMBOL)
        if isinstance(events, StreamProof)
    ]
    most_s = venue_spec("binance-spot").heartbeat.silence_s
    assert (most_s - 2) * S <= max(proofs) - last_ns <= (most_s + 1) * S
