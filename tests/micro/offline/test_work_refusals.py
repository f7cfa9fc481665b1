"""What ``citadel work`` refuses, with which words; and that it leaves nothing half behind."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    Citadel = Any


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"param": "time_limit=5"}, ["no parameter 'time_limit'", "did you mean time_limit_ms?"]),
        ({"param": "time_limit_ms=soon"}, ["time_limit_ms is 'soon'", "a whole number"]),
        ({"param": "time_limit_ms=nan"}, ["time_limit_ms is nan"]),
        ({"param": "time_limit_ms=1"}, ["from 100 to"]),
        ({"param": "novalue"}, ["where: --param", "allowed: NAME=VALUE"]),
        ({"algo": "chase"}, ["no algorithm 'chase'", "chase_limit"]),
        ({"algo": "limit"}, ["needs a limit price"]),
        ({"algo": "bracket", "param": "take_profits=1"}, ["one stop"]),
        ({"algo": "stop"}, ["only reduces a position", "chase_limit"]),
        ({"quantity": "0.001"}, ["below the minimum", "at least 0.01", "inferred"]),
        ({"quantity": "1e-7"}, ["quantity 0.0000001 is below the minimum"]),
        ({"quantity": "nan"}, ["'nan'", "where: --quantity", "finite number"]),
        ({"quantity": "inf"}, ["'inf'", "where: --quantity"]),
        ({"quantity": "-1"}, ["'-1'", "greater than 0"]),
        ({"quantity": "much"}, ["'much'", "where: --quantity"]),
        ({"limit_price": "NaN"}, ["where: --limit-price"]),
        ({"side": "hold"}, ["'hold'", "allowed: buy, sell"]),
        ({"queue": "lucky"}, ["'lucky'", "pessimistic, expected, optimistic"]),
        ({"symbol": "AAB/USDT"}, ["AAB/USDT", "AAA/USDT"]),
        ({"venue": "binance"}, ["no venue is called 'binance'", "binance-spot"]),
        ({"venue": "kraken-spot"}, ["kraken-spot", "--venue"]),
        ({"start_after": "3600"}, ["never fit to trade on", "--start-after"]),
        ({"start_after": "-1"}, ["--start-after"]),
        ({"start_after": "nan"}, ["--start-after"]),
        ({"start_after": "inf"}, ["--start-after"]),
        ({"start_after": "1e300"}, ["--start-after"]),
        ({"journal": "/nowhere/run.ctape"}, ["where: /nowhere/run.ctape", "folder"]),
        ({"instruments": "/nowhere.toml"}, ["/nowhere.toml"]),
        ({"instruments": "/proc/version"}, ["not a TOML file"]),
    ],
)
def test_what_cannot_be_used_is_named(
    citadel: Citadel, capture: Path, changes: dict[str, str], words: list[str]
) -> None:
    shown = citadel.refuse(capture, **changes)
    for word in words:
        assert word in shown


def test_a_parameter_that_is_given_twice(citadel: Citadel, capture: Path) -> None:
    twice = [word for value in "34" for word in ("--param", f"max_chase_bps={value}")]
    assert "max_chase_bps is given twice" in citadel.refuse(capture, *twice)


def test_a_gap_is_reported_beside_the_outcome(
    citadel: Citadel, capture: Path, tmp_path: Path
) -> None:
    lines = gzip.decompress(capture.read_bytes()).splitlines(keepends=True)
    missing = next(n for n, line in enumerate(lines) if n > 300 and b"depthUpdate" in line)
    holed = tmp_path / "holed.jsonl.gz"
    holed.write_bytes(gzip.compress(b"".join(lines[:missing] + lines[missing + 1 :])))
    told = {path: citadel(*citadel.arguments(path)) for path in (capture, holed)}
    assert [done.returncode for done in told.values()] == [0, 0]
    assert "note:" not in told[capture].stderr
    assert "the book had 1 gaps and was SYNCING at the end" in told[holed].stderr


def test_a_capture_cut_in_the_middle(citadel: Citadel, capture: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    # Once within the compressed data and once, whole again, within a line.
    cut.write_bytes(capture.read_bytes()[: capture.stat().st_size // 2])
    shown = citadel.refuse(cut, algo="limit", limit_price="99")
    assert "truncated or damaged" in shown
    assert "lines before are usable" in shown
    cut.write_bytes(gzip.compress(gzip.decompress(capture.read_bytes())[:-40]))
    shown = citadel.refuse(cut, algo="limit", limit_price="99")
    assert "not a line of a capture" in shown


def test_what_is_no_capture(citadel: Citadel, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    assert "cannot open" in citadel.refuse(path)
    path.write_text("hello\n")
    assert "not gzip and not zstd" in citadel.refuse(path)
    path.write_bytes(gzip.compress(b"hello\n"))
    assert "not a line of a capture" in citadel.refuse(path)
    path.write_bytes(gzip.compress(b""))
    assert "empty" in citadel.refuse(path)
    path.write_bytes(gzip.compress(b'{"recv_ns": 1, "kind": "frame", "text": "{}"}\n' * 50))
    assert "nothing in it is of binance-spot" in citadel.refuse(path)
    assert "cannot open" in citadel.refuse(tmp_path)
