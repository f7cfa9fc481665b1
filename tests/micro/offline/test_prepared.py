"""Prepared captures: the same outcome to the byte, and nothing read that is not of this capture and code."""

from __future__ import annotations

import json
import os
import shutil
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest

from citadel_micro.core.marketdata import kernel
from citadel_micro.core.model.events import FeedStatus, QuoteTick
from citadel_micro.offline import prepared, prepared_cache
from citadel_micro.offline.prepared import About, Prepared, PreparedWriter
from citadel_micro.offline.prepared_cache import Source, held, make_room
from citadel_micro.offline.work import WorkOrder, work
from citadel_micro.shell.capture.offline import capture_life
from citadel_micro.shell.instruments.capture import infer_instruments
from citadel_micro.shell.journal import records
from citadel_proto.errors import BadInput, DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from citadel_micro.offline.prepared import Step
    from citadel_micro.offline.work import Worked

    from .conftest import Citadel

VENUE, SYMBOL = "binance-spot", "AAA/USDT"
ABOUT: Final = About(capture="x.jsonl.gz", content="c", venue=VENUE, symbol=SYMBOL, code="1")
REAL: Final = (
    ("binance-usdm-2021", "binance-usdm"),
    ("okx-2026-checksum.transcoded", "okx"),
    ("kraken-v2.transcoded", "kraken-spot"),
)

needs_compiled = pytest.mark.skipif(
    kernel.DELTAS is None, reason="without the compiled writer no capture is prepared"
)


def plain(steps: Iterable[Step]) -> list[tuple[int, object]]:
    """Steps as bytes, frames without an event included."""
    return [
        (
            at,
            records.encode(each)
            if isinstance(each, prepared._BETWEEN)
            else [*map(records.encode, each)],
        )
        for at, each in steps
    ]


def worked(capture: Path, cache: Path | None, **changes: Any) -> Worked:  # noqa: ANN401 - fields by name
    given: dict[str, Any] = {
        "venue": VENUE,
        "symbol": SYMBOL,
        "side": "buy",
        "quantity": Decimal(1),
    }
    return work(WorkOrder(capture=capture, cache=cache, **given | changes))


@needs_compiled
def test_the_second_run_reads_what_the_first_has_kept(capture: Path, tmp_path: Path) -> None:
    without = worked(capture, None)
    first = worked(capture, tmp_path)
    second = worked(capture, tmp_path)
    assert (first.prepared, second.prepared) == (False, True)
    assert json.dumps(first.outcome) == json.dumps(second.outcome) == json.dumps(without.outcome)
    assert first.frames == second.frames == without.frames
    assert first.note == second.note == ""
    (file,) = held(tmp_path)
    assert file.about is not None
    assert (file.about.capture, file.about.symbol) == (capture.name, SYMBOL)
    assert file.path.stat().st_mode & 0o077 == 0


@needs_compiled
@pytest.mark.parametrize(("name", "venue"), REAL)
def test_every_step_of_a_real_capture_comes_back(
    shared_dir: Path, tmp_path: Path, name: str, venue: str
) -> None:
    capture = shared_dir / "captures" / f"{name}.jsonl.gz"
    symbol = min(infer_instruments(capture, venue))[1]
    expected = plain(capture_life(capture, venue, symbol))
    for prepared_before in (False, True):
        source = Source(capture, venue, symbol, folder=tmp_path, file=None)
        assert (source.prepared is not None) == prepared_before
        assert plain(source.steps()) == expected
        assert source.note == ""
    assert Source(capture, venue, symbol, folder=tmp_path, file=None).rules == source.rules


def test_what_the_codec_has_no_place_for_is_kept_as_well(tmp_path: Path) -> None:
    quote = QuoteTick(VENUE, SYMBOL, 1, 1.5, 2.0, 1.6, 2.0, 5, 6)
    odd = quote._replace(seq=2**62 + 1)
    down = FeedStatus(venue=VENUE, symbol=SYMBOL, up=False, reason="gone")
    steps: list[Step] = [
        *((5, [quote]), (6, []), (7, [odd]), (8, [quote, odd]), (8, [quote, quote]), (9, down)),
        *((9, [quote]), (4, [quote])),
    ]
    writer = PreparedWriter(tmp_path / "a", ABOUT, None)
    for step in steps:
        writer.add(step)
    with pytest.raises(DecodeError, match="never finished"):
        Prepared(tmp_path / "a")
    writer.finish()
    found = Prepared(tmp_path / "a")
    assert plain(found.steps()) == plain(steps)
    assert (found.frames, found.about, found.rules) == (7, ABOUT, None)


