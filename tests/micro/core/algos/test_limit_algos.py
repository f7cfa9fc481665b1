from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from engine_kit import MS, SECOND, START, Rig, config, signal

from citadel_micro.core.algos import ALGORITHMS, algorithm
from citadel_micro.core.model.commands import CancelOrder, PlaceOrder
from citadel_micro.core.orders.order_states import ParentState
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Value


def placed(rig: Rig) -> list[PlaceOrder]:
    return rig.venue.placed


# --- parameters ---------------------------------------------------------------------------------


def test_an_unknown_algorithm_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match="chase_limit, limit, marketable_limit, peg, iceberg"):
        algorithm("market_maker")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("urgancy", "high", "did you mean urgency"),
        ("urgency", "panic", "passive, normal, high, cross"),
        ("time_limit_ms", 0, "a whole number from 100"),
        ("time_limit_ms", 1.5, "a whole number"),
        ("time_limit_ms", float("nan"), "a whole number"),
        ("max_chase_bps", "5", "a number from 0 to 1000"),
        ("post_only", 1, "true or false"),
        ("retreat_ticks", True, "a whole number"),
    ],
)
def test_a_wrong_parameter_says_what_is_allowed(name: str, value: Value, text: str) -> None:
    with pytest.raises(BadInput, match=text):
        ALGORITHMS["chase_limit"].make([(name, value)])


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_every_default_is_within_its_own_range_and_explained(name: str) -> None:
    for param in ALGORITHMS[name].params:
        assert param.check(param.default) == param.default
        assert param.text


def test_a_wrong_parameter_rejects_the_signal() -> None:
    rig = Rig()
    rig.send(signal(params=(("urgancy", "high"),)))
    assert rig.report().status == "rejected"
    assert rig.report().reason_code == "BAD_PARAMETER"
    assert "did you mean urgency" in rig.report().reason


def test_defaults_come_from_the_configuration() -> None:
    rig = Rig(config(algo_defaults={"chase_limit": {"urgency": "cross"}}))
    rig.send(signal())
    assert placed(rig)[0].time_in_force == "IOC"
    rig.send(signal("s2", params=(("urgency", "passive"),)))
    assert placed(rig)[1].time_in_force == "GTC"


# --- limit --------------------------------------------------------------------------------------


def test_limit_rests_at_its_price_until_cancelled() -> None:
    rig = Rig()
    expires_ns = START + 600 * SECOND
    rig.send(signal(algo="limit", limit_price=Decimal("59990.0"), expires_ns=expires_ns))
    rig.run(60 * SECOND)
    assert [o.price_ticks for o in placed(rig)] == [599_900]
    rig.book(60_100.0, 60_100.1)
    rig.run(30 * SECOND)
    assert len(placed(rig)) == 1
    assert rig.report().status == "working"
    rig.cancel()
    rig.run(10 * MS)
    assert rig.report().status == "canceled"
    assert rig.report().reason_code == "CANCELED_BY_MACRO"


def test_a_price_off_the_tick_is_refused_and_not_moved() -> None:
    rig = Rig()
    rig.send(signal(algo="limit", side="sell", limit_price=Decimal("60010.01")))
    assert (rig.report().reason_code, placed(rig)) == ("BAD_TICK", [])


def test_a_plain_limit_may_take() -> None:
    rig = Rig()
    rig.send(signal(algo="limit", limit_price=Decimal(60005)))
    rig.run(10 * MS)
    assert rig.report().fills[0].liquidity == "taker"


def test_post_only_limit_stays_off_the_other_side() -> None:
    for changes in ({"time_in_force": "PO"}, {"params": (("post_only", True),)}):
        rig = Rig()
        rig.send(signal(algo="limit", limit_price=Decimal(60005), **changes))
        rig.run(10 * MS)
        assert [(o.price_ticks, o.post_only) for o in placed(rig)] == [(600_000, True)]


def test_limit_needs_a_price() -> None:
    rig = Rig()
    rig.send(signal(algo="limit"))
    assert rig.report().status == "rejected"
    assert "limit price" in rig.report().reason


