"""Matching: price-time priority, times in force, icebergs and amends."""

from __future__ import annotations

import pytest
from exchange_kit import BTC, SECOND, Floor, check_books, inside, synthetic

from citadel_micro.sim.exchange.model import (
    OrderEvent,
    OrderRefused,
    OrderRequest,
    Placed,
    Side,
)
from citadel_micro.sim.flow_book import Print
from citadel_micro.sim.flow_feed import DepthBatch


@pytest.fixture
def floor() -> Floor:
    return Floor()


# ---------------------------------------------------------------------- priority


def test_the_better_price_is_filled_first_whoever_came_first(floor: Floor) -> None:
    price = inside(floor)
    worse = floor.place("ann", "BUY", 10, price)
    better = floor.place("ann", "BUY", 10, price + 1)
    placed = floor.place("bob", "SELL", 15, price)
    assert [(fill.ticks, fill.lots) for fill in placed.fills] == [(price + 1, 10), (price, 5)]
    assert floor.order(better).status == "FILLED"
    assert floor.order(worse).status == "PARTIALLY_FILLED"


def test_at_one_price_the_first_to_come_is_filled_first_client_or_not(floor: Floor) -> None:
    bid, _ = floor.best()
    before = floor.feed.book(BTC).bid_lots[bid]
    first = floor.place("ann", "BUY", 5, bid)
    floor.feed.book(BTC).put("bid", bid, before + 7)  # anonymous size that came after ann
    second = floor.place("ann", "BUY", 5, bid)
    floor.place("bob", "SELL", before, bid)
    assert floor.order(first).filled_lots == 0
    floor.place("bob", "SELL", 5 + 7, bid)
    assert floor.order(first).status == "FILLED"
    assert floor.order(second).filled_lots == 0
    floor.place("bob", "SELL", 1, bid)
    assert floor.order(second).filled_lots == 1


def test_anonymous_cancels_never_take_a_clients_size(floor: Floor) -> None:
    bid, _ = floor.best()
    book = floor.feed.book(BTC)
    mine = floor.place("ann", "BUY", 5, bid)
    book.put("bid", bid, 0)
    assert (book.bid_lots[bid], book.front("bid", bid)) == (5, (mine.order.order_id, 5))
    floor.exchange.cancel("ann", BTC, order_id=mine.order.order_id)
    assert bid not in book.bid_lots


def test_a_taker_trades_at_the_resting_price_and_gets_the_difference_back(floor: Floor) -> None:
    _, ask = floor.best()
    before = floor.exchange.balances("ann")["USDT"]
    placed = floor.place("ann", "BUY", 3, ask + 50)
    after = floor.exchange.balances("ann")["USDT"]
    assert [fill.ticks for fill in placed.fills] == [ask]
    unit = floor.exchange.rules[BTC].unit_e8
    assert after == (before[0] - 3 * ask * unit, 0)


