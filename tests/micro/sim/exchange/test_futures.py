"""Linear futures: positions, margin, reduce-only, funding and liquidation, to the last unit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from effort import examples
from exchange_kit import BTC, SECOND, START, check_books, synthetic
from futures_kit import Pit, sum_of_all

from citadel_micro.sim.exchange.accounts import FeePlan
from citadel_micro.sim.exchange.futures import BRACKETS, bracket_of
from citadel_micro.sim.exchange.futures_exchange import FUNDING_NS
from citadel_micro.sim.exchange.model import BalanceEvent, OrderRefused, Side
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.sim.rng import SplitMix64


def refusal(pit: Pit, side: Side, lots: int, ticks: int = 0, **more: Any) -> str:  # noqa: ANN401 - as place
    before = pit.exchange.balances("ann")
    with pytest.raises(OrderRefused) as refused:
        pit.place("ann", side, lots, ticks, **more)
    assert pit.exchange.balances("ann") == before
    return refused.value.reason


def test_a_position_is_opened_grown_reduced_and_turned_round() -> None:
    pit = Pit()
    start = pit.wallet()
    fills = [pit.place("ann", "BUY", 300).fills, pit.place("ann", "BUY", 100).fills]
    assert (pit.lots(), pit.wallet()) == (400, start)
    cost = sum(fill.quote_e8 for each in fills for fill in each)
    view = pit.exchange.position("ann", BTC)
    assert pit.exchange.positions("ann") == [view]
    assert pit.exchange.positions("bob") == []
    assert view.entry_e8 == cost * E8 // (400 * pit.feed.specs[BTC].lot_e8)
    sold = pit.place("ann", "SELL", 100).fills
    realised = sum(fill.realised_e8 for fill in sold)
    assert realised == sum(fill.quote_e8 for fill in sold) - cost // 4
    assert (pit.lots(), pit.wallet()) == (300, start + realised)
    turned = pit.place("ann", "SELL", 500).fills
    assert pit.lots() == -200
    realised += sum(fill.realised_e8 for fill in turned)
    assert pit.wallet() == start + realised
    assert sum_of_all(pit, pit.accounts) == 2 * start


def test_an_order_locks_margin_for_what_it_opens_only() -> None:
    pit = Pit()
    bid, ask = pit.best()
    unit = pit.exchange.rules[BTC].unit_e8
    pit.exchange.set_leverage("ann", BTC, 10)
    long = pit.place("ann", "BUY", 100, bid)
    margin = -(-100 * bid * unit // 10)
    assert pit.exchange.balances("ann")["USDT"][1] == margin
    pit.exchange.cancel("ann", BTC, order_id=long.order.order_id)
    assert pit.exchange.balances("ann")["USDT"][1] == 0
    pit.place("ann", "BUY", 100)
    pit.place("ann", "SELL", 60, ask + 500)
    assert pit.exchange.balances("ann")["USDT"][1] == 0
    pit.place("ann", "SELL", 60, ask + 500)  # 20 of these would open a short
    assert pit.exchange.balances("ann")["USDT"][1] == -(-20 * (ask + 500) * unit // 10)


def test_more_than_the_margin_allows_is_refused() -> None:
    pit = Pit(money=100)
    bid, _ = pit.best()
    unit = pit.exchange.rules[BTC].unit_e8
    pit.exchange.set_leverage("ann", BTC, 5)
    most = 500 * E8 // (bid * unit)
    assert refusal(pit, "BUY", most + 1, bid) == "INSUFFICIENT_BALANCE"
    pit.place("ann", "BUY", most, bid)
    assert refusal(pit, "BUY", most // 2, bid) == "INSUFFICIENT_BALANCE"


def test_a_loss_that_is_not_realised_lowers_what_is_available() -> None:
    pit = Pit(money=1000)
    pit.exchange.set_leverage("ann", BTC, 10)
    pit.place("ann", "BUY", 5000)
    before = pit.exchange.available("ann", "USDT")
    view = pit.exchange.position("ann", BTC)
    pit.exchange.set_mark(BTC, view.entry_e8 * 99 // 100)
    now = pit.exchange.position("ann", BTC)
    assert now.unrealised_e8 < -40 * E8 * 9 // 10
    available = pit.exchange.available("ann", "USDT")
    assert available < before - 30 * E8
    with pytest.raises(OrderRefused):
        pit.exchange.deposit("ann", "USDT", -available - 1)
    pit.exchange.deposit("ann", "USDT", -available)
    assert pit.exchange.available("ann", "USDT") == 0


def test_reduce_only_never_opens_and_never_turns_a_position() -> None:
    pit = Pit()
    _, ask = pit.best()
    assert refusal(pit, "SELL", 10, reduce_only=True) == "REDUCE_ONLY"
    pit.place("ann", "BUY", 100)
    assert refusal(pit, "BUY", 10, reduce_only=True) == "REDUCE_ONLY"
    placed = pit.place("ann", "SELL", 500, reduce_only=True)
    assert (placed.order.lots, placed.order.status, pit.lots()) == (100, "FILLED", 0)
    pit.place("ann", "BUY", 100)
    first = pit.place("ann", "SELL", 60, ask + 500, reduce_only=True)
    second = pit.place("ann", "SELL", 60, ask + 501, reduce_only=True)
    assert second.order.lots == 40
    assert refusal(pit, "SELL", 1, ask + 502, reduce_only=True) == "REDUCE_ONLY"
    pit.place("ann", "SELL", 30)
    assert pit.order(first).status == "NEW"
    assert (pit.order(second).status, pit.order(second).expiry) == ("EXPIRED", "REDUCE_ONLY")
    check_books(pit.exchange, pit.feed, pit.accounts)


def test_a_stop_that_waits_blocks_no_exit_and_closes_what_is_left_when_it_triggers() -> None:
    pit = Pit()
    bid, ask = pit.best()
    tick = pit.feed.specs[BTC].tick_e8
    pit.place("ann", "BUY", 100)
    stops = [
        pit.place("ann", "SELL", 100, type=kind, ticks=ticks, reduce_only=True,
                  stop_e8=(bid - 200) * tick)
        for kind, ticks in (("STOP_LOSS", 0), ("STOP_LOSS_LIMIT", bid - 5000))
    ]  # fmt: skip
    exit_ = pit.place("ann", "SELL", 40, ask + 500, reduce_only=True)
    assert exit_.order.lots == 40
    assert pit.exchange.balances("ann")["USDT"][1] == 0
    pit.place("ann", "SELL", 30)
    assert all(pit.order(each).open for each in (*stops, exit_))
    book = pit.feed.book(BTC)
    lots = sum(n for ticks, n in book.bid_lots.items() if ticks >= bid - 250)
    pit.place("bob", "SELL", lots, bid - 250, time_in_force="IOC")
    assert pit.lots() == 40  # the first stop closed what the resting exit does not
    assert pit.order(stops[0]).filled_lots == 30
    assert (pit.order(stops[1]).status, pit.order(stops[1]).filled_lots) == ("EXPIRED", 0)
    assert pit.order(exit_).open
    check_books(pit.exchange, pit.feed, pit.accounts)


def test_a_modified_order_goes_to_the_back_with_its_new_margin() -> None:
    pit = Pit()
    bid, ask = pit.best()
    spec, unit = pit.feed.specs[BTC], pit.exchange.rules[BTC].unit_e8
    mine = pit.place("ann", "BUY", 100, bid - 5).order.order_id
    other = pit.place("bob", "BUY", 10, bid - 5).order.order_id

    def modify(lots: int, ticks: int) -> str:
        return pit.exchange.amend(
            "ann", BTC, order_id=mine, quantity_e8=lots * spec.lot_e8, price_e8=ticks * spec.tick_e8
        ).status

    assert modify(150, bid - 5) == "NEW"
    queue = [each.order_id for each in pit.feed.book(BTC).bid_queues[bid - 5] if each.order_id]
    assert queue == [other, mine]
    assert pit.exchange.balances("ann")["USDT"][1] == -(-150 * (bid - 5) * unit // 20)
    assert modify(150, ask) == "FILLED" or pit.lots() > 0
    filled = pit.lots()
    if filled < 150:
        assert modify(filled, bid) == "CANCELED"
    check_books(pit.exchange, pit.feed, pit.accounts)


def test_a_post_only_order_that_would_take_is_refused_or_ended_by_its_modify() -> None:
    pit = Pit()
    bid, ask = pit.best()
    spec = pit.feed.specs[BTC]
    assert refusal(pit, "BUY", 10, ask, time_in_force="GTX") == "WOULD_TAKE"
    mine = pit.place("ann", "BUY", 10, bid, time_in_force="GTX").order
    ended = pit.exchange.amend(
        "ann",
        BTC,
        order_id=mine.order_id,
        quantity_e8=10 * spec.lot_e8,
        price_e8=ask * spec.tick_e8,
    )
    assert (ended.status, ended.filled_lots) == ("EXPIRED", 0)


def test_an_order_good_till_a_time_expires_then() -> None:
    pit = Pit()
    bid, _ = pit.best()
    till = pit.exchange.now_ns + 600 * SECOND
    mine = pit.place("ann", "BUY", 10, bid, time_in_force="GTD", good_till_ns=till)
    pit.exchange.advance(till - 1)
    assert pit.order(mine).open
    pit.exchange.advance(till + SECOND)
    now = pit.order(mine)
    assert (now.status, now.expiry, now.update_ns) == ("EXPIRED", "GTD", till)


def test_leverage_and_margin_mode_have_their_limits() -> None:
    pit = Pit(money=10**7)
    assert pit.exchange.set_leverage("ann", BTC, 125) == BRACKETS[0].cap_e8
    for leverage in (0, 126):
        with pytest.raises(OrderRefused):
            pit.exchange.set_leverage("ann", BTC, leverage)
    bid, _ = pit.best()
    lots = 60_000 * E8 // (bid * pit.exchange.rules[BTC].unit_e8)
    assert refusal(pit, "BUY", lots, bid) == "MAX_LEVERAGE"
    pit.exchange.set_leverage("ann", BTC, 50)
    with pytest.raises(OrderRefused) as refused:
        pit.exchange.set_isolated("ann", BTC, isolated=False)
    assert refused.value.reason == "MARGIN_TYPE"
    mine = pit.place("ann", "BUY", lots, bid).order
    with pytest.raises(OrderRefused):
        pit.exchange.set_isolated("ann", BTC, isolated=True)
    pit.exchange.cancel("ann", BTC, order_id=mine.order_id)
    pit.exchange.set_isolated("ann", BTC, isolated=True)
    assert pit.exchange.position("ann", BTC).isolated


def test_an_isolated_position_has_margin_of_its_own() -> None:
    pit = Pit()
    pit.exchange.set_isolated("ann", BTC, isolated=True)
    pit.exchange.set_leverage("ann", BTC, 10)
    fills = pit.place("ann", "SELL", 1000).fills
    value = sum(fill.quote_e8 for fill in fills)
    margin = pit.exchange.position("ann", BTC).margin_e8
    assert value // 10 <= margin <= value // 10 + len(fills)
    assert pit.exchange.balances("ann")["USDT"][1] == margin
    pit.exchange.add_margin("ann", BTC, 5 * E8)
    assert pit.exchange.position("ann", BTC).margin_e8 == margin + 5 * E8
    with pytest.raises(OrderRefused):
        pit.exchange.add_margin("ann", BTC, -margin)
    pit.place("ann", "BUY", 1000, reduce_only=True)
    assert pit.exchange.position("ann", BTC).margin_e8 == 0
    assert pit.exchange.balances("ann")["USDT"][1] == 0


def test_funding_goes_from_longs_to_shorts_every_eight_hours() -> None:
    first = (START // FUNDING_NS + 1) * FUNDING_NS
    pit = Pit(feed=synthetic(start_ns=first - 60 * SECOND))
    pit.place("ann", "BUY", 1000)
    pit.place("bob", "SELL", 1000)
    start = (pit.wallet("ann"), pit.wallet("bob"))
    whole = sum_of_all(pit, pit.accounts)
    pit.exchange.drain()
    due = pit.exchange.next_funding_ns()
    assert due == first
    pit.exchange.set_mark(BTC, pit.exchange.mark_e8(BTC))
    pit.exchange.advance(due)
    notional = pit.exchange.mark_e8(BTC) * 1000 * pit.feed.specs[BTC].lot_e8 // E8
    paid = notional * 10_000 // E8
    assert abs(start[0] - pit.wallet("ann") - paid) <= 1
    assert abs(pit.wallet("bob") - start[1] - paid) <= 1
    assert sum_of_all(pit, pit.accounts) == whole
    told = [
        event
        for event in pit.exchange.drain()
        if isinstance(event, BalanceEvent) and event.reason == "funding"
    ]
    assert [event.account_id for event in told] == ["ann", "bob"]
    assert told[0].positions[0].symbol == BTC
    assert pit.exchange.next_funding_ns() == due + FUNDING_NS
    assert [m.kind for m in pit.exchange.ledger("ann").movements] == ["funding"]


@pytest.mark.parametrize("isolated", [True, False])
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_position_without_its_margin_is_closed_by_the_exchange(
    side: Side, *, isolated: bool
) -> None:
    pit = Pit(money=1000)
    pit.exchange.set_leverage("ann", BTC, 20)
    if isolated:
        pit.exchange.set_isolated("ann", BTC, isolated=True)
    pit.place("ann", side, 2000)
    whole = sum_of_all(pit, pit.accounts)
    view = pit.exchange.position("ann", BTC)
    bid, ask = pit.best()
    far = bid - 3000 if side == "BUY" else ask + 3000
    resting = pit.place("ann", side, 10, far)
    sign = 1 if side == "BUY" else -1
    if view.liquidation_e8:
        safe = view.liquidation_e8 + sign * (view.entry_e8 // 1000)
        pit.exchange.set_mark(BTC, safe)
        assert pit.lots() != 0
        pit.exchange.drain()
        pit.exchange.set_mark(BTC, view.liquidation_e8 - sign * (view.entry_e8 // 1000))
        assert pit.lots() == 0
        closing = pit.exchange.all_orders("ann", BTC)[-1]
        assert closing.origin == "liquidation"
        assert closing.client_id.startswith("autoclose-")
        assert pit.order(resting).status == "CANCELED"
    else:
        assert not isolated
    assert sum_of_all(pit, pit.accounts) == whole
    check_books(pit.exchange, pit.feed, pit.accounts)


def test_a_loss_beyond_the_wallet_is_the_insurance_funds() -> None:
    pit = Pit(money=100)
    pit.exchange.set_leverage("ann", BTC, 20)
    pit.place("ann", "BUY", 2000)
    whole = sum_of_all(pit, pit.accounts)
    mark = pit.exchange.mark_e8(BTC)
    book = pit.feed.book(BTC)
    for ticks in list(book.bids):
        book.put("bid", ticks, 0)  # nobody is left who would buy
    pit.exchange.set_mark(BTC, mark * 9 // 10)
    assert (pit.lots(), pit.wallet()) == (0, 0)
    assert pit.exchange._futures.insurance["USDT"] < 0
    closing = pit.exchange.all_orders("ann", BTC)[-1]
    assert (closing.origin, closing.status) == ("adl", "FILLED")
    assert closing.client_id.startswith("adl_autoclose-")
    assert sum_of_all(pit, pit.accounts) == whole


def test_brackets_join_without_a_step() -> None:
    for lower, upper in pairwise(BRACKETS):
        at = lower.cap_e8
        assert at * lower.rate_e8 // E8 - lower.less_e8 == at * upper.rate_e8 // E8 - upper.less_e8
    assert bracket_of(10**30) is BRACKETS[-1]


@pytest.mark.parametrize("seed", range(examples(3, 100)))
def test_random_traders_lose_and_win_nothing_of_the_whole(seed: int) -> None:
    pit = Pit(money=3000, still=False, fees=FeePlan(maker_e8=20_000, taker_e8=50_000))
    names = tuple(f"t{number}" for number in range(6))
    rng = SplitMix64(seed)
    for name in names:
        pit.exchange.open_account(
            name, {"USDT": 2000 * E8}, permissions=frozenset({"read", "futures"})
        )
        if rng.uniform() < 0.5:
            pit.exchange.set_isolated(name, BTC, isolated=True)
    everyone = (*pit.accounts, *names)
    whole = sum_of_all(pit, everyone)
    refused = 0
    for _ in range(500):
        pit.step(1 + int(4e7 * rng.exponential()))
        name = names[rng.below(len(names))]
        bid, ask = pit.best()
        side: Side = "BUY" if rng.uniform() < 0.5 else "SELL"
        out = pit.exchange.open_orders(name)
        try:
            if out and rng.uniform() < 0.3:
                pit.exchange.cancel(name, BTC, order_id=out[rng.below(len(out))].order_id)
            else:
                ticks = (bid if side == "BUY" else ask) + rng.below(60) - 30
                pit.place(
                    name, side, 1 + rng.below(3000), ticks if rng.uniform() < 0.7 else 0,
                    reduce_only=rng.uniform() < 0.3, stp="NONE",
                )  # fmt: skip
        except OrderRefused:
            refused += 1
        if rng.uniform() < 0.02:
            pit.exchange.fund(BTC, rng.below(200_000) - 100_000)
        if rng.uniform() < 0.02:
            shift = 95 + rng.below(11)
            pit.exchange.set_mark(BTC, bid * pit.feed.specs[BTC].tick_e8 * shift // 100)
            pit.exchange.set_mark(BTC, None)
        check_books(pit.exchange, pit.feed, everyone)
        assert sum_of_all(pit, everyone) == whole
        for each in everyone:
            free, locked = pit.exchange.balances(each)["USDT"]
            orders = sum(order.lock_e8 for order in pit.exchange.open_orders(each))
            assert free >= 0
            assert locked == orders + pit.exchange.position(each, BTC).margin_e8
    kinds = {order.origin for each in names for order in pit.exchange.all_orders(each, BTC)}
    if seed < 3:  # those of the suite
        assert "liquidation" in kinds
    assert refused < 400
