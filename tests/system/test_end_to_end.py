"""The whole system, once: Freqtrade decides, micro trades live on the simulated exchange, books agree.

One run serves all the tests of this module. It is the run that ``make demo`` shows.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
from process_kit import citadel

from citadel_micro.demo.audit import compare, read_freqtrade
from citadel_micro.demo.journals import read_account, read_micro
from citadel_micro.demo.ledger import read_ledger
from citadel_micro.demo.market import SPOT
from citadel_micro.demo.settings import OPENING
from citadel_micro.demo.three_books import compare_ledger
from citadel_micro.shell.journal.reader import JournalReader
from citadel_proto.messages import TERMINAL_STATUSES

pytestmark = pytest.mark.timeout(500)


class Run(NamedTuple):
    folder: Path
    code: int
    shown: str

    @property
    def journals(self) -> list[Path]:
        return sorted((self.folder / "micro").glob("journal-*"))

    @property
    def database(self) -> Path:
        return self.folder / "freqtrade" / "trades.sqlite"

    @property
    def ledger(self) -> Path:
        return self.folder / "exchange-ledger.json"

    @property
    def audit(self) -> tuple[str, ...]:
        its = ("--journal", str(self.folder / "micro"), "--ledger", str(self.ledger))
        return ("audit", "--database", str(self.database), *its)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("demo") / "run"
    done = subprocess.run(
        [sys.executable, "-m", "citadel_bridge.cli", "demo", "--run-dir", str(folder)],
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("CITADEL_")},
    )
    return Run(folder, done.returncode, done.stdout + done.stderr)


def test_it_ends_well_and_says_where_to_look(run: Run) -> None:
    assert run.code == 0, run.shown
    assert "Three books agree to the last unit" in run.shown
    assert f"run folder: {run.folder}" in run.shown
    assert " NO " not in run.shown
    assert "did not happen" not in run.shown
    assert "differs" not in run.shown


def test_the_books_agree_by_every_figure(run: Run) -> None:
    orders, trades = read_freqtrade(run.database)
    reports = read_micro(run.folder / "micro")
    found = compare(orders, trades, reports)
    assert found.differences == ()
    assert found.round_trips >= 3
    assert all(row.agrees for row in found.rows)
    assert all(row.shortfall_bps is not None for row in found.rows)
    # And it is not for want of anything to compare.
    assert sum(1 for report in reports.values() if report.filled > 0) >= 6
    assert {report.status for report in reports.values()} <= TERMINAL_STATUSES
    command = citadel(*run.audit)
    assert command.returncode == 0, command.stdout
    assert "Three books agree" in command.stdout


def test_the_third_book_is_the_exchanges_own_and_was_compared_to_the_last_unit(run: Run) -> None:
    orders, trades = read_freqtrade(run.database)
    reports, ledger = read_micro(run.folder / "micro"), read_ledger(run.ledger)
    account = read_account(run.folder / "micro", SPOT.venue)
    found = compare_ledger(ledger, orders, trades, reports, account)
    assert found.differences == ()
    # And it is not for want of anything to compare.
    assert found.fills == sum(len(report.fills) for report in reports.values()) >= 6
    assert {each.currency for each in found.moved} >= {"USDT", "BTC"}
    assert all(each.exchange_fees > 0 for each in found.moved)
    assert account.balances["USDT"] != OPENING
    told = json.loads(run.ledger.read_text())
    first = told["fills"][0]
    first["fee"] = f"{Decimal(first['fee']) + Decimal('1e-8'):f}"
    changed = run.folder / "changed-ledger.json"
    changed.write_text(json.dumps(told))
    command = citadel(*run.audit[:-1], str(changed))
    assert command.returncode == 1
    assert f"fill {first['tradeId']} of" in " ".join(command.stdout.split())


def test_what_went_wrong_at_the_exchange_was_overcome(run: Run) -> None:
    shown = " ".join(run.shown.replace("│", " ").split())
    # Which comes first is the exchange's: an order that fills at once is reported on the stream.
    assert re.search(
        r"not sent again; (asked for it by its id, and found it|reported on the user stream) after",
        shown,
    ), run.shown
    for words in (
        "goes mute noticed after",
        "connections are cut noticed after",
    ):
        assert words in shown, run.shown
    assert shown.count("no orders sent meanwhile") >= 4, "twice as it happens, twice at the end"


def test_a_changed_database_does_not_agree(run: Run, tmp_path: Path) -> None:
    changed = tmp_path / "changed.sqlite"
    changed.write_bytes(run.database.read_bytes())
    for suffix in ("-wal", "-shm"):
        beside = run.database.with_name(run.database.name + suffix)
        if beside.exists():
            changed.with_name(changed.name + suffix).write_bytes(beside.read_bytes())
    with closing(sqlite3.connect(changed)) as link:
        link.execute("UPDATE trades SET open_rate = open_rate * 1.0000001 WHERE id = 1")
        link.commit()
    command = citadel("audit", "--database", str(changed), "--journal", str(run.folder / "micro"))
    assert command.returncode == 1
    assert "differs" in command.stdout


def test_the_gate_refused_an_order_and_freqtrade_locked_the_pair(run: Run) -> None:
    reports = read_micro(run.folder / "micro")
    refused = [report for report in reports.values() if report.symbol == SPOT.rejected]
    assert refused
    for report in refused:
        assert (report.status, report.reason_code) == ("rejected", "MAX_ORDER_QTY")
        assert report.fills == ()
    with closing(sqlite3.connect(run.database)) as link:
        locks = link.execute(
            "SELECT reason FROM pairlocks WHERE pair = ?", (SPOT.rejected,)
        ).fetchall()
        trades = link.execute("SELECT id FROM trades WHERE pair = ?", (SPOT.rejected,)).fetchall()
    assert any("MAX_ORDER_QTY" in reason for (reason,) in locks)
    assert trades == []


def test_a_part_was_filled_and_the_rest_cancelled_by_freqtrades_time_limit(run: Run) -> None:
    reports = read_micro(run.folder / "micro")
    parts = [
        report
        for report in reports.values()
        if (report.symbol, report.side, report.status) == (SPOT.hopeful, "buy", "canceled")
        and report.filled > 0
    ]
    assert parts
    assert all(report.filled < report.quantity for report in parts)
    orders, _ = read_freqtrade(run.database)
    booked = {order.order_id: order for order in orders}
    for report in parts:
        assert booked[report.signal_id].filled == float(report.filled)
        assert not booked[report.signal_id].open


def test_micro_was_killed_with_an_order_at_work_and_took_it_up_again(run: Run) -> None:
    assert len(run.journals) == 2
    taken_up = re.search(r"kill -9 of micro\D*(\d+) working order", run.shown)
    assert taken_up is not None
    assert int(taken_up[1]) >= 1
    log = (run.folder / "micro.log").read_text()
    rows = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    began = [row for row in rows if row["event"] == "reconciling"]
    assert [row["orders_in_doubt"] > 0 for row in began] == [False, True]
    assert began[1]["orders_in_doubt"] >= int(taken_up[1])
    # While it was down, or is asked for, an order may end: what is at work then is the market's.
    assert sum(row["event"] == "reconciled" for row in rows) == 2
    assert [row["clean"] for row in rows if row["event"] == "micro is down"] == [True]
    # No order of Freqtrade's was executed twice: every venue trade is in one report only.
    trades = [
        (report.symbol, fill.child_id, fill.trade_id)
        for report in read_micro(run.folder / "micro").values()
        for fill in report.fills
    ]
    assert len(trades) == len(set(trades))


def test_both_journals_give_the_same_commands_again(run: Run) -> None:
    for journal in run.journals:
        verified = citadel("replay", str(journal), "--verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        counts = re.search(r"(\d+) events, (\d+) commands agreed", verified.stdout)
        assert counts is not None
        assert int(counts[2]) > 100


def test_the_run_folder_holds_what_one_needs_to_look_into_it(run: Run) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert {"micro", "freqtrade", "micro.toml", "freqtrade.json"} <= names
    assert {"simulator.log", "micro.log", "freqtrade.log"} <= names
    settings = tomllib.loads((run.folder / "micro.toml").read_text())
    assert settings["run_dir"] == str(run.folder / "micro")
    assert settings["mode"] == "live"
    key = Path(settings["venues"][SPOT.venue]["key_file"])
    assert not key.parent.exists(), "the key of the run is gone with it"
    freqtrade = json.loads((run.folder / "freqtrade.json").read_text())
    assert freqtrade["dry_run"] is False
    assert not freqtrade["exchange"].get("key")
    reader = JournalReader(run.journals[0])
    reader.close()
    assert reader.header.instruments
    for log in ("micro.log", "freqtrade.log", "simulator.log"):
        assert "Traceback" not in (run.folder / log).read_text(), log
