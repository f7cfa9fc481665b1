"""Every number and name of every message is bounded where it is decoded."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Final

import msgpack  # type: ignore[import-untyped]
import pytest

from citadel_proto.codec import decode_market, decode_signal, encode
from citadel_proto.errors import DecodeError
from citadel_proto.messages import MarketChannel, SignalChannel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Message = SignalChannel | MarketChannel

SIGNALS: Final = {kind.__name__ for kind in typing.get_args(SignalChannel)}
NAMES: Final = sorted(SIGNALS | {kind.__name__ for kind in typing.get_args(MarketChannel)})
LONG: Final = 2_200_000
ANSWERED: Final = {"candle_ns", "created_ns", "expires_ns"}
"""Times of a signal are judged by micro, which refuses them by name."""


def fields(sample: Message) -> Iterator[tuple[str, int, object]]:
    values = msgpack.unpackb(encode(sample))[1:]
    yield from zip(sample.__struct_fields__, range(1, len(values) + 1), values, strict=True)


def with_field(sample: Message, at: int, value: object) -> bytes:
    values = msgpack.unpackb(encode(sample))
    values[at] = value
    return bytes(msgpack.packb(values))


def decoder_of(name: str) -> Callable[[bytes], Message]:
    return decode_signal if name in SIGNALS else decode_market


def refused(name: str, body: bytes) -> bool:
    try:
        decoder_of(name)(body)
    except DecodeError:
        return True
    return False


@pytest.mark.parametrize("name", NAMES)
def test_no_name_is_as_long_as_a_frame(name: str, samples: Mapping[str, Message]) -> None:
    sample = samples[name]
    for field, at, value in fields(sample):
        if isinstance(value, str):
            for text in ("x" * LONG, "1" * LONG, "é" * 100_000):
                assert refused(name, with_field(sample, at, text)), (
                    f"{name}.{field} takes {len(text)} characters"
                )


@pytest.mark.parametrize("name", NAMES)
def test_no_number_is_beyond_64_bits_or_before_the_beginning(
    name: str, samples: Mapping[str, Message]
) -> None:
    sample = samples[name]
    for field, at, value in fields(sample):
        if isinstance(value, bool) or not isinstance(value, int):
            continue
        if name == "Signal" and field in ANSWERED:
            continue
        for number in (2**64 - 1, 2**63):
            assert refused(name, with_field(sample, at, number)), f"{name}.{field} takes {number}"
        if field.endswith(("wall_ns", "mono_ns", "seq", "epoch", "created_ns", "revision")):
            if field == "venue_seq" or (name == "FeedState" and field == "last_seq"):
                continue  # the venue's own
            assert refused(name, with_field(sample, at, -(2**63))), (
                f"{name}.{field} takes a negative number"
            )


@pytest.mark.parametrize("name", NAMES)
def test_lists_and_tables_end(name: str, samples: Mapping[str, Message]) -> None:
    sample = samples[name]
    for _, at, value in fields(sample):
        if isinstance(value, list) and value:
            many: object = [value[0]] * 150_000
        elif isinstance(value, dict):
            many = {f"k{n}": next(iter(value.values())) for n in range(150_000)}
        elif isinstance(value, bytes):
            many = bytes(16 * 100_000)
        else:
            continue
        with pytest.raises(DecodeError):
            decoder_of(name)(with_field(sample, at, many))


@pytest.mark.parametrize(
    "text", ["1e999999999", "NaN", "inf", "1_0", "", "0x1", " 1", "1 2", "1e400"]
)
@pytest.mark.parametrize("field", ["quantity", "filled", "average", "permitted"])
def test_decimal_text_of_a_report_is_a_number_that_costs_nothing(
    text: str, field: str, samples: Mapping[str, Message]
) -> None:
    sample = samples["ExecutionReport"]
    at = sample.__struct_fields__.index(field) + 1
    with pytest.raises(DecodeError):
        decode_market(with_field(sample, at, text))


@pytest.mark.parametrize("field", ["microprice", "spread", "imbalance", "signed_flow"])
def test_no_figure_of_a_book_is_infinite(field: str, samples: Mapping[str, Message]) -> None:
    sample = samples["BookSnapshot"]
    at = sample.__struct_fields__.index(field) + 1
    with pytest.raises(DecodeError):
        decode_market(with_field(sample, at, float("inf")))
    features = sample.__struct_fields__.index("features") + 1
    with pytest.raises(DecodeError):
        decode_market(with_field(sample, features, {"ofi": float("-inf")}))
