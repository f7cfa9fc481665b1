"""The edge: what goes in comes out, and whatever else arrives is a DecodeError."""

from __future__ import annotations

import math
import os
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_proto.codec import (
    MAX_FRAME,
    decode_market,
    decode_signal,
    encode,
    parse_decimal,
)
from citadel_proto.errors import DecodeError
from citadel_proto.messages import (
    BookSnapshot,
    ConsolidatedBook,
    ExecutionReport,
    MarketChannel,
    Signal,
    SignalChannel,
    Trade,
    Trades,
)
from citadel_proto.packed_levels import pack_levels, unpack_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    Samples = Mapping[str, SignalChannel | MarketChannel]

GOLDEN: Final = Path(__file__).parent / "golden"
SIGNALS: Final = {kind.__name__ for kind in typing.get_args(SignalChannel)}
MARKET: Final = {kind.__name__ for kind in typing.get_args(MarketChannel)}
NAMES: Final = sorted(SIGNALS | MARKET)


def decoder_of(name: str) -> Callable[[bytes], SignalChannel | MarketChannel]:
    return decode_signal if name in SIGNALS else decode_market


@pytest.mark.parametrize("name", NAMES)
def test_every_message_survives_the_wire(name: str, samples: Samples) -> None:
    assert decoder_of(name)(encode(samples[name])) == samples[name]


@pytest.mark.parametrize("name", NAMES)
def test_bytes_of_schema_version_1_decode_for_ever(name: str, samples: Samples) -> None:
    """The files are never rewritten. ``CITADEL_WRITE_GOLDEN=1`` adds those of new messages."""
    path = GOLDEN / f"v1-{name}.hex"
    if os.environ.get("CITADEL_WRITE_GOLDEN") == "1" and not path.exists():
        path.write_text(encode(samples[name]).hex(" ", -32) + "\n")
    assert decoder_of(name)(bytes.fromhex(path.read_text())) == samples[name]


def test_bytes_of_fields_that_were_appended_decode_for_ever(grown: Samples) -> None:
    """As above, with the fields that later releases added to a message of version 1."""
    for name, sample in grown.items():
        path = GOLDEN / f"v1-{name}.hex"
        if os.environ.get("CITADEL_WRITE_GOLDEN") == "1" and not path.exists():
            path.write_text(encode(sample).hex(" ", -32) + "\n")
        decode = decoder_of(name.partition("+")[0])
        assert decode(bytes.fromhex(path.read_text())) == sample
        assert decode(encode(sample)) == sample


def test_there_are_no_golden_bytes_of_messages_that_do_not_exist(grown: Samples) -> None:
    found = sorted(path.stem.removeprefix("v1-") for path in GOLDEN.glob("v1-*.hex"))
    assert found == sorted([*NAMES, *grown])


@pytest.mark.parametrize("name", NAMES)
def test_the_msgpack_package_reads_our_bytes(name: str, samples: Samples) -> None:
    """A tape must be readable without our schema: positions are those of the fields."""
    sample = samples[name]
    tag, *values = msgpack.unpackb(encode(sample))
    assert tag == name
    plain = [
        msgspec.to_builtins(getattr(sample, f), builtin_types=(bytes,))
        for f in sample.__struct_fields__
    ]
    assert _listed(values) == _listed(plain)


def _listed(value: object) -> object:
    if isinstance(value, tuple | list):
        return [_listed(item) for item in value]
    return value


@pytest.mark.parametrize("name", NAMES)
def test_a_message_of_the_other_channel_is_refused(name: str, samples: Samples) -> None:
    other = decode_market if name in SIGNALS else decode_signal
    with pytest.raises(DecodeError):
        other(encode(samples[name]))


