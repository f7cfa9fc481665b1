"""The account's trades under random schedules: no false alarm, nothing counted twice."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pytest
from effort import examples
from engine_exchange import Faults
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal
from history_kit import quantity, telling, trips
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.core.engine.account_history import OVERLAP_NS
from citadel_micro.core.model.account_events import AccountTrade, AccountTrades
from citadel_micro.core.model.events import (
    Started,
    VenueSnapshot,
    VenueStatus,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.events import Event

FEW = settings(max_examples=examples(5, 300))


class Watched(Rig):
    """Nothing may trip: the venue is honest, only slow and lossy."""

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:  # noqa: ARG002
        assert [trip.code for trip in self.engine.risk.breakers.trips] == [], event


@FEW
@given(seed=st.integers(0, 2**32))
def test_no_schedule_raises_an_alarm_about_coins(seed: int) -> None:
    """All that we bought and nothing more is there, with fees in coins, on a slow and lossy line."""
    chance = Random(seed)
    faults = Faults(lose_request=0.05, lose_report=0.2, duplicate=0.2, slow=0.4, slow_ns=8 * SECOND)
    settings = config(
        telling(tells_trades=chance.random() < 0.5), compare_ns=chance.choice((SECOND, 5 * SECOND))
    )
    rig = Watched(settings, instrument=rules(fee_side="received"), chance=Random(seed + 1))
    rig.venue.coins["BTC"] = "0"
    rig.venue.true_coins = rig.venue.fee_in_base = True
    rig.venue.faults = faults
    for number in range(8):
        side = chance.choice(("buy", "sell"))
        held = int(rig.engine.portfolio.quantity(*KEY) * 1_000)
        lots = chance.randint(1, 300) if side == "buy" else min(held, chance.randint(1, 300))
        if lots <= 0:
            continue
        rig.send(
            signal(
                f"s{number}",
                side=side,
                quantity=Decimal(lots) / 1_000,
                order_type=chance.choice(("market", "limit")),
                created_ns=rig.now,
                expires_ns=rig.now + 10 * SECOND,
            )
        )
        for _ in range(3):
            rig.run(chance.randint(1, 5_000) * MS)
            if chance.random() < 0.5:
                rig.venue.fill_something()
        if chance.random() < 0.2:
            rig.restart()
    rig.venue.heal()
    rig.run(200 * SECOND)
    assert quantity(rig) == rig.venue._coins("BTC", "0")


@FEW
@given(seed=st.integers(0, 2**32))
def test_a_crash_inside_any_batch_counts_no_trade_twice_and_forgets_none(seed: int) -> None:
    chance = Random(seed)
    rig = Rig(
        config(telling(), compare_ns=SECOND),
        instrument=rules(kind="linear"),
        chance=Random(seed + 1),
        faults=Faults(lose_report=0.1, duplicate=0.2, slow=0.2, slow_ns=2 * SECOND),
    )
    while rig.recovering():
        rig.run(SECOND)
    rig.venue.true_positions = True
    for number in range(4):
        rig.send(
            signal(
                f"s{number}",
                side=chance.choice(("buy", "sell")),
                quantity=Decimal(chance.randint(1, 300)) / 1_000,
                created_ns=rig.now,
                expires_ns=rig.now + 10 * SECOND,
            )
        )
        rig.venue.foreign_trade(chance.choice(("buy", "sell")), chance.randint(1, 50))
        rig.run(chance.randint(1, 3_000) * MS)
        rig.drop_after = chance.randint(0, 6)
        for _ in range(20):
            if rig.dead():
                break
            rig.venue.fill_something()
            rig.run(chance.randint(1, 300) * MS)
        rig.restart()
        rig.run(chance.randint(1, 3_000) * MS)
    rig.venue.heal()
    rig.run(200 * SECOND)
    assert trips(rig) == []
    assert quantity(rig) == Decimal(rig.venue.held_lots) / 1_000
    for name, parent in rig.engine.order_store.known.items():
        assert parent.filled == rig.venue.filled_of(name)


@FEW
@given(seed=st.integers(0, 2**32), foreign=st.booleans())
def test_no_schedule_of_an_honest_venue_raises_an_alarm(seed: int, *, foreign: bool) -> None:
    chance = Random(seed)
    faults = Faults(lose_request=0.05, lose_report=0.2, duplicate=0.2, slow=0.4, slow_ns=8 * SECOND)
    settings = config(telling(), compare_ns=chance.choice((500 * MS, 3 * SECOND, 20 * SECOND)))
    rig = Watched(
        settings,
        instrument=rules(kind="linear"),
        chance=Random(seed + 1),
        faults=faults,
        start=False,
    )
    rig.venue.true_positions = True
    rig.bid, rig.ask = 60_000.0, 60_000.1
    rig.restart()
    while rig.recovering():
        rig.run(SECOND)
    for number in range(6):
        side = chance.choice(("buy", "sell"))
        rig.send(
            signal(
                f"s{number}",
                side=side,
                quantity=Decimal(chance.randint(1, 300)) / 1_000,
                order_type=chance.choice(("market", "limit")),
                created_ns=rig.now,
                expires_ns=rig.now + 10 * SECOND,
            )
        )
        for _ in range(4):
            rig.run(chance.randint(1, 4_000) * MS)
            if chance.random() < 0.5:
                rig.venue.fill_something()
            if foreign and chance.random() < 0.3:
                rig.venue.foreign_trade(chance.choice(("buy", "sell")), chance.randint(1, 50))
        if chance.random() < 0.2:
            rig.send(VenueStatus(venue=VENUE, up=False, reason="cut"))
            rig.run(chance.randint(1, 3_000) * MS)
            rig.send(VenueStatus(venue=VENUE, up=True, reason="back"))
    rig.venue.heal()
    rig.run(200 * SECOND)
    assert quantity(rig) == Decimal(rig.venue.held_lots) / 1_000
    for name, parent in rig.engine.order_store.known.items():
        assert parent.filled == rig.venue.filled_of(name)


@pytest.mark.parametrize(("after_ms", "booked"), [(-1, False), (0, False), (1, True)])
def test_a_trade_counts_from_the_last_one_that_the_first_statement_includes(
    after_ms: int, *, booked: bool
) -> None:
    """Whatever time the statement itself has: the engine of the venue may lag behind that."""
    rig = Rig(config(telling()), instrument=rules(kind="linear"), start=False)
    engine, now_ns = rig.engine, rig.now
    changed_ns = now_ns - 3 * SECOND
    engine.handle(Started(state={}, damaged=""), now_ns)
    engine.handle(
        VenueSnapshot(
            venue=VENUE,
            open_orders=(),
            balances=(),
            exchange_ns=now_ns,
            positions=(),
            changed=((SYMBOL, changed_ns),),
        ),
        now_ns,
    )
    trade = AccountTrade(
        trade_id="1",
        venue_order_id="1",
        client_id="a person",
        side="buy",
        price_ticks=600_000,
        quantity_lots=500,
        fee=Decimal(0),
        fee_currency="USDT",
        liquidity="taker",
        exchange_ns=changed_ns + after_ms * MS,
    )
    answer = AccountTrades(
        venue=VENUE,
        symbol=SYMBOL,
        since_ns=now_ns - OVERLAP_NS,
        trades=(trade,),
        exchange_ns=now_ns + SECOND,
    )
    engine.handle(answer, now_ns + SECOND)
    assert quantity(rig) == (Decimal("0.5") if booked else 0)
