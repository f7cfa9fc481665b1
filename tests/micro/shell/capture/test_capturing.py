"""Captures that we make ourselves: what the reader gets back, and the books that come of them."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from effort import campaign
from hard_feeds import unhurried
from hypothesis import given
from hypothesis import strategies as st
from quick_start import Started
from quick_start import run as citadel
from waiting import until

from citadel_micro.shell.capture.books import rebuild
from citadel_micro.shell.capture.frames import Record, read_capture
from citadel_micro.shell.capture.recording import Recording
from citadel_micro.shell.capture.writer import CaptureWriter
from citadel_micro.shell.marketdata.aggregator import FeedConfig
from citadel_micro.shell.marketdata.snapshots import NO_CONNECTION
from citadel_micro.simulator.config import Faults, SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND = 1_000_000_000
VENUE = "binance-spot"
SYMBOLS = {"BTC/USDT": "BTCUSDT", "ETH/USDT": "ETHUSDT"}


def read(path: Path) -> list[Record]:
    return [record for _, record in read_capture(path)]


rows = st.lists(
    st.tuples(
        st.integers(0, 2**62),
        st.sampled_from(["open", "sent", "frame", "rest"]),
        st.integers(0, 9),
        st.text(max_size=20),
        st.text(max_size=60),
    ),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize("suffix", ["gz", "zst"])
@given(rows=rows)
def test_the_reader_gets_back_what_was_written(
    suffix: str,
    rows: list[tuple[int, str, int, str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("capture") / f"x.jsonl.{suffix}"
    writer = CaptureWriter(path)
    for recv_ns, kind, conn, url, text in rows:
        writer(recv_ns, kind, NO_CONNECTION if kind == "rest" else conn, url, text)
    writer.close()
    writer.close()
    assert [(r.recv_ns, r.kind, r.conn, r.url, r.text) for r in read(path)] == [
        (at, kind, None if kind == "rest" else conn, url, "" if kind == "open" else text)
        for at, kind, conn, url, text in rows
    ]
    assert writer.records == len(rows)
    assert writer.octets == path.stat().st_size


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_killed_writer_leaves_everything_up_to_its_last_flush(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"x.jsonl.{suffix}"
    writer = CaptureWriter(path)
    for number in range(10):
        writer(number, "frame", 0, "", f"before {number}")
    writer.flush()
    writer(10, "frame", 0, "", "after")
    got: list[str] = []
    with pytest.raises(BadInput, match="truncated or damaged"):
        got.extend(record.text for _, record in read_capture(path))
    assert got == [f"before {number}" for number in range(10)]
    writer.close()
    assert len(read(path)) == 11


def test_files_are_rotated_by_age_and_each_names_its_connections(tmp_path: Path) -> None:
    turned: list[int] = []
    writer = CaptureWriter(
        tmp_path / "x.jsonl.gz", rotate_ns=10 * SECOND, on_rotate=lambda: turned.append(1)
    )
    writer(SECOND, "open", 0, "ws://a", "")
    writer(SECOND, "open", 1, "ws://b", "")
    for at in range(2, 25):
        writer(at * SECOND, "frame", 0, "", str(at))
    writer.close()
    assert [path.name for path in writer.paths] == [f"x-000{n}.jsonl.gz" for n in (1, 2, 3)]
    assert len(turned) == 2
    parts = [read(path) for path in writer.paths]
    assert [record.text for record in parts[0][2:]] == [str(n) for n in range(2, 11)]
    for later in parts[1:]:
        assert [(r.kind, r.url, r.conn) for r in later[:2]] == [
            ("open", "ws://a", 0),
            ("open", "ws://b", 1),
        ]
    assert [r.text for r in parts[1][2:] + parts[2][2:]] == [str(n) for n in range(11, 25)]


def test_files_are_rotated_by_size(tmp_path: Path) -> None:
    writer = CaptureWriter(tmp_path / "x.jsonl.zst", rotate_bytes=2_000)
    for number in range(3_000):
        writer(number, "frame", 0, "", f"{number * 7919 % 104729:x}" * 10)
        if number % 100 == 0:
            writer.flush()
    writer.close()
    assert len(writer.paths) > 3
    assert sum(len(read(path)) for path in writer.paths) == 3_000


def test_names_that_cannot_be_written_to_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"jsonl\.gz or \.jsonl\.zst"):
        CaptureWriter(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl.gz").touch()
    with pytest.raises(BadInput, match="another name"):
        CaptureWriter(tmp_path / "x.jsonl.gz")
    with pytest.raises(BadInput, match="cannot be written"):
        CaptureWriter(tmp_path / "none" / "x.jsonl.gz")


def test_a_disk_that_is_full_is_an_error_and_not_an_exception(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")

    class Full(CaptureWriter):
        def _begin(self) -> None:
            super()._begin()
            self._file.close()
            self._file = full.open("wb", buffering=0)

    writer = Full(tmp_path / "x.jsonl.gz")
    writer(1, "frame", 0, "", "text")
    writer.flush()
    assert isinstance(writer.error, PeerUnavailable)
    writer(2, "frame", 0, "", "text")
    writer.close()


async def record(recording: Recording, enough: Callable[[], bool]) -> None:
    """Record until there is enough, however long a busy machine takes, and interrupt it then."""
    running = asyncio.ensure_future(recording.run(None))
    await until(lambda: running.done() or enough())
    if not running.done():
        signal.raise_signal(signal.SIGINT)
    await running


def seen_enough(recording: Recording) -> bool:
    """Every book goes on, and the faults have happened."""
    books = recording.markets.values()
    return all(book.deltas > 10 for book in books) and sum(book.gaps for book in books) > 0


@pytest.mark.parametrize("name", ["live.jsonl.zst", campaign("live.tape")])
def test_a_live_capture_rebuilds_to_the_live_books(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """With updates lost on purpose, so that snapshots have to be in it, too."""
    unhurried(monkeypatch)

    async def main() -> Recording:
        config = SimulatorConfig(
            port=0,
            symbols=tuple(SYMBOLS),
            history_days=1,
            warm_minutes=1,
            faults=Faults(drop_depth=0.03),
        )
        async with SimulatorServer(config) as server:
            recording = Recording(
                FeedConfig(
                    venue=VENUE,
                    symbols=SYMBOLS,
                    websocket_url=server.ws_url,
                    rest_url=server.rest_url,
                ),
                tmp_path / name,
                compact=name.endswith(".tape"),
            )
            await record(recording, lambda: seen_enough(recording))
            return recording

    recording = asyncio.run(main())
    rebuilt, cut = rebuild(tmp_path / name, VENUE)
    assert cut is None
    assert rebuilt.errors == []
    assert rebuilt.frames == recording.frames
    for symbol, native in SYMBOLS.items():
        live, again = recording.markets[symbol], rebuilt.books[native]
        assert live.deltas > 10
        assert (again.deltas, again.gaps, again.resyncs) == (live.deltas, live.gaps, live.resyncs)
        assert (again.last_seq, again.last_recv_ns) == (live.last_seq, live.last_recv_ns)
        assert again.book.sizes("buy") == live.book.sizes("buy")
        assert again.book.sizes("sell") == live.book.sizes("sell")
    assert sum(market.gaps for market in recording.markets.values()) > 0, "the faults happened"


def test_each_file_of_a_rotated_capture_stands_alone(tmp_path: Path) -> None:
    async def main() -> Recording:
        config = SimulatorConfig(port=0, symbols=("BTC/USDT",), history_days=1, warm_minutes=1)
        async with SimulatorServer(config) as server:
            feed = FeedConfig(
                venue=VENUE,
                symbols={"BTC/USDT": "BTCUSDT"},
                websocket_url=server.ws_url,
                rest_url=server.rest_url,
            )
            recording = Recording(feed, tmp_path / "part.jsonl.gz", rotate_ns=SECOND)
            await record(recording, lambda: len(recording.writer.paths) > 3)
            return recording

    recording = asyncio.run(main())
    assert len(recording.writer.paths) >= 2
    for path in recording.writer.paths[:-1]:
        rebuilt, cut = rebuild(path, VENUE)
        assert cut is None
        assert rebuilt.books["BTCUSDT"].state == "LIVE"
        assert rebuilt.books["BTCUSDT"].gaps == 0


def test_the_command_records_the_simulator(tmp_path: Path) -> None:
    sim = Started(
        ["sim", "--port", "0", "--symbols", "BTC/USDT", "--history-days", "1", "--no-futures"],
        stdout=subprocess.PIPE,
    )
    try:
        assert sim.stdout is not None
        ready = json.loads(sim.stdout.readline())
        out = tmp_path / "sim.jsonl.gz"
        ended = citadel(
            *("capture", "--venue", VENUE, "--symbols", "btcusdt".upper(), "--out", str(out)),
            *("--duration", "5s", "--ws-url", ready["ws"], "--rest-url", ready["rest"]),
        )
        assert ended.returncode == 0, ended.stderr
        said = re.search(r"(\d+) frames", ended.stdout)
        assert said is not None
        assert "BTC/USDT: LIVE, " in ended.stdout
        books = citadel("books", str(out), "--venue", VENUE, "--json")
        result = json.loads(books.stdout)
        assert result["frames"] == int(said.group(1))
        assert result["symbols"]["BTCUSDT"]["state"] == "LIVE"
        assert result["symbols"]["BTCUSDT"]["deltas"] > 5
        with gzip.open(out, "rt") as lines:
            kinds = {json.loads(line)["kind"] for line in lines}
        assert kinds == {"open", "sent", "frame", "rest"}
    finally:
        sim.terminate()
        sim.wait(timeout=60)
        if sim.stdout is not None:
            sim.stdout.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--venue", "binance-sport", "--symbols", "BTC/USDT"], "did you mean binance-spot"),
        (["--venue", VENUE, "--symbols", "Q"], "'Q' is not a known symbol"),
        (["--venue", VENUE, "--symbols", ","], "no symbol given"),
        (["--venue", VENUE, "--symbols", "BTC/USDT", "--channels", "deep"], "depth, quote, trade"),
        (
            ["--venue", VENUE, "--symbols", "BTC/USDT", "--duration", "soon"],
            "cannot read the duration",
        ),
    ],
)
def test_bad_input_is_named(options: list[str], said: str, tmp_path: Path) -> None:
    ended = citadel("capture", *options, "--out", str(tmp_path / "x.jsonl.gz"))
    assert ended.returncode == 2
    assert said in ended.stderr