def test_limit_survives_a_stale_book_and_ends_by_its_time() -> None:
    rig = Rig()
    rig.send(signal(algo="limit", limit_price=Decimal(59_990), params=(("time_limit_ms", 20_000),)))
    rig.run(2_500 * MS, refresh_ns=0)
    assert rig.engine.markets["fake", "BTC/USDT"].state == "STALE"
    assert rig.parent().state is ParentState.WORKING
    rig.run(18 * SECOND)
    assert rig.report().status == "expired"
    assert rig.report().reason_code == "TIME_LIMIT"


def test_limit_waits_for_a_fit_book() -> None:
    rig = Rig()
    rig.book(60_000.0, 60_000.0)
    rig.run(1 * MS)
    rig.book(60_000.0, 60_000.1)
    rig.send(signal(algo="limit", limit_price=Decimal(59_990)))
    assert len(placed(rig)) == 1


# --- marketable ---------------------------------------------------------------------------------


def test_a_market_order_is_an_immediate_limit_within_a_cap() -> None:
    rig = Rig()
    rig.send(signal(order_type="market", algo="chase_limit", params=(("urgency", "passive"),)))
    rig.run(10 * MS)
    order = placed(rig)[0]
    assert order.time_in_force == "IOC"
    assert order.price_ticks == 600_001 + 1_200  # 20 bps, floored
    assert not order.post_only


def test_what_is_not_filled_is_tried_again_on_a_newer_book() -> None:
    rig = Rig()
    rig.venue.fill_at_once = False
    rig.send(signal(order_type="market"))
    rig.run(1 * SECOND, refresh_ns=300 * MS)
    tries = placed(rig)
    assert 3 <= len(tries) <= 5
    rig.venue.fill_at_once = True
    rig.run(2 * SECOND)
    assert rig.report().status == "filled"
    assert len({o.client_id for o in placed(rig)}) == len(placed(rig))


def test_the_time_of_a_market_order_is_bounded() -> None:
    rig = Rig()
    rig.venue.fill_at_once = False
    rig.send(signal(order_type="market"))
    rig.run(12 * SECOND)
    assert rig.report().status == "expired"
    assert rig.report().filled == 0


def test_immediate_or_cancel_tries_once() -> None:
    rig = Rig()
    rig.venue.fill_at_once = False
    rig.send(signal(time_in_force="IOC", limit_price=Decimal(60_001)))
    rig.run(1 * SECOND)
    assert len(placed(rig)) == 1
    assert placed(rig)[0].price_ticks == 600_010  # the signal's own limit is the nearer cap
    assert rig.report().status == "expired"
    assert rig.report().reason_code == "IOC_REMAINDER"


def test_immediate_or_cancel_beyond_its_limit_sends_nothing() -> None:
    rig = Rig()
    rig.send(signal(time_in_force="IOC", limit_price=Decimal(59_000)))
    rig.run(100 * MS)
    assert placed(rig) == []
    assert rig.report().reason_code == "NOT_MARKETABLE"


def test_a_sell_crosses_downwards_and_never_below_zero() -> None:
    rig = Rig()
    rig.send(signal(side="sell", order_type="market"))
    rig.run(10 * MS)
    assert placed(rig)[0].price_ticks == 600_000 - 1_200


def test_fill_or_kill_is_refused() -> None:
    rig = Rig()
    rig.send(signal(time_in_force="FOK"))
    assert rig.report().status == "rejected"
    assert "use IOC" in rig.report().reason


def test_a_market_order_can_be_cancelled() -> None:
    rig = Rig()
    rig.venue.mute = True
    rig.send(signal(order_type="market"))
    rig.cancel()
    assert [r.client_id for _, r in rig.sent(CancelOrder)] == ["sctest-1-1"]  # type: ignore[attr-defined]
    assert rig.report().status == "working"
    rig.venue.heal()
    rig.run(30 * SECOND)
    assert rig.report().status in ("canceled", "filled")
