"""Venues that take few messages, are not there, or refuse to let an order rest."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from effort import examples
from engine_kit import MS, SECOND, START, SYMBOL, VENUE, Rig, config, rules, signal
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.core.model.commands import (
    AmendOrder,
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    QueryVenue,
)
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import AmendRejected, OrderRejected, VenueStatus
from citadel_micro.core.orders.rate_limiter import MessageBucket

if TYPE_CHECKING:
    from citadel_micro.core.engine.engine import Command

SLOW = VenueConfig(shows_own_orders=False, messages_per_second=1, message_burst=10)
EXPIRES_NS = START + 3_600 * SECOND


def resting(rig: Rig, count: int, *, since: int = 0) -> list[str]:
    """Orders that work, by the names of their signals."""
    names = [f"r{since + number}" for number in range(count)]
    for name in names:
        rig.send(
            signal(
                name,
                algo="limit",
                quantity=Decimal("0.01"),
                limit_price=Decimal(59_900),
                created_ns=rig.now,
                expires_ns=EXPIRES_NS,
            )
        )
    rig.run(100 * MS)
    assert len(rig.venue.open_orders()) == count
    return names


# --- few messages ---------------------------------------------------------------------------------


def test_every_cancel_leaves_before_the_questions_about_others() -> None:
    """Seven orders are withdrawn, and the venue answers nothing."""
    rig = Rig(config(SLOW))
    names = resting(rig, 7)
    rig.venue.mute = True
    began = rig.now
    for name in names:
        rig.cancel(name)
    rig.run(6 * SECOND)
    cancels = [at for at, _ in rig.sent(CancelOrder)]
    assert len(cancels) == 7
    assert max(cancels) <= began + 6 * SECOND
    assert all(at > max(cancels) for at, _ in rig.sent(QueryOrder))
    rig.run(30 * SECOND)
    asked = {order.client_id for _, order in rig.sent(QueryOrder) if isinstance(order, QueryOrder)}
    assert len(asked) == 7


def test_a_cancel_leaves_at_once_however_many_questions_are_open() -> None:
    rig = Rig(config(SLOW))
    names = resting(rig, 3)
    rig.run(20 * SECOND)
    rig.venue.mute = True
    rig.cancel(names[0])
    rig.cancel(names[1])
    rig.run(12 * SECOND)  # questions about both by now, as fast as the bucket fills
    assert rig.sent(QueryOrder)
    began = rig.now
    rig.cancel(names[2])
    rig.run(2 * SECOND)
    assert rig.sent(CancelOrder)[-1][0] <= began + 1_100 * MS


def test_following_the_market_leaves_the_reserve_to_withdrawals() -> None:
    rig = Rig(config(SLOW))
    (name,) = resting(rig, 1)
    rig.send(signal("chaser", quantity=Decimal("0.01"), created_ns=rig.now, expires_ns=EXPIRES_NS))
    for step in range(60):
        up = 1.0 * (step % 2)
        rig.book(60_000.0 + up, 60_001.1)
        rig.run(300 * MS, refresh_ns=0)
    assert rig.parent("chaser").reprices > 5
    began = rig.now
    rig.cancel(name)
    assert rig.sent(CancelOrder)[-1][0] == began, "the reserve is there for it"


@settings(max_examples=examples(25, 200), deadline=None)
@given(
    burst=st.integers(1, 20),
    rate=st.integers(1, 20),
    reserve=st.sampled_from([0.0, 0.2, 0.5]),
    steps=st.lists(
        st.tuples(st.sampled_from("ocq"), st.integers(0, 2 * SECOND)), min_size=1, max_size=80
    ),
)
def test_a_bucket_keeps_its_rate_and_no_cancel_waits_for_anything_else(
    burst: int, rate: int, reserve: float, steps: list[tuple[str, int]]
) -> None:
    bucket = MessageBucket(per_second=rate, burst=burst, reserve=reserve)
    now, sent, waits_until = 1, [], 0
    for kind, pause in steps:
        now += pause
        take = {"o": bucket.take_order, "c": bucket.take_cancel, "q": bucket.take_question}[kind]
        wait = take(now)
        if wait == 0:
            sent.append(now)
            assert kind == "c" or now > waits_until
        else:
            assert wait > now
            if kind == "c":
                waits_until = max(waits_until, wait)
                assert wait <= now + SECOND // rate + 1
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            most = burst + (sent[last] - sent[first]) * rate / SECOND
            assert last - first + 1 <= most + 1e-6


# --- not there ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stop", "flatten", "market"])
def test_an_exit_goes_before_orders_that_follow_the_market(how: str) -> None:
    """Ten entries take every message that the venue permits."""
    venue = VenueConfig(shows_own_orders=False, messages_per_second=2, message_burst=10)
    rig = Rig(config(venue))
    rig.venue.partial_share = 0.0
    rig.send(signal("held", order_type="market"))
    rig.run(5 * SECOND)
    times = {"created_ns": rig.now, "expires_ns": rig.now + 600 * SECOND}
    stop = {"kind": "stop", "order_type": "market", "stop_price": Decimal(59_990), "side": "sell"}
    if how == "stop":
        rig.send(signal("stop", **stop, **times))
    eager = (("min_dwell_ms", 0), ("time_limit_ms", 600_000), ("retreat_ticks", 1))
    for number in range(10):
        rig.send(signal(f"e{number}", quantity=Decimal("0.001"), params=eager, **times))
    for number in range(60):
        price = 60_000.0 + number % 2 * 0.5
        rig.book(price, price + 0.1)
        rig.run(100 * MS, refresh_ns=0)
    if how == "flatten":
        rig.operate("flatten", f"symbol:{VENUE}:{SYMBOL}")
    elif how == "market":
        leave = {"side": "sell", "order_type": "market", "created_ns": rig.now}
        rig.send(signal("exit", expires_ns=rig.now + SECOND, **leave))
    for number in range(60):
        price = 59_980.0 + number % 2 * 0.5
        rig.book(price, price + 0.1)
        rig.run(100 * MS, refresh_ns=0)
    sold = [order for order in rig.venue.placed if order.side == "sell"]
    assert sum(rig.venue.orders[order.client_id].filled_lots for order in sold) >= 500


@pytest.mark.parametrize("amend", [True, False])
def test_nothing_is_sent_while_the_order_connection_is_down(*, amend: bool) -> None:
    venue = VenueConfig(
        shows_own_orders=False, messages_per_second=100, message_burst=500, amend_native=amend
    )
    rig = Rig(config(venue))
    chase = (("max_chase_bps", 1_000.0), ("time_limit_ms", 600_000))
    for name in ("goes on", "withdrawn", "exits"):
        rig.send(signal(name, params=chase, expires_ns=EXPIRES_NS))
    rig.run(1 * SECOND)
    assert len(rig.venue.open_orders()) == 3
    requests = len(rig.venue.requests)
    rig.send(VenueStatus(venue=VENUE, up=False, reason="socket closed"))
    for step in range(20):
        up = 1.0 * (step % 2)
        rig.book(60_000.0 + up, 60_001.1)
        rig.run(500 * MS, refresh_ns=0)
        if step == 5:
            rig.cancel("withdrawn")
        if step == 8:
            rig.operate("halt", reason="look at it")
    rig.run(20 * SECOND)  # audits would be due
    assert len(rig.venue.requests) == requests
    back = rig.now
    rig.send(VenueStatus(venue=VENUE, up=True, reason=""))
    rig.run(1 * SECOND)
    sent = [command for at, command in rig.venue.requests[requests:] if at == back]
    assert sum(isinstance(command, CancelOrder) for command in sent) == 3
    assert rig.venue.open_orders() == []
    assert rig.report("withdrawn").status == "canceled"


def test_cancels_that_waited_for_the_venue_leave_before_any_question() -> None:
    rig = Rig(config(SLOW))
    names = resting(rig, 7)
    rig.send(VenueStatus(venue=VENUE, up=False, reason="socket closed"))
    for name in names[2:]:
        rig.cancel(name)
    rig.run(1 * SECOND)
    assert rig.sent(CancelOrder) == []
    rig.venue.mute = True
    back = rig.now
    rig.send(VenueStatus(venue=VENUE, up=True, reason=""))
    rig.run(3 * SECOND)
    cancels = [at for at, _ in rig.sent(CancelOrder)]
    assert len(cancels) == 5
    assert max(cancels) < back + 3 * SECOND
    assert all(at >= max(cancels) for at, _ in rig.sent(QueryOrder))


def test_an_order_in_doubt_that_was_withdrawn_while_its_venue_was_down_is_asked_about() -> None:
    rig = Rig(config())
    rig.venue.mute = True
    rig.send(signal(order_type="market"))
    rig.run(100 * MS)
    rig.send(VenueStatus(venue=VENUE, up=False, reason="gone", dms_armed=False))
    rig.cancel()
    rig.run(10 * SECOND)
    rig.venue.heal()
    rig.send(VenueStatus(venue=VENUE, up=True, reason="", dms_armed=False))
    rig.run(10 * SECOND)
    assert rig.parent().closed
    assert rig.engine.portfolio.quantity(VENUE, SYMBOL) * 1000 == rig.venue.filled_of("s1")
    assert rig.venue.open_orders() == []


def test_an_order_follows_again_when_its_venue_is_back() -> None:
    rig = Rig(config(VenueConfig(shows_own_orders=False, amend_native=True)))
    rig.send(signal())
    rig.run(1 * SECOND)
    rig.send(VenueStatus(venue=VENUE, up=False, reason="socket closed"))
    rig.book(60_002.0, 60_002.1)
    rig.run(2 * SECOND)
    assert rig.sent(AmendOrder) == []
    rig.send(VenueStatus(venue=VENUE, up=True, reason=""))
    rig.run(1 * SECOND)
    assert rig.live().price_ticks == 600_020


def test_a_venue_that_is_down_at_a_restart_is_asked_when_it_is_back() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(1 * SECOND)
    rig.venue.mute = True
    rig.restart()
    rig.send(VenueStatus(venue=VENUE, up=False, reason="socket closed"))
    rig.run(1 * SECOND)
    asked = len(rig.sent(QueryVenue))
    rig.run(10 * SECOND)
    assert len(rig.sent(QueryVenue)) == asked
    rig.venue.mute = False
    rig.send(VenueStatus(venue=VENUE, up=True, reason=""))
    rig.run(5 * SECOND)
    assert not rig.recovering()
    assert rig.report().status == "working"


def test_an_amend_that_would_take_steps_back_and_waits() -> None:
    """As a new order that is refused so, and what rests stays at rest."""
    rig = Rig(config(VenueConfig(shows_own_orders=False, amend_native=True)))
    rig.send(signal())
    rig.run(1 * SECOND)
    child = rig.live().place.client_id
    rig.book(60_002.0, 60_002.1)
    for refused in range(12):
        while len(rig.sent(AmendOrder)) == refused:
            rig.run(5 * MS, refresh_ns=0)
            rig.book(rig.bid, rig.ask)
        rig.venue._inbox.clear()
        refusal = AmendRejected(
            venue=VENUE, symbol=SYMBOL, client_id=child, code="POST_ONLY", text="would take"
        )
        rig.send(refusal)
    sent = rig.sent(AmendOrder)
    prices = [order.price_ticks for _, order in sent if isinstance(order, AmendOrder)]
    assert prices == [600_020 - step for step in range(12)]
    pauses = [after - before for (before, _), (after, _) in pairwise(sent)]
    assert all(pause >= 250 * MS for pause in pauses)
    assert pauses[-1] >= 1 * SECOND
    assert rig.report().status == "working"
    assert rig.live().price_ticks == 600_000


# --- will not let it rest -------------------------------------------------------------------------


class Refusing(Rig):
    """Its exchange refuses every post-only order."""

    def _carry_out(self, command: Command) -> None:
        before = len(self.venue.placed)
        super()._carry_out(command)
        for order in self.venue.placed[before:]:
            assert isinstance(order, PlaceOrder)
            self.venue._inbox.clear()
            self.venue._tell(
                OrderRejected(
                    venue=VENUE,
                    symbol=SYMBOL,
                    client_id=order.client_id,
                    code="POST_ONLY",
                    text="would take",
                )
            )


@pytest.mark.parametrize("algo", ["limit", "chase_limit"])
@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("bid_ticks", [1, 2, 5])
def test_a_post_only_order_never_steps_below_one_tick(algo: str, side: str, bid_ticks: int) -> None:
    tiny = rules(tick=Decimal("0.1"), min_notional=Decimal(0))
    limits = config().limits
    loose = type(limits)(
        **{
            **{name: getattr(limits, name) for name in limits.__dataclass_fields__},
            "price_collar_bps": 1e6,
            "fat_finger_bps": 1e6,
            "max_spread_bps": 1e6,
        }
    )
    rig = Refusing(config(limits=loose), instrument=tiny)
    bid = bid_ticks / 10
    rig.book(bid, round(bid + 0.1, 1), size=1e9)
    rig.send(
        signal(
            side=side,
            algo=algo,
            quantity=Decimal(10),
            limit_price=Decimal(str(round(bid + 0.1, 1) if side == "buy" else bid)),
            params=(("post_only", True),),
            expires_ns=EXPIRES_NS,
        )
    )
    for _ in range(200):
        rig.book(rig.bid, rig.ask, size=1e9)
        rig.run(300 * MS, refresh_ns=0)
    assert rig.venue.placed
    prices = [order.price_ticks for order in rig.venue.placed]
    assert min(prices) >= 1
    if side == "buy":
        assert (rig.report().status, rig.report().reason_code) == ("canceled", "POST_ONLY")
        assert "tick" in rig.report().reason
        assert len(prices) <= 4 + bid_ticks + 1
