"""Freqtrade as published trades for itself at the simulated exchange; micro shadows it on paper.

Its books agree with the exchange's ledger as without a shadow, its side of the table is that ledger, and a
micro that is dead changes nothing. The commands are those of the how-to page.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ports import free_port
from process_kit import Program, citadel, health, until
from stock_books import ACCOUNT, OPENING, check_books, filled_orders
from stock_exchange import Exchange
from stock_freqtrade import StockFreqtrade

from citadel_macro.shadow.facts import ENDED
from citadel_macro.shadow.table import ShadowOrder, fees_of, read
from citadel_proto.messages import TERMINAL_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "shadow-your-bot.md"
PAIRS = ("BTC/USDT", "ETH/USDT")
TRIES = 5


class Stage:
    """An exchange, a micro on paper, and the Freqtrade that it shadows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.simulator = Program(
            folder,
            "sim",
            *("sim", "--port", "0", "--symbols", ",".join(PAIRS), "--history-days", "1"),
            *(
                "--no-futures",
                "--account",
                f"{ACCOUNT}=" + ",".join(f"{k}:{v}" for k, v in OPENING.items()),
            ),
        )
        self.exchange = Exchange(self.simulator.start())
        # A port that was free would have to stay so for the seconds until both are up.
        self.signals, self.market = (f"ipc://{folder}/{name}" for name in ("signals", "market"))
        self.bot = StockFreqtrade(
            folder,
            self.exchange,
            ACCOUNT,
            free_port(),
            pairs=PAIRS,
            # A busy machine answers late; then both sides' facts are still those of the order.
            shadow={"signals": self.signals, "market": self.market, "ack_timeout_ms": 2_000},
            unfilledtimeout={"entry": 2, "exit": 20, "exit_timeout_count": 0, "unit": "seconds"},
        )
        self.table = folder / "citadel-shadow.sqlite"

    def start_micro(self) -> Program:
        """As the page says: ``citadel init --shadow``, then ``citadel micro``."""
        config, toml = self.folder / "config.json", self.folder / "micro-shadow.toml"
        done = citadel("init", "--shadow", "-c", str(config), "--out", str(toml))
        assert done.returncode == 0, done.stderr
        assert "citadel macro trade --shadow" in done.stdout
        micro = Program(
            self.folder,
            "micro",
            *("micro", "--config", str(toml), "--run-dir", str(self.folder / "run")),
            *("--rest-url", self.exchange.ready["rest"], "--ws-url", self.exchange.ready["ws"]),
            *("--signals", self.signals, "--market", self.market, "--http", "0"),
            *("--commands", f"ipc://{self.folder / 'cli'}"),
        )
        ready = micro.start()
        until(lambda: health(ready)["status"] == "ok")
        return micro

    def row(self, order_id: str) -> ShadowOrder | None:
        """The row of an order of Freqtrade's."""
        return next((row for row in read(self.table) if row.order_id == order_id), None)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("shadow"))
    try:
        with made.bot:
            yield made
    finally:
        made.simulator.close()


@pytest.fixture(scope="module")
def micro(stage: Stage) -> Iterator[Program]:
    made = stage.start_micro()
    stage.bot.until(lambda: stage.bot.wrote("Shadow: micro is connected"))
    yield made
    made.close()


def enter(stage: Stage, pair: str, **more: Any) -> tuple[int, str]:  # noqa: ANN401 - JSON
    """Buy; the trade's number and the order's id."""
    entered = stage.bot.enter(pair, **more)
    assert "trade_id" in entered, entered
    return entered["trade_id"], entered["orders"][0]["order_id"]


def leave(stage: Stage, number: int) -> str:
    """Sell; the order's id, once the trade is closed."""
    assert stage.bot.leave(number)["result"]
    trade = stage.bot.until(lambda: None if (t := stage.bot.trade(number))["is_open"] else t)
    (order,) = (o for o in trade["orders"] if o["ft_order_side"] == "sell")
    return str(order["order_id"])


def bought_of(stage: Stage, number: int) -> Any:  # noqa: ANN401 - JSON
    """What a trade holds."""
    return stage.bot.trade(number)["amount"]


def is_gone(stage: Stage, number: int) -> bool:
    """Whether Freqtrade has forgotten a trade of which it bought nothing."""
    return stage.bot.ask("GET", f"trade/{number}").get("trade_id") is None


def ended_row(stage: Stage, order_id: str) -> ShadowOrder | None:
    """Its row, once both sides are done with it and all is known."""
    row = stage.row(order_id)
    if row is None or row.status not in ENDED or (Decimal(row.filled) and not row.fees):
        return None
    return row if row.unsent or row.micro_status in TERMINAL_STATUSES else None


def round_trip(stage: Stage, pair: str) -> list[ShadowOrder]:
    """Buy and sell at the market; the rows of both."""
    number, bought = enter(stage, pair, ordertype="market")
    stage.bot.until(partial(bought_of, stage, number))
    sold = leave(stage, number)
    return [stage.bot.until(partial(ended_row, stage, each)) for each in (bought, sold)]


