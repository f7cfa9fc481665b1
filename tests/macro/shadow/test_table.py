"""The durable table of a shadow, and what is read from the answers of both sides."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from shadow_kit import order

from citadel_macro.shadow.facts import take_order, take_trades
from citadel_macro.shadow.table import ShadowOrder, ShadowTable, fees_of, fees_text, read
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000_000_000_000


def test_rows_survive_and_are_read_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "new" / "shadow.sqlite"
    table = ShadowTable(path)
    table.put(order(number=2))
    table.put(order(number=1, pair="ETH/USDT", error="it's \N{SNOWMAN}"))
    table.put(order(number=2, filled="1"))
    assert read(path) == [
        order(number=1, pair="ETH/USDT", error="it's \N{SNOWMAN}"),
        order(number=2, filled="1"),
    ]
    table.close()
    again = ShadowTable(path)
    assert again.rows() == read(path)
    again.close()


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no table"):
        read(tmp_path / "none")
    text = tmp_path / "text"
    text.write_text("mine, and long enough to be taken for the head of a database" * 20)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE trades (id)")
    later = tmp_path / "later.sqlite"
    ShadowTable(later).close()
    with sqlite3.connect(later) as db:
        db.execute("PRAGMA user_version=9")
    for path in (text, other, later):
        before = path.read_bytes()
        for use in (read, ShadowTable):
            with pytest.raises(BadInput, match=r"table"):
                use(path)
        assert path.read_bytes() == before


def test_fees_are_exact() -> None:
    fees = {"USDT": Decimal("0.1"), "BNB": Decimal("1E-7")}
    assert fees_of(fees_text(fees)) == fees
    assert fees_of("") is None
    assert fees_of("{}") == {}


def blank() -> ShadowOrder:
    return order(
        status="", filled="0", average="", fees="", filled_ns=0, order_id="", micro_status=""
    )


def fill(amount: float, price: float, **over: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of a trade
    fee = {"currency": "USDT", "cost": amount * price / 1000}
    return {"amount": amount, "cost": amount * price, "timestamp": 5_000, "fee": fee} | over


def test_an_answer_with_fills_is_complete() -> None:
    row = blank()
    trades = [fill(0.5, 100), fill(1.5, 102, timestamp=6_000)]
    answer = {"id": "7", "status": "closed", "filled": 2.0, "average": 101.5, "cost": 203.0}
    take_order(row, answer | {"trades": trades}, NOW)
    assert (row.status, row.filled, row.average) == ("closed", "2", "101.5")
    assert fees_of(row.fees) == {"USDT": Decimal("0.203")}
    assert row.filled_ns == 6_000_000_000


def test_what_was_paid_is_better_than_a_rounded_average() -> None:
    row = blank()
    take_order(row, {"status": "open", "filled": 3.0, "average": 33.33, "cost": 100.0}, NOW)
    assert row.average.startswith("33.33333333")
    assert row.filled_ns == NOW


def test_an_older_answer_takes_nothing_back() -> None:
    row = blank()
    take_order(row, {"status": "closed", "filled": 2.0, "cost": 200.0, "average": 100.0}, NOW)
    take_order(row, {"status": "open", "filled": 1.0, "cost": 99.0, "average": 99.0}, NOW + 1)
    assert (row.status, row.filled, row.average, row.filled_ns) == ("closed", "2", "100", NOW)


@pytest.mark.parametrize(
    "trades",
    [
        [fill(1.0, 100)],  # not all of them
        [fill(2.0, 100, fee=None)],
        [fill(2.0, 100, fee={"currency": None, "cost": 1.0})],
        [fill(2.0, 100, fee={"currency": "USDT", "cost": None})],
        [fill(2.0, 100) | {"amount": None}],
        ["nothing"],
        None,
    ],
)
def test_fees_that_are_not_reported_stay_unknown(trades: Any) -> None:  # noqa: ANN401 - anything
    row = blank()
    take_order(row, {"status": "closed", "filled": 2.0, "cost": 200.0}, NOW)
    take_trades(row, trades)
    assert row.fees == ""
    assert row.average == "100"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"status": None, "filled": None, "average": None, "cost": None, "fee": None},
        {
            "status": "open",
            "filled": 0,
            "average": 50_000.0,
            "fees": [],
        },  # a dry run shows its rate
        {"filled": float("nan"), "cost": float("inf"), "lastTradeTimestamp": -1, "trades": {}},
        {"filled": True},
        {"filled": "2"},
    ],
)
def test_an_answer_that_says_nothing_changes_nothing(answer: Any) -> None:  # noqa: ANN401 - anything
    row = blank()
    take_order(row, answer, NOW)
    assert (row.filled, row.average, row.fees, row.filled_ns) == ("0", "", "", 0)
