"""Decoders fed anything: only VenueViolation comes out, or events that a book can take."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from effort import chosen
from frame_kit import NASTY, Victim, frame_types, real_frames
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from citadel_micro.shell.marketdata.spec import venue_ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VENUES = venue_ids()

_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
_NUMBERS = st.integers(-2, 2**65) | st.floats() | st.sampled_from([0.5, 1.0, 100.0, 1e-9])
_NUMBER_TEXTS = _NUMBERS.map(str) | st.sampled_from(["", "nan", "-inf", "1e400", "0x10", "1_0"])


def _of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """JSON that this type could be read from, and now and then something else."""
    return st.one_of(*[_exactly(kind)] * 12, _ANY_JSON)


def _exactly(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.StructType(fields=fields):
            made = {field.encode_name: _of(field.type) for field in fields}
            needed = {field.encode_name for field in fields if field.required}
            return st.fixed_dictionaries(
                {name: made[name] for name in needed},
                optional={name: each for name, each in made.items() if name not in needed},
            )
        case inspect.FloatType() | inspect.IntType():
            return _NUMBERS | _NUMBER_TEXTS
        case inspect.ListType(item_type=item):
            return st.lists(_of(item), max_size=4)
        case inspect.TupleType(item_types=items):
            return st.tuples(*map(_of, items)).map(list)
        case inspect.UnionType(types=types):
            return st.one_of(*map(_of, types))
        case inspect.LiteralType(values=values):
            return st.sampled_from(list(values))
        case inspect.StrType():
            words = ("BTCUSDT", "BTC-USDT", "XBT/USD", "BTC", "2026-01-01T00:00:00.5Z", "snapshot")
            return st.sampled_from(words) | st.text(max_size=6) | _NUMBER_TEXTS
        case inspect.BoolType():
            return st.booleans()
        case inspect.DictType(value_type=value):
            return st.dictionaries(st.text(max_size=6), _of(value), max_size=3)
        case _:
            return _ANY_JSON


@cache
def _shaped(venue: str) -> st.SearchStrategy[bytes]:
    """Frames of the shape that the venue's module knows, with values of all sorts."""
    kinds = frame_types(venue)
    assert kinds
    return st.one_of([_exactly(inspect.type_info(kind)) for kind in kinds]).map(
        lambda value: json.dumps(value, separators=(",", ":")).encode("utf-8", "surrogatepass")
    )


def _damage(draw: Callable[[st.SearchStrategy[Any]], Any], frame: bytes) -> bytes:
    """Cut something out of a frame, double it, replace it, or end it early."""
    start = draw(st.integers(0, len(frame)))
    end = draw(st.integers(start, min(len(frame), start + 12)))
    put = draw(
        st.sampled_from((b"", frame[start:end] * 2, *NASTY))
        | st.binary(max_size=4)
        | _NUMBER_TEXTS.map(str.encode)
    )
    tail = frame[end:] if draw(st.integers(0, 9)) else b""
    damaged: bytes = frame[:start] + put + tail
    return damaged


@pytest.mark.parametrize("venue", chosen(VENUES, suite=VENUES[0::3]))
@given(frames=st.lists(st.binary(max_size=60) | _ANY_JSON.map(json.dumps).map(str.encode)))
def test_arbitrary_bytes(venue: str, frames: list[bytes]) -> None:
    victim = Victim(venue)
    for frame in frames:
        victim.take(frame)


@pytest.mark.parametrize("venue", chosen(VENUES, suite=VENUES[1::3]))
@given(data=st.data())
def test_frames_of_the_right_shape_with_wrong_values(venue: str, data: st.DataObject) -> None:
    victim = Victim(venue)
    for frame in data.draw(st.lists(_shaped(venue), min_size=1, max_size=4)):
        victim.take(frame)


@pytest.mark.parametrize("venue", chosen(VENUES, suite=VENUES[2::3]))
@given(data=st.data())
def test_damaged_frames(venue: str, shared_dir: Path, data: st.DataObject) -> None:
    frames = _frames(shared_dir, venue)
    if not frames:
        pytest.skip("no capture of this venue")
    start = data.draw(st.integers(0, len(frames) - 1))
    victim = Victim(venue)
    for frame in frames[start : start + 6]:
        damaged = frame
        if data.draw(st.booleans()):
            damaged = _damage(data.draw, frame)
        victim.take(damaged)


@pytest.mark.parametrize("venue", VENUES)
def test_whole_frames_are_understood(venue: str, shared_dir: Path) -> None:
    """So that the damaged ones are known to reach the code behind the first check."""
    frames = _frames(shared_dir, venue)
    if not frames or venue in ("bitget-spot", "bybit-inverse", "bybit-spot", "binance-coinm"):
        pytest.skip("no capture of this venue itself")
    victim = Victim(venue)
    for frame in frames:
        victim.take(frame)
    assert victim.events > len(frames) / 4
    assert victim.markets


@cache
def _frames(shared: Path, venue: str) -> list[bytes]:
    return real_frames(shared, venue)
