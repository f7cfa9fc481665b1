"""A capture that is read as another venue's is refused, with words that help."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from typing import TYPE_CHECKING, Final

import pytest

from citadel_bridge.cli import main
from citadel_micro.shell.capture.books import rebuild
from citadel_micro.shell.capture.origin import venues_at
from citadel_micro.shell.marketdata.spec import venue_ids, venue_spec
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

CAPTURES: Final = {
    "binance-spot-2021": ("binance-spot",),
    "binance-spot-btcusdt-20240808": ("binance-spot",),
    "binance-usdm-btcusdt-20240808": ("binance-usdm",),
    "bitget-spot-v1-2022": ("bitget-v1",),
    # What these three markets write is the same to the last letter.
    "bybit-linear-v2-2021": ("bybit-linear", "bybit-spot"),
    "bybit-v5-linear.transcoded": ("bybit-linear", "bybit-spot"),
    "coinbase-advanced.transcoded": ("coinbase-advanced",),
    "coinbase-exchange-2021": ("coinbase-exchange",),
    "kraken-futures-2021": ("kraken-futures",),
    "kraken-v1-2021": ("kraken-v1",),
    "kraken-v2.transcoded": ("kraken-spot",),
    "kucoin-spot-2021": ("kucoin-spot",),
    "okx-2022": ("okx",),
    "okx-2026-checksum0.transcoded": ("okx",),
}
LINES: Final = 400


@pytest.mark.parametrize("name", CAPTURES)
def test_only_its_own_venue_reads_a_capture(shared_dir: Path, tmp_path: Path, name: str) -> None:
    part = tmp_path / "part.jsonl.gz"
    with (
        gzip.open(shared_dir / "captures" / f"{name}.jsonl.gz", "rt") as whole,
        gzip.open(part, "wt") as cut,
    ):
        cut.writelines(islice(whole, LINES))
    accepted = []
    for venue in venue_ids():
        try:
            _, refused = rebuild(part, venue)
        except BadInput as error:
            refused = error
        if refused is None:
            accepted.append(venue)
        else:
            assert venue in str(refused)
    assert tuple(accepted) == CAPTURES[name]


def capture(path: Path, *records: dict[str, object]) -> Path:
    with gzip.open(path, "wt") as file:
        for number, record in enumerate(records):
            file.write(json.dumps({"recv_ns": 10**18 + number, "conn": 0, **record}) + "\n")
    return path


DELTA: Final = (
    '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":11,"u":11,'
    '"pu":10,"b":[["1","1"]],"a":[["2","1"]]}}'
)


def test_an_address_says_which_venue_it_was(tmp_path: Path) -> None:
    url = venue_spec("binance-usdm").websocket_url
    path = capture(
        tmp_path / "a.jsonl.gz",
        {"kind": "open", "url": url, "text": ""},
        {"kind": "frame", "text": DELTA},
    )
    assert main(["books", str(path), "--venue", "binance-coinm"]) == 2
    with pytest.raises(BadInput, match="--venue binance-usdm"):
        rebuild(path, "binance-coinm")
    assert rebuild(path, "binance-usdm")[1] is None


def test_an_address_that_nobody_knows_says_nothing(tmp_path: Path) -> None:
    """A simulator, or a proxy."""
    path = capture(
        tmp_path / "a.jsonl.gz",
        {"kind": "open", "url": "ws://127.0.0.1:9000/stream", "text": ""},
        {"kind": "frame", "text": DELTA},
    )
    assert rebuild(path, "binance-usdm")[1] is None
    assert venues_at("ws://127.0.0.1:9000/stream") == []


def test_answers_alone_are_of_no_venue(tmp_path: Path) -> None:
    answer: dict[str, object] = {
        "kind": "frame",
        "text": '{"error":null,"id":1,"result":{"status":"success"}}',
    }
    path = capture(tmp_path / "a.jsonl.gz", answer, answer)
    with pytest.raises(BadInput, match="nothing in it is of binance-spot"):
        rebuild(path, "binance-spot")