def test_without_a_micro_it_trades_as_ever_and_says_what_is_missing(stage: Stage) -> None:
    number, bought = enter(stage, "BTC/USDT", ordertype="market")
    stage.bot.until(lambda: (r := stage.row(bought)) and r.status == "closed" and r)
    sold = leave(stage, number)
    check_books(stage.bot, stage.exchange)
    for order_id in (bought, sold):
        row = stage.bot.until(partial(stage.row, order_id))
        assert "no heartbeat of micro" in row.unsent
        assert row.signal_id == ""
    assert stage.bot.wrote("Shadow: Freqtrade trades by itself")


def test_both_sides_work_every_order_and_freqtrades_numbers_are_the_ledgers(
    stage: Stage, micro: Program
) -> None:
    assert micro.process is not None
    rows: list[ShadowOrder] = []
    for pair in PAIRS:
        # A machine that stands still for seconds makes micro refuse to trade on an old book.
        for _ in range(TRIES):
            rows += (trip := round_trip(stage, pair))
            if all(row.micro_status == "filled" for row in trip):
                break
        else:
            pytest.fail(f"micro filled nothing: {rows}")
    ledger = filled_orders(stage.exchange)
    for row in rows:
        sums = ledger[row.order_id]
        assert Decimal(row.filled) == Decimal(row.quantity) == sums["quantity"]
        assert float(row.average) == pytest.approx(
            float(sums["quote"] / sums["quantity"]), rel=1e-12
        )
        fees = fees_of(row.fees)
        assert fees is not None
        assert [float(each) for each in fees.values()] == [
            pytest.approx(float(sums["fee"]), rel=1e-9)
        ]
        if row.micro_status == "filled":
            assert row.micro_filled == row.quantity
            assert row.arrival_mid
    check_books(stage.bot, stage.exchange)


def test_what_freqtrade_cancels_micro_cancels_as_well(stage: Stage, micro: Program) -> None:
    assert micro.process is not None
    for _ in range(TRIES):
        bid, _ = stage.exchange.touch("ETHUSDT")
        # Freqtrade gives it up after its unfilledtimeout of two seconds, and forgets the trade. A price
        # that a person sets stays a hard limit.
        number, order_id = enter(stage, "ETH/USDT", price=round(bid * 0.97, 2))
        stage.bot.until(partial(is_gone, stage, number))
        row = stage.bot.until(partial(ended_row, stage, order_id))
        if row.signal_id and row.micro_status != "rejected":
            break
    assert row.cancel_ns > row.placed_ns
    assert row.micro_status in {"canceled", "expired"}
    assert (row.filled, row.micro_filled) == ("0", "0")


def test_an_order_that_the_exchange_refuses_is_counted_apart(stage: Stage, micro: Program) -> None:
    assert micro.process is not None
    stage.exchange.operate("POST", "faults", rule=f"{ACCOUNT}:overloaded=once,on=order.place")
    before = len(read(stage.table))
    answer = stage.bot.enter("ETH/USDT", ordertype="market")
    assert "trade_id" not in answer, answer
    row = stage.bot.until(
        lambda: (r := read(stage.table)) and len(r) > before and r[-1].error and r[-1]
    )
    assert row.order_id == ""
    check_books(stage.bot, stage.exchange)


def test_a_micro_that_dies_changes_nothing(stage: Stage, micro: Program) -> None:
    number, _ = enter(stage, "BTC/USDT", ordertype="market")
    stage.bot.until(lambda: stage.bot.trade(number)["amount"])
    micro.close()
    sold = leave(stage, number)
    row = stage.bot.until(lambda: (r := stage.row(sold)) and r.status == "closed" and r)
    assert row.micro_status in {"", "unknown"}
    check_books(stage.bot, stage.exchange)


def test_the_report_counts_every_order(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = ["shadow", "report", "--db", str(stage.table)]
    body = json.loads(citadel(*words, "--json").stdout)
    rows = read(stage.table)
    assert body["orders"] == len(rows)
    assert not body["dry_run"]
    assert len(body["compared"]) + sum(body["not_compared"].values()) == len(rows)
    assert body["not_compared"]["micro was not sent it"] >= 2
    assert body["not_compared"]["Freqtrade's order was not placed"] == 1
    shown = citadel(*words).stdout
    assert f"of {len(rows)} orders compare" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    assert "| pair | side |" in citadel(*words, "--markdown").stdout


def test_nothing_has_left_the_machine(stage: Stage) -> None:
    assert [line for line in stage.bot.connections() if not line.startswith("here ")] == []


def test_the_page_shows_the_commands_that_were_run() -> None:
    shown = re.findall(r"^citadel .*$", PAGE.read_text(), re.MULTILINE)
    assert shown == [
        "citadel init --shadow -c user_data/config.json",
        "citadel micro --config micro-shadow.toml",
        "citadel macro trade --shadow -c user_data/config.json",
        "citadel shadow report",
        "citadel shadow report --markdown",
    ]
