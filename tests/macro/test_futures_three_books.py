"""Freqtrade, bridged, trades futures long and short through a live micro at the simulated exchange.

At the end three books agree: Freqtrade's database, micro's journal, and the exchange's ledger.
"""

from __future__ import annotations

import json
import signal
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest
from key_kit import write_key
from live_desk import ROOMY
from process_kit import Program, until
from stock_exchange import Exchange
from stock_freqtrade import StockFreqtrade

from citadel_micro.core.portfolio.portfolio import Portfolio
from citadel_micro.demo.audit import compare
from citadel_micro.demo.freqtrade_books import read_freqtrade
from citadel_micro.demo.journals import read_account, read_micro
from citadel_micro.demo.ledger import read_ledger
from citadel_micro.demo.three_books import compare_ledger
from citadel_micro.shell.journal.run_folder import fold
from citadel_micro.simulator.binance_spot.records import account_uid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACCOUNT = "trader"
OPENING = Decimal(1_000_000)
LONG, SHORT = "BTC/USDT:USDT", "ETH/USDT:USDT"
VENUE = "binance-usdm"


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    program = Program(
        tmp_path,
        "sim",
        *("sim", "--port", "0", "--symbols", "BTC/USDT,ETH/USDT", "--history-days", "1"),
        *("--account", f"{ACCOUNT}=USDT:{OPENING}"),
    )
    yield Exchange(program.start())
    program.close()


@pytest.fixture
def bridge(free_port: Callable[[], int]) -> dict[str, Any]:
    address = "tcp://127.0.0.1"
    return {"signals": f"{address}:{free_port()}", "market": f"{address}:{free_port()}"}


@pytest.fixture
def micro(tmp_path: Path, exchange: Exchange, bridge: dict[str, Any]) -> Iterator[Program]:
    account = account_uid(ACCOUNT)
    key_id, secret = exchange.key(ACCOUNT)
    key = write_key(
        tmp_path / "keys",
        f"venue = '{VENUE}'\naccount = '{account}'\nnetwork = 'testnet'\n"
        f"id = '{key_id}'\nsecret = '{secret}'\n",
    )
    usdm = exchange.ready["usdm"]
    path = tmp_path / "micro.toml"
    path.write_text(
        f"mode = 'live'\nlive_account = '{account}'\nrun_dir = '{tmp_path}/run'\n"
        f"[bridge]\nmarket = '{bridge['market']}'\nmacros = ['{bridge['signals']}']\n"
        "command_lines = []\n"
        "[http]\nport = 0\n[journal]\nfsync = false\n[reconcile]\ninterval_s = 2\n"
        f"[venues.{VENUE}]\nnetwork = 'testnet'\nsymbols = ['{LONG}', '{SHORT}']\n"
        f"key_file = '{key}'\nleverage = 3\nmargin_mode = 'isolated'\n"
        f"rest_url = '{usdm['rest']}'\nws_url = '{usdm['ws']}/public/stream'\n"
        f"private_rest_url = '{usdm['rest']}'\nprivate_ws_url = '{usdm['ws']}'\n"
        f"ws_api_url = '{usdm['ws_api']}'\n{ROOMY}"
    )
    program = Program(tmp_path, "micro", "micro", "--config", str(path))
    program.start()
    yield program
    program.close()


def ledger(exchange: Exchange) -> dict[str, Any]:
    """Every movement and fill of the futures wallet."""
    found: dict[str, Any] = exchange.operate("GET", f"ledger?account={ACCOUNT}&market=usdm")
    return found


def moved(exchange: Exchange, symbol: str, kind: str = "") -> Decimal:
    """What a symbol has brought the wallet."""
    return sum(
        (
            Decimal(each["amount"])
            for each in ledger(exchange)["movements"]
            if each["symbol"] == symbol.partition(":")[0] and kind in {"", each["kind"]}
        ),
        Decimal(0),
    )


def booked(micro: Program, pair: str) -> Decimal:
    """Funding of a symbol that micro has booked, by its log."""
    rows = [json.loads(line) for line in micro.log.read_text().splitlines() if line[:1] == "{"]
    return sum(
        (
            Decimal(row["amount"])
            for row in rows
            if row["event"] == "funding" and row["symbol"] == pair
        ),
        Decimal(0),
    )


