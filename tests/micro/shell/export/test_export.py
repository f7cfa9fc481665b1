"""``citadel export``: tables from a tape and from a journal, whole or not at all."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow.parquet as pq
import pytest
from engine_kit import KEY, START, SYMBOL, VENUE, config, rules

from citadel_bridge.cli import main
from citadel_micro.core.model.commands import FillView, PublishReport
from citadel_micro.core.model.events import QuoteTick, TradeTick
from citadel_micro.shell.export import sinks
from citadel_micro.shell.export.columns import TABLES
from citadel_micro.shell.export.rows import Rows
from citadel_micro.shell.journal.run_folder import RunFolder
from citadel_proto import tape, topics
from citadel_proto.codec import decode_market
from citadel_proto.errors import BadInput
from citadel_proto.messages import Answer, ExecutionReport

if TYPE_CHECKING:
    from collections.abc import Iterator

DEMO = Path(__file__).parents[3] / "system" / "data" / "demo.tape"
OF_JOURNALS: Final = ("profit",)
"""Tables of which a tape of the market channel has no rows."""
SECOND = 1_000_000_000


def export(file: Path, out: Path, *more: str) -> int:
    return main(["export", str(file), "--out", str(out), *more])


def lines(folder: Path, table: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{table}.jsonl").read_text().splitlines()]


def newest_reports() -> dict[str, ExecutionReport]:
    """Of the demo's tape, read another way."""
    found: dict[str, ExecutionReport] = {}
    with tape.TapeReader.open(DEMO) as reader:
        for record in reader.records():
            if record.direction == tape.MARKET:
                message = decode_market(topics.split(record.frame)[1])
                told: tuple[ExecutionReport, ...] = ()
                if isinstance(message, ExecutionReport):
                    told = (message,)
                # A report that was lost on its way is in a later answer.
                if isinstance(message, Answer):
                    told = message.reports
                for each in told:
                    old = found.get(each.signal_id, each)
                    found[each.signal_id] = max(old, each, key=lambda x: x.revision)
    return found


