"""Futures in the three books, and the funding of a demo: every difference is found."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from rich.console import Console

from citadel_micro.core.model.account_events import AccountTrades, FundingPayment
from citadel_micro.demo.freqtrade_books import BookedTrade
from citadel_micro.demo.journals import Held, MicroAccount
from citadel_micro.demo.ledger import Ledger, read_ledger
from citadel_micro.demo.report import money_tables
from citadel_micro.demo.three_books import ThreeBooks, compare_ledger
from citadel_micro.demo.venue_events import Row
from citadel_micro.demo.venue_faults import Funding
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAIR = "AAA/USDT:USDT"
MS = 1_000_000
HIT = 1_000_000 * MS
GAINED = Decimal("18.3")
"""Twenty of profit, less fees of one and a half, less funding of two tenths."""


def told(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields by name
    """A ledger as the exchange tells it: ten sold short at 12 and bought back at 10."""
    fill = {
        "symbol": "AAA/USDT",
        "price": "12",
        "quantity": "10",
        "quote": "120",
        "feeAsset": "USDT",
        "maker": False,
        "time": 9,
    }
    moved = {"asset": "USDT", "symbol": "AAA/USDT"}
    return {
        "account": "demo",
        "market": "usdm",
        "opening": {"USDT": "100"},
        "balances": {"USDT": "118.3"},
        "movements": [
            {"kind": "deposit", "asset": "USDT", "amount": "100", "symbol": ""},
            {**moved, "kind": "pnl", "amount": "20"},
            {**moved, "kind": "fee", "amount": "-1.5"},
            {**moved, "kind": "funding", "amount": "-0.2"},
        ],
        "fills": [
            {
                **(fill | {"orderId": 7, "clientOrderId": "in", "tradeId": 1}),
                "side": "SELL",
                "fee": "1",
            },
            {
                **(fill | {"orderId": 8, "clientOrderId": "out", "tradeId": 2}),
                **({"side": "BUY", "price": "10", "quote": "100"} | {"fee": "0.5"}),
                "realised": "20",
            },
        ],
    } | changes


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps(told()))
    return read_ledger(path)


def trade(funding: float = -0.2, **changes: Any) -> BookedTrade:  # noqa: ANN401 - fields by name
    values: dict[str, Any] = {
        "trade_id": 1,
        "pair": PAIR,
        "open": False,
        "amount": 10.0,
        "open_rate": 12.0,
        "close_rate": 10.0,
        "fee_open": 1.0,
        "fee_open_rate": 0.001,
        "fee_open_currency": "USDT",
        "fee_close": 0.5,
        "fee_close_rate": 0.001,
        "fee_close_currency": "USDT",
        "profit": 18.3,
        "exit_reason": "roi",
        "step": Decimal("0.1"),
        "tick": Decimal(0),
        "short": True,
        "funding": funding,
    }
    return BookedTrade(**(values | changes))


FLAT = Held(quantity=Decimal(0), funding=Decimal("-0.2"), cash=GAINED)


def books(ledger: Ledger, *trades: BookedTrade, held: Held = FLAT) -> ThreeBooks:
    """Compared with nothing but positions and money: fills have tests of their own."""
    account = MicroAccount(balances={"USDT": Decimal("118.3")}, positions={PAIR: held})
    return compare_ledger(ledger, (), trades, {}, account)


def of_positions(found: ThreeBooks) -> list[str]:
    return [text for each in found.positions for text in each.differences]


def test_only_profit_fees_and_funding_move_the_wallet(ledger: Ledger) -> None:
    assert ledger.fills[0].symbol == PAIR
    assert ledger.unexplained() == {}
    assert (ledger.funding(PAIR), ledger.gained(PAIR)) == (Decimal("-0.2"), GAINED)
    richer = msgspec.structs.replace(ledger, balances={"USDT": Decimal("118.30000001")})
    assert richer.unexplained() == {"USDT": Decimal("1e-8")}


def test_equal_positions_agree_by_every_figure(ledger: Ledger) -> None:
    # Freqtrade's floats add up to the unit.
    found = books(ledger, trade(-0.1), trade(-0.1))
    assert of_positions(found) == []
    (each,) = found.positions
    assert (each.trades, each.freqtrade_funding) == (2, Decimal("-0.2"))
    assert each.micro_gained == each.exchange_gained == GAINED
    console = Console(width=160)
    with console.capture() as shown:
        for table in money_tables(found):
            console.print(table)
    assert shown.get().count(" 18.30000000") == 2
    assert shown.get().count("-0.20000000") == 3


@pytest.mark.parametrize(
    ("trades", "held", "said"),
    [
        ([trade(-0.4)], FLAT, "funding -0.40000000 in Freqtrade, -0.2 at the exchange"),
        ([trade(0.0)], FLAT, "funding 0E-8 in Freqtrade, -0.2 at the exchange"),
        (
            [trade()],
            replace(FLAT, funding=Decimal("-0.20000001")),
            "funding -0.20000001 in micro, -0.2 at the exchange",
        ),
        (
            [trade()],
            replace(FLAT, cash=GAINED + Decimal("1e-8")),
            "gain 18.30000001 in micro, 18.3 at the exchange",
        ),
    ],
)
def test_every_difference_is_said(
    ledger: Ledger, trades: list[BookedTrade], held: Held, said: str
) -> None:
    found = books(ledger, *trades, held=held)
    assert of_positions(found) == [f"{PAIR}: {said}"]
    assert set(of_positions(found)) <= set(found.differences)


def test_what_is_still_open_is_not_held_against_the_end_of_it(ledger: Ledger) -> None:
    held = Held(quantity=Decimal(-10), funding=Decimal("-0.2"), cash=Decimal(119))
    found = books(ledger, trade(0.0, open=True), held=held)
    assert of_positions(found) == []
    assert found.positions[0].freqtrade_funding is None


def test_a_ledger_of_a_market_without_other_books_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps(told(market="kraken")))
    with pytest.raises(BadInput, match="kraken"):
        read_ledger(path)


# ---------------------------------------------------------------------- funding in the story


class Door:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def fund(self, symbol: str, rate: str) -> None:
        self.asked.append((symbol, rate))


def booked(ms: int, symbol: str, *amounts: str, paid_ms: int = 1) -> Row:
    answer = AccountTrades(
        venue="binance-usdm",
        symbol=symbol,
        since_ns=0,
        trades=(),
        exchange_ns=HIT,
        funding=tuple(
            FundingPayment(
                payment_id=str(number),
                amount=Decimal(amount),
                currency="USDT",
                exchange_ns=HIT + paid_ms * MS,
            )
            for number, amount in enumerate(amounts)
        ),
    )
    return Row(HIT + ms * MS, answer)


def settled(*pairs: str) -> Callable[[list[Row]], str]:
    door = Door()
    funding = Funding(lambda: pairs)
    assert funding.ready() is bool(pairs)
    funding.settle(door)  # type: ignore[arg-type]
    assert [symbol for symbol, _ in door.asked] == [
        pair.partition(":")[0].replace("/", "") for pair in pairs
    ]

    def outcome(rows: list[Row]) -> str:
        found = funding.outcome(rows, HIT)
        return "" if found is None else found.text

    return outcome


def test_funding_has_happened_when_every_payment_is_booked() -> None:
    outcome = settled("AAA/USDT:USDT", "BBB/USDT:USDT")
    first = booked(40, "AAA/USDT:USDT", "-0.1")
    assert outcome([]) == ""
    assert outcome([first]) == ""
    assert outcome([first, booked(70, "BBB/USDT:USDT", "0.3")]) == (
        "AAA/USDT:USDT -0.1 USDT, BBB/USDT:USDT +0.3 USDT; booked after 70 ms"
    )


def test_funding_of_before_is_not_this_one() -> None:
    outcome = settled("AAA/USDT:USDT")
    assert outcome([booked(40, "AAA/USDT:USDT", "-0.1", paid_ms=-60_000)]) == ""
    assert outcome([booked(-60_000, "AAA/USDT:USDT", "-0.1")]) == ""
    assert outcome([booked(40, "AAA/USDT:USDT")]) == ""


def test_it_waits_for_a_position_and_means_those_that_it_has_seen() -> None:
    seen = iter(((), ("AAA/USDT:USDT",), ()))
    funding, door = Funding(lambda: next(seen)), Door()
    assert not funding.ready()
    assert funding.ready()
    funding.settle(door)  # type: ignore[arg-type]
    assert [symbol for symbol, _ in door.asked] == ["AAAUSDT"]
