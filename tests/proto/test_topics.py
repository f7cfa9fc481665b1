"""Topics select by prefix, and frames come apart where they were joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_proto import topics
from citadel_proto.errors import BadInput, DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_proto.messages import MarketChannel, SignalChannel

EXPECTED = {
    "Signal": b"signal/binance-spot/BTC/USDT",
    "Cancel": b"cancel/binance-spot/BTC/USDT",
    "Query": b"query",
    "MacroHeartbeat": b"hb",
    "BookSnapshot": b"book/binance-spot/BTC/USDT",
    "Trades": b"trades/binance-spot/BTC/USDT",
    "ExecutionReport": b"report/Sample/BTC/USDT",
    "Answer": b"answer/macro-a",
    "RiskState": b"risk",
    "FeedState": b"feed/binance-spot/BTC/USDT",
    "MicroHeartbeat": b"hb",
    "ConsolidatedBook": b"consolidated/BTC/USDT",
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_message_has_its_topic(
    name: str, samples: Mapping[str, SignalChannel | MarketChannel]
) -> None:
    assert topics.topic_of(samples[name], "macro-a") == EXPECTED[name]


def test_no_message_is_without_a_topic(
    samples: Mapping[str, SignalChannel | MarketChannel],
) -> None:
    assert set(samples) == set(EXPECTED)


@given(topic=st.binary(min_size=1, max_size=256), body=st.binary())
def test_a_frame_comes_apart_where_it_was_joined(topic: bytes, body: bytes) -> None:
    if b"\0" not in topic:
        assert topics.split(topics.join(topic, body)) == (topic, body)


@given(st.binary(max_size=300))
def test_any_frame_splits_or_is_refused(frame: bytes) -> None:
    try:
        topic, body = topics.split(frame)
    except DecodeError:
        return
    assert topics.join(topic, body) == frame


@pytest.mark.parametrize("frame", [b"", b"\0body", b"no separator", b"x" * 257 + b"\0"])
def test_a_frame_without_a_topic_is_refused(frame: bytes) -> None:
    with pytest.raises(DecodeError):
        topics.split(frame)


def test_an_exact_subscription_does_not_take_longer_topics() -> None:
    wanted = topics.exactly(topics.answer("macro-1"))
    assert topics.join(topics.answer("macro-1"), b"x").startswith(wanted)
    assert not topics.join(topics.answer("macro-12"), b"x").startswith(wanted)


@pytest.mark.parametrize("symbol", ["A\0B", "X" * 300])
def test_a_symbol_that_cannot_be_a_topic_is_refused(symbol: str) -> None:
    with pytest.raises(BadInput):
        topics.signal("binance-spot", symbol)
