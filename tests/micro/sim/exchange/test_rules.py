"""Filters and forms of orders: which rule a request breaks, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from exchange_kit import BTC, Floor

from citadel_micro.sim.exchange.model import OrderRefused, OrderRequest
from citadel_micro.sim.exchange.rules import SymbolRules
from citadel_micro.sim.flow_symbols import E8

FLOOR = Floor(rules={})
SPEC = FLOOR.feed.specs[BTC]
BID = FLOOR.best()[0] * SPEC.tick_e8
GOOD: dict[str, Any] = {
    "symbol": BTC,
    "side": "BUY",
    "type": "LIMIT",
    "quantity_e8": 1000 * SPEC.lot_e8,
    "price_e8": BID,
}
MARKET: dict[str, Any] = {**GOOD, "type": "MARKET", "price_e8": 0}
STOP: dict[str, Any] = {**GOOD, "type": "STOP_LOSS_LIMIT", "stop_e8": BID + 1000 * SPEC.tick_e8}


def refusal(floor: Floor, request: dict[str, Any]) -> tuple[str, str]:
    before = floor.exchange.balances("ann")
    with pytest.raises(OrderRefused) as refused:
        floor.exchange.check("ann", OrderRequest(**request))
    with pytest.raises(OrderRefused) as again:
        floor.exchange.place("ann", OrderRequest(**request))
    assert str(refused.value) == str(again.value)
    assert floor.exchange.balances("ann") == before
    return refused.value.reason, refused.value.filter or refused.value.detail


@pytest.mark.parametrize("good", [GOOD, MARKET, STOP])
def test_a_good_order_passes_and_a_check_places_nothing(good: dict[str, Any]) -> None:
    floor = Floor(rules={})
    before = floor.exchange.balances("ann")
    floor.exchange.check("ann", OrderRequest(**good))
    after = floor.exchange.balances("ann")
    assert {a: n for a, n in after.items() if sum(n)} == before
    assert floor.exchange.all_orders("ann", BTC) == []
    assert floor.exchange.order_counts("ann") == (0, 0)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"price_e8": BID + 1}, "PRICE_FILTER"),
        ({"price_e8": 100_000_001 * SPEC.tick_e8}, "PRICE_FILTER"),
        ({"price_e8": BID * 6 // SPEC.tick_e8 * SPEC.tick_e8}, "PERCENT_PRICE_BY_SIDE"),
        ({"price_e8": BID // 6 // SPEC.tick_e8 * SPEC.tick_e8}, "PERCENT_PRICE_BY_SIDE"),
        ({"quantity_e8": SPEC.lot_e8 + 1}, "LOT_SIZE"),
        ({"quantity_e8": 900_000_001 * SPEC.lot_e8}, "LOT_SIZE"),
        ({"quantity_e8": SPEC.lot_e8}, "NOTIONAL"),
        ({"quantity_e8": 500 * E8}, "NOTIONAL"),
        ({"visible_e8": SPEC.lot_e8}, "ICEBERG_PARTS"),
        ({"visible_e8": SPEC.lot_e8 + 1}, "LOT_SIZE"),
    ],
)
def test_each_filter_has_its_name(change: dict[str, Any], name: str) -> None:
    assert refusal(FLOOR, {**GOOD, **change}) == ("FILTER", name)


def test_market_orders_have_a_size_of_their_own_and_the_smallest_notional() -> None:
    too_large = {**MARKET, "side": "SELL", "quantity_e8": 18_000_001 * SPEC.lot_e8}
    assert refusal(FLOOR, too_large) == ("FILTER", "MARKET_LOT_SIZE")
    assert refusal(FLOOR, {**MARKET, "quantity_e8": SPEC.lot_e8}) == ("FILTER", "NOTIONAL")
    by_quote = {**MARKET, "quantity_e8": 0, "quote_e8": 4 * E8}
    assert refusal(FLOOR, by_quote) == ("FILTER", "NOTIONAL")


def test_orders_that_are_out_and_what_is_held_are_limited() -> None:
    rules = replace(SymbolRules.of(SPEC), max_orders=3, max_algo_orders=1)
    floor = Floor(rules={BTC: rules})
    floor.exchange.place("ann", OrderRequest(**STOP))
    assert refusal(floor, STOP) == ("FILTER", "MAX_NUM_ALGO_ORDERS")
    for _ in range(2):
        last = floor.exchange.place("ann", OrderRequest(**GOOD)).order
    assert refusal(floor, GOOD) == ("FILTER", "MAX_NUM_ORDERS")
    floor.exchange.cancel("ann", BTC, order_id=last.order_id)
    floor.exchange.place("ann", OrderRequest(**GOOD))

    held = floor.exchange.balances("ann")["BTC"][0]
    limit = held + GOOD["quantity_e8"] * 2
    floor = Floor(rules={BTC: replace(SymbolRules.of(SPEC), max_position_e8=limit)})
    floor.exchange.place("ann", OrderRequest(**GOOD))
    floor.exchange.place("ann", OrderRequest(**GOOD))
    assert refusal(floor, GOOD) == ("FILTER", "MAX_POSITION")
    floor.exchange.check("ann", OrderRequest(**{**GOOD, "side": "SELL"}))


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ({**GOOD, "price_e8": 0}, "price"),
        ({**MARKET, "price_e8": BID}, "price"),
        ({**GOOD, "quantity_e8": 0}, "quantity"),
        ({**MARKET, "quote_e8": 10 * E8}, "quantity"),
        ({**GOOD, "quantity_e8": 0, "quote_e8": 10 * E8}, "quoteOrderQty"),
        ({**GOOD, "stop_e8": BID}, "stopPrice"),
        ({**STOP, "stop_e8": 0}, "stopPrice"),
        ({**MARKET, "time_in_force": "IOC"}, "timeInForce"),
        ({**GOOD, "type": "LIMIT_MAKER", "time_in_force": "IOC"}, "timeInForce"),
        ({**GOOD, "time_in_force": "GTX"}, "futures only"),
        ({**GOOD, "time_in_force": "GTD", "good_till_ns": 1}, "futures only"),
        ({**GOOD, "reduce_only": True}, "futures only"),
        ({**GOOD, "time_in_force": "IOC", "visible_e8": 500 * SPEC.lot_e8}, "icebergQty"),
        ({**GOOD, "good_till_ns": 1}, "goodTillDate"),
        ({**GOOD, "quantity_e8": -SPEC.lot_e8}, "a negative number"),
    ],
)
def test_fields_that_do_not_go_together(request_: dict[str, Any], name: str) -> None:
    assert refusal(FLOOR, request_) == ("BAD_COMBINATION", name)


def test_a_prevention_mode_that_the_symbol_does_not_have() -> None:
    rules = replace(SymbolRules.of(SPEC), allowed_stp=("EXPIRE_TAKER",))
    floor = Floor(rules={BTC: rules})
    assert refusal(floor, {**GOOD, "stp": "NONE"}) == ("STP_MODE", "NONE")


def test_a_symbol_that_is_not_there_or_not_trading() -> None:
    floor = Floor(rules={})
    assert refusal(floor, {**GOOD, "symbol": "X/Y"}) == ("UNKNOWN_SYMBOL", "X/Y")
    placed = floor.exchange.place("ann", OrderRequest(**GOOD)).order
    floor.exchange.set_status(BTC, "BREAK")
    assert refusal(floor, GOOD) == ("MARKET_CLOSED", "BREAK")
    with pytest.raises(OrderRefused) as refused:
        floor.exchange.cancel("ann", BTC, order_id=placed.order_id)
    assert refused.value.reason == "MARKET_CLOSED"
    floor.exchange.set_status(BTC, "CANCEL_ONLY")
    with pytest.raises(OrderRefused) as refused:
        floor.exchange.amend(
            "ann", BTC, order_id=placed.order_id, quantity_e8=placed.lots * SPEC.lot_e8 // 2
        )
    assert refused.value.reason == "MARKET_CLOSED"
    floor.exchange.cancel("ann", BTC, order_id=placed.order_id)
