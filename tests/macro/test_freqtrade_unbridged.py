"""Freqtrade as published, unbridged, with keys, trades spot at the simulated exchange.

Its database and the exchange's ledger must agree to the last unit. One test shows what the bridge
is for: an answer that is lost leaves Freqtrade with an order that it does not know of.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from ports import free_port
from process_kit import Program
from stock_books import ACCOUNT, OPENING, check_books, filled_orders, orders_of
from stock_exchange import Exchange
from stock_freqtrade import StockFreqtrade

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    program = Program(
        tmp_path_factory.mktemp("exchange"),
        "sim",
        *("sim", "--port", "0", "--symbols", "BTC/USDT,ETH/USDT,SOL/USDT", "--history-days", "1"),
        *(
            "--no-futures",
            "--account",
            f"{ACCOUNT}=" + ",".join(f"{k}:{v}" for k, v in OPENING.items()),
        ),
    )
    yield Exchange(program.start())
    program.close()


@pytest.fixture(scope="module")
def bot(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockFreqtrade]:
    port = free_port()
    with StockFreqtrade(tmp_path_factory.mktemp("freqtrade"), exchange, ACCOUNT, port) as bot:
        yield bot


def money(bot: StockFreqtrade) -> dict[str, Any]:
    """What Freqtrade says of its account's USDT."""
    rows: list[dict[str, Any]] = bot.ask("GET", "balance")["currencies"]
    (usdt,) = (row for row in rows if row["currency"] == "USDT")
    return usdt


def test_it_boots_with_the_accounts_money(bot: StockFreqtrade) -> None:
    assert money(bot)["balance"] == 1e7
    assert money(bot)["free"] == 1e7


def test_a_round_trip_with_a_stop_at_the_exchange_leaves_equal_books(
    bot: StockFreqtrade, exchange: Exchange
) -> None:
    entered = bot.enter("BTC/USDT", ordertype="market")
    number = entered["trade_id"]
    trade = bot.until(lambda: _has(bot, number, "stoploss", "open"))
    (stop,) = (o for o in trade["orders"] if o["ft_order_side"] == "stoploss")
    assert trade["fee_open_currency"] == "BTC"
    assert bot.leave(number)["result"]
    trade = bot.until(lambda: None if (t := bot.trade(number))["is_open"] else t)
    (left,) = (o for o in trade["orders"] if o["ft_order_side"] == "sell")
    assert left["status"] == "closed"
    assert trade["fee_close_currency"] == "USDT"
    assert stop["order_id"] in {row["order_id"] for row in bot.rows("SELECT * FROM orders")}
    stopped = orders_of(bot)[stop["order_id"]]
    assert stopped["status"] in {"canceled", "expired"}
    check_books(bot, exchange)
    # The account has lost the two fees and the spread, and nothing else.
    sold = Decimal(str(trade["close_profit_abs"]))
    ledger = exchange.ledger(ACCOUNT)
    assert Decimal(ledger["balances"]["USDT"]) - OPENING["USDT"] == pytest.approx(
        sold, abs=Decimal(1)
    )


def test_an_entry_that_rests_is_canceled_after_its_timeout(
    bot: StockFreqtrade, exchange: Exchange
) -> None:
    bid, _ = exchange.touch("ETHUSDT")
    entered = bot.enter("ETH/USDT", price=round(bid * 0.97, 2))
    (order,) = entered["orders"]
    assert order["is_open"]
    bot.until(lambda: bot.ask("GET", f"trade/{entered['trade_id']}").get("trade_id") is None)
    assert order["order_id"] not in filled_orders(exchange)
    bot.until(lambda: money(bot)["free"] == money(bot)["balance"])
    check_books(bot, exchange)


def test_what_is_filled_in_part_is_kept_and_its_rest_canceled(
    bot: StockFreqtrade, exchange: Exchange
) -> None:
    _, ask = exchange.touch("ETHUSDT")
    # Far more than is offered up to this price; what rests meets nobody, because trading halts.
    entered = bot.enter("ETH/USDT", price=round(ask * 1.0005, 2), stakeamount=5_000_000)
    exchange.operate("POST", "status", symbol="ETHUSDT", status="HALT")
    number = entered["trade_id"]
    (order,) = entered["orders"]
    row = bot.until(lambda: None if (r := orders_of(bot)[order["order_id"]])["ft_is_open"] else r)
    exchange.operate("POST", "status", symbol="ETHUSDT", status="TRADING")
    assert row["status"] == "canceled"
    filled = filled_orders(exchange)[order["order_id"]]["quantity"]
    assert 0 < row["filled"] == float(filled) < row["amount"]
    # What it has is protected, and the fee is known.
    bot.until(lambda: _has(bot, number, "stoploss", "open"))
    bot.until(lambda: orders_of(bot)[order["order_id"]]["ft_fee_base"])
    check_books(bot, exchange)


@pytest.mark.parametrize(
    ("fault", "error"), [("unknown-executed", "RequestTimeout"), ("answer-lost", "NetworkError")]
)
def test_a_lost_answer_orphans_an_order_of_an_unbridged_freqtrade(
    bot: StockFreqtrade, exchange: Exchange, fault: str, error: str
) -> None:
    known = set(filled_orders(exchange))
    exchange.operate("POST", "faults", rule=f"{ACCOUNT}:{fault}=once,on=order.place")
    answer = bot.enter("SOL/USDT", ordertype="market")
    assert "trade_id" not in answer, answer
    bot.until(lambda: bot.wrote(f"TemporaryError: Could not place buy order due to {error}"))
    orphans = set(filled_orders(exchange)) - known
    assert len(orphans) == 1
    # It has paid for coins that belong to no trade of it, and has no id to ask for them.
    assert not orphans & set(orders_of(bot))
    assert not bot.rows("SELECT * FROM trades WHERE pair = 'SOL/USDT'")
    assert Decimal(exchange.ledger(ACCOUNT)["balances"]["SOL"]) > 0


def test_nothing_has_left_the_machine(bot: StockFreqtrade, exchange: Exchange) -> None:
    seen = bot.connections()
    port = exchange.ready["rest"].rpartition(":")[2]
    assert f"here 127.0.0.1 {port}" in seen
    assert [line for line in seen if not line.startswith("here ")] == []


def _has(bot: StockFreqtrade, number: int, side: str, status: str) -> dict[str, Any] | None:
    trade = bot.trade(number)
    wanted = [
        order
        for order in trade.get("orders", ())
        if order["ft_order_side"] == side and order["status"] == status
    ]
    return trade if wanted else None