def test_a_tape_gives_every_order_and_fill_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert export(DEMO, out, "--format", "jsonl", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == {name: len(lines(out, name)) for name in TABLES}
    assert (told["unreadable"], told["tail"]) == (0, None)
    reports = newest_reports()
    orders = {row["signal_id"]: row for row in lines(out, "orders")}
    assert set(orders) == set(reports)
    fills: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in lines(out, "fills"):
        fills[row["signal_id"]].append(row)
    assert fills
    for name, report in reports.items():
        row, mine = orders[name], fills[name]
        assert (row["status"], row["filled"]) == (report.status, report.filled)
        assert len(mine) == row["fills"] == len(report.fills)
        assert sum(Decimal(each["quantity"]) for each in mine) == Decimal(report.filled)
        assert (row["shortfall_bps"] is None) is (not report.fills)


def test_both_formats_hold_the_same(tmp_path: Path) -> None:
    text, parquet = tmp_path / "text", tmp_path / "parquet"
    assert export(DEMO, text, "--format", "jsonl") == export(DEMO, parquet) == 0
    for name, columns in TABLES.items():
        table = pq.read_table(parquet / f"{name}.parquet")
        assert table.column_names == list(columns)
        rows = lines(text, name)
        assert table.num_rows == len(rows)
        assert (not rows) is (name in OF_JOURNALS)
        for column, kind in columns.items():
            told = [row[column] for row in rows]
            if kind == "exact":
                wanted: list[Any] = [None if each is None else Decimal(each) for each in told]
                found = table[column].to_pylist()
                # An average of the demo has up to 28 digits; a column holds 18 places.
                for one, other in zip(found, wanted, strict=True):
                    assert one == other or abs(one - other) <= Decimal("5e-19")
            elif kind == "time":
                assert table[column].cast("int64").to_pylist() == told
            else:
                assert table[column].to_pylist() == told


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two quotes, a trade, and three reports of one order of which the last but one is the newest."""
    settings = config()
    made = RunFolder(tmp_path / "run", instance="micro").create(settings, {KEY: rules()}, START)
    for number in range(2):
        at_ns = START + number
        made.event(at_ns, QuoteTick(VENUE, SYMBOL, number, 99.0, 1.0, 101.0, 2.0, 0, at_ns))
    made.event(START, TradeTick(VENUE, SYMBOL, "t", 100.0, 0.5, "buy", START, START))
    for revision in (1, 3, 2):
        made.command(START + revision, report(revision))
    made.sync()
    made.close()
    (path,) = (tmp_path / "run").glob("journal-*")
    return path


_FILLS: Final[tuple[tuple[int, str, Literal["maker", "taker"]], ...]] = (
    (101, "USDT", "taker"),
    (99, "BNB", "maker"),
)


def report(revision: int) -> PublishReport:
    """A buy of 2 at an arrival mid of 100, of which 1 has filled at 101 and later 1 at 99."""
    fills = [
        FillView(
            trade_id=str(number),
            child_id=f"c-{number}",
            price=Decimal(price),
            quantity=Decimal(1),
            fee=Decimal("0.1"),
            fee_currency=currency,
            liquidity=liquidity,
            ts_ns=START + number * SECOND,
        )
        for number, (price, currency, liquidity) in enumerate(_FILLS[: revision - 1])
    ]
    filled = Decimal(len(fills))
    return PublishReport(
        signal_id="s-1",
        revision=revision,
        venue=VENUE,
        symbol=SYMBOL,
        side="buy",
        kind="order",
        order_type="limit",
        status="filled" if revision == 3 else "working",
        quantity=Decimal(2),
        filled=filled,
        average=Decimal(100) / 3 if fills else None,
        limit_price=None,
        stop_price=None,
        triggered=False,
        reason_code="",
        reason="",
        permitted=None,
        fills=tuple(fills),
        balances=(),
        position=None,
        strategy="S",
        tag="entry",
        algo="chase_limit",
        arrival_mid=100.0,
        reprices=revision,
        own=False,
        created_ns=START,
        updated_ns=START + revision,
    )


def test_a_journal_gives_the_same_tables(journal: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export(journal.parent, out, "--format", "jsonl") == 0  # its newest journal
    (order,) = lines(out, "orders")
    assert (order["status"], order["fills"], order["reprices"]) == ("filled", 2, 3)
    assert order["shortfall_bps"] == 0.0
    assert order["fees_bps"] is None  # one was paid in a third currency
    assert order["maker_share"] == 0.5
    assert order["average"] == "33.33333333333333333333333333"
    assert order["last_fill"] - order["first_fill"] == SECOND
    assert [row["price"] for row in lines(out, "fills")] == ["101", "99"]
    assert [row["bid"] for row in lines(out, "quotes")] == [99.0, 99.0]
    assert [row["side"] for row in lines(out, "trades")] == ["buy"]
    assert export(journal, tmp_path / "pq") == 0
    average = pq.read_table(tmp_path / "pq" / "orders.parquet")["average"].to_pylist()
    assert average == [Decimal("33.333333333333333333")]


def test_little_is_held_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert export(DEMO, whole) == 0
    monkeypatch.setattr(sinks, "ROWS_AT_ONCE", 100)
    assert export(DEMO, parts) == 0
    for name in TABLES:
        one, other = (pq.ParquetFile(each / f"{name}.parquet") for each in (whole, parts))
        assert one.read().equals(other.read())
        sizes = [other.metadata.row_group(n).num_rows for n in range(other.num_row_groups)]
        assert max(sizes, default=0) <= 100
    assert pq.ParquetFile(parts / "trades.parquet").num_row_groups > 10


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_what_fails_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str
) -> None:
    def fails(self: Rows, source: Iterator[tape.Record]) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from list(original(self, source))[:1_000]
        raise OSError(28, "No space left on device")

    original = Rows.of
    monkeypatch.setattr(Rows, "of", fails)
    assert export(DEMO, tmp_path / "out", "--format", form) == 4
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert export(DEMO, out) == 3
    assert "--out" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [out]
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(("damage", "code"), [("cut", 0), ("flip", 1)])
def test_a_file_that_ends_badly_gives_what_is_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, code: int
) -> None:
    data = bytearray(DEMO.read_bytes())
    if damage == "cut":  # as while it is being written
        del data[-100:]
    else:
        data[-100] ^= 1
    path = tmp_path / "bad.tape"
    path.write_bytes(data)
    assert main(["export", str(path), "--format", "jsonl"]) == code
    assert "left out" in capsys.readouterr().err
    found = len(lines(tmp_path / "bad.tables", "trades"))
    assert export(DEMO, tmp_path / "good", "--format", "jsonl") == 0
    assert 0 < found <= len(lines(tmp_path / "good", "trades"))


def test_records_that_cannot_be_read_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.tape"
    header = tape.TapeHeader(created_ns=START)
    with tape.TapeWriter.create(path, header) as writer:
        writer.append(tape.MARKET, START, b"report/x\0\xc1")
        writer.append(tape.MARKET, START, b"no topic of ours")
        writer.append(tape.COMMAND, START, b"\x92\xadPublishReport\x01")
    assert export(path, tmp_path / "out") == 1
    assert "2 records could not be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [(["none.tape"], "none.tape"), (["."], "no journal"), ([str(Path(__file__))], "tape")],
)
def test_bad_input_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *words, "--out", "out"]) == 2
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    assert export(DEMO, out) == 2
    said = capsys.readouterr().err
    assert "cannot be written" in said
    assert str(out) in said


def test_a_number_that_no_column_holds_is_refused() -> None:
    assert sinks._exact("99999999999999999999", "filled") == Decimal(99999999999999999999)
    with pytest.raises(BadInput, match="jsonl"):
        sinks._exact("100000000000000000000", "filled")


def test_without_pyarrow_its_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(metadata, "requires", lambda _: ["pyarrow>=18; extra == 'export'"])
    assert export(DEMO, tmp_path / "out") == 2
    assert "[export]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert export(DEMO, tmp_path / "out", "--format", "jsonl") == 0
