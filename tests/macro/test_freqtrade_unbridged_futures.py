"""Freqtrade as published, unbridged, with keys, trades futures at the simulated exchange.

Long and short, with leverage, a stop at the exchange and funding: its database and the exchange's
ledger must agree to the last unit.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from ports import free_port
from process_kit import Program
from stock_exchange import Exchange
from stock_freqtrade import StockFreqtrade

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.campaign  # spot is in the suite
ACCOUNT = "freqtrade"
OPENING = Decimal(1_000_000)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    program = Program(
        tmp_path_factory.mktemp("exchange"),
        "sim",
        *("sim", "--port", "0", "--symbols", "BTC/USDT,ETH/USDT", "--history-days", "1"),
        *("--account", f"{ACCOUNT}=USDT:{OPENING}"),
    )
    yield Exchange(program.start())
    program.close()


@pytest.fixture(scope="module")
def bot(exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockFreqtrade]:
    port = free_port()
    with StockFreqtrade(
        tmp_path_factory.mktemp("freqtrade"),
        exchange,
        ACCOUNT,
        port,
        pairs=("BTC/USDT:USDT", "ETH/USDT:USDT"),
        strategy="PuppetBothWays",
    ) as bot:
        yield bot


def ledger(exchange: Exchange) -> dict[str, Any]:
    """Every movement and fill of the futures wallet."""
    found: dict[str, Any] = exchange.operate("GET", f"ledger?account={ACCOUNT}&market=usdm")
    return found


def check_books(bot: StockFreqtrade, exchange: Exchange) -> None:
    """Freqtrade's orders, fees and money are the exchange's, to the last unit; nothing is held."""
    told = ledger(exchange)
    sums: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for fill in told["fills"]:
        for name in ("quantity", "quote", "fee"):
            sums[str(fill["orderId"])][name] += Decimal(fill[name])
    rows = {row["order_id"]: row for row in bot.rows("SELECT * FROM orders") if row["filled"]}
    # A stop at the exchange that has triggered is another order there; none has here.
    assert set(rows) == set(sums)
    for name, each in sums.items():
        row = rows[name]
        assert row["filled"] == float(each["quantity"]), row
        average = float(each["quote"] / each["quantity"])
        assert row["average"] == pytest.approx(average, rel=1e-8), row
    kept = OPENING + sum((Decimal(each["amount"]) for each in told["movements"]), Decimal(0))
    assert kept == Decimal(told["balances"]["USDT"])
    (usdt,) = (row for row in bot.ask("GET", "balance")["currencies"] if row["currency"] == "USDT")
    assert usdt["balance"] == pytest.approx(float(kept), rel=1e-12)


def funding_of(exchange: Exchange, symbol: str) -> Decimal:
    """What the account was paid, or has paid (negative)."""
    return sum(
        (
            Decimal(each["amount"])
            for each in ledger(exchange)["movements"]
            if each["kind"] == "funding" and each["symbol"] == symbol
        ),
        Decimal(0),
    )


@pytest.mark.parametrize(
    ("pair", "side", "rate"),
    [("BTC/USDT:USDT", "long", "0.0003"), ("ETH/USDT:USDT", "short", "-0.0002")],
)
def test_a_round_trip_with_leverage_a_stop_and_funding_leaves_equal_books(
    bot: StockFreqtrade, exchange: Exchange, pair: str, side: str, rate: str
) -> None:
    entered = bot.ask("POST", "forceenter", pair=pair, side=side, ordertype="market")
    assert "trade_id" in entered, entered
    number = entered["trade_id"]
    trade = bot.until(lambda: t if _stopped(t := bot.trade(number)) else None)
    assert trade["leverage"] == 3.0
    assert trade["is_short"] is (side == "short")
    assert trade["liquidation_price"] is not None
    assert (trade["liquidation_price"] > trade["open_rate"]) is (side == "short")
    symbol = pair.partition(":")[0]
    exchange.operate("POST", "funding", symbol=symbol.replace("/", ""), rate=rate, now=True)
    paid = funding_of(exchange, symbol)
    assert paid < 0
    assert bot.leave(number)["result"]
    trade = bot.until(lambda: None if (t := bot.trade(number))["is_open"] else t)
    assert trade["funding_fees"] == pytest.approx(float(paid), rel=1e-9)
    check_books(bot, exchange)
    # Its profit is what the wallet has gained.
    mine = [
        Decimal(each["amount"])
        for each in ledger(exchange)["movements"]
        if each["symbol"] == symbol
    ]
    assert trade["close_profit_abs"] == pytest.approx(float(sum(mine)), abs=1e-6)


def test_nothing_has_left_the_machine(bot: StockFreqtrade, exchange: Exchange) -> None:
    seen = bot.connections()
    port = exchange.ready["rest"].rpartition(":")[2]
    assert f"here 127.0.0.1 {port}" in seen
    assert [line for line in seen if not line.startswith("here ")] == []


def _stopped(trade: dict[str, Any]) -> bool:
    """It is in the market, and its stop rests at the exchange."""
    return any(
        order["ft_order_side"] == "stoploss" and order["status"] == "open"
        for order in trade.get("orders", ())
    )
