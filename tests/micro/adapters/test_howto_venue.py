"""The venues of docs/howto/add-a-venue.md, as they stand there: followed live, recorded, rebuilt."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from ws_kit import ScriptedVenue

from citadel_micro import adapters
from citadel_micro.shell.capture.books import rebuild
from citadel_micro.shell.capture.recording import Recording
from citadel_micro.shell.marketdata import spec as specs
from citadel_micro.shell.marketdata.aggregator import FeedConfig
from citadel_micro.shell.marketdata.spec import venue_ids, venue_spec
from citadel_proto.errors import BadInput, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aiohttp import web

MOST_LINES = 40
"""A venue of one file is worth writing while it is short: code, without blank lines."""


@pytest.fixture
def install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    """Put a file where venues are found."""
    folder = tmp_path / "adapters"
    folder.mkdir()
    monkeypatch.setattr(adapters, "__path__", [*adapters.__path__, str(folder)])
    names: list[str] = []

    def put(name: str, text: str) -> None:
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "__init__.py").write_text("")
        (folder / name / "market_data.py").write_text(text)
        names.append(name)
        specs._specs.cache_clear()

    yield put
    for name in names:
        for module in (name, f"{name}.market_data"):
            sys.modules.pop(f"{adapters.__name__}.{module}", None)
    monkeypatch.undo()
    specs._specs.cache_clear()


@pytest.fixture
def examples(repository: Path) -> dict[str, str]:
    """Whole files on the page, by the venue's name."""
    page = (repository / "docs" / "howto" / "add-a-venue.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    return {block.split(":")[0].strip('"').lower(): block for block in blocks if "SPECS" in block}


def test_the_first_example_is_short(examples: dict[str, str]) -> None:
    code = [line for line in examples["zebra"].splitlines() if line.strip()]
    assert len(code) <= MOST_LINES


async def zebra(socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
    name = said["symbol"]
    answer = {"event": "subscribed", "channel": "book", "chanId": 17, "symbol": name}
    await socket.send_str(json.dumps(answer))
    await socket.send_str(json.dumps([17, [[99, 2, 1.5], [98, 1, 2], [101, 1, -3], [102, 1, -4]]]))
    await socket.send_str(json.dumps([17, "hb"]))
    await socket.send_str(json.dumps([17, [99, 0, 1]]))
    await socket.send_str(json.dumps([17, [101, 2, -2.5]]))


async def yak(socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
    for number, (kind, bids, asks) in enumerate(
        [
            ("snapshot", [["99", "1.5"], ["98", "2"]], [["101", "3"], ["102", "4"]]),
            ("update", [["99", "0"]], []),
            ("update", [], [["101", "2.5"]]),
        ]
    ):
        row = {"symbol": said["books"][0], "type": kind, "seq": number, "prev": number - 1, "ts": 1}
        await socket.send_str(json.dumps({**row, "bids": bids, "asks": asks}))


@pytest.mark.parametrize(("name", "script"), [("zebra", zebra), ("yak", yak)])
def test_an_example_is_a_venue(
    examples: dict[str, str],
    install: Callable[[str, str], None],
    tmp_path: Path,
    name: str,
    script: Any,  # noqa: ANN401 - a coroutine function
) -> None:
    install(name, examples[name])
    assert name in venue_ids()
    out = tmp_path / f"{name}.jsonl.gz"

    async def main() -> None:
        server = ScriptedVenue(script)
        await server.start()
        feed = FeedConfig(
            venue=name, symbols={"BTC/USD": ""}, websocket_url=server.url, channels=["depth"]
        )
        recording = Recording(feed, out)
        running = asyncio.create_task(recording.run(90.0))
        end = time.monotonic() + 60
        while recording.markets["BTC/USD"].deltas < 2:
            assert time.monotonic() < end, "waited in vain"
            await asyncio.sleep(0.02)
        live = recording.markets["BTC/USD"]
        assert live.state == "LIVE"
        recording.stop()
        await running
        await server.stop()

    asyncio.run(main())
    rebuilt, cut = rebuild(out, name)
    assert cut is None
    assert not rebuilt.errors
    (book,) = rebuilt.books.values()
    assert (book.symbol, book.state) == ("BTC/USD", "LIVE")
    assert book.book.sizes("buy") == {98.0: 2.0}
    assert book.book.sizes("sell") == {101.0: 2.5, 102.0: 4.0}


@pytest.mark.parametrize(
    "message",
    [
        b"7", b"null", b'"x"', b"[]", b"[1]", b"[17, 5]", b"{}", b'{"event": "subscribed"}', b"\xff",
        b"[17, [[1, 1]]]", b"[17, [NaN, 1, 1]]", b"[17, [-1, 1, 1]]", b"[18, [1, 1, 1]]", b"{",
        b'[17, [1, 1, "1e400"]]',
    ],
)  # fmt: skip
def test_nonsense_is_a_violation(
    examples: dict[str, str], install: Callable[[str, str], None], message: bytes
) -> None:
    install("zebra", examples["zebra"])
    decoder = venue_spec("zebra").decoder(venue_spec("zebra").symbols())
    decoder.frame(b'{"event": "subscribed", "chanId": 17, "symbol": "tBTCUSD"}', 1)
    with pytest.raises(VenueViolation, match="zebra"):
        decoder.frame(message, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("import json\n", "import jso\n"),
            r"broken/market_data.py, line 3.*No module named 'jso'|No module.*",
        ),
        (("class ZebraDecoder(SimpleDecoder)", "class ZebraDecoder(SimpleDecode)"), "NameError"),
        (("SPECS = {", "SPECS = {{"), "SyntaxError"),
        (("SPECS =", "SPEC ="), "SPECS"),
    ],
)
def test_a_broken_venue_file_reads_as_that_files_error(
    examples: dict[str, str],
    install: Callable[[str, str], None],
    change: tuple[str, str],
    words: str,
) -> None:
    install("broken", examples["zebra"].replace(*change))
    with pytest.raises(BadInput, match=words) as caught:
        venue_ids()
    assert "broken" in str(caught.value)
    assert "add-a-venue" in str(caught.value)


def test_a_decoder_that_fails_in_its_own_way_reads_as_its_files_error(
    examples: dict[str, str], install: Callable[[str, str], None], tmp_path: Path
) -> None:
    text = examples["yak"].replace("from citadel_micro.shell.marketdata.levels import pairs\n", "")
    install("yak", text)
    row = {
        "symbol": "A-B",
        "type": "snapshot",
        "seq": 1,
        "prev": 0,
        "ts": 1,
        "bids": [],
        "asks": [],
    }
    record = {"recv_ns": 1, "kind": "frame", "conn": 0, "text": json.dumps(row)}
    path = tmp_path / "c.jsonl.zst"
    path.write_bytes(zstandard.compress(json.dumps(record).encode() + b"\n"))
    with pytest.raises(
        BadInput,
        match=r"NameError: name 'pairs'.*yak/market_data.py, line \d+|yak/market_data.py, line",
    ) as caught:
        rebuild(path, "yak")
    assert "pairs" in str(caught.value)


def test_a_live_decoder_that_fails_in_its_own_way_ends_with_its_files_error(
    examples: dict[str, str], install: Callable[[str, str], None], tmp_path: Path
) -> None:
    text = examples["yak"].replace("from citadel_micro.shell.marketdata.levels import pairs\n", "")
    install("yak", text)

    async def main() -> None:
        server = ScriptedVenue(yak)
        await server.start()
        feed = FeedConfig(
            venue="yak", symbols={"BTC/USD": ""}, websocket_url=server.url, channels=["depth"]
        )
        try:
            await Recording(feed, tmp_path / "x.jsonl.gz").run(20.0)
        finally:
            await server.stop()

    with pytest.raises(BadInput, match=r"yak/market_data.py, line \d+"):
        asyncio.run(main())
