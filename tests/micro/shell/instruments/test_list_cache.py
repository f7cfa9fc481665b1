"""Lists on disk: whole or not there."""

from __future__ import annotations

import json
import multiprocessing
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.shell.instruments.cache import FORMAT, Cache, dumps, loads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from citadel_micro.shell.instruments.markets import MarketList

    Listed = Callable[..., MarketList]


def test_what_is_written_is_read_again(tmp_path: Path, listed: Listed) -> None:
    cache = Cache(tmp_path / "deep" / "folder")
    assert cache.read("okx", "") == (None, "")
    assert cache.write(listed(5))
    assert cache.read("okx", "") == (listed(5), "")
    file = json.loads(cache.path("okx", "").read_text())
    assert (file["format"], file["reader"], file["fetched_ns"]) == (FORMAT, "test", 5)
    assert file["fetched"] == "1970-01-01T00:00:00+00:00"
    assert file["markets"]["rows"][0]["tick"] == "0.1"


def test_each_address_has_its_own_list(tmp_path: Path, listed: Listed) -> None:
    cache = Cache(tmp_path)
    near, far = "http://127.0.0.1:8180", "http://127.0.0.1:8180/../../etc"
    cache.write(listed(1, "0.1"))
    cache.write(listed(2, "0.2", source=near))
    cache.write(listed(3, "0.3", source=far))
    ticks = []
    for source in ("", near, far):
        found, _ = cache.read("okx", source)
        assert found is not None
        ticks.append(str(found.markets["BTC/USDT"].rules.tick))
    assert ticks == ["0.1", "0.2", "0.3"]
    assert {path.parent for path in (cache.path("okx", s) for s in ("", near, far))} == {tmp_path}


def test_a_list_of_another_address_is_not_taken(tmp_path: Path, listed: Listed) -> None:
    cache = Cache(tmp_path)
    cache.write(listed(2, source="http://h/a_b"))
    found, problem = cache.read("okx", "http://h/a/b")  # the same file name
    assert found is None
    assert "it is the list of okx http://h/a_b" in problem


def test_an_older_list_does_not_replace_a_newer_one(tmp_path: Path, listed: Listed) -> None:
    cache = Cache(tmp_path)
    assert cache.write(listed(5, "0.5"))
    assert not cache.write(listed(4, "0.4"))
    assert cache.write(listed(6, "0.6"))
    found, _ = cache.read("okx", "")
    assert found is not None
    assert found.fetched_ns == 6
    path = cache.path("okx", "")
    path.write_text("{")  # what cannot be read is no newer
    assert cache.write(listed(1))
    assert list(tmp_path.glob(".*.json.*")) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda _: b"", "damaged"),
        (lambda data: data[: len(data) // 2], "damaged"),
        (lambda data: b"\xff\xfe" + data, "damaged"),
        (lambda data: data.replace(b'"tick":"0.1"', b'"tick":"0.2"', 1), "checksum"),
        (lambda data: data.replace(b'"format":1', b'"format":99', 1), "format 99.*reads 1"),
        (lambda _: b"[]", "damaged"),
        (lambda _: b'{"format":1}', "damaged"),
    ],
)
def test_damage_is_reported_and_never_used(
    tmp_path: Path, listed: Listed, change: Callable[[bytes], bytes], what: str
) -> None:
    cache = Cache(tmp_path)
    cache.write(listed(5))
    path = cache.path("okx", "")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=what):
        loads(path.read_bytes())
    found, problem = cache.read("okx", "")
    assert found is None
    assert str(path) in problem


def test_a_folder_in_its_place_and_a_folder_that_cannot_be(tmp_path: Path, listed: Listed) -> None:
    cache = Cache(tmp_path)
    cache.path("okx", "").mkdir()
    assert cache.read("okx", "")[0] is None
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Cache(tmp_path / "file" / "x").write(listed())


@given(st.data())
def test_no_changed_byte_gives_another_list(data: st.DataObject) -> None:
    whole = _LIST
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = whole[:at] + bytes([byte]) + whole[at + 1 :]
    try:
        found = loads(changed)
    except ValueError:
        return
    # What is outside of the rules (the reader's name, the time, the venue, which ``Cache.read`` holds
    # against the one asked for) may be read as changed; not one rule may.
    assert found.markets == {
        symbol: replace(market, rules=replace(market.rules, venue=found.venue))
        for symbol, market in loads(whole).markets.items()
    }


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_list(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"damaged|format"):
        loads(data)


def _list_of(number: int) -> MarketList:
    base = loads(_LIST)
    return type(base)(
        venue="okx",
        source="",
        reader=f"writer {number}",
        fetched_ns=number,
        markets=base.markets,
        left_out={f"S{n}/USDT": "x" * 50 for n in range(200)},
    )


def _write_many(folder: Path, first: int) -> None:
    for number in range(first, first + 10):
        Cache(folder).write(_list_of(number))


def test_writers_at_once_leave_the_newest_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers: list[Any] = [
        context.Process(target=_write_many, args=(tmp_path, first)) for first in (1, 1_000)
    ]
    writers += [threading.Thread(target=_write_many, args=(tmp_path, first)) for first in (40, 500)]
    for writer in writers:
        writer.start()
    seen = 0
    while any(writer.is_alive() for writer in writers):
        found, problem = Cache(tmp_path).read("okx", "")
        assert problem == ""
        if found is not None:
            assert found.fetched_ns >= seen  # never back to an older one
            seen = found.fetched_ns
    for writer in writers:
        writer.join()
    found, _ = Cache(tmp_path).read("okx", "")
    assert found == _list_of(1_009)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "okx.json"]


def _sample() -> bytes:
    from decimal import Decimal  # noqa: PLC0415 - at import, so that processes have it too

    from citadel_micro.shell.instruments.markets import Market, MarketList  # noqa: PLC0415
    from citadel_micro.shell.instruments.rules import make_instrument  # noqa: PLC0415

    rules = make_instrument(
        venue="okx",
        symbol="BTC/USDT",
        native="BTC-USDT",
        kind="spot",
        tick=Decimal("0.1"),
        lot=Decimal("0.001"),
        min_quantity=Decimal("0.002"),
    )
    return dumps(
        MarketList(
            venue="okx",
            source="",
            reader="test",
            fetched_ns=7,
            markets={"BTC/USDT": Market(rules=rules, active=True)},
        )
    )


_LIST = _sample()
