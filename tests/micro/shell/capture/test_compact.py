"""Compact captures: every line as the raw capture's, to the last bit, and what is damaged is said."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from effort import chosen
from hypothesis import given
from hypothesis import strategies as st
from tests.micro.shell.capture.test_golden import CAPTURES

from citadel_micro.offline.work import WorkOrder, work
from citadel_micro.shell.capture.books import dumps, rebuild
from citadel_micro.shell.capture.frames import Record, read_capture
from citadel_micro.shell.capture.offline import CaptureDecoder
from citadel_micro.shell.capture.writer import CaptureWriter, CompactWriter
from citadel_micro.shell.commands.capture import capture
from citadel_micro.shell.instruments.capture import infer_instruments
from citadel_micro.shell.marketdata.snapshots import NO_CONNECTION
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_proto.errors import BadInput, PeerUnavailable
from citadel_proto.tape import TapeHeader, TapeWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

SECOND: Final = 1_000_000_000
SMALL: Final = (
    *("binance-spot-2021", "bitget-spot-v1-2022", "okx-2026-checksum.transcoded"),
    *("kraken-v1-2021", "bybit-linear-v2-2021", "kucoin-spot-2021"),
)


def played(writer: CaptureWriter, records: Iterable[Record]) -> None:
    for record in records:
        conn = NO_CONNECTION if record.conn is None else record.conn
        writer(record.recv_ns, record.kind, conn, record.url, record.text)
    writer.close()
    assert writer.error is None


def made(path: Path, venue: str, records: Iterable[Record]) -> Path:
    """A compact capture of these lines."""
    played(CompactWriter(path, venue_spec(venue)), records)
    return path


def lines(path: Path, venue: str, **how: Any) -> tuple[list[str], list[tuple[str, str]]]:  # noqa: ANN401
    """Everything that each line says, and the names that are known at the end."""
    decoder = CaptureDecoder(venue_spec(venue), **how)
    found = [repr(each._replace(events=list(each.events))) for each in decoder.decode(path)]
    return found, list(decoder.symbols.items())


@pytest.mark.parametrize("name", chosen(CAPTURES, suite=SMALL))
def test_every_line_of_a_capture_comes_back(shared_dir: Path, tmp_path: Path, name: str) -> None:
    raw, venue = shared_dir / "captures" / f"{name}.jsonl.gz", CAPTURES[name]
    compact = made(tmp_path / "x.tape", venue, (each for _, each in read_capture(raw)))
    for judged in (False, True):
        assert lines(compact, venue, judged=judged) == lines(raw, venue, judged=judged)
    (one, other) = (rebuild(path, venue) for path in (raw, compact))
    assert dumps(one[0]) == dumps(other[0])
    assert (one[1], other[1]) == (None, None)
    assert infer_instruments(raw, venue) == infer_instruments(compact, venue)


def test_an_order_is_worked_as_on_the_raw_capture_and_its_events_are_kept(
    shared_dir: Path, tmp_path: Path
) -> None:
    raw = shared_dir / "captures" / "binance-usdm-2021.jsonl.gz"
    compact = made(tmp_path / "x.tape", "binance-usdm", (each for _, each in read_capture(raw)))
    symbol = min(infer_instruments(raw, "binance-usdm"))[1]
    outcomes = []
    for path, cache in ((raw, None), (compact, tmp_path / "cache"), (compact, tmp_path / "cache")):
        order = WorkOrder(
            capture=path,
            venue="binance-usdm",
            symbol=symbol,
            side="buy",
            quantity=Decimal(10),
            cache=cache,
        )
        worked = work(order)
        outcomes.append((json.dumps(worked.outcome), worked.frames, worked.doubt))
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_damaged_lines_come_back_as_well(shared_dir: Path, tmp_path: Path) -> None:
    for name in ("binance-spot-2021", "kraken-v1-2021", "okx-2022"):
        rng = random.Random(name)
        raw, venue = shared_dir / "captures" / f"{name}.jsonl.gz", CAPTURES[name]
        records: list[Record] = []
        for _, record in read_capture(raw):
            if len(records) == 400:
                break
            text, chance = record.text, rng.random()
            if chance < 0.05:
                text = text[: rng.randint(0, len(text))]
            elif chance < 0.1:
                text = text.replace(rng.choice("0123456789"), rng.choice('x"-9'), 1)
            conn = rng.randint(0, 2) if chance > 0.95 else record.conn
            records.append(Record(record.recv_ns, record.kind, text, conn, record.url))
            if chance > 0.99:
                records.append(Record(record.recv_ns, "open", conn=conn, url="ws://127.0.0.1/x"))
        compact = made(tmp_path / f"{name}.tape", venue, records)
        played(CaptureWriter(tmp_path / f"{name}.jsonl.zst"), records)
        same = tmp_path / f"{name}.jsonl.zst"
        assert lines(compact, venue) == lines(same, venue)


@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 2**62),
            st.sampled_from(["open", "sent", "frame", "rest"]),
            st.integers(0, 9),
            st.text(max_size=20),
            st.sampled_from(
                [
                    *("", "null", '{"u":1', '{"stream":"x","data":{}}', '{"result":null,"id":1}'),
                    '{"u":7,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}',
                ]
            ),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_whatever_the_lines_are_they_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, Any, int, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    records = [
        Record(at, kind, "" if kind == "open" else text, conn, url if kind != "frame" else "")
        for at, kind, conn, url, text in rows
    ]
    records.append(Record(2**62, "frame", rows[0][4] or "x", 0))
    good = '{"u":9,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}'
    records.append(Record(1, "frame", good, 0))
    played(CaptureWriter(folder / "x.jsonl.zst"), records)
    compact = made(folder / "x.tape", "binance-spot", records)
    assert lines(compact, "binance-spot") == lines(folder / "x.jsonl.zst", "binance-spot")


def test_each_file_of_a_rotated_one_stands_alone(shared_dir: Path, tmp_path: Path) -> None:
    raw = shared_dir / "captures" / "okx-2022.jsonl.gz"
    records = [each for _, each in read_capture(raw)]
    age = (records[-1].recv_ns - records[0].recv_ns) // 3
    compact = CompactWriter(tmp_path / "x.tape", venue_spec("okx"), rotate_ns=age)
    text = CaptureWriter(tmp_path / "x.jsonl.gz", rotate_ns=age)
    for writer in (compact, text):
        played(writer, records)
    assert [path.name for path in compact.paths][:2] == ["x-0001.tape", "x-0002.tape"]
    assert len(compact.paths) == len(text.paths) > 2
    for one, other in zip(compact.paths, text.paths, strict=True):
        assert lines(one, "okx") == lines(other, "okx")
    assert compact.octets == sum(path.stat().st_size for path in compact.paths)
    assert compact.records == text.records


def test_what_was_flushed_is_read_and_a_cut_end_is_said(shared_dir: Path, tmp_path: Path) -> None:
    raw = shared_dir / "captures" / "okx-2022.jsonl.gz"
    records = [each for _, each in read_capture(raw)]
    writer = CompactWriter(tmp_path / "x.tape", venue_spec("okx"))
    for record in records[:200]:
        writer(record.recv_ns, record.kind, record.conn or 0, record.url, record.text)
    writer.flush()
    assert len(lines(tmp_path / "x.tape", "okx")[0]) == 200
    writer.close()
    whole = made(tmp_path / "y.tape", "okx", records).read_bytes()
    for cut in (whole[:-1], whole[: len(whole) // 2], whole[:-9] + b"x" + whole[-8:]):
        (tmp_path / "z.tape").write_bytes(cut)
        found: list[object] = []
        with pytest.raises(BadInput, match="truncated or damaged") as error:
            found.extend(CaptureDecoder(venue_spec("okx")).decode(tmp_path / "z.tape"))
        assert error.value.mend == f"the {len(found)} lines before are usable"


def test_what_is_no_compact_capture_of_the_venue_is_refused(
    shared_dir: Path, tmp_path: Path
) -> None:
    raw = shared_dir / "captures" / "okx-2022.jsonl.gz"
    okx = made(tmp_path / "x.tape", "okx", (each for _, each in read_capture(raw)))
    with pytest.raises(BadInput, match="captured from okx") as error:
        lines(okx, "kraken-spot")
    assert error.value.mend == "give --venue okx"
    TapeWriter.create(tmp_path / "r.tape", TapeHeader(created_ns=0)).close()
    with pytest.raises(BadInput, match="of the kind recording is no capture"):
        lines(tmp_path / "r.tape", "okx")
    with pytest.raises(BadInput, match="is empty"):
        lines(made(tmp_path / "e.tape", "okx", []), "okx")
    with pytest.raises(BadInput, match="does not hold the text"):
        list(read_capture(okx))
    with pytest.raises(BadInput, match="does not say what it is"):
        CompactWriter(tmp_path / "x.jsonl.gz", venue_spec("okx"))
    with pytest.raises(BadInput, match="cannot be written"):
        CompactWriter(okx, venue_spec("okx"))


def test_a_disk_that_is_full_is_an_error_and_not_an_exception(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    writer = CompactWriter(tmp_path / "x.tape", venue_spec("okx"))
    with full.open("wb", buffering=0) as nowhere:
        writer._tape._tape._file = nowhere
        writer(1, "frame", 0, "", "text")
        writer.flush()
        assert isinstance(writer.error, PeerUnavailable)
        writer(2, "frame", 0, "", "text")
        writer.close()


def test_the_command_takes_the_form_from_its_option_and_checks_the_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not say what it is") as error:
        capture(
            venue="okx", symbols="BTC/USDT", out=tmp_path / "x.jsonl.gz", compact=True, rotate_mb=1
        )
    assert error.value.allowed == "a name that ends in .tape"
