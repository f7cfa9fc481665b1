"""Replaying real captures: exact texts, books equal to an independent reference, clear refusals."""

from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import zstandard

from citadel_micro.shell.capture.books import rebuild
from citadel_micro.sim.flow_book import Print, Quote
from citadel_micro.sim.flow_feed import DepthBatch
from citadel_micro.sim.flow_replay import Recording, ReplayFeed
from citadel_micro.simulator import payloads
from citadel_micro.simulator.capture import load_recording
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

BTC = "binance-spot-btcusdt-20240808"
SEVERAL = "binance-spot-2021"
NOW = 1_763_800_043_000_000_000


@pytest.fixture(scope="module")
def btc(shared_dir: Path) -> Recording:
    return load_recording(shared_dir / "captures" / f"{BTC}.jsonl.gz")


def plain(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


@pytest.mark.parametrize("name", [BTC, SEVERAL])
def test_the_book_after_a_replay_is_the_independent_references(shared_dir: Path, name: str) -> None:
    golden = json.loads((shared_dir / "golden" / f"{name}.json").read_text())["symbols"]
    recording = load_recording(shared_dir / "captures" / f"{name}.jsonl.gz")
    feed = ReplayFeed(recording, NOW, loop=False, seed=1, history_minutes=0)
    feed.advance(NOW + recording.length_ns)
    assert feed.ended
    assert {spec.venue_symbol for spec in feed.specs.values()} == set(golden)
    for symbol, spec in feed.specs.items():
        expected = golden[spec.venue_symbol]
        depth = feed.depth(symbol, 100_000)
        assert depth.last_update_id == expected["last_seq"]
        assert [len(depth.bids), len(depth.asks)] == expected["levels"]
        body = payloads.depth_snapshot(spec, depth)
        for side in ("bids", "asks"):
            ours = [[plain(p), plain(q)] for p, q in body[side][:20]]
            assert ours == [[plain(p), plain(q)] for p, q in expected["top20"][side]]


@pytest.mark.campaign
def test_every_replayed_payload_is_the_captured_one_but_for_its_time(
    shared_dir: Path, btc: Recording
) -> None:
    feed = ReplayFeed(btc, NOW, loop=False, seed=1, history_minutes=0)
    sent: dict[str, list[dict[str, Any]]] = {"depth@100ms": [], "trade": [], "bookTicker": []}
    for event in feed.advance(NOW + btc.length_ns):
        spec = feed.specs[event.symbol]
        if isinstance(event, DepthBatch):
            sent["depth@100ms"].append(payloads.depth_update(spec, event))
        elif isinstance(event, Quote):
            sent["bookTicker"].append(payloads.book_ticker(spec, event))
        else:
            sent["trade"].append(payloads.trade(spec, event))
    captured: dict[str, list[dict[str, Any]]] = {name: [] for name in sent}
    with gzip.open(shared_dir / "captures" / f"{BTC}.jsonl.gz") as file:
        for line in file:
            body = msgspec.json.decode(msgspec.json.decode(line)["text"])
            if "stream" in body:
                captured[body["stream"].partition("@")[2]].append(body["data"])
    for name, ours in sent.items():
        # What lies before the snapshot cannot be replayed; everything after is there.
        theirs = captured[name][-len(ours) :]
        assert len(captured[name]) - len(ours) < 30
        for i, (mine, real) in enumerate(zip(ours, theirs, strict=True)):
            assert list(mine) == list(real), name
            untimed = {key: value for key, value in mine.items() if key not in {"E", "T"}}
            expected = {key: value for key, value in real.items() if key not in {"E", "T"}}
            if name == "depth@100ms" and i == 0:
                expected["U"] = untimed["U"]  # the first one is cut to where the snapshot ends
            assert untimed == expected


def test_nothing_is_sent_before_it_happened_and_all_of_it_is_now(btc: Recording) -> None:
    assert all(item.event.time_ns <= item.offset_ns for item in btc.events)
    offsets = [item.offset_ns for item in btc.events]
    assert offsets == sorted(offsets)
    assert 0 <= offsets[0] < 10**9
    assert 300 * 10**9 < btc.length_ns < 400 * 10**9


def test_ticks_and_lots_come_from_the_captures_decimals(shared_dir: Path) -> None:
    specs = load_recording(shared_dir / "captures" / f"{SEVERAL}.jsonl.gz").specs
    assert (specs["NKN/USDT"].tick_e8, specs["NKN/USDT"].lot_e8) == (1000, 10_000_000)
    assert specs["BLZ/ETH"].tick_e8 == 1
    assert {spec.quote for spec in specs.values()} == {"USDT", "ETH", "BTC", "EUR"}


def test_trades_of_a_capture_become_candles(btc: Recording) -> None:
    feed = ReplayFeed(btc, NOW, loop=False, seed=1, history_minutes=1000)
    events = feed.advance(NOW + btc.length_ns)
    lots = sum(event.lots for event in events if isinstance(event, Print))
    store = feed.candles["BTC/USDT"]
    assert store.span(store.start, store.now + 1).lots == lots
    before, after = store.minute(store.start - 1), store.minute(store.start)
    assert abs(before.close - after.open) < 10_00  # ten dollars


# ---------------------------------------------------------------------- refusals


def frame(body: dict[str, Any], recv_ns: int = 1) -> str:
    return json.dumps({"recv_ns": recv_ns, "kind": "frame", "conn": 0, "text": json.dumps(body)})


def depth(first: int, last: int, price: str = "1.5") -> dict[str, Any]:
    data = {"e": "depthUpdate", "E": 1, "s": "AUSDT", "U": first, "u": last, "b": [[price, "2"]]}
    return {"stream": "ausdt@depth@100ms", "data": {**data, "a": []}}


SNAPSHOT = {"lastUpdateId": 10, "bids": [["1.0", "1"]], "asks": [["2.0", "1"]]}
GOOD = [frame(depth(9, 10)), frame(SNAPSHOT), frame(depth(11, 12)), frame(depth(13, 13))]


def write(folder: Path, lines: list[str]) -> Path:
    path = folder / "capture.jsonl"
    path.write_text("".join(line + "\n" for line in lines))
    return path


def test_a_small_capture_is_read(tmp_path: Path) -> None:
    recording = load_recording(write(tmp_path, GOOD))
    assert [item.event for item in recording.events] == [
        DepthBatch(0, "A/USDT", 11, 12, ((15, 2),), ()),
        DepthBatch(0, "A/USDT", 13, 13, ((15, 2),), ()),
    ]


def test_a_snapshot_that_names_no_symbol_is_of_the_only_one(tmp_path: Path) -> None:
    """As ``citadel books`` reads it, also where it comes first; compressed either way."""
    path = tmp_path / "early.jsonl.zst"
    lines = [frame(SNAPSHOT), *(line for line in GOOD if "lastUpdateId" not in line)]
    path.write_bytes(zstandard.compress("".join(line + "\n" for line in lines).encode()))
    recording = load_recording(path)
    assert len(recording.events) == 2
    assert rebuild(path, "binance-spot")[1] is None


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([*GOOD, frame(depth(15, 16))], r"line 5: .*jumps: 13 is followed by 15"),
        ([*GOOD, "{"], r"line 5: not a capture line"),
        ([*GOOD, '{"recv_ns": "x", "kind": "frame"}'], r"line 5: not a capture line"),
        ([*GOOD, '{"recv_ns": 1, "kind": "frame", "text": "{"}'], r"line 5: cannot be replayed"),
        ([*GOOD, frame(depth(14, 15, price="1e3"))], r"'1e3' is not a decimal"),
        ([*GOOD, frame(depth(14, 15, price="NaN"))], r"'NaN' is not a decimal"),
        ([frame(depth(1, 2))], r"no symbol has a book snapshot"),
        ([frame(SNAPSHOT)], r"line 1: .*snapshot without its symbol"),
        ([frame(depth(1, 2) | {"data": {"pu": 1}})], r"line 1: .*futures capture"),
        ([], r"no symbol has a book snapshot"),
        (["[1, 2]"], r"line 1: not a capture line"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_its_line(
    tmp_path: Path, lines: list[str], text: str
) -> None:
    with pytest.raises(BadInput, match=text):
        load_recording(write(tmp_path, lines))


def test_a_capture_cut_in_the_middle_is_refused_with_its_line(
    shared_dir: Path, tmp_path: Path
) -> None:
    whole = (shared_dir / "captures" / f"{SEVERAL}.jsonl.gz").read_bytes()
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"after line \d+: the file is cut off"):
        load_recording(path)


def test_a_file_that_is_no_gzip_or_absent_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "not.jsonl.gz"
    path.write_text("hello\n")
    with pytest.raises(BadInput, match="damaged"):
        load_recording(path)
    with pytest.raises(BadInput, match="No such file"):
        load_recording(tmp_path / "absent.jsonl.gz")


def test_a_futures_capture_is_refused(shared_dir: Path) -> None:
    path = shared_dir / "captures" / "binance-usdm-btcusdt-20240808.jsonl.gz"
    with pytest.raises(BadInput, match="futures capture"):
        load_recording(path)


def altered(shared_dir: Path, tmp_path: Path, old: str, new: str) -> Path:
    """The capture of several symbols, with one text in its frames replaced throughout."""
    path = tmp_path / "altered.jsonl.gz"
    with gzip.open(shared_dir / "captures" / f"{SEVERAL}.jsonl.gz", "rt") as whole:
        rows = [json.loads(line) for line in whole]
    for row in rows:
        if "text" in row:
            row["text"] = re.sub(old, new, row["text"])
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def test_levels_that_are_numbers_are_replayed_as_books_reads_them(
    shared_dir: Path, tmp_path: Path
) -> None:
    numbers = altered(shared_dir, tmp_path, r'\["([\d.]+)","([\d.]+)"\]', r"[\1,\2]")
    as_text = load_recording(shared_dir / "captures" / f"{SEVERAL}.jsonl.gz")
    assert load_recording(numbers) == as_text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (r'\["[\d.]+",', '["1e999999999",', "is not a decimal"),
        (r'"bids":\[', r'"bids":[["999999","1"],', "the snapshot is crossed"),
        (r"^\{", "[" * 100_000 + "{", "recursion"),
    ],
)
def test_what_cannot_be_replayed_is_said_where_it_is(
    shared_dir: Path, tmp_path: Path, old: str, new: str, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        load_recording(altered(shared_dir, tmp_path, old, new))
