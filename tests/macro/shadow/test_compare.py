"""What a shadow's table amounts to: which orders compare, what each side paid, and how sure that is."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from shadow_kit import AT, order

from citadel_macro.shadow import report
from citadel_macro.shadow.compare import (
    FEW,
    LATE_NS,
    Compared,
    compare,
    half_interval,
    judge,
    not_worked,
)

if TYPE_CHECKING:
    from citadel_macro.shadow.table import ShadowOrder

PRICES = st.decimals("0.5", "2", places=4)


def test_costs_are_against_one_mid_with_fees() -> None:
    found = judge(order())
    assert isinstance(found, Compared)
    # (100.10 - 100) / 100 = 10 bps, and 0.2002 of 200 = 10.01 bps; -5 bps and 9.995 bps.
    assert found.freqtrade_bps == pytest.approx(20.01)
    assert found.micro_bps == pytest.approx(4.995)
    assert found.saved_bps == pytest.approx(15.015)


def test_a_sell_pays_where_it_gets_less() -> None:
    found = judge(
        order(side="sell", average="99.90", micro_average="100.05", fees="{}", micro_fees="{}")
    )
    assert isinstance(found, Compared)
    assert (found.freqtrade_bps, found.micro_bps) == pytest.approx((10, -5))


def test_a_fee_in_the_coin_counts_at_the_price_paid() -> None:
    found = judge(order(fees='{"BTC": "0.002"}'))
    assert isinstance(found, Compared)
    assert found.freqtrade_bps == pytest.approx(20.01)


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"kind": "stop", "unsent": "a stop"}, "a stop"),
        ({"error": "InvalidOrderException: no"}, "not placed"),
        ({"unsent": "no heartbeat"}, "micro was not sent it"),
        (
            {"micro_status": "rejected", "micro_code": "SPREAD_WIDE"},
            "micro refused it: SPREAD_WIDE",
        ),
        ({"micro_status": ""}, "did not answer"),
        ({"micro_status": "unknown"}, "did not answer"),
        ({"micro_got_ns": AT + LATE_NS + 1}, "late"),
        ({"order_id": ""}, "answer was not seen"),
        ({"status": "open"}, "Freqtrade's order is open"),
        ({"micro_status": "working"}, "micro's order is open"),
    ],
)
def test_what_was_not_worked_by_both_is_counted_apart(over: dict[str, Any], why: str) -> None:
    row = order(**over)
    assert why in not_worked(row)
    found = compare([row])
    assert found.groups == ()
    assert [(count, why in reason) for reason, count in found.apart] == [(1, True)]


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"filled": "0", "micro_filled": "0", "status": "canceled"}, "neither side"),
        ({"filled": "0", "status": "canceled"}, "Freqtrade filled nothing"),
        ({"micro_filled": "0", "micro_status": "canceled"}, "micro filled nothing"),
        ({"filled": "1", "status": "canceled"}, "Freqtrade filled only a part"),
        ({"micro_filled": "1.5", "micro_status": "canceled"}, "micro filled only a part"),
        (
            {"filled": "1", "micro_filled": "1", "status": "canceled"},
            "both sides filled only a part",
        ),
        ({"filled": "1", "micro_filled": "1.5", "status": "canceled"}, "different quantities"),
        ({"filled": "2.5"}, "different quantities"),
        ({"arrival_mid": ""}, "no book"),
        ({"fees": ""}, "Freqtrade's fee is not known"),
        ({"fees": '{"BNB": "0.001"}'}, "third currency"),
        ({"micro_fees": '{"BNB": "0.001"}'}, "micro's fee is in a third currency"),
    ],
)
def test_what_both_worked_and_does_not_compare_still_counts_in_the_fill_shares(
    over: dict[str, Any], why: str
) -> None:
    row = order(**over)
    assert not_worked(row) == ""
    reason = judge(row)
    assert isinstance(reason, str)
    assert why in reason
    found = compare([row])
    assert found.groups[0].orders == 1
    assert found.groups[0].compared == 0
    assert found.groups[0].freqtrade_filled == float(Decimal(row.filled) / 2)
    assert found.groups[0].micro_filled == float(Decimal(row.micro_filled) / 2)


def test_a_fee_of_nothing_in_a_third_currency_is_none() -> None:
    assert isinstance(judge(order(fees='{"BNB": "0.0", "USDT": "0.2002"}')), Compared)


def test_dry_runs_are_not_mixed_with_money() -> None:
    dry = [order(dry_run=1), order(dry_run=1)]
    alone = compare(dry)
    assert alone.dry_run
    assert len(alone.compared) == 2
    assert "a simulation too" in report.caveat(alone)
    mixed = compare([*dry, order()])
    assert not mixed.dry_run
    assert len(mixed.compared) == 1
    assert mixed.apart == (("dry run of Freqtrade, beside real orders", 2),)


@pytest.mark.parametrize(
    ("averages", "verdict"),
    [
        (["99.95"] * (FEW - 1), "too few yet"),
        (["99.95", "99.96"] * (FEW // 2), "micro paid less"),
        (["100.30", "100.31"] * (FEW // 2), "micro paid more"),
        (["99.00", "101.30"] * (FEW // 2), "no difference shown"),
    ],
)
def test_words_follow_the_interval_and_the_number(averages: list[str], verdict: str) -> None:
    found = compare([order(micro_average=each) for each in averages])
    assert found.groups[0].verdict == verdict
    assert (found.groups[1].pair, found.groups[1].side) == ("BTC/USDT", "buy")
    assert found.groups[1].verdict == verdict


def test_the_interval_is_that_of_student() -> None:
    # Ten values: t = 2.262 at nine degrees of freedom.
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    found = half_interval(values)
    assert found is not None
    error = statistics.stdev(values) / math.sqrt(10)
    assert found == pytest.approx((error, 2.262 * error))
    assert half_interval([1.0]) is None
    # Beyond the table its formula goes on from it: t is 2.040 at 31 and 1.984 at 100.
    for n, quantile in ((32, 2.040), (101, 1.984)):
        many = half_interval([float(each % 2) for each in range(n)])
        assert many is not None
        assert many[1] / many[0] == pytest.approx(quantile, abs=0.002)


@given(st.lists(st.tuples(PRICES, PRICES), min_size=2, max_size=30))
def test_exchanging_the_sides_exchanges_the_sign(pairs: list[tuple[Decimal, Decimal]]) -> None:
    rows = [
        order(average=f"{a}", micro_average=f"{b}", arrival_mid="1", fees="{}", micro_fees="{}")
        for a, b in pairs
    ]
    turned = [
        dataclasses.replace(row, average=row.micro_average, micro_average=row.average)
        for row in rows
    ]
    ours, theirs = compare(rows).groups[0], compare(turned).groups[0]
    assert ours.saved_bps is not None
    assert theirs.saved_bps == pytest.approx(-ours.saved_bps, abs=1e-9)
    assert theirs.interval_bps == pytest.approx(ours.interval_bps, abs=1e-9)
    assert ours.freqtrade_bps == pytest.approx(theirs.micro_bps, abs=1e-9)


def big_table() -> list[ShadowOrder]:
    """Twelve orders of three pairs, one with a long name; everything that can be counted apart."""
    rows = [
        order(pair=pair, side=side, micro_average=average)
        for pair in ("BTC/USDT", "1000000MOGWAI/USDT:USDT", "ETH/USDT")
        for side in ("buy", "sell")
        for average in ("99.95", "99.90")
    ]
    rows += [order(kind="stop"), order(error="x"), order(filled="1"), order(unsent="x")]
    rows.append(order(micro_status="rejected", micro_code="LIQUIDATION_DISTANCE"))
    return rows


@pytest.mark.parametrize("width", [80, 120])
def test_the_report_fits_a_terminal(width: int) -> None:
    console = Console(width=width, force_terminal=False, record=True, legacy_windows=False)
    with console.capture() as shown:
        console.print(report.picture(compare(big_table())))
    text = shown.get()
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    costs = next(line for line in lines if line.startswith("all "))
    for number in ("20.01", "micro paid", "12"):
        assert number in text
    assert "±" in costs
    assert "LIQUIDATION_DISTANCE" in text
    assert "…" not in text  # nothing is cut


def test_nothing_yet_is_said() -> None:
    console = Console(width=80)
    with console.capture() as shown:
        console.print(report.picture(compare([])))
    assert shown.get().strip() == "Shadow: no order yet."
    assert "no order yet" in report.markdown(compare([]))


def test_markdown_and_json_say_the_same() -> None:
    found = compare(big_table())
    text = report.markdown(found)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {3, 8, 9}
    body = json.loads(json.dumps(report.as_json(found)))
    assert body["orders"] == 17
    assert sum(body["not_compared"].values()) + len(body["compared"]) == 17
    assert body["groups"][0]["compared"] == 12
    assert body["compared"][0]["saved_bps"] == pytest.approx(15.015)
    assert f"{body['groups'][0]['saved_bps']:+.2f}" in text