def test_the_flows_orders_hit_clients_orders_in_their_place() -> None:
    """Ann and bob sit at the best bid of a living market until somebody sells to them."""
    floor = Floor(still=False)
    mine: list[Placed] = []
    filled: list[OrderEvent] = []
    while len(filled) < 6:
        bid, ask = floor.best()
        while len(mine) < 40 and ask - bid >= 1:
            mine.append(floor.place("ann" if len(mine) % 2 else "bob", "BUY", 50, bid))
            break
        floor.step(SECOND // 2)
        filled += [
            event
            for event in floor.exchange.drain()
            if isinstance(event, OrderEvent) and event.cause == "TRADE"
        ]
        check_books(floor.exchange, floor.feed, floor.accounts)
    public = {trade.trade_id: trade for trade in floor.feed.trades[BTC]}
    for event in filled:
        fill = event.fill
        assert fill is not None
        if fill.maker:
            print_ = public[fill.trade_id]
            assert (print_.ticks, print_.lots, print_.buyer_is_maker) == (
                fill.ticks,
                fill.lots,
                True,
            )


def test_a_client_who_empties_a_side_finds_it_deep_again(floor: Floor) -> None:
    book = floor.feed.book(BTC)
    worth = sum(ticks * lots for ticks, lots in book.ask_lots.items())
    unit = floor.exchange.rules[BTC].unit_e8
    floor.exchange.deposit("ann", "USDT", worth * unit * 2)
    spec = floor.feed.specs[BTC]
    wanted = sum(book.ask_lots.values()) + 5
    request = OrderRequest(
        symbol=BTC,
        side="BUY",
        type="LIMIT",
        time_in_force="IOC",
        quantity_e8=wanted * spec.lot_e8,
        price_e8=(book.asks[-1] + 1) * spec.tick_e8,
    )
    placed = floor.exchange.place("ann", request)
    assert (placed.order.status, placed.order.left) == ("EXPIRED", 5)
    assert len(book.asks) >= 100
    assert book.asks[0] > book.bids[-1]
    floor.step(SECOND)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_orders_far_away_do_not_lead_the_flow_astray(side: Side) -> None:
    """The flow cancels at its own far end, and adds there: not around a client's far order."""
    floor = Floor(still=False)
    bid, ask = floor.best()
    far = bid // 4 if side == "BUY" else ask * 4
    for offset in range(3):
        floor.place("ann", side, 100, far + offset)
    for _ in range(60):
        floor.step(SECOND)
        check_books(floor.exchange, floor.feed, floor.accounts)
    book = floor.feed.book(BTC)
    assert max(len(book.bids), len(book.asks)) < 450
    prices = book.bids if side == "BUY" else book.asks
    assert [ticks for ticks in prices if not bid // 2 < ticks < ask * 2] == [far, far + 1, far + 2]


def test_a_side_that_holds_clients_orders_alone_gets_its_flow_back(floor: Floor) -> None:
    book = floor.feed.book(BTC)
    _, ask = floor.best()
    floor.place("ann", "SELL", 100, ask * 2)
    worth = sum(ticks * lots for ticks, lots in book.ask_lots.items())
    floor.exchange.deposit("bob", "USDT", worth * floor.exchange.rules[BTC].unit_e8 * 2)
    all_but_ann = sum(lots for ticks, lots in book.ask_lots.items() if ticks < ask * 2)
    floor.place("bob", "BUY", all_but_ann, ask * 2 - 1, time_in_force="IOC")
    assert book.asks[0] < ask + 1000
    assert len(book.asks) > 100


# ---------------------------------------------------------------------- times in force


def test_fill_or_kill_is_all_or_nothing(floor: Floor) -> None:
    _, ask = floor.best()
    offered = floor.feed.book(BTC).ask_lots[ask]
    killed = floor.place("ann", "BUY", offered + 1, ask, time_in_force="FOK")
    assert (killed.order.status, killed.order.filled_lots) == ("EXPIRED", 0)
    assert floor.causes() == ["NEW", "EXPIRED"]
    filled = floor.place("ann", "BUY", offered, ask, time_in_force="FOK")
    assert filled.order.status == "FILLED"


def test_fill_or_kill_sees_its_own_order_before_what_an_iceberg_hides(floor: Floor) -> None:
    """The iceberg's next piece comes behind the taker's own order, which ends the taker."""
    price = inside(floor)
    spec = floor.feed.specs[BTC]
    floor.place("bob", "BUY", 100, price, visible_e8=10 * spec.lot_e8)
    floor.place("ann", "BUY", 5, price)
    killed = floor.place("ann", "SELL", 50, price, time_in_force="FOK", stp="EXPIRE_TAKER")
    assert (killed.order.status, killed.order.filled_lots) == ("EXPIRED", 0)
    filled = floor.place("ann", "SELL", 50, price, time_in_force="FOK", stp="EXPIRE_MAKER")
    assert filled.order.status == "FILLED"


def test_immediate_or_cancel_never_rests(floor: Floor) -> None:
    _, ask = floor.best()
    offered = floor.feed.book(BTC).ask_lots[ask]
    placed = floor.place("ann", "BUY", offered + 4, ask, time_in_force="IOC")
    assert (placed.order.status, placed.order.filled_lots) == ("EXPIRED", offered)
    assert floor.exchange.open_orders("ann") == []
    assert floor.exchange.balances("ann")["USDT"][1] == 0


def test_a_post_only_order_that_would_take_is_refused_and_leaves_nothing(floor: Floor) -> None:
    _, ask = floor.best()
    before = floor.exchange.balances("ann")
    with pytest.raises(OrderRefused) as refused:
        floor.place("ann", "BUY", 1, ask, type="LIMIT_MAKER")
    assert refused.value.reason == "WOULD_TAKE"
    assert floor.exchange.balances("ann") == before
    assert floor.exchange.drain() == []
    assert floor.place("ann", "BUY", 10, ask - 1, type="LIMIT_MAKER").order.status == "NEW"


def test_a_market_order_by_quote_never_spends_more_and_ends_filled(floor: Floor) -> None:
    unit = floor.exchange.rules[BTC].unit_e8
    _, ask = floor.best()
    quote = floor.feed.book(BTC).ask_lots[ask] * ask * unit + 3 * ask * unit + 1
    before = floor.exchange.balances("ann")["USDT"][0]
    placed = floor.exchange.place("ann", floor.ask("ann", "BUY", 0, quote_e8=quote))
    assert placed.order.status == "FILLED"
    assert placed.order.lots == placed.order.filled_lots
    assert 0 <= quote - placed.order.filled_quote_e8 < (ask + 100) * unit
    assert floor.exchange.balances("ann")["USDT"] == (before - placed.order.filled_quote_e8, 0)
    sold = floor.exchange.place("ann", floor.ask("ann", "SELL", 0, quote_e8=quote))
    assert sold.order.status == "FILLED"
    assert sold.order.filled_quote_e8 <= quote


# ---------------------------------------------------------------------- icebergs


def test_an_iceberg_shows_its_piece_and_goes_to_the_back_with_each(floor: Floor) -> None:
    price = inside(floor)
    spec = floor.feed.specs[BTC]
    iceberg = floor.place("ann", "BUY", 100, price, visible_e8=40 * spec.lot_e8)
    behind = floor.place("bob", "BUY", 10, price)
    book = floor.feed.book(BTC)
    assert book.bid_lots[price] == 50
    floor.place("bob", "SELL", 40, price, stp="NONE")
    assert floor.order(iceberg).filled_lots == 40
    assert book.bid_lots[price] == 50
    assert book.front("bid", price) == (behind.order.order_id, 10)
    sold = floor.place("ann", "SELL", 40, price, stp="NONE")
    assert [fill.lots for fill in sold.fills] == [10, 30]
    assert book.bid_lots[price] == 10
    floor.place("bob", "SELL", 30, price)
    assert floor.order(iceberg).status == "FILLED"
    assert price not in book.bid_lots


# ---------------------------------------------------------------------- amends


def test_a_smaller_quantity_keeps_the_place_the_id_and_frees_the_rest(floor: Floor) -> None:
    price = inside(floor)
    spec = floor.feed.specs[BTC]
    first = floor.place("ann", "BUY", 30, price, client_id="a")
    second = floor.place("bob", "BUY", 30, price)
    floor.exchange.drain()
    amended = floor.exchange.amend(
        "ann", BTC, client_id="a", quantity_e8=20 * spec.lot_e8, new_client_id="b"
    )
    assert (amended.order_id, amended.lots, amended.client_id) == (first.order.order_id, 20, "b")
    assert floor.causes() == ["REPLACED"]
    assert floor.feed.book(BTC).bid_lots[price] == 50
    unit = floor.exchange.rules[BTC].unit_e8
    assert floor.exchange.balances("ann")["USDT"][1] == 20 * price * unit
    floor.place("bob", "SELL", 20, price, stp="NONE")
    assert floor.order(first).status == "FILLED"
    assert floor.order(second).filled_lots == 0


@pytest.mark.parametrize("lots", [31, 30, 5, 1])
def test_a_quantity_that_is_not_between_filled_and_old_is_refused(floor: Floor, lots: int) -> None:
    price = inside(floor)
    mine = floor.place("ann", "BUY", 30, price)
    floor.exchange.fill("ann", BTC, order_id=mine.order.order_id, lots=5)
    before = floor.order(mine)
    with pytest.raises(OrderRefused) as refused:
        floor.exchange.amend(
            "ann",
            BTC,
            order_id=mine.order.order_id,
            quantity_e8=lots * floor.feed.specs[BTC].lot_e8,
        )
    assert refused.value.reason == "AMEND_QUANTITY"
    assert floor.order(mine) == before


def test_an_order_can_be_amended_ten_times(floor: Floor) -> None:
    price = inside(floor)
    spec = floor.feed.specs[BTC]
    mine = floor.place("ann", "BUY", 100, price)
    for lots in range(99, 89, -1):
        floor.exchange.amend(
            "ann", BTC, order_id=mine.order.order_id, quantity_e8=lots * spec.lot_e8
        )
    with pytest.raises(OrderRefused) as refused:
        floor.exchange.amend("ann", BTC, order_id=mine.order.order_id, quantity_e8=spec.lot_e8 * 50)
    assert refused.value.reason == "AMEND_COUNT"


# ---------------------------------------------------------------------- what the public sees


def test_what_an_order_does_goes_out_under_the_books_own_numbers(floor: Floor) -> None:
    floor.exchange.advance(floor.exchange.now_ns + SECOND)
    book = floor.feed.book(BTC)
    update, trade = book.update_id, book.trade_id
    _, ask = floor.best()
    floor.place("ann", "BUY", 3, ask)
    floor.place("ann", "BUY", 3, ask - 1)
    public = floor.exchange.take_public()
    prints = [event for event in public if isinstance(event, Print)]
    assert [(p.trade_id, p.ticks, p.lots, p.buyer_is_maker) for p in prints] == [
        (trade + 1, ask, 3, False)
    ]
    assert book.update_id == update + 2
    later = floor.exchange.advance(floor.exchange.now_ns + SECOND)
    batch = next(event for event in later if isinstance(event, DepthBatch) and event.symbol == BTC)
    assert (batch.first_id, batch.last_id) == (update + 1, update + 2)
    assert dict(batch.asks)[ask] == book.ask_lots[ask]
    assert floor.feed.trades[BTC][-1] == prints[0]


def test_a_market_without_clients_is_what_it_was_with_an_exchange_over_it() -> None:
    plain, traded = synthetic(5), Floor(still=False, feed=synthetic(5))
    until = plain.now_ns + 60 * SECOND
    assert traded.exchange.advance(until) == plain.advance(until)


def test_a_halted_symbol_stands_still_and_takes_cancels_only() -> None:
    floor = Floor(still=False)
    bid, _ = floor.best()
    mine = floor.place("ann", "BUY", 10, bid)
    floor.exchange.set_status(BTC, "HALT")
    update = floor.feed.book(BTC).update_id
    floor.step(10 * SECOND)
    assert floor.feed.book(BTC).update_id == update
    with pytest.raises(OrderRefused) as refused:
        floor.place("ann", "BUY", 10, bid)
    assert refused.value.reason == "MARKET_CLOSED"
    floor.exchange.cancel("ann", BTC, order_id=mine.order.order_id)
    floor.exchange.set_status(BTC, "TRADING")
    floor.step(10 * SECOND)
    assert floor.feed.book(BTC).update_id > update + 10


def test_a_sweep_goes_on_through_levels_until_its_limit(floor: Floor) -> None:
    book = floor.feed.book(BTC)
    levels = [(ticks, book.ask_lots[ticks]) for ticks in book.asks[:3]]
    wanted = sum(lots for _, lots in levels) + 9
    placed = floor.place("ann", "BUY", wanted, levels[-1][0])
    assert [(fill.ticks, fill.lots) for fill in placed.fills] == levels
    assert placed.order.left == 9
    assert book.bid_lots[levels[-1][0]] == 9


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_the_operators_fill_by_passes_the_queue(floor: Floor, side: Side) -> None:
    bid, ask = floor.best()
    mine = floor.place("ann", side, 10, bid if side == "BUY" else ask)
    fill = floor.exchange.fill("ann", BTC, order_id=mine.order.order_id, lots=4)
    assert (fill.lots, fill.maker, fill.ticks) == (4, True, mine.order.ticks)
    assert floor.order(mine).left == 6
    check_books(floor.exchange, floor.feed, floor.accounts)
    floor.exchange.fill("ann", BTC, order_id=mine.order.order_id)
    assert floor.order(mine).status == "FILLED"
    with pytest.raises(OrderRefused):
        floor.exchange.fill("ann", BTC, order_id=mine.order.order_id)