def round_trip(
    bot: StockFreqtrade, exchange: Exchange, micro: Program, pair: str, *, short: bool
) -> None:
    """In, funding, and out again."""
    side, rate = ("short", "-0.0002") if short else ("long", "0.0003")
    entered = bot.ask("POST", "forceenter", pair=pair, side=side)
    assert "trade_id" in entered, entered
    number = entered["trade_id"]
    bot.until(
        lambda: any(
            order["ft_order_side"] == "stoploss" and order["status"] == "open"
            for order in bot.trade(number).get("orders", ())
        )
    )
    symbol = pair.partition(":")[0].replace("/", "")
    exchange.operate("POST", "funding", symbol=symbol, rate=rate, now=True)
    paid = moved(exchange, pair, "funding")
    assert paid < 0
    # Freqtrade asks for it at every full hour, and when it leaves.
    bot.until(lambda: booked(micro, pair) == paid)
    assert bot.leave(number)["result"]
    trade: dict[str, Any] = bot.until(lambda: None if (t := bot.trade(number))["is_open"] else t)
    assert trade["is_short"] is short
    assert trade["leverage"] == 3.0
    assert trade["funding_fees"] == pytest.approx(float(paid), rel=1e-9)
    assert trade["close_profit_abs"] == pytest.approx(float(moved(exchange, pair)), abs=1e-6)


def entered(bot: StockFreqtrade, pair: str, *, short: bool) -> dict[str, Any]:
    """A trade that has wholly filled."""
    side = "short" if short else "long"
    number = bot.ask("POST", "forceenter", pair=pair, side=side)["trade_id"]
    trade: dict[str, Any] = bot.until(
        lambda: t if (t := bot.trade(number))["amount"] and not t["has_open_orders"] else None
    )
    return trade


def fund(exchange: Exchange, micro: Program, pair: str, rate: str) -> Decimal:
    """The exchange settles funding, and micro books it; what was paid."""
    before = moved(exchange, pair, "funding")
    symbol = pair.partition(":")[0].replace("/", "")
    exchange.operate("POST", "funding", symbol=symbol, rate=rate, now=True)
    total = moved(exchange, pair, "funding")
    until(lambda: booked(micro, pair) == total, 60)
    return total - before


def closed_by_hand(
    bot: StockFreqtrade, exchange: Exchange, micro: Program, pair: str, *, short: bool
) -> None:
    """In by Freqtrade, funding, and out by a person at the exchange."""
    before = moved(exchange, pair)
    symbol = pair.partition(":")[0].replace("/", "")
    trade = entered(bot, pair, short=short)
    number = trade["trade_id"]
    paid = fund(exchange, micro, pair, "-0.0003" if short else "0.0002")
    out = {"side": "BUY" if short else "SELL", "reduceOnly": "true", "path": "/fapi/v1/order"}
    exchange.order(ACCOUNT, symbol, quantity=f"{Decimal(repr(trade['amount'])):f}", **out)
    trade = bot.until(lambda: t if (t := bot.trade(number))["exit_reason"] == "exchange" else None)
    assert not trade["is_open"]
    assert trade["funding_fees"] == pytest.approx(float(paid), rel=1e-9)
    made = float(moved(exchange, pair) - before)
    assert trade["close_profit_abs"] == pytest.approx(made, abs=1e-6)


def closed_by_a_stop(
    bot: StockFreqtrade, exchange: Exchange, micro: Program, pair: str, *, short: bool
) -> None:
    """In by Freqtrade, funding, and out by the stop that micro holds."""
    before = moved(exchange, pair)
    trade = entered(bot, pair, short=short)
    paid = fund(exchange, micro, pair, "-0.0002" if short else "0.0003")
    near = bot.database.parent / f"stop {pair.partition('/')[0]}"
    near.touch()
    number = trade["trade_id"]
    trade = bot.until(lambda: None if (t := bot.trade(number))["is_open"] else t, 300)
    near.unlink()
    assert trade["exit_reason"] == "stoploss_on_exchange"
    assert trade["funding_fees"] == pytest.approx(float(paid), rel=1e-9)
    made = float(moved(exchange, pair) - before)
    assert trade["close_profit_abs"] == pytest.approx(made, abs=1e-6)