@pytest.mark.parametrize("name", NAMES)
def test_fields_of_a_later_version_are_ignored(name: str, samples: Samples) -> None:
    later = msgpack.packb([*msgpack.unpackb(encode(samples[name])), {"new": [1, 2.5, None]}])
    assert decoder_of(name)(later) == samples[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_cut_is_a_decode_error(name: str, samples: Samples) -> None:
    body = encode(samples[name])
    for length in range(len(body)):
        with pytest.raises(DecodeError):
            decoder_of(name)(body[:length])


def _decodes_or_refuses(body: bytes) -> None:
    for decode in (decode_signal, decode_market):
        try:
            message = decode(body)
        except DecodeError:
            continue
        assert decode(encode(message)) == message or "nan" in repr(message)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_decode_error_only(body: bytes) -> None:
    _decodes_or_refuses(body)


@given(data=st.data())
def test_mutated_messages_raise_decode_error_only(samples: Samples, data: st.DataObject) -> None:
    body = bytearray(encode(samples[data.draw(st.sampled_from(NAMES))]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    _decodes_or_refuses(bytes(body))


_JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(data=st.data())
def test_wrong_types_in_any_field_raise_decode_error_only(
    samples: Samples, data: st.DataObject
) -> None:
    values = msgpack.unpackb(encode(samples[data.draw(st.sampled_from(NAMES))]))
    values[data.draw(st.integers(0, len(values) - 1))] = data.draw(_JUNK)
    _decodes_or_refuses(msgpack.packb(values))


@pytest.mark.parametrize(
    "body",
    [
        b"\x91" * 100_000,  # nested beyond any stack
        b"\x97\xa6Trades\xa1v\xa1s\xdd\xff\xff\xff\xff",  # claims four billion trades
        b"\x92\xa6Signal\xdf\xff\xff\xff\xff",
        b"\x92\xa5\xff\xffabc\xa1\xff",  # not UTF-8
        b"",
        b"\xc1",
    ],
)
def test_hostile_bytes_cost_nothing(body: bytes) -> None:
    _decodes_or_refuses(body)


def test_more_than_a_frame_is_refused_before_it_is_read() -> None:
    with pytest.raises(DecodeError, match=str(MAX_FRAME)):
        decode_signal(b"\x00" * (MAX_FRAME + 1))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
class TestNumbersThatAreNone:
    def test_in_a_signal_they_arrive_to_be_answered(self, value: float, samples: Samples) -> None:
        signal = samples["Signal"]
        assert isinstance(signal, Signal)
        changed = msgspec.structs.replace(signal, confidence=value, params={"urgency": value})
        decoded = decode_signal(encode(changed))
        assert isinstance(decoded, Signal)
        assert repr(decoded) == repr(changed)

    def test_in_a_book(self, value: float, samples: Samples) -> None:
        book = samples["BookSnapshot"]
        assert isinstance(book, BookSnapshot)
        bad = pack_levels([(1.0, 1.0), (value, 1.0)])
        for changed in (
            msgspec.structs.replace(book, bids=bad),
            msgspec.structs.replace(book, asks=bad),
            msgspec.structs.replace(book, imbalance=value),
            msgspec.structs.replace(book, signed_flow=value),
        ):
            with pytest.raises(DecodeError, match="finite"):
                decode_market(encode(changed))

    def test_in_trades(self, value: float, samples: Samples) -> None:
        trades = samples["Trades"]
        assert isinstance(trades, Trades)
        for field in ("price", "quantity"):
            bad = msgspec.structs.replace(trades.trades[0], **{field: value})
            assert isinstance(bad, Trade)
            with pytest.raises(DecodeError, match="finite"):
                decode_market(encode(msgspec.structs.replace(trades, trades=(bad,))))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_consolidated_book_holds_numbers_only(value: float, samples: Samples) -> None:
    book = samples["ConsolidatedBook"]
    assert isinstance(book, ConsolidatedBook)
    quote = msgspec.structs.replace(book.venues[1], ask_size=value)
    for changed in (
        msgspec.structs.replace(book, asks=pack_levels([(1.0, value)])),
        msgspec.structs.replace(book, venues=(book.venues[0], quote)),
    ):
        with pytest.raises(DecodeError, match="finite"):
            decode_market(encode(changed))


def test_nan_says_that_there_is_no_value_where_that_is_allowed(samples: Samples) -> None:
    book, report = samples["BookSnapshot"], samples["ExecutionReport"]
    assert isinstance(book, BookSnapshot)
    assert isinstance(report, ExecutionReport)
    one_sided = msgspec.structs.replace(
        book, asks=b"", microprice=math.nan, spread=math.nan, features={"ofi": math.nan}
    )
    decoded = decode_market(encode(one_sided))
    assert isinstance(decoded, BookSnapshot)
    assert math.isnan(decoded.microprice)
    decode_market(encode(msgspec.structs.replace(report, arrival_mid=math.nan)))
    with pytest.raises(DecodeError, match="arrival_mid"):
        decode_market(encode(msgspec.structs.replace(report, arrival_mid=math.inf)))


def test_levels_that_are_not_whole_are_refused(samples: Samples) -> None:
    book = samples["BookSnapshot"]
    assert isinstance(book, BookSnapshot)
    with pytest.raises(DecodeError, match="float64"):
        decode_market(encode(msgspec.structs.replace(book, bids=b"\0" * 17)))


@given(st.lists(st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False))))
def test_levels_keep_every_bit(levels: list[tuple[float, float]]) -> None:
    assert unpack_levels(pack_levels(levels)) == levels


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=12, min_value=-(10**12), max_value=10**12
    )
)
def test_decimals_are_exact(number: Decimal) -> None:
    assert parse_decimal(str(number)) == number
    assert parse_decimal(format(number, "f")) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nan",
        "NaN",
        "sNaN",
        "inf",
        "-Infinity",
        "1_000",
        " 1",
        "1 ",
        "+1",
        ".5",
        "1.",
        "0x10",
        "1e100",
        "٣",
        "1,5",
        "--1",
        "1\n",
        "1" * 65,
        "1e",
        "e5",
    ],
)
def test_what_is_no_decimal_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="finite decimal"):
        parse_decimal(text)


@given(st.text(max_size=80))
def test_any_text_is_a_finite_decimal_or_refused(text: str) -> None:
    try:
        number = parse_decimal(text)
    except DecodeError:
        return
    assert number.is_finite()
