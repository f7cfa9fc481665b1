"""ChaseLimit on bad books, after post-only rejects, and with a small rest."""

from __future__ import annotations

import itertools
from decimal import Decimal

from chase_kit import chase, prices
from engine_kit import KEY, MS, SECOND, Rig, rules, signal

from citadel_micro.core.model.commands import CancelOrder, PlaceOrder, RequestSnapshot


def test_a_stale_book_stops_it_and_withdraws_it_after_three_seconds() -> None:
    rig = Rig()
    chase(rig)
    rig.run(2_800 * MS, refresh_ns=0)
    assert rig.sent(CancelOrder) == []
    rig.run(400 * MS, refresh_ns=0)
    assert len(rig.sent(CancelOrder)) == 1
    assert rig.venue.open_orders() == []


def test_does_nothing_on_a_locked_book_and_asks_for_a_new_one() -> None:
    rig = Rig()
    chase(rig)
    rig.book(60_001.0, 60_001.0)
    rig.run(900 * MS, refresh_ns=0)
    assert prices(rig) == [600_000]
    asked = [c for _, c in rig.commands if isinstance(c, RequestSnapshot)]
    assert len(asked) == 1
    assert "crossed" in asked[0].reason
    rig.book(60_001.0, 60_001.1)
    rig.run(400 * MS)
    assert prices(rig) == [600_000, 600_010]


def test_post_only_refusals_back_off_on_newer_books_and_less_aggressively() -> None:
    rig = Rig()
    rig.venue.ask_ticks = 600_000  # the exchange is ahead of what we see
    rig.send(signal())
    for _ in range(40):
        rig.run(50 * MS, refresh_ns=0)
        rig.book(60_000.0, 60_000.1)
        rig.venue.ask_ticks = 599_997
    sent = [(at, order.price_ticks) for at, order in rig.sent(PlaceOrder)]  # type: ignore[attr-defined]
    assert [price for _, price in sent][:4] == [600_000, 599_999, 599_998, 599_997]
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(sent)]
    assert all(a <= b + 60 * MS for a, b in itertools.pairwise(gaps[:4]))
    assert all(order.post_only for order in rig.venue.placed)
    asked = [c for _, c in rig.commands if isinstance(c, RequestSnapshot)]
    assert not asked or "post-only" in asked[0].reason


def test_five_post_only_refusals_resynchronise_the_book() -> None:
    rig = Rig()
    rig.send(signal())
    while "RequestSnapshot" not in [type(command).__name__ for _, command in rig.commands]:
        rig.book(60_000.0, 60_000.1)
        rig.venue.ask_ticks = 1
        rig.run(50 * MS, refresh_ns=0)
    assert len(rig.venue.placed) == 5
    asked = [c for _, c in rig.commands if isinstance(c, RequestSnapshot)]
    assert "post-only" in asked[0].reason
    assert rig.engine.markets[KEY].state == "SYNCING"


def test_what_could_not_be_placed_again_is_not_cancelled_for_a_better_price() -> None:
    rig = Rig(instrument=rules(min_notional=Decimal(3_000)))
    chase(rig)
    rig.venue.fill("sctest-1-1", 460)  # 0.04 left: 2,400 USDT
    rig.book(60_010.0, 60_010.1)
    rig.run(2 * SECOND)
    assert rig.sent(CancelOrder) == []
    rig.venue.fill("sctest-1-1", 40)
    rig.run(10 * MS)
    assert rig.report().status == "filled"


def test_dust_is_reported_as_done() -> None:
    rig = Rig(instrument=rules(min_notional=Decimal(3_000)))
    chase(rig)
    rig.venue.fill("sctest-1-1", 460)
    rig.venue._close(rig.venue.orders["sctest-1-1"], "canceled")
    rig.run(100 * MS)
    assert rig.report().status == "done_dust"
    assert rig.report().filled == Decimal("0.46")
