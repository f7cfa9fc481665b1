"""What ``citadel work`` prints: whole, exact, and the same bytes for the same input."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from effort import campaign, chosen
from tests.micro.offline.conftest import Market

if TYPE_CHECKING:
    from pathlib import Path

    Citadel = Any  # the fixture of this folder's conftest


OUTCOME = {
    *("venue", "symbol", "side", "algo", "status", "reason_code", "reason", "target", "filled"),
    *("average_price", "arrival_mid", "fees", "maker_share", "implementation_shortfall_bps"),
    *("shortfall_parts_bps", "reprices", "created_ns", "done_ns", "requests", "children"),
    "instrument",
}
CHILD = {
    *("client_id", "status", "reason", "price", "quantity", "post_only", "ioc", "placed_ns"),
    *("accepted_ns", "done_ns", "fills"),
}
FILL = {"price", "quantity", "fee", "fee_currency", "liquidity", "exchange_ns", "recv_ns"}


def check(outcome: dict[str, Any]) -> None:
    """Everything that must hold of any outcome."""
    assert set(outcome) == OUTCOME
    sign = 1 if outcome["side"] == "buy" else -1
    filled = value = Decimal(0)
    maker = Decimal(0)
    fees: dict[str, Decimal] = {}
    ended = outcome["created_ns"]
    for child in outcome["children"]:
        assert set(child) == CHILD
        assert child["placed_ns"] >= ended, "a child was placed before the last one had ended"
        ended = child["done_ns"]
        of_child = Decimal(0)
        for fill in child["fills"]:
            assert set(fill) == FILL
            assert child["accepted_ns"] <= fill["exchange_ns"] + 60_000_000_000
            assert child["placed_ns"] < fill["recv_ns"] <= child["done_ns"]
            price, quantity = Decimal(fill["price"]), Decimal(fill["quantity"])
            assert sign * (Decimal(child["price"]) - price) >= 0, "worse than the order's price"
            of_child += quantity
            value += price * quantity
            maker += quantity if fill["liquidity"] == "maker" else 0
            fees[fill["fee_currency"]] = fees.get(fill["fee_currency"], Decimal(0)) + Decimal(
                fill["fee"]
            )
        assert of_child <= Decimal(child["quantity"])
        filled += of_child
    assert filled == Decimal(outcome["filled"]) <= Decimal(outcome["target"])
    assert outcome["fees"] == {name: str(fee).rstrip("0").rstrip(".") for name, fee in fees.items()}
    if filled:
        assert float(outcome["average_price"]) == pytest.approx(float(value / filled), rel=1e-9)
        assert outcome["maker_share"] == pytest.approx(float(maker / filled))
    parts = outcome["shortfall_parts_bps"]
    assert set(parts) == {"delay", "spread", "impact", "fees", "opportunity"}
    total = sum((Decimal(str(part)) for part in parts.values()), Decimal(0))
    assert total == Decimal(str(outcome["implementation_shortfall_bps"]))
    mid = Decimal(str(outcome["arrival_mid"]))
    if filled == Decimal(outcome["target"]):
        # All of it was filled, so the shortfall is what the average and the fees say, by hand.
        in_quote = sum(
            fee * (value / filled if name == outcome["symbol"].partition("/")[0] else 1)
            for name, fee in fees.items()
        )
        by_hand = (sign * (value - filled * mid) + in_quote) / (filled * mid) * 10_000
        assert float(total) == pytest.approx(float(by_hand), abs=1e-3)


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize(
    ("algo", "params"),
    [
        ("chase_limit", []),
        ("chase_limit", ["urgency=high", "time_limit_ms=5000"]),
        ("marketable_limit", []),
        ("marketable_limit", ["repeat=false", "max_cross_bps=0"]),
    ],
)
def test_an_order_is_worked_and_accounted_for(
    citadel: Citadel, capture: Path, side: str, algo: str, params: list[str]
) -> None:
    more = [word for param in params for word in ("--param", param)]
    outcome = citadel.work(capture, *more, side=side, algo=algo)
    check(outcome)
    assert outcome["filled"] == "1"
    assert outcome["status"] == "filled"
    assert outcome["maker_share"] == (1.0 if algo == "chase_limit" else 0.0)
    fee_currency = "AAA" if side == "buy" else "USDT"
    assert list(outcome["fees"]) == [fee_currency]


def test_a_limit_order_waits_at_its_price(citadel: Citadel, capture: Path) -> None:
    outcome = citadel.work(capture, algo="limit", limit_price="99.9")
    check(outcome)
    assert {child["price"] for child in outcome["children"]} == {"99.9"}
    far = citadel.work(capture, algo="limit", limit_price="99.5")
    check(far)
    # Not one of what the capture trades reaches it: it is withdrawn when the capture ends.
    assert (far["status"], far["filled"], far["average_price"]) == ("canceled", "0", None)
    assert far["maker_share"] is None
    assert far["shortfall_parts_bps"]["fees"] == 0
    assert [child["status"] for child in far["children"]] == ["canceled"]


def test_it_begins_when_it_is_asked_to(citadel: Citadel, capture: Path) -> None:
    first = citadel.work(capture)
    later = citadel.work(capture, start_after="7.5")
    assert 7_300_000_000 < later["created_ns"] - first["created_ns"] < 7_700_000_000


def test_the_queue_model_makes_a_difference(citadel: Citadel, capture: Path) -> None:
    rows = [
        citadel.work(capture, queue=queue, algo="limit", limit_price="99.9")
        for queue in ("optimistic", "pessimistic")
    ]
    times = [row["children"][0]["fills"][0]["recv_ns"] for row in rows]
    assert times[0] < times[1]


@pytest.mark.parametrize(
    ("queue", "filled"), [("pessimistic", "0"), ("expected", "0"), ("optimistic", "2.5")]
)
def test_an_offer_that_flickers_at_our_price_and_never_trades(
    citadel: Citadel, tmp_path: Path, queue: str, filled: str
) -> None:
    market = Market()
    market.snapshot({"99.9": "500", "99.8": "500"}, {"100.1": "500", "100.2": "500"})
    for size in ("400", "300"):
        market.depth({"99.8": size}, {})
    for _ in range(20):
        market.depth({}, {"100.0": "2.5"})
        market.depth({}, {"100.0": "0"})
    path = market.write(tmp_path / "flicker.jsonl.gz")
    outcome = citadel.work(
        path,
        "--param",
        "post_only=true",
        algo="limit",
        limit_price="100",
        quantity="20",
        queue=queue,
    )
    assert outcome["filled"] == filled


def test_rules_come_from_a_file_and_it_says_so(
    citadel: Citadel, capture: Path, tmp_path: Path
) -> None:
    inferred = citadel.work(capture)["instrument"]
    assert inferred["source"] == "inferred from the capture's decimals"
    assert (inferred["tick"], inferred["lot"]) == ("0.1", "0.01")
    rules = rules_file(tmp_path)
    outcome = citadel.work(capture, instruments=str(rules))
    check(outcome)
    assert outcome["instrument"] == {
        "tick": "0.1",
        "lot": "0.05",
        "min_quantity": "0.5",
        "min_notional": "60",
        "maker_fee": "0.0002",
        "taker_fee": "0.0005",
        "source": "file rules.toml",
    }
    assert all(Decimal(child["quantity"]) % Decimal("0.05") == 0 for child in outcome["children"])


def rules_file(folder: Path) -> Path:
    path = folder / "rules.toml"
    path.write_text(
        '[[instrument]]\nvenue = "binance-spot"\nsymbol = "AAA/USDT"\ntick = "0.1"\nlot = "0.05"\n'
        'min_quantity = "0.5"\nmin_notional = "60"\nmaker_fee = "0.0002"\ntaker_fee = "0.0005"\n'
    )
    return path


def test_a_refusal_of_the_gate_is_an_outcome_with_its_own_exit_code(
    citadel: Citadel, capture: Path, tmp_path: Path
) -> None:
    arguments = citadel.arguments(
        capture, quantity="0.5", instruments=str(rules_file(tmp_path))
    )  # worth 50, and 60 is the least
    done = citadel(*arguments, "--json")
    assert done.returncode == 3
    outcome = json.loads(done.stdout)
    assert (outcome["status"], outcome["reason_code"]) == ("rejected", "BELOW_MIN")
    assert (outcome["filled"], outcome["children"]) == ("0", [])
    summary = citadel(*arguments)
    assert summary.returncode == 3
    assert "rejected BELOW_MIN" in summary.stdout


def test_the_summary_says_the_same(citadel: Citadel, capture: Path) -> None:
    outcome = citadel.work(capture)
    shown = dict(
        line.split(None, 1)
        for line in citadel(*citadel.arguments(capture)).stdout.splitlines()
        if not line.startswith(("maker share", " "))
    )
    assert shown["filled"] == "1 of 1"
    assert shown["shortfall"] == f"{outcome['implementation_shortfall_bps']} bps"
    assert shown["children"] == str(len(outcome["children"]))


@pytest.mark.parametrize("side", chosen(["buy", "sell"], suite=["sell"]))
@pytest.mark.parametrize(
    ("name", "venue", "symbol", "quantity"),
    [
        ("binance-spot-btcusdt-20240808", "binance-spot", "BTC/USDT", "0.5"),
        campaign("binance-usdm-btcusdt-20240808", "binance-usdm", "BTC/USDT:USDT", "2"),
    ],
)
def test_the_same_bytes_whatever_the_hash_seed(
    citadel: Citadel,
    shared_dir: Path,
    *,
    name: str,
    venue: str,
    symbol: str,
    quantity: str,
    side: str,
) -> None:
    capture = shared_dir / "captures" / f"{name}.jsonl.gz"
    arguments = citadel.arguments(
        capture, venue=venue, symbol=symbol, quantity=quantity, side=side, start_after="5"
    )
    first, second = (
        citadel(*arguments, "--json", hash_seed=seed, kernel=twin)
        for seed, twin in ((1, "auto"), (4_000_000_000, "python"))
    )
    assert first.returncode == second.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    check(json.loads(first.stdout))
    assert "frames/s" in first.stderr
    assert "frames/s" not in first.stdout
