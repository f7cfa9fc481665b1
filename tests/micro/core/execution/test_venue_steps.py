"""A venue whose ticks or lots have become coarser than those that a run counts in refuses no exit."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest
from algo_signals import NAMES, drawn_signal
from engine_kit import MS, SECOND, SYMBOL, VENUE, Rig, config, signal
from exit_kit import AMENDS, exit_, held, holding, stop

from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import AmendOrder, PlaceOrder
from citadel_micro.core.model.events import StepsChanged
from citadel_micro.shell.journal import records

PRICE_TICKS = 25
"""2.5 USDT."""
QUANTITY_LOTS = 100


def coarser(rig: Rig, price_ticks: int = PRICE_TICKS, quantity_lots: int = QUANTITY_LOTS) -> None:
    event = StepsChanged(
        venue=VENUE, symbol=SYMBOL, price_ticks=price_ticks, quantity_lots=quantity_lots
    )
    assert records.decode_event(records.encode(event)) == event
    rig.send(event)


def orders(rig: Rig, since: int = 0) -> list[PlaceOrder | AmendOrder]:
    return [each.order for _, each in rig.commands[since:] if isinstance(each, Approved)]


@pytest.mark.parametrize("amends", [False, True])
@pytest.mark.parametrize("how", ["stop", "market", "chase_limit", "late", "peg", "flatten"])
def test_every_exit_is_sent_in_the_venues_steps(how: str, *, amends: bool) -> None:
    rig = holding("0.5", AMENDS if amends else None)
    rig.book(60_000.0, 60_002.5)
    before = len(rig.commands)
    coarser(rig)
    if how == "stop":
        stop(rig, stop_price=Decimal(59_990))
        rig.book(59_980.0, 59_982.5)
        rig.book(59_980.0, 59_982.5)
    elif how == "market":
        exit_(rig, "exit", order_type="market", limit_price=None, algo="")
    elif how == "late":
        late = (("time_limit_ms", 200), ("on_timeout", "cross_ioc"), ("max_chase_bps", 100.0))
        exit_(rig, "exit", algo="chase_limit", limit_price=None, params=late)
    elif how == "flatten":
        rig.operate("flatten")
    else:
        urgent = (("urgency", "high"),) if how == "chase_limit" else (("offset_ticks", -3),)
        exit_(rig, "exit", algo=how, limit_price=Decimal(59_000), params=urgent)
    for number in range(20):
        low = 59_980.0 + 2.5 * (number % 3)
        rig.book(low, low + 2.5)
        rig.run(300 * MS)
    sent = orders(rig, before)
    assert sent
    assert {each.price_ticks % PRICE_TICKS for each in sent} == {0}
    assert {each.quantity_lots % QUANTITY_LOTS for each in sent} == {0}
    if how in {"stop", "market", "late", "flatten"}:
        assert held(rig) == 0


def test_a_price_between_two_steps_is_not_ordered_again_and_again() -> None:
    rig = Rig(config(AMENDS))
    rig.book(60_000.0, 60_005.0)
    coarser(rig)
    rig.send(signal("s", algo="peg", limit_price=Decimal(61_000), params=(("offset_ticks", -3),)))
    for number in range(20):
        rig.book(60_000.0, 60_005.0, size=1.0 + number)
        rig.run(300 * MS)
    (placed,) = orders(rig)
    assert placed.price_ticks == 599_975
    rig.book(60_002.5, 60_005.0)
    rig.run(300 * MS)
    assert [each.price_ticks for each in orders(rig)] == [599_975, 600_000]


def test_what_is_less_than_a_step_is_left_as_dust() -> None:
    rig = holding("0.505")
    coarser(rig, 1, 10_000)
    exit_(rig, "exit", "0.505", order_type="market", limit_price=None, algo="")
    rig.run(5 * SECOND)
    assert held(rig) == Decimal("0.505") % (rig.instrument.lot * 10_000)
    assert rig.report("exit").status == "done_dust"


def test_finer_steps_are_ours_again() -> None:
    rig = Rig(config())
    coarser(rig)
    coarser(rig, 1, 1)
    rig.send(signal("s", algo="limit", limit_price=Decimal("59999.9")))
    (placed,) = orders(rig)
    assert placed.price_ticks == 599_999
    assert rig.events_noted().count("steps_changed") == 2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("algo", NAMES)
def test_every_algorithm_stays_in_the_venues_steps(algo: str, seed: int) -> None:
    chance = Random(f"{algo} {seed}")
    rig = holding("0.5", AMENDS if seed % 2 else None)
    before = len(rig.commands)
    coarser(rig)
    rig.send(drawn_signal(algo, chance, seed, rig.now))
    for _ in range(40):
        low = 60_000.0 + 2.5 * chance.randint(-8, 8)
        rig.book(low, low + 2.5 * chance.randint(1, 3))
        rig.run(200 * MS)
    for each in orders(rig, before):
        assert each.price_ticks % PRICE_TICKS == 0
        assert isinstance(each, AmendOrder) or each.quantity_lots % QUANTITY_LOTS == 0


@pytest.mark.parametrize("rounds", [True, False])
@pytest.mark.parametrize("how", ["market", "chase_limit", "limit", "stop"])
def test_an_exit_in_finer_units_than_ours_is_rounded_and_not_refused(
    how: str, *, rounds: bool
) -> None:
    """Freqtrade knows the venue's new lots within the hour, and a fee in coins leaves any quantity."""
    rig = Rig(config(round_exits=rounds))
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market", quantity=Decimal("0.5")))
    rig.run(SECOND)
    if how == "market":
        exit_(rig, "exit", "0.49951", order_type="market", limit_price=None, algo="")
    elif how == "stop":
        stop(rig, "exit", "0.49951", stop_price=Decimal("59990.05"))
        rig.book(59_980.0, 59_980.1)
        rig.book(59_980.0, 59_980.1)
    else:
        exit_(rig, "exit", "0.49951", algo=how, limit_price=Decimal("60500.05"))
    rig.run(2 * SECOND)
    report = rig.report("exit")
    if not rounds:
        assert (report.status, report.reason_code[:4]) == ("rejected", "BAD_")
    elif how in {"market", "stop"}:
        assert (report.status, report.filled) == ("filled", Decimal("0.499"))
        assert held(rig) == Decimal("0.001")
    else:
        assert report.status != "rejected"
        assert orders(rig)[-1].quantity_lots == rig.instrument.lots(Decimal("0.499"), "floor")


def test_an_entry_between_two_lots_is_refused_as_ever() -> None:
    rig = Rig(config(round_exits=True))
    rig.send(signal("buy", order_type="market", quantity=Decimal("0.49951")))
    assert rig.report("buy").reason_code == "BAD_LOT"
