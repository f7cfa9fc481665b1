"""What triggers a stop: enough looks of one's own, and no book that can be trusted against them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import pytest
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.events import DepthUpdate, FeedStatus, TradeTick
from citadel_micro.core.orders.held_stops import OLD_NS

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Side

STOP = 59_990.0
Trigger = Literal["either", "trade"]


def holding() -> Rig:
    rig = Rig(config())
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market"))
    rig.run(1 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.5")
    return rig


def hold_stop(rig: Rig, trigger: Trigger = "either", side: Side = "sell", **params: object) -> None:
    rig.send(
        signal(
            "stop",
            side=side,
            kind="stop",
            order_type="market",
            stop_price=Decimal(str(STOP if side == "sell" else 60_010)),
            created_ns=rig.now,
            algo="stop",
            params=tuple(sorted({"trigger": trigger, **params}.items())),
        )
    )


def trade(
    rig: Rig, price: float, *, trade_id: str | None = None, ago_ns: int = 0, exchange_ns: int = -1
) -> None:
    rig.seq += 1
    at_ns = rig.now - ago_ns if exchange_ns < 0 else exchange_ns
    name = f"m{rig.seq}" if trade_id is None else trade_id
    rig.send(TradeTick(VENUE, SYMBOL, name, price, 0.1, "sell", at_ns, rig.now))


def lose(rig: Rig, how: str) -> None:
    if how == "SYNCING":
        rig.send(FeedStatus(venue=VENUE, symbol=SYMBOL, up=False, reason="gone"))
    elif how == "BROKEN":
        rig.send(FeedStatus(venue=VENUE, symbol=SYMBOL, up=False, reason="no", refused=True))
    elif how == "STALE":
        rig.run(2 * SECOND, refresh_ns=0)
    else:
        rig.seq += 1
        bids = [(60_000.5, 1.0)] if how == "crossed" else []
        if how == "one-sided":
            bids = [(60_000.0 - n / 10, 0.0) for n in range(5)]
        rig.send(
            DepthUpdate(
                *(VENUE, SYMBOL, False, rig.seq, rig.seq, -1), *(None, bids, [], rig.now, rig.now)
            )
        )


def triggered(rig: Rig) -> bool:
    return rig.parent("stop").triggered


@pytest.mark.parametrize("trigger", ["either", "trade"])
@pytest.mark.parametrize("needed", [1, 2, 3])
def test_one_outlier_trade_triggers_nothing_while_the_book_disagrees(
    trigger: Trigger, needed: int
) -> None:
    rig = holding()
    hold_stop(rig, trigger, confirm_updates=needed)
    trade(rig, 50_000.0)
    for _ in range(12):
        rig.run(100 * MS, refresh_ns=0)
        rig.book(60_000.0, 60_000.1)
    rig.run(60 * SECOND)
    assert not triggered(rig)


@pytest.mark.parametrize("count", [2, 5, 50])
def test_one_sweep_triggers_nothing_while_the_book_disagrees(count: int) -> None:
    rig = holding()
    hold_stop(rig)
    for _ in range(count):
        trade(rig, 50_000.0)
    rig.run(30 * SECOND)
    assert not triggered(rig)


def test_outliers_now_and_then_do_not_add_up() -> None:
    rig = holding()
    hold_stop(rig)
    for _ in range(20):
        trade(rig, 50_000.0)
        rig.run(150 * MS, refresh_ns=100 * MS)
    assert not triggered(rig)


@pytest.mark.parametrize("how", ["SYNCING", "BROKEN", "STALE", "crossed", "one-sided"])
def test_without_a_book_to_go_by_trades_protect(how: str) -> None:
    rig = holding()
    hold_stop(rig)
    lose(rig, how)
    assert not rig.engine.inst_states[KEY].fit
    trade(rig, 59_980.0)
    rig.run(5 * SECOND, refresh_ns=0)
    assert not triggered(rig)  # one is an outlier until another says the same
    trade(rig, 59_970.0)
    assert triggered(rig)


def test_one_trade_is_never_enough_without_a_book_whatever_is_configured() -> None:
    rig = holding()
    hold_stop(rig, confirm_updates=1)
    lose(rig, "SYNCING")
    trade(rig, 59_980.0)
    rig.run(5 * SECOND, refresh_ns=0)
    assert not triggered(rig)


def test_a_book_that_agrees_needs_no_second_trade_after_a_while() -> None:
    rig = holding()
    hold_stop(rig, "trade")
    rig.book(59_980.0, 59_980.1)
    trade(rig, 59_980.0)
    assert not triggered(rig)
    rig.run(600 * MS, refresh_ns=0)
    assert triggered(rig)


def test_a_book_that_does_not_move_under_trades_is_not_believed_for_ever() -> None:
    """It is LIVE by its own word, but whatever goes through it would have changed it."""
    rig = holding()
    hold_stop(rig)
    rig.book(60_000.0, 60_000.1)
    for _ in range(3):
        trade(rig, 59_980.0)
        rig.run(300 * MS, refresh_ns=0)
    assert not triggered(rig)
    rig.run(200 * MS, refresh_ns=0)
    assert rig.engine.markets[KEY].state == "LIVE"
    assert triggered(rig)


@pytest.mark.parametrize("how", ["LIVE", "SYNCING"])
@pytest.mark.parametrize("side", ["sell", "buy"])
def test_old_and_repeated_trades_never_count(how: str, side: Side) -> None:
    rig = holding()
    through = 59_000.0 if side == "sell" else 61_000.0
    trade(rig, through, trade_id="seen")
    hold_stop(rig, side=side)
    if how != "LIVE":
        lose(rig, how)
    for _ in range(5):
        trade(rig, through, trade_id="seen")  # what was there before us
        rig.run(300 * MS, refresh_ns=0)
    for ago in (SECOND, 5 * SECOND, 3_600 * SECOND):
        trade(rig, through, ago_ns=rig.now - rig.parent("stop").created_ns + ago)
        rig.run(300 * MS, refresh_ns=0)
    trade(rig, through, trade_id="doubled")
    for _ in range(5):
        trade(rig, through, trade_id="doubled", exchange_ns=rig.now)
    rig.run(2 * SECOND, refresh_ns=0)
    assert not triggered(rig)


def test_trades_replayed_after_a_reconnect_never_count() -> None:
    """Newest first, as one venue sends them, and of the time when nothing was heard."""
    rig = holding()
    hold_stop(rig)
    rig.run(60 * SECOND)
    lose(rig, "SYNCING")
    rig.run(30 * SECOND, refresh_ns=0)
    for number in range(100):
        trade(rig, 59_000.0, trade_id=f"r{number}", ago_ns=OLD_NS + number * SECOND)
    rig.run(SECOND, refresh_ns=0)
    assert not triggered(rig)
    for _ in range(2):
        trade(rig, 59_000.0)
        rig.run(MS, refresh_ns=0)
    assert triggered(rig)


def test_a_stamp_from_the_future_does_not_deafen_it() -> None:
    rig = holding()
    hold_stop(rig)
    trade(rig, 60_000.0, ago_ns=-3_600 * SECOND)
    lose(rig, "SYNCING")
    for _ in range(2):
        trade(rig, 59_000.0)
        rig.run(MS, refresh_ns=0)
    assert triggered(rig)


def test_a_venue_without_times_and_ids_is_read() -> None:
    rig = holding()
    hold_stop(rig)
    lose(rig, "SYNCING")
    for _ in range(2):
        trade(rig, 59_000.0, trade_id="", exchange_ns=0)
    assert triggered(rig)


def test_a_stop_triggered_without_a_book_is_sent_with_the_first_that_can_be_trusted() -> None:
    rig = holding()
    hold_stop(rig, after="chase")
    lose(rig, "SYNCING")
    for _ in range(2):
        trade(rig, 59_000.0)
    assert triggered(rig)
    assert rig.parent("stop").arrival_mid2_ticks == 0
    rig.run(SECOND, refresh_ns=0)
    assert len(rig.venue.placed) == 1
    rig.book(58_990.0, 58_990.1)
    rig.run(3 * SECOND)
    assert rig.report("stop").status == "filled"
    assert rig.report("stop").arrival_mid == pytest.approx(58_990.05)


looks = st.sampled_from(["book", "outlier", "wait"])


@given(steps=st.lists(looks, max_size=40), trigger=st.sampled_from(["either", "trade"]))
def test_no_order_of_outliers_and_books_triggers(steps: list[str], trigger: Trigger) -> None:
    """As long as the book is heard at least every 900 ms."""
    rig = holding()
    hold_stop(rig, trigger)
    silent = 0
    for step in steps:
        silent = 0 if step == "book" else silent + 100
        if step == "outlier":
            trade(rig, 50_000.0)
        rig.run(100 * MS, refresh_ns=0)
        if step == "book" or silent >= 800:
            silent = 0
            rig.book(60_000.0, 60_000.1)
    assert not triggered(rig)


@given(
    prices=st.lists(st.integers(59_970, 60_010), min_size=1, max_size=40),
    needed=st.integers(1, 4),
)
def test_a_book_triggers_exactly_after_so_many_looks_in_a_row(
    prices: list[int], needed: int
) -> None:
    rig = holding()
    hold_stop(rig, confirm_updates=needed, confirm_ms=0)
    row = 0
    for price in prices:
        rig.book(float(price), price + 0.1)
        row = row + 1 if price <= STOP else 0
        assert triggered(rig) == (row >= needed)
        if row >= needed:
            return
