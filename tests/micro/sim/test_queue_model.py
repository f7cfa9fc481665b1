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
kinds = st.sampled_from(["trade", "trade", "shown", "shown", "through"])
steps = st.lists(st.tuples(kinds, sizes, st.integers(0, 25)), max_size=40)


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
        assert queue.ahead == 10.0  # a trade may still explain it
        queue.settle(EXPLAIN_NS + 1)
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
    queue.settle(EXPLAIN_NS + 1)
    assert queue.ahead == 0.0


@pytest.mark.parametrize("model", MODELS)
def test_a_level_that_comes_back_has_nobody_of_before_ahead_of_us(model: QueueModel) -> None:
    queue = QueuePosition(model, 10.0)
    queue.on_shown(0.0, 0)
    queue.on_shown(8.0, EXPLAIN_NS // 2)
    queue.settle(EXPLAIN_NS + 1)
    assert queue.ahead == 0.0


@pytest.mark.parametrize("model", MODELS)
def test_a_book_that_shows_a_trade_in_two_steps_shows_no_cancellation(model: QueueModel) -> None:
    queue = QueuePosition(model, 20.0)
    queue.on_trade(10.0, 0)
    queue.on_shown(16.0, EXPLAIN_NS)
    queue.on_shown(10.0, 2 * EXPLAIN_NS)
    queue.settle(4 * EXPLAIN_NS)
    assert queue.ahead == 10.0


def test_what_another_order_of_ours_took_does_not_move_the_market_ahead_of_the_next() -> None:
    queue = QueuePosition("expected", 10.0)
    assert queue.on_trade(8.0, 0, own=5.0) == 0.0
    assert queue.ahead == 7.0


@given(start=sizes, path=steps)
def test_the_models_form_a_band(start: float, path: list[tuple[str, float, int]]) -> None:
    """At every moment optimistic is never behind expected, nor that behind pessimistic."""
    queues = [QueuePosition(model, start) for model in MODELS]
    filled = [0.0] * 3
    now_ns = 0
    for kind, size, tenths in path:
        now_ns += tenths * EXPLAIN_NS // 10
        for number, queue in enumerate(queues):
            if kind == "trade":
                filled[number] += queue.on_trade(size, now_ns)
            elif kind == "through":
                queue.on_through()
            else:
                queue.on_shown(size, now_ns)
            assert queue.ahead >= 0.0
        pessimistic, expected, optimistic = (queue.ahead for queue in queues)
        assert optimistic <= expected + 1e-9
        assert expected <= pessimistic + 1e-9
        assert filled[0] <= filled[1] + 1e-9
        assert filled[1] <= filled[2] + 1e-9


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
