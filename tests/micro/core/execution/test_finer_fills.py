"""Fills in parts of our lots, at prices between our ticks: a venue has made them finer while we run."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal
from exit_kit import exit_, held

from citadel_micro.core.model.account_events import AccountTrade, AccountTrades
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import OrderDone, OrderFilled
from citadel_micro.core.model.exact_fill import ExactFill, in_units, total_lots, whole_lots
from citadel_micro.core.orders.order_records import FILL_KEY
from citadel_micro.shell.journal import records
from citadel_proto.errors import VenueViolation

RULES = rules()
LOT, TICK = RULES.lot, RULES.tick
PRICE = Decimal(59_000)
STILL = VenueConfig(shows_own_orders=False, messages_per_second=100, message_burst=500)


def buying(lots: int = 10, *, algo: str = "limit") -> Rig:
    """A rig whose bid rests below the market."""
    rig = Rig(config(STILL, round_exits=True))
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", algo=algo, limit_price=PRICE, quantity=LOT * lots))
    rig.run(20 * MS)
    assert rig.live("buy").status == "open"
    return rig


def client_id(rig: Rig) -> str:
    return rig.parent("buy").children[-1].client_id


def fill(
    rig: Rig, number: int, lots: str, *, price: Decimal = PRICE, name: str = ""
) -> OrderFilled:
    """So many of our lots of the resting order, sent as its adapter does."""
    event = OrderFilled(
        venue=VENUE,
        symbol=SYMBOL,
        client_id=name or client_id(rig),
        trade_id=f"t{number}",
        **in_units(RULES, price, LOT * Decimal(lots)),
        cumulative_lots=-1,
        fee=Decimal(0),
        fee_currency="USDT",
        liquidity="maker",
        exchange_ns=rig.now,
    )
    assert records.decode_event(records.encode(event)) == event
    rig.send(event)
    return event


def done(rig: Rig, status: str, lots: int) -> None:
    rig.send(
        OrderDone(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=client_id(rig),
            status=status,  # type: ignore[arg-type]
            cumulative_lots=lots,
            reason="",
            exchange_ns=rig.now,
        )
    )


def test_units_are_whole_or_exact() -> None:
    assert in_units(RULES, PRICE, LOT * 3) == {
        "price_ticks": RULES.ticks(PRICE, "nearest"),
        "quantity_lots": 3,
        "exact": None,
    }
    part = in_units(RULES, PRICE + TICK / 4, LOT * Decimal("2.5"))
    assert (part["price_ticks"], part["quantity_lots"]) == (RULES.ticks(PRICE, "nearest"), 2)
    assert part["exact"] == ExactFill(PRICE + TICK / 4, LOT * Decimal("2.5"), LOT)
    assert ExactFill.of_row(part["exact"].row()) == part["exact"]
    assert ExactFill.of_row(None) is None
    half = ExactFill(PRICE, LOT / 2, LOT)
    assert total_lots([(1, None), (0, half), (0, half), (0, half)]) == 2
    assert whole_lots(RULES, LOT * Decimal("1.9")) == 1
    with pytest.raises(VenueViolation):
        whole_lots(RULES, -LOT / 2)


def test_parts_are_booked_exactly_and_make_whole_lots() -> None:
    rig = buying(10)
    better = PRICE - TICK / 4
    fill(rig, 1, "0.3")
    assert held(rig) == LOT * Decimal("0.3")
    parent = rig.parent("buy")
    assert (parent.filled, rig.report("buy").filled) == (0, LOT * Decimal("0.3"))
    fill(rig, 1, "0.3")  # told twice
    fill(rig, 2, "1.2", price=better)
    fill(rig, 3, "0.5")
    assert (parent.filled, rig.report("buy").filled) == (2, LOT * 2)
    fill(rig, 4, "8")
    report = rig.report("buy")
    assert (report.status, report.filled) == ("filled", LOT * 10)
    assert sum(each.quantity for each in report.fills) == LOT * 10
    assert held(rig) == LOT * 10
    position = rig.engine.portfolio.position(*KEY)
    assert position is not None
    cost = LOT * (Decimal("8.8") * PRICE + Decimal("1.2") * better)
    assert position.cash == -cost
    assert report.average == cost / (LOT * 10)
    assert "anomaly" not in rig.events_noted()


@pytest.mark.parametrize("end", ["canceled", "expired"])
def test_what_an_ended_order_has_filled_in_part_is_not_bought_again(end: str) -> None:
    rig = buying(10)
    fill(rig, 1, "1.5")
    rig.venue.orders.pop(client_id(rig), None)
    done(rig, end, 1)
    assert rig.parent("buy").available <= 8
    rig.run(SECOND)
    bought = LOT * Decimal("1.5") + sum(
        (LOT * each.quantity_lots for each in rig.parent("buy").children[1:]), Decimal(0)
    )
    assert bought <= LOT * 10
    assert "anomaly" not in rig.events_noted()


@pytest.mark.parametrize("seed", range(20))
def test_never_more_than_asked_whatever_the_parts(seed: int) -> None:
    chance = Random(seed)
    rig = buying(chance.randint(2, 12))
    parent, number = rig.parent("buy"), 0
    for _ in range(6):
        if not parent.live:
            break
        child = parent.live[0]
        parts = Decimal(0)
        while chance.random() < 0.7:
            left = child.quantity_lots - parts
            part = min(left, Decimal(chance.randint(1, 29)) / 10)
            if not part:
                break
            number += 1
            parts += part
            fill(rig, number, str(part), name=child.client_id)
        if not child.terminal:
            rig.venue.orders.pop(child.client_id, None)
            done(rig, "canceled", int(parts))
        assert held(rig) + LOT * parent.reserved <= LOT * parent.target
        assert rig.report("buy").filled == held(rig)
        rig.run(SECOND)
    assert held(rig) <= LOT * parent.target
    assert "anomaly" not in rig.events_noted()


@pytest.mark.parametrize("crash", [False, True])
def test_parts_survive_a_restart(crash: bool) -> None:
    rig = buying(10)
    fill(rig, 1, "0.6")
    fill(rig, 2, "0.7")
    if crash:  # the portfolio was written, the order's own record of its last fill was not
        del rig.durable[f"{FILL_KEY}{client_id(rig)}/1"]
    before = held(rig)
    rig.restart()
    assert held(rig) == before == LOT * Decimal("1.3")
    child = rig.parent("buy").children[-1]
    assert (child.seen_lots, child.rest) == (1, LOT * Decimal("0.3"))
    fill(rig, 1, "0.6")
    fill(rig, 2, "0.7")
    assert held(rig) == before
    fill(rig, 3, "0.7")
    assert (child.seen_lots, child.rest, held(rig)) == (2, Decimal(0), LOT * 2)


def test_a_position_with_a_part_of_a_lot_is_left_in_whole_lots() -> None:
    rig = buying(4)
    fill(rig, 1, "3.4")
    rig.venue.orders.pop(client_id(rig), None)
    done(rig, "canceled", 3)
    rig.cancel("buy")
    exit_(rig, "exit", str(LOT * Decimal("3.4")), order_type="market", limit_price=None, algo="")
    rig.run(5 * SECOND)
    assert held(rig) == LOT * Decimal("0.4")
    assert rig.report("exit").status in {"filled", "done_dust"}


def test_a_fill_of_nothing_is_still_no_fill() -> None:
    rig = buying(4)
    event = fill(rig, 1, "0.5")
    none = replace(event, trade_id="t2", exact=ExactFill(PRICE, Decimal(0), LOT))
    rig.send(none)
    assert held(rig) == LOT / 2
    assert rig.parent("buy").children[-1].trade_ids == {"t1": None}


def test_trades_of_others_are_followed_exactly() -> None:
    perpetual = rules(kind="linear", settle="USDT", symbol=SYMBOL)
    rig = Rig(config(VenueConfig(tells_trades=True)), instrument=perpetual)
    trade = AccountTrade(
        trade_id="t1",
        venue_order_id="v9",
        client_id="web_1",
        side="sell",
        **in_units(perpetual, PRICE + TICK / 2, LOT * Decimal("2.5")),
        fee=Decimal("0.01"),
        fee_currency="USDT",
        liquidity="taker",
        exchange_ns=rig.now + SECOND,
    )
    answer = AccountTrades(
        venue=VENUE, symbol=SYMBOL, since_ns=0, trades=(trade,), exchange_ns=rig.now + 2 * SECOND
    )
    assert records.decode_event(records.encode(answer)) == answer
    rig.now += 3 * SECOND
    rig.send(answer)
    rig.send(answer)
    assert held(rig) == -LOT * Decimal("2.5")
    position = rig.engine.portfolio.position(*KEY)
    assert position is not None
    assert position.cash == LOT * Decimal("2.5") * (PRICE + TICK / 2) - Decimal("0.01")