@needs_compiled
def test_nothing_is_read_of_another_capture_symbol_or_release(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked(capture, tmp_path)
    changed = tmp_path / capture.name
    shutil.copy(capture, changed)
    assert worked(changed, tmp_path).prepared  # the same bytes under another path
    changed.write_bytes(capture.read_bytes() + capture.read_bytes()[:0])
    os.utime(changed, (1, 1))
    assert worked(changed, tmp_path).prepared
    monkeypatch.setattr(prepared_cache, "code_version", lambda: "another")
    assert not worked(capture, tmp_path).prepared
    assert worked(capture, tmp_path).prepared
    assert [each.of_this_release for each in held(tmp_path)] == [True, False]


@needs_compiled
def test_a_damaged_file_is_made_anew(capture: Path, tmp_path: Path) -> None:
    outcome = worked(capture, tmp_path).outcome
    (file,) = held(tmp_path)
    whole = file.path.read_bytes()
    for broken in (
        whole[:-1],
        whole[:100],
        b"",
        whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:],
    ):
        file.path.write_bytes(broken)
        again = worked(capture, tmp_path)
        assert not again.prepared
        assert again.outcome == outcome
        assert file.path.read_bytes() == whole


@needs_compiled
def test_a_run_that_fails_keeps_nothing(capture: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(capture.read_bytes()[:-20])
    cache = tmp_path / "cache"
    with pytest.raises(BadInput, match="truncated"):
        worked(cut, cache)
    assert list(cache.iterdir()) == []
    source = Source(capture, VENUE, SYMBOL, folder=cache, file=None)
    steps = source.steps()
    next(steps)
    assert len(held(cache)) == 1
    steps.close()  # type: ignore[attr-defined]  # a generator
    assert list(cache.iterdir()) == []


@needs_compiled
def test_a_disk_that_fails_costs_no_run(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = worked(capture, None).outcome
    (tmp_path / "file").touch()
    not_there = worked(capture, tmp_path / "file" / "cache")
    assert not_there.outcome == outcome
    assert "not kept" in not_there.note

    def full(_self: object, _step: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PreparedWriter, "add", full)
    no_room = worked(capture, tmp_path / "cache")
    assert (no_room.outcome, no_room.prepared) == (outcome, False)
    assert "No space left" in no_room.note
    assert list((tmp_path / "cache").iterdir()) == []


@needs_compiled
def test_rules_of_a_file_go_before_those_that_were_inferred(capture: Path, tmp_path: Path) -> None:
    worked(capture, tmp_path)
    rules = tmp_path / "rules.toml"
    rules.write_text(
        '[[instrument]]\nvenue = "binance-spot"\nsymbol = "AAA/USDT"\ntick = "0.01"\nlot = "0.5"\n'
    )
    before = worked(capture, None, instruments=rules)
    after = worked(capture, tmp_path, instruments=rules)
    assert after.prepared
    assert after.outcome == before.outcome
    assert after.outcome != worked(capture, tmp_path).outcome


def test_the_oldest_go_when_there_is_no_room(tmp_path: Path) -> None:
    paths = []
    for number in range(4):
        path = tmp_path / f"{number}.prepared"
        PreparedWriter(path, ABOUT, None).finish()
        os.utime(path, (number, number))
        paths.append(path)
    size = paths[0].stat().st_size
    assert make_room(tmp_path, spare=paths[0], most=2 * size) == [paths[1]]
    assert [each.path for each in held(tmp_path)] == [paths[3], paths[2], paths[0]]


@needs_compiled
def test_the_command_says_what_it_holds_and_clears_it(
    citadel: Citadel, capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "0 files" in citadel("cache", "show").stdout
    assert citadel.work(capture, "--no-cache") == citadel.work(capture) == citadel.work(capture)
    shown = json.loads(citadel("cache", "show", "--json").stdout)
    (file,) = shown["files"]
    assert shown["folder"] == str(tmp_path / "stoic-citadel")
    assert (file["symbol"], file["stale"], file["bytes"]) == (SYMBOL, False, shown["bytes"])
    assert capture.name in citadel("cache", "show").stdout
    assert "of a prepared capture" in citadel(*citadel.arguments(capture)).stderr
    assert "0 files removed" in citadel("cache", "clear", "--stale").stdout
    assert "0 files removed" in citadel("cache", "clear", "--days", "1").stdout
    assert "1 files removed" in citadel("cache", "clear").stdout
    assert json.loads(citadel("cache", "show", "--json").stdout)["files"] == []
