"""Queue position: what may move us forward, under each model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.sim.queue_model import EXPLAIN_NS, QueuePosition

if TYPE_CHECKING:
    from citadel_micro.sim.queue_model import QueueModel

MODELS: tuple[QueueModel, ...] = ("pessimistic", "expected", "optimistic")
sizes = st.integers(0, 1_000).map(float)
steps = st.lists(st.tuples(st.sampled_from(["trade", "shown"]), sizes), max_size=40)


@pytest.mark.parametrize("model", MODELS)
def test_only_what_is_beyond_the_queue_reaches_us(model: QueueModel) -> None:
    queue = QueuePosition(model, 10.0)
    assert queue.on_trade(4.0, 0) == 0.0
    assert queue.on_trade(9.0, 0) == 3.0
    assert queue.ahead == 0.0
    assert queue.on_trade(2.0, 0) == 2.0


def test_a_cancellation_counts_as_the_model_says() -> None:
    ahead = {}
    for model in MODELS:
        queue = QueuePosition(model, 10.0)
        queue.on_shown(20.0, 0)  # ten more joined behind us
        queue.on_shown(14.0, 0)  # six left, from somewhere
        ahead[model] = queue.ahead
    assert ahead == {"pessimistic": 10.0, "expected": 7.0, "optimistic": 4.0}


def test_a_trade_is_not_counted_again_as_a_cancellation() -> None:
    queue = QueuePosition("optimistic", 10.0)
    queue.on_trade(4.0, 0)
    queue.on_shown(6.0, 0)
    assert queue.ahead == 6.0


@pytest.mark.parametrize("model", MODELS)
def test_a_vanished_level_leaves_nobody_ahead(model: QueueModel) -> None:
    queue = QueuePosition(model, 10.0)
    queue.on_shown(0.0, 0)
    assert queue.ahead == 0.0


@given(start=sizes, path=steps)
def test_the_models_form_a_band(start: float, path: list[tuple[str, float]]) -> None:
    """Optimistic is never behind expected, expected never behind pessimistic."""
    queues = [QueuePosition(model, start) for model in MODELS]
    for kind, size in path:
        for queue in queues:
            if kind == "trade":
                queue.on_trade(size, 0)
            else:
                queue.on_shown(size, 0)
            assert queue.ahead >= 0.0
        pessimistic, expected, optimistic = (queue.ahead for queue in queues)
        assert optimistic <= expected + 1e-9
        assert expected <= pessimistic + 1e-9


@pytest.mark.parametrize("model", MODELS)
def test_a_trade_reported_after_the_size_it_left_counts_once(model: QueueModel) -> None:
    early, late = QueuePosition(model, 10.0), QueuePosition(model, 10.0)
    early.on_trade(4.0, 0)
    early.on_shown(6.0, 0)
    late.on_shown(6.0, 0)
    late.on_trade(4.0, EXPLAIN_NS)
    assert early.ahead == pytest.approx(late.ahead)
    assert early.ahead == pytest.approx(6.0)


def test_a_trade_long_after_a_fall_is_another_one() -> None:
    queue = QueuePosition("optimistic", 10.0)
    queue.on_shown(6.0, 0)
    queue.on_trade(4.0, EXPLAIN_NS + 1)
    assert queue.ahead == pytest.approx(2.0)


@given(start=sizes, trades=st.lists(st.integers(1, 50).map(float), max_size=10))
def test_the_order_of_trade_and_size_does_not_matter(start: float, trades: list[float]) -> None:
    for model in MODELS:
        early, late = QueuePosition(model, start), QueuePosition(model, start)
        reached = [0.0, 0.0]
        shown = start
        for lots in trades:
            if lots > shown:
                break
            shown -= lots
            reached[0] += early.on_trade(lots, 0)
            early.on_shown(shown, 0)
            late.on_shown(shown, 0)
            reached[1] += late.on_trade(lots, 0)
            assert early.ahead == pytest.approx(late.ahead)
        assert reached[0] == pytest.approx(reached[1])
