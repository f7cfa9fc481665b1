"""Small captures of what venues really do, each with what it must come to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from citadel_micro.shell.capture.books import rebuild
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _best(book: dict[str, Any], bids: list[list[str]], asks: list[list[str]]) -> bool:
    """LIVE, and its best levels are these."""
    top = book["top20"]
    return bool(
        book["state"] == "LIVE"
        and top["bids"][: len(bids)] == bids
        and top["asks"][: len(asks)] == asks
    )


EXPECTED: Final[dict[str, Callable[[dict[str, Any]], bool]]] = {
    "bitget_pseq_gap": lambda book: book["state"] != "LIVE",
    "empty_book": lambda book: book["state"] == "LIVE" and book["levels"] == [0, 0],
    "exponents_and_numbers": lambda book: _best(book, [["0.0000001", "2"]], [["0.0000002", "5"]]),
    "gate_100_levels": lambda book: book["levels"][0] <= 100 or book["state"] != "LIVE",
    "gate_window_ghosts": lambda book: (
        book["state"] != "LIVE" or book["top20"]["bids"][0][0] == "900"
    ),
    "hyperliquid_one_side": lambda book: book["state"] == "LIVE" and book["levels"] == [0, 1],
    "kraken_zero_quote": lambda book: book["levels"] == [1, 1],
    "kucoin_null_side": lambda book: book["state"] == "LIVE" and 0 in book["levels"],
    "kucoin_price_zero": lambda book: _best(book, [["0.0033", "1"]], [["0.0033995", "66.4"]]),
    "locked_ticker": lambda book: _best(book, [["100", "2"]], [["101", "1"]]),
    "non_ascii_symbol": lambda book: _best(book, [["1", "13"]], [["2", "1"]]),
    "non_ascii_symbol_escaped_url": lambda book: book["state"] == "LIVE",
    "okx_gap_is_not_live": lambda book: book["state"] != "LIVE",
    "okx_seq_reset": lambda book: _best(book, [["100", "3"]], [["101", "1"]]),
    "reconnect_snapshot_replaces": lambda book: (
        _best(book, [["90", "1"]], [["91", "1"]]) and book["levels"] == [1, 1]
    ),
    "unsorted_and_absent_delete": lambda book: _best(book, [["100.5", "2"]], [["100.9", "1"]]),
}
REFUSED: Final = {"phemex_like_as_binance": "nothing in it is of binance-spot"}


def _input(shared_dir: Path, name: str) -> tuple[Path, str]:
    folder = shared_dir / "inputs" / "feeds"
    if not folder.is_dir():
        pytest.skip(f"no inputs at {folder}")
    expected = json.loads((folder / f"{name}.expected.json").read_text())
    return folder / f"{name}.jsonl.gz", expected["venue"]


def test_every_input_is_judged(shared_dir: Path) -> None:
    folder = shared_dir / "inputs" / "feeds"
    if not folder.is_dir():
        pytest.skip(f"no inputs at {folder}")
    found = {path.name.removesuffix(".jsonl.gz") for path in folder.glob("*.jsonl.gz")}
    assert found <= EXPECTED.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_book_is_what_it_must_be(shared_dir: Path, name: str) -> None:
    path, venue = _input(shared_dir, name)
    rebuilt, cut = rebuild(path, venue)
    result = rebuilt.to_json()
    assert cut is None
    assert result["errors"] == [] or name == "locked_ticker", "dropped and counted"
    (book,) = result["symbols"].values()
    assert EXPECTED[name](book), book


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_of_another_venue_is_refused(shared_dir: Path, name: str) -> None:
    path, venue = _input(shared_dir, name)
    with pytest.raises(BadInput, match=REFUSED[name]):
        rebuild(path, venue)
