"""What ends a connection or damages it in a recording ends its books, as in a live feed."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from effort import chosen
from tests.micro.offline.test_work_quiet import levels, order, quiet_market
from tests.micro.shell.capture.test_golden import CAPTURES

from citadel_micro.core.model.events import FeedStatus
from citadel_micro.offline.work import work
from citadel_micro.shell.capture.books import Rebuilder
from citadel_micro.shell.capture.frames import Record, read_capture
from citadel_micro.shell.capture.offline import capture_life
from citadel_micro.shell.capture.origin import venues_at
from citadel_micro.shell.capture.writer import CaptureWriter
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LOST = 40
REOPENED = [name for name in CAPTURES if "btcusdt" not in name]


def play(venue: str, records: Iterable[Record]) -> Rebuilder:
    rebuilder = Rebuilder(venue, 0)
    for number, record in enumerate(records):
        rebuilder.take(rebuilder.decoder.line(number, record))
    return rebuilder


@pytest.mark.parametrize("name", chosen(REOPENED, suite=REOPENED[::3]))
def test_books_begin_anew_with_their_connection(shared_dir: Path, name: str) -> None:
    """The old levels are what the venue had before the connection ended, whatever comes after."""
    path, venue = shared_dir / "captures" / f"{name}.jsonl.gz", CAPTURES[name]
    records = [record for _, record in read_capture(path)]
    true = play(venue, records)
    for part in (0.5, 0.7, 0.9):
        at = int(len(records) * part)
        conn = records[at].conn
        opened = Record(records[at].recv_ns, "open", conn=conn)
        cut = play(venue, [*records[:at], opened])
        before = play(venue, records[:at])
        ended = [book for symbol, book in cut.by_symbol.items() if book.state != "LIVE"]
        assert all(book.reason == "the connection was opened anew" for book in ended)
        others = len({record.conn for record in records if record.kind == "frame"}) > 1
        assert others or len(ended) == len(before.by_symbol)
        kept = [each for each in records[at : at + LOST] if each.conn != conn]
        rest = play(venue, [*records[:at], opened, *kept, *records[at + LOST :]])
        for symbol, book in rest.by_symbol.items():
            truth = true.by_symbol[symbol].book
            if book.state == "LIVE":
                assert book.book.sizes("buy") == truth.sizes("buy"), symbol
                assert book.book.sizes("sell") == truth.sizes("sell"), symbol


def test_a_snapshot_by_http_before_its_connection_stays(shared_dir: Path) -> None:
    path = shared_dir / "captures" / "binance-spot-2021.jsonl.gz"
    records = [record for _, record in read_capture(path)]
    records.sort(key=lambda record: record.kind != "rest")
    assert all(book.state == "LIVE" for book in play("binance-spot", records).by_symbol.values())


def test_an_order_is_not_worked_on_the_book_of_a_connection_that_ended(tmp_path: Path) -> None:
    market = quiet_market([1, 1])
    market.wait(3_000)
    market.lines.append(b'{"recv_ns":%d,"kind":"open","conn":0,"url":"x"}\n' % market.now_ns)
    for _ in range(3):
        market.depth({"98.5": "7.01"}, {})  # its numbers go on as if nothing had been
    path = market.write(tmp_path / "anew.jsonl.gz")
    worked = work(order(path, 0))
    assert "SYNCING" in worked.doubt
    market.snapshot(levels(980), levels(1_001))
    market.depth({"98.5": "8.01"}, {})
    worked = work(order(market.write(path), 0, quantity=Decimal(1)))
    assert not worked.doubt


def test_a_loss_that_only_the_connection_shows_ends_the_book_of_an_order(
    shared_dir: Path, tmp_path: Path
) -> None:
    """Coinbase numbers its connections, so that no book of its own can tell."""
    path = shared_dir / "captures" / "coinbase-advanced.transcoded.jsonl.gz"
    lines = [record for _, record in read_capture(path)]
    symbol = "BAND/GBP"
    writer = CaptureWriter(tmp_path / "lost.jsonl.gz")
    for number, record in enumerate(lines):
        if number != len(lines) // 2:
            writer(record.recv_ns, record.kind, record.conn or 0, record.url, record.text)
    writer.close()
    told = [
        event
        for _, event in capture_life(tmp_path / "lost.jsonl.gz", "coinbase-advanced", symbol)
        if isinstance(event, FeedStatus)
    ]
    assert len(told) == 1
    assert "expected message" in told[0].reason


def test_a_wrong_time_of_receipt_is_said_and_not_waited_for(tmp_path: Path) -> None:
    market = quiet_market([1, 1])
    market.lines[0] = market.lines[0].replace(b'"recv_ns": 1700000000000000000', b'"recv_ns": 1')
    path = market.write(tmp_path / "ahead.jsonl.gz")
    assert len(list(capture_life(path, "binance-spot", "AAA/USDT"))) < LOST
    with pytest.raises(BadInput, match=r"jumps by \d+ days"):
        work(order(path, 0))


@pytest.mark.parametrize("at_ns", [1 << 62, (1 << 63) - 1, 1 << 63])
@pytest.mark.parametrize("line", [0, 1])
def test_a_time_that_never_comes_is_not_waited_for(tmp_path: Path, line: int, at_ns: int) -> None:
    market = quiet_market([1, 1])
    market.lines[line] = market.lines[line].replace(
        b'"recv_ns": 1', b'"recv_ns": %d, "x": 1' % at_ns
    )
    with pytest.raises(BadInput, match="jumps by"):
        work(order(market.write(tmp_path / "x.jsonl.gz"), 0))


def test_an_address_that_is_none_names_no_venue() -> None:
    assert venues_at("wss://[bad/x") == []
