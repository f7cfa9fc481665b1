"""The paper venue's faults: lost requests, lost answers, duplicates, silence."""

from __future__ import annotations

from decimal import Decimal

import pytest
from paper_kit import MS, SYMBOL, VENUE, Bench, quiet_config
from paper_requests import cancel

from citadel_micro.core.model.commands import QueryOrder
from citadel_micro.core.model.events import (
    OrderAccepted,
    OrderFilled,
    OrderState,
    RequestTimedOut,
)
from citadel_micro.sim.faults import Faults, scenario
from citadel_micro.sim.paper_config import PaperConfig
from citadel_micro.sim.paper_link import LinkConfig
from citadel_proto.errors import BadInput


def faulty(**faults: object) -> Bench:
    link = LinkConfig(
        latency_floor_ns=MS,
        latency_mean_ns=0,
        faults=Faults(**faults),  # type: ignore[arg-type]
    )
    return Bench(config=quiet_config(link=link))


def test_a_lost_request_times_out_and_leaves_no_order() -> None:
    bench = faulty(lose_request=1.0)
    bench.order("buy", 100, 10)
    (report,) = bench.settle()
    assert isinstance(report, RequestTimedOut)
    assert bench.venue.orders == {}


def test_a_lost_answer_times_out_though_the_order_lives() -> None:
    bench = faulty(lose_answer=1.0)
    order = bench.order("buy", 100, 10)
    reports = bench.settle()
    assert any(isinstance(r, RequestTimedOut) for r in reports)
    assert not any(isinstance(r, OrderAccepted) for r in reports)
    assert bench.venue.orders[order].open


def test_duplicates_are_the_same_fill() -> None:
    bench = faulty(duplicate=1.0)
    order = bench.order("buy", 102, 50)
    bench.settle()
    assert len([r for r in bench.reports if isinstance(r, OrderFilled)]) == 2
    assert bench.fills(order) == [(102, 50, "taker")]


def test_silence_after_a_partial_fill_ends_with_a_question() -> None:
    bench = faulty(silent_after_partial=True)
    order = bench.order("buy", 102, 150)
    bench.settle()
    bench.send(cancel(order))
    bench.settle()
    assert bench.done(order) is None
    bench.send(QueryOrder(venue=VENUE, symbol=SYMBOL, client_id=order))
    states = [r for r in bench.settle() if isinstance(r, OrderState)]
    assert [s.status for s in states] == ["canceled", "canceled"]


def test_an_unknown_scenario_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match="duplicates"):
        scenario("earthquake")


def test_default_latency_is_never_below_its_floor() -> None:
    bench = Bench(config=PaperConfig(balances={"USDT": Decimal(1_000)}))
    bench.order("buy", 100, 6)
    assert bench.venue.next_timer() is not None
    assert (bench.venue.next_timer() or 0) >= LinkConfig().latency_floor_ns