# Those of spot are in the suite, and so is what Freqtrade does with futures.
@pytest.mark.campaign
def test_three_books_of_futures_agree(
    tmp_path: Path,
    exchange: Exchange,
    bridge: dict[str, Any],
    micro: Program,
    free_port: Callable[[], int],
) -> None:
    folder = tmp_path / "macro"
    folder.mkdir()
    with StockFreqtrade(
        folder,
        exchange,
        ACCOUNT,
        free_port(),
        pairs=(LONG, SHORT),
        bridge=bridge,
        strategy="PuppetBothWays",
        # However the market moves meanwhile: an entry that is given up is not what this is about.
        unfilledtimeout={"entry": 60, "exit": 60, "exit_timeout_count": 0, "unit": "seconds"},
    ) as bot:
        round_trip(bot, exchange, micro, LONG, short=False)
        round_trip(bot, exchange, micro, SHORT, short=True)
        closed_by_hand(bot, exchange, micro, LONG, short=False)
        closed_by_hand(bot, exchange, micro, SHORT, short=True)
        closed_by_a_stop(bot, exchange, micro, LONG, short=False)
        closed_by_a_stop(bot, exchange, micro, SHORT, short=True)
    told = ledger(exchange)
    assert micro.end(signal.SIGTERM) == 0

    # micro's journal has every fill of the ledger, and no other.
    reports = read_micro(tmp_path / "run")
    ours = {
        (each.child_id, each.trade_id): (each.price, each.quantity, each.fee, each.fee_currency)
        for report in reports.values()
        for each in report.fills
    }
    theirs = {
        (each["clientOrderId"], str(each["tradeId"])): (
            Decimal(each["price"]),
            Decimal(each["quantity"]),
            Decimal(each["fee"]),
            each["feeAsset"],
        )
        for each in told["fills"]
    }
    assert ours == theirs
    # Its cash is what the wallet has gained, funding and fees among it.
    portfolio = Portfolio()
    (journal,) = (tmp_path / "run").glob("journal-*.ctape")
    state = cast("dict[str, Any]", fold(journal).state["portfolio"])
    portfolio.load(state["holdings"])
    held = {each.symbol: each for each in portfolio.positions()}
    for pair in (LONG, SHORT):
        assert held[pair].quantity == 0
        assert held[pair].funding == moved(exchange, pair, "funding")
        assert held[pair].cash == moved(exchange, pair)
    assert Decimal(told["balances"]["USDT"]) == OPENING + moved(exchange, LONG) + moved(
        exchange, SHORT
    )
    # Freqtrade's orders are micro's.
    orders, trades = read_freqtrade(folder / "trades.sqlite")
    filled = {order.order_id: order for order in orders if order.filled}
    assert set(filled) == {name for name, report in reports.items() if report.fills}
    for name, order in filled.items():
        fills = reports[name].fills
        quantity = sum((each.quantity for each in fills), Decimal(0))
        cost = sum((each.quantity * each.price for each in fills), Decimal(0))
        assert order.filled == float(quantity)
        assert order.average == pytest.approx(float(cost / quantity), rel=1e-12)
    assert [trade.open for trade in trades] == [False] * 6
    # And the audit, which knows the same rules by itself, finds nothing.
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps(told))
    account = read_account(tmp_path / "run", VENUE)
    assert compare(orders, trades, reports).differences == ()
    audited = compare_ledger(read_ledger(path), orders, trades, reports, account)
    assert audited.differences == ()
    assert [each.pair for each in audited.positions] == [LONG, SHORT]
    assert all(each.freqtrade_funding for each in audited.positions)


@pytest.mark.campaign
def test_a_trade_beside_somebody_elses_position_has_what_was_paid_since_it_was_opened(
    tmp_path: Path,
    exchange: Exchange,
    bridge: dict[str, Any],
    micro: Program,
    free_port: Callable[[], int],
) -> None:
    folder = tmp_path / "macro"
    folder.mkdir()
    by_hand = {"path": "/fapi/v1/order"}
    with StockFreqtrade(
        folder,
        exchange,
        ACCOUNT,
        free_port(),
        pairs=(LONG, SHORT),
        bridge=bridge,
        strategy="PuppetBothWays",
        unfilledtimeout={"entry": 60, "exit": 60, "exit_timeout_count": 0, "unit": "seconds"},
    ) as bot:
        exchange.order(ACCOUNT, "BTCUSDT", "BUY", "0.02", **by_hand)
        assert fund(exchange, micro, LONG, "0.0003") < 0
        trade = entered(bot, LONG, short=False)
        paid = fund(exchange, micro, LONG, "0.0002")
        assert bot.leave(trade["trade_id"])["result"]
        number = trade["trade_id"]
        trade = bot.until(lambda: None if (t := bot.trade(number))["is_open"] else t)
        assert trade["funding_fees"] == pytest.approx(float(paid), rel=1e-9)
        exchange.order(ACCOUNT, "BTCUSDT", "SELL", "0.02", reduceOnly="true", **by_hand)
