"""Funding on paper: who pays, when, once, and the same in the engine's books."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from paper_kit import MS, SYMBOL, VENUE, Bench, quiet_config, spot

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.events import AccountTrades, DepthUpdate, Started
from citadel_micro.offline.account import engine_config
from citadel_micro.offline.driver import OfflineDriver
from citadel_micro.offline.work import WorkOrder, signal_of
from citadel_micro.sim.paper import PaperVenue
from citadel_micro.sim.paper_config import PaperConfig
from citadel_micro.sim.paper_funding import HOURS_8_NS, PaperFunding

RATE = Decimal("0.0001")
PERPETUAL = spot(kind="linear", fee_side="quote")
MINUTE = 60_000 * MS


def bench(**changes: object) -> Bench:
    return Bench(PERPETUAL, config=quiet_config(**({"funding": {"*": RATE}} | changes)))


def settle_until(desk: Bench, until_ns: int) -> None:
    while (due := desk.venue.next_timer()) is not None and due <= until_ns:
        desk.at(due)


def hold(desk: Bench, side: str = "buy") -> Decimal:
    """A position from just before the second payment; returns the money then."""
    desk.at(2 * HOURS_8_NS - MINUTE)
    desk.depth([], [(103.0, 2.0)])
    desk.order("buy" if side == "buy" else "sell", 102 if side == "buy" else 100, 50, ioc=True)
    settle_until(desk, desk.now + 100 * MS)
    return desk.venue.ledger.purse("USDT").free


def payments(desk: Bench) -> list[Decimal]:
    told = [each for each in desk.reports if isinstance(each, AccountTrades)]
    return [payment.amount for each in told for payment in each.funding]


@pytest.mark.parametrize(("side", "sign"), [("buy", -1), ("sell", 1)])
def test_a_long_pays_and_a_short_receives(side: str, sign: int) -> None:
    desk = bench()
    before = hold(desk, side)
    assert desk.venue.next_timer() == 2 * HOURS_8_NS
    settle_until(desk, 2 * HOURS_8_NS + 100 * MS)
    amount = sign * Decimal("0.5") * 101 * RATE  # half a coin at the mid
    assert payments(desk) == [amount]
    assert desk.venue.ledger.purse("USDT").free == before + amount


def test_each_payment_comes_once_whatever_wakes_the_venue() -> None:
    desk = bench()
    hold(desk)
    for minute in range(3):
        desk.at(2 * HOURS_8_NS + minute * MINUTE)
        desk.depth([(98.0, 1.0 + minute)], [])
    settle_until(desk, 3 * HOURS_8_NS + MINUTE)
    assert len(payments(desk)) == 2


def test_what_was_missed_while_nothing_ran_is_paid_at_the_first_price() -> None:
    desk = bench()
    hold(desk)
    state = desk.venue.to_state()
    again = bench()
    again.venue.restore(state)
    again.now = 5 * HOURS_8_NS + MINUTE
    again.depth([], [(103.0, 2.0)])
    settle_until(again, again.now + MINUTE)
    assert len(payments(again)) == 4
    assert again.venue.to_state()["funded"] == {SYMBOL: 5 * HOURS_8_NS}


def test_without_rates_nothing_is_paid_and_the_saved_account_is_as_before() -> None:
    desk = bench(funding={})
    hold(desk)
    desk.at(3 * HOURS_8_NS)
    assert desk.venue.next_timer() is None
    assert "funded" not in desk.venue.to_state()
    assert payments(desk) == []


def test_no_position_pays_nothing_and_wakes_nobody() -> None:
    desk = bench()
    desk.settle()
    assert desk.venue.next_timer() is None
    desk.at(3 * HOURS_8_NS)
    desk.depth([], [(103.0, 2.0)])
    hold_ns = desk.now
    assert payments(desk) == []
    assert desk.venue.to_state()["funded"] == {SYMBOL: hold_ns}


def test_an_inverse_contract_pays_in_coins() -> None:
    rules = spot(kind="inverse", contract_size=Decimal(100), settle="BTC", fee_side="quote")
    funding = PaperFunding({rules.symbol: RATE}, HOURS_8_NS)
    assert funding.due(rules, Decimal(3), Decimal(50), 1) == []
    ((at_ns, amount),) = funding.due(rules, Decimal(3), Decimal(50), HOURS_8_NS)
    assert (at_ns, amount) == (HOURS_8_NS, -Decimal(3) * 100 / 50 * RATE)


def test_a_rate_of_its_own_goes_before_that_of_all_others() -> None:
    funding = PaperFunding({"*": RATE, SYMBOL: Decimal(0)}, HOURS_8_NS)
    funding.due(PERPETUAL, Decimal(1), Decimal(100), 0)
    assert funding.due(PERPETUAL, Decimal(1), Decimal(100), HOURS_8_NS) == []


def test_the_defaults_pay_nothing() -> None:
    assert PaperConfig().funding == {}


def test_the_engine_books_what_the_account_paid() -> None:
    config = engine_config(PERPETUAL, "chain")
    paper = PaperVenue(VENUE, {SYMBOL: PERPETUAL}, quiet_config(funding={SYMBOL: RATE}))
    driver = OfflineDriver(Engine(config, {(VENUE, SYMBOL): PERPETUAL}), paper)
    now = 2 * HOURS_8_NS - MINUTE
    driver.post(Started(state={}, damaged=""), now)
    driver.advance(now + 1_000 * MS)
    now += 1_000 * MS
    book = ([(100.0, 500.0)], [(100.2, 500.0)])
    driver.market(DepthUpdate(VENUE, SYMBOL, True, 1, 1, -1, None, *book, now, now), now)
    order = WorkOrder(
        capture=Path(),
        venue=VENUE,
        symbol=SYMBOL,
        side="buy",
        quantity=Decimal("0.5"),
        algo="marketable_limit",
    )
    driver.post(signal_of(order, now), now)
    driver.advance(2 * HOURS_8_NS + MINUTE)
    position = driver.engine.portfolio.position(VENUE, SYMBOL)
    assert position is not None
    assert position.quantity == Decimal("0.5")
    amount = Decimal("-0.5") * Decimal("100.1") * RATE
    assert position.funding == amount
    assert paper.ledger.purse("USDT").free == 100_000 - position.fees + amount
