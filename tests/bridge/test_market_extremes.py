"""Whatever comes on the market channel, a connector lives on and still reaches micro."""

from __future__ import annotations

import math
import typing
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]
import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citadel_proto import topics
from citadel_proto.messages import MarketChannel

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_bridge.config import NewSignal

NUMBERS = st.sampled_from([-(2**63), -1, 0, 1, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
TEXTS = st.sampled_from(
    [
        "",
        "0",
        "-1",
        "0.5",
        "1e99",
        "1e999999999",
        "NaN",
        "9" * 128,
        "x",
        "x" * 128,
        "x" * 129,
        "\0é",
    ]
)
FLOATS = st.sampled_from([math.nan, math.inf, -math.inf, 1e308, 0.0, 1.5])
BYTES = st.sampled_from([b"", bytes(16), bytes(17), bytes(16_000), b"\xff" * 32])


def values(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - an annotation
    """What an annotation can be on the wire, at its extremes."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return values(inner[0])
    if origin is typing.Literal:
        return st.sampled_from(inner)
    if origin is dict:
        return st.dictionaries(TEXTS, values(inner[1]), max_size=3)
    if origin is tuple:
        if inner[-1] is Ellipsis:
            return st.lists(values(inner[0]), max_size=2)
        return st.tuples(*map(values, inner)).map(list)
    if inner:
        return st.one_of([values(each) for each in inner])
    if kind is type(None):
        return st.none()
    for plain, strategy in ((bool, st.booleans()), (int, NUMBERS), (float, FLOATS), (str, TEXTS)):
        if kind is plain:
            return strategy
    if kind is bytes:
        return BYTES
    return rows(kind)


def rows(kind: type) -> st.SearchStrategy[list[Any]]:
    """One struct as the wire has it, most of it within bounds."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return st.tuples(*(values(hints[name]) for name in kind.__struct_fields__)).map(list)  # type: ignore[attr-defined]


FRAMES = st.one_of(
    [
        rows(kind).map(lambda row, name=kind.__name__: msgpack.packb([name, *row]))  # type: ignore[misc]
        for kind in typing.get_args(MarketChannel)
    ]
)


@pytest.mark.long
def test_any_message_at_any_extreme_leaves_a_connector_well(
    make_pair: Callable[..., Any], buy: Callable[..., NewSignal], until: Callable[..., None]
) -> None:
    pair = make_pair()
    connector, micro = pair.connector, pair.micro

    @settings(
        max_examples=examples(120, 3_000), deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(
        FRAMES, st.sampled_from([b"hb", b"report/x/y", b"answer/" + connector.instance.encode()])
    )
    def extremes(body: bytes, topic: bytes) -> None:
        micro.publisher.send_raw(topics.join(topic, body))

    extremes()
    taken = connector.inbox.received
    until(lambda: connector.inbox.received > taken + 5)
    connector.check()
    for read in (connector.reports, connector.positions, connector.risk, connector.feeds):
        read()
    for book in list(connector.mirror.books.values()):
        book.best()
        book.fresh(10**9)
        book.levels()
    for report in connector.reports():
        float(report.quantity)
    assert connector.submit(buy()).report is not None
