"""Queue position: what may move us forward, under each model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.sim.queue_model import QueuePosition

if TYPE_CHECKING:
    from citadel_micro.sim.queue_model import QueueModel

MODELS: tuple[QueueModel, ...] = ("pessimistic", "expected", "optimistic")
sizes = st.integers(0, 1_000).map(float)
steps = st.lists(st.tuples(st.sampled_from(["trade", "shown"]), sizes), max_size=40)


@pytest.mark.parametrize("model", MODELS)
def test_only_what_is_beyond_the_queue_reaches_us(model: QueueModel) -> None:
    queue = QueuePosition(model, 10.0)
    assert queue.on_trade(4.0) == 0.0
    assert queue.on_trade(9.0) == 3.0
    assert queue.ahead == 0.0
    assert queue.on_trade(2.0) == 2.0


def test_a_cancellation_counts_as_the_model_says() -> None:
    ahead = {}
    for model in MODELS:
        queue = QueuePosition(model, 10.0)
        queue.on_shown(20.0)  # ten more joined behind us
        queue.on_shown(14.0)  # six left, from somewhere
        ahead[model] = queue.ahead
    assert ahead == {"pessimistic": 10.0, "expected": 7.0, "optimistic": 4.0}


def test_a_trade_is_not_counted_again_as_a_cancellation() -> None:
    queue = QueuePosition("optimistic", 10.0)
    queue.on_trade(4.0)
    queue.on_shown(6.0)
    assert queue.ahead == 6.0


@pytest.mark.parametrize("model", MODELS)
def test_a_vanished_level_leaves_nobody_ahead(model: QueueModel) -> None:
    queue = QueuePosition(model, 10.0)
    queue.on_shown(0.0)
    assert queue.ahead == 0.0


@given(start=sizes, path=steps)
def test_the_models_form_a_band(start: float, path: list[tuple[str, float]]) -> None:
    """Optimistic is never behind expected, expected never behind pessimistic."""
    queues = [QueuePosition(model, start) for model in MODELS]
    for kind, size in path:
        for queue in queues:
            if kind == "trade":
                queue.on_trade(size)
            else:
                queue.on_shown(size)
            assert queue.ahead >= 0.0
        pessimistic, expected, optimistic = (queue.ahead for queue in queues)
        assert optimistic <= expected + 1e-9
        assert expected <= pessimistic + 1e-9
