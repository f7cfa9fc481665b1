"""What an order may carry: what micro takes, in types that can be written down, or a clear refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from citadel_bridge.config import ConnectorConfig
from citadel_proto.codec import decode_signal, encode
from citadel_proto.errors import BadInput
from citadel_proto.messages import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_bridge.config import NewSignal

    Buy = Callable[..., NewSignal]


def sent(new: NewSignal) -> Signal:
    message = new.signal(signal_id="a-1", strategy="S", now_ns=10**18, epoch=1, owner="o")
    read = decode_signal(encode(message))
    assert isinstance(read, Signal)
    return read


def test_numbers_of_numpy_are_numbers(buy: Buy) -> None:
    signal = sent(
        buy(
            params={"a": np.float64(1.5), "b": np.int64(3), "c": np.bool_(True), "d": np.array(2)},
            confidence=np.float32(0.5),
            candle_ns=np.int64(5),
            reduce_only=np.bool_(True),
        )
    )
    assert signal.params == {"a": 1.5, "b": 3, "c": True, "d": 2}
    assert (signal.confidence, signal.candle_ns, signal.reduce_only) == (0.5, 5, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"params": {"x": "y" * 81}},
        {"params": {"x": None}},
        {"params": {"x": [1]}},
        {"params": {"x": np.nan}},
        {"params": {"x": np.array([1, 2])}},
        {"params": {"x": 2**63}},
        {"params": {"x": "\ud800"}},
        {"params": {"x" * 81: 1}},
        {"params": {1: 1}},
        {"params": {f"x{n}": n for n in range(65)}},
        {"confidence": "0.5"},
        {"signal_id": "own-run-1"},
        {"candle_ns": -1},
        {"candle_ns": 2**63},
        {"kind": "x"},
        {"order_type": "x"},
        {"time_in_force": "X"},
        {"algo": ""},
        {"algo": "my algo"},
        {"venue": ""},
        {"venue": "börse"},
    ],
)
def test_what_micro_would_drop_or_reject_is_refused_before_it_is_sent(
    buy: Buy, changes: dict[str, Any]
) -> None:
    with pytest.raises(BadInput):
        buy(**changes)


def test_a_name_that_no_heartbeat_can_carry_is_refused_at_the_start() -> None:
    with pytest.raises(BadInput, match="strategy"):
        ConnectorConfig(strategy="S" * 81)
