"""Market events as differences: both twins write the same bytes, and read back the same events."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.marketdata import deltas, kernel
from citadel_micro.core.marketdata.deltas import PythonWriter, python_events, python_frames
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TimerFired, TradeTick
from citadel_proto.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citadel_micro.core.marketdata.deltas import Timed, Writer
    from citadel_micro.core.model.events import MarketEvent

T0: Final = 1_700_000_000_000_000_000
TWINS: Final = [pytest.param(PythonWriter, python_events, id="python")]
if kernel.DELTAS is not None:
    TWINS.append(pytest.param(deltas.new_writer, deltas.read_events, id="compiled"))
twins = pytest.mark.parametrize(("new", "read"), TWINS)

wholes = st.one_of(
    st.integers(-5, 5), st.integers(0, 10**10), st.integers(-(2**62), 2**62), st.just(-1)
)
times = st.one_of(
    st.integers(0, 10**6).map(lambda ms: T0 + ms * 1_000_000), st.integers(0, 2**62), wholes
)
decimals = st.tuples(st.integers(0, 10**9), st.integers(0, 9)).map(
    lambda pair: float(f"{pair[0]}e-{pair[1]}")
)
numbers = st.one_of(decimals, decimals, st.floats())
names = st.one_of(st.sampled_from(["BTC/USDT", "ETH/USDT", "A"]), st.text(max_size=5))
pairs = st.lists(st.tuples(numbers, numbers), max_size=6)


def digits(places: int) -> st.SearchStrategy[str]:
    return st.integers(0, 10**8).map(lambda whole: f"{whole / 10**places:.{places}f}")


texts = st.one_of(digits(0), digits(2), digits(8), st.sampled_from(["0.00000001", "0.0", "1e-7"]))


@st.composite
def depths(draw: st.DrawFn) -> DepthUpdate:
    sides: Any = draw(pairs), draw(pairs)
    written: Any = None
    if draw(st.integers(0, 3)) == 0:
        written = tuple(draw(st.lists(st.tuples(texts, texts), max_size=4)) for _ in range(2))
        sides = tuple([(float(p), float(s)) for p, s in side] for side in written)
    first, last, prev = draw(wholes), draw(wholes), draw(wholes)
    return DepthUpdate(
        draw(st.sampled_from(["v", "w"])),
        draw(names),
        draw(st.booleans()),
        first,
        last,
        prev,
        draw(st.none() | st.integers(-(2**31), 2**32)),
        sides[0],
        sides[1],
        draw(times),
        draw(times),
        written,
        draw(st.sampled_from([0, 10, 25])),
    )


quotes = st.builds(
    QuoteTick, st.just("v"), names, wholes, numbers, numbers, numbers, numbers, times, times
)
trade_ids = st.one_of(wholes.map(str), st.text(max_size=4), st.sampled_from(["007", "0", "9" * 19]))
trades = st.builds(
    TradeTick,
    *(st.just("v"), names, trade_ids, numbers, numbers, st.sampled_from(["buy", "sell"])),
    *(times, times, st.booleans()),
)
events = st.one_of(depths(), quotes, trades)


def bits(value: Any) -> Any:  # noqa: ANN401 - anything that an event holds
    """Floats by their bytes, so that NaN equals itself and -0.0 does not equal 0.0."""
    if type(value) is float:
        return struct.pack("<d", value)
    if isinstance(value, int | str | None):
        return (type(value), value)
    return [bits(each) for each in value]


def test_the_compiled_twin_is_there_with_the_kernel() -> None:
    if os.environ.get("CITADEL_REQUIRE_KERNEL") == "1":
        assert kernel.DELTAS is not None
    elif kernel.DELTAS is None:
        pytest.skip("the compiled writer is not built, or not asked for")


@given(st.lists(st.tuples(times, events), max_size=12))
def test_what_is_read_is_what_was_written(timed: list[tuple[int, MarketEvent]]) -> None:
    python, used = PythonWriter(), deltas.new_writer()
    for _ in range(2):  # the second frame knows the decimals of the first
        written = []
        for now_ns, event in timed:
            fits = python.add(now_ns, event)
            assert used.add(now_ns, event) == fits
            if fits:
                written.append((now_ns, event))
        assert len(used) == len(python)
        frame = python.take()
        assert used.take() == frame
        assert bool(frame) == bool(written)
        if frame:
            for found in map(list, (python_events(frame), deltas.read_events(frame))):
                assert [(now, type(event)) for now, event in found] == [
                    (now, type(event)) for now, event in written
                ]
                assert bits([e for _, e in found]) == bits([e for _, e in written])


ODD: Final = (
    *(-0.0, 0.0, float("nan"), float("inf"), -float("inf"), -1.5, 5e-324, 1e-300, 1e300, 1e22),
    *(0.1 + 0.2, 2.0**53, 2.0**53 + 2, 1e15, 1e-15, 1e-16, 0.000000000000001, 123456789.123456789),
)


@pytest.mark.parametrize("value", ODD)
def test_odd_numbers_come_back_to_the_last_bit(value: float) -> None:
    python, used = PythonWriter(), deltas.new_writer()
    event = GOOD_DEPTH._replace(bids=[(value, 1.5), (10.25, value)], asks=[(value, value)])
    for each in (event, GOOD_QUOTE._replace(bid=value), GOOD_TRADE._replace(size=value), event):
        assert python.add(T0, each)
        assert used.add(T0, each)
    frame = python.take()
    assert used.take() == frame
    for found in map(list, (python_events(frame), deltas.read_events(frame))):
        assert bits(found[0][1]) == bits(event) == bits(found[3][1])
        assert bits(found[1][1]) == bits(GOOD_QUOTE._replace(bid=value))
        assert bits(found[2][1]) == bits(GOOD_TRADE._replace(size=value))


GOOD_DEPTH: Final = DepthUpdate(
    *("v", "A/B", False, 4, 7, 3, None, [(10.5, 2.0), (10.4, 0.0)], [(10.6, 0.001)], T0, T0 + 5)
)
GOOD_QUOTE: Final = QuoteTick("v", "A/B", 8, 10.5, 2.0, 10.6, 0.001, T0 + 1_000_000, T0 + 9)
GOOD_TRADE: Final = TradeTick("v", "A/B", "77", 10.5, 0.2, "sell", T0, T0 + 7)


@twins
@pytest.mark.parametrize(
    "event",
    [
        TimerFired(),
        GOOD_DEPTH._replace(last_seq=2**62 + 1),
        GOOD_DEPTH._replace(checksum=True),
        GOOD_DEPTH._replace(bids=[(1, 2.0)]),  # an integer comes back as a float
        GOOD_DEPTH._replace(texts=([("10.50", "2"), ("10.4", "0")], [("1.06e1", "0.001")])),
        GOOD_DEPTH._replace(texts=([("10.5", "2"), ("10.40", "0")], [])),
        GOOD_DEPTH._replace(texts=([("10.5", "2"), ("10.41", "0")], [("10.6", "0.001")])),
        GOOD_QUOTE._replace(bid=10),
        GOOD_QUOTE._replace(symbol="\ud800"),
        GOOD_TRADE._replace(side="Buy"),  # type: ignore[arg-type]
        GOOD_TRADE._replace(history=1),  # type: ignore[arg-type]
        GOOD_TRADE._replace(trade_id="\udfff"),
    ],
    ids=repr,
)
def test_what_has_no_place_is_left_to_a_record_of_its_own(
    new: Callable[[], Writer], read: Callable[[bytes], Iterator[Timed]], event: object
) -> None:
    writer, other = new(), new()
    for each in (writer, other):
        assert each.add(T0, GOOD_DEPTH)
    assert not writer.add(T0 + 1, event)
    assert writer.add(T0 + 2, GOOD_QUOTE)
    assert other.add(T0 + 2, GOOD_QUOTE)
    frame = writer.take()
    assert frame == other.take()
    assert [event for _, event in read(frame)] == [GOOD_DEPTH, GOOD_QUOTE]


@twins
def test_a_frame_written_once_is_read_for_ever(
    new: Callable[[], Writer], read: Callable[[bytes], Iterator[Timed]]
) -> None:
    written = (GOOD_DEPTH, GOOD_QUOTE, GOOD_TRADE, GOOD_QUOTE._replace(seq=9))
    writer = new()
    for number, event in enumerate(written):
        assert writer.add(T0 + 10 * number, event)
    frame = bytes.fromhex(
        "011c00017603412f4200008080d0e2c6bfce972f0a80a0abfef9620e06080002010001d301030201d5010003"
        "021914010202d301d10fd50102ba1419019a01d301c9017914290202"
    )
    assert writer.take() == frame
    assert [event for _, event in read(frame)] == list(written)


@given(st.data(), st.lists(events, min_size=1, max_size=6))
def test_twins_agree_on_a_damaged_frame(data: st.DataObject, several: list[MarketEvent]) -> None:
    writer = PythonWriter()
    for number, event in enumerate(several):
        writer.add(T0 + number, event)
        if number == 1:
            writer.group(T0, 2)
    frame = bytearray(writer.take() or b"\x01")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(frame) - 1))
        frame[at] = data.draw(st.integers(0, 255))
    damaged = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    found = []
    for read in (python_frames, deltas.read_frames):
        try:
            found.append(bits([e for _, es in read(damaged) for e in es]))
        except DecodeError:
            found.append(None)
    # Sums beyond 64 bits, which no writer makes, wrap in one twin and grow in the other.
    if found[0] is not None and found[1] is not None and _small(found):
        assert found[0] == found[1]


def _small(found: object) -> bool:
    if isinstance(found, list):
        return all(_small(each) for each in found)
    if isinstance(found, tuple):
        return not isinstance(found[1], int) or -(2**62) < found[1] < 2**62
    return isinstance(found, bytes)


@twins
def test_groups_are_the_frames_of_a_venue(
    new: Callable[[], Writer], read: Callable[[bytes], Iterator[Timed]]
) -> None:
    frames = python_frames if new is PythonWriter else deltas.read_frames
    other = GOOD_QUOTE._replace(symbol="C/D")
    writer = new()
    writer.add(T0, GOOD_DEPTH)
    writer.group(T0 + 5, 0)
    writer.group(T0 + 6, 3)
    for event in (GOOD_QUOTE, other, GOOD_TRADE):
        writer.add(T0 + 6, event)
    writer.add(T0 + 7, other)
    frame = writer.take()
    times = [T0, T0 + 5, T0 + 6, T0 + 7]
    whole = [(GOOD_DEPTH,), (), (GOOD_QUOTE, other, GOOD_TRADE), (other,)]
    assert list(frames(frame)) == list(zip(times, whole, strict=True))
    of_one = [(GOOD_DEPTH,), (), (GOOD_QUOTE, GOOD_TRADE), ()]
    assert list(frames(frame, "A/B")) == list(zip(times, of_one, strict=True))
    with pytest.raises(DecodeError, match="no groups"):
        list(read(frame))
