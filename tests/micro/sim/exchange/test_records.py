"""Order and trade records, and the ids by which they are found."""

from __future__ import annotations

import pytest
from exchange_kit import BTC, SECOND, START, Floor

from citadel_micro.sim.exchange import records as records_module
from citadel_micro.sim.exchange.model import OrderRefused


def test_order_ids_rise_over_symbols_and_accounts_and_over_a_restart() -> None:
    floor = Floor()
    ids = [
        floor.place(account, "BUY", 100, floor.best(symbol)[0], symbol=symbol).order.order_id
        for account, symbol in (("ann", BTC), ("bob", "ADA/USDT"), ("ann", "ADA/USDT"))
    ]
    assert ids == sorted(set(ids))
    assert START // 1_000_000 < ids[0] < (START + SECOND) // 1_000_000


def test_a_client_id_is_unique_among_open_orders_only_and_finds_the_newest() -> None:
    floor = Floor()
    bid, _ = floor.best()
    first = floor.place("ann", "BUY", 10, bid, client_id="x")
    with pytest.raises(OrderRefused) as refused:
        floor.place("ann", "BUY", 10, bid, client_id="x")
    assert refused.value.reason == "DUPLICATE_CLIENT_ID"
    floor.place("bob", "BUY", 10, bid, client_id="x")  # another account's
    floor.exchange.cancel("ann", BTC, client_id="x", cancel_id="c1")
    second = floor.place("ann", "BUY", 10, bid, client_id="x")
    exchange = floor.exchange
    assert exchange.order("ann", BTC, client_id="x").order_id == second.order.order_id
    old = exchange.order("ann", BTC, order_id=first.order.order_id)
    assert (old.status, old.client_id, old.cancel_id) == ("CANCELED", "x", "c1")
    filled = floor.exchange.fill("ann", BTC, order_id=second.order.order_id)
    assert filled.client_id == "x"
    with pytest.raises(OrderRefused):
        exchange.cancel("ann", BTC, client_id="x")


def test_an_id_that_does_not_agree_or_belongs_to_another_is_unknown() -> None:
    floor = Floor()
    bid, _ = floor.best()
    mine = floor.place("ann", "BUY", 10, bid, client_id="x").order.order_id
    exchange = floor.exchange
    for account, symbol, order_id, client_id in (
        ("bob", BTC, mine, ""),
        ("ann", "ADA/USDT", mine, ""),
        ("ann", BTC, mine, "y"),
        ("ann", BTC, 0, "y"),
        ("ann", BTC, 0, ""),
        ("ann", BTC, mine + 1, ""),
    ):
        for door in (exchange.order, exchange.cancel):
            with pytest.raises(OrderRefused) as refused:
                door(account, symbol, order_id=order_id, client_id=client_id)
            assert refused.value.reason == "UNKNOWN_ORDER"
    assert exchange.order("ann", BTC, order_id=mine, client_id="x").open


def test_a_cancel_may_be_restricted_to_orders_without_a_fill() -> None:
    floor = Floor()
    bid, _ = floor.best()
    mine = floor.place("ann", "BUY", 10, bid).order.order_id
    floor.exchange.fill("ann", BTC, order_id=mine, lots=1)
    with pytest.raises(OrderRefused) as refused:
        floor.exchange.cancel("ann", BTC, order_id=mine, only="NEW")
    assert refused.value.reason == "CANCEL_RESTRICTION"
    floor.exchange.cancel("ann", BTC, order_id=mine, only="PARTIALLY_FILLED")


def test_lists_of_orders_by_id_time_and_count() -> None:
    floor = Floor()
    bid, _ = floor.best()
    placed = []
    for _ in range(6):
        placed.append(floor.place("ann", "BUY", 10, bid).order)
        floor.step(SECOND)
    exchange = floor.exchange
    ids = [order.order_id for order in placed]

    def listed(**more: int) -> list[int]:
        return [order.order_id for order in exchange.all_orders("ann", BTC, **more)]

    assert listed() == ids
    assert listed(limit=2) == ids[-2:]
    assert listed(from_id=ids[1], limit=2) == ids[1:3]
    assert listed(start_ns=placed[2].time_ns, end_ns=placed[4].time_ns) == ids[2:5]
    assert listed(start_ns=placed[2].time_ns, limit=1) == ids[2:3]
    assert listed(end_ns=placed[3].time_ns, limit=2) == ids[2:4]
    floor.place("ann", "BUY", 100, floor.best("ADA/USDT")[0], symbol="ADA/USDT")
    assert len(exchange.open_orders("ann")) == 7
    assert [order.order_id for order in exchange.open_orders("ann", BTC)] == ids
    assert len(exchange.cancel_all("ann", BTC)) == 6
    with pytest.raises(OrderRefused):
        exchange.cancel_all("ann", BTC)
    assert len(exchange.open_orders("ann")) == 1


def test_lists_of_trades_by_order_id_and_time() -> None:
    floor = Floor()
    bid, _ = floor.best()
    orders = [floor.place("ann", "BUY", 10, bid).order for _ in range(3)]
    fills = []
    for order in orders:
        for _ in range(2):
            floor.step(SECOND)
            fills.append(floor.exchange.fill("ann", BTC, order_id=order.order_id, lots=2))
    exchange = floor.exchange
    assert exchange.my_trades("ann", BTC) == fills
    assert exchange.my_trades("ann", BTC, limit=2) == fills[-2:]
    assert exchange.my_trades("ann", BTC, order_id=orders[1].order_id) == fills[2:4]
    assert exchange.my_trades("ann", BTC, from_id=fills[3].trade_id, limit=2) == fills[3:5]
    assert exchange.my_trades("ann", BTC, start_ns=fills[4].time_ns) == fills[4:]
    assert exchange.my_trades("ann", BTC, end_ns=fills[1].time_ns) == fills[:2]
    assert exchange.my_trades("bob", BTC) == []


def test_what_is_given_out_is_a_copy() -> None:
    floor = Floor()
    bid, _ = floor.best()
    placed = floor.place("ann", "BUY", 10, bid)
    floor.exchange.order("ann", BTC, order_id=placed.order.order_id).status = "FILLED"
    event = floor.exchange.drain()[0]
    floor.exchange.cancel("ann", BTC, order_id=placed.order.order_id)
    assert placed.order.status == "NEW"
    assert getattr(event, "order").status == "NEW"  # noqa: B009 - either kind of event
    assert floor.order(placed).status == "CANCELED"


def test_orders_that_died_unfilled_are_archived_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records_module, "DEAD_KEPT", 2)
    floor = Floor()
    bid, _ = floor.best()
    dead = []
    for number in range(4):
        order = floor.place("ann", "BUY", 10, bid, client_id=f"n{number}").order
        floor.exchange.cancel("ann", BTC, order_id=order.order_id)
        dead.append(order)
    kept = [order.order_id for order in floor.exchange.all_orders("ann", BTC)]
    assert kept == [order.order_id for order in dead[2:]]
    with pytest.raises(OrderRefused):
        floor.exchange.order("ann", BTC, client_id="n0")
    assert floor.exchange.order("ann", BTC, client_id="n3").order_id == dead[3].order_id


def test_events_can_be_asked_for_again_from_a_number_on() -> None:
    floor = Floor()
    bid, _ = floor.best()
    floor.place("ann", "BUY", 10, bid)
    told = floor.exchange.drain()
    assert floor.exchange.drain() == []
    assert floor.exchange.events("ann") == told
    assert floor.exchange.events("ann", after=1) == told[1:]
    assert floor.exchange.events("bob") == []
