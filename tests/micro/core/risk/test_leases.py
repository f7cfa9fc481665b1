"""One lease for each owner: nobody's heartbeat keeps another's orders, nobody's clock denies another."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_kit import KEY, SECOND, Rig, config, signal

from citadel_micro.core.model.events import MacroBeat
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.risk.leases import MOST_LEASES, Leases
from citadel_proto.errors import BadInput

LONG = (("time_limit_ms", 600_000),)
LEASED = {"limits": paper_defaults(lease_required=True)}


def beat(owner: str = "", *, instance: str = "m", epoch: int = 1, skew_ns: int = 0) -> MacroBeat:
    return MacroBeat(
        instance=instance, strategy="t", epoch=epoch, seq=1, skew_ns=skew_ns, owner=owner
    )


def of(rig: Rig, owner: str, name: str, epoch: int = 1) -> str:
    rig.send(
        signal(
            name,
            owner=owner,
            epoch=epoch,
            created_ns=rig.now,
            expires_ns=rig.now + 600 * SECOND,
            params=(("time_limit_ms", 600_000),),
        )
    )
    return rig.report(name).reason_code


def test_a_strangers_heartbeat_keeps_no_dead_macros_entries() -> None:
    rig = Rig(config(**LEASED))
    for owner in ("dead", "alive"):
        rig.send(beat(owner, instance=owner))
        assert of(rig, owner, owner) == ""
    for _ in range(17):
        rig.run(SECOND)
        rig.send(beat("alive", instance="alive"))
    rig.run(2 * SECOND)
    assert rig.report("dead").status == "canceled"
    assert rig.report("dead").reason_code == "MACRO_LEASE_LOST"
    assert rig.report("alive").status == "working"
    assert of(rig, "alive", "alive-2") == ""
    assert of(rig, "dead", "dead-2") == "MACRO_LEASE_LOST"


@pytest.mark.parametrize(("algo", "params"), [("limit", ()), ("chase_limit", LONG)])
@pytest.mark.parametrize("owner", ["o1", ""])
def test_entries_of_a_dead_macro_end_though_no_lease_is_required(
    algo: str, params: tuple[tuple[str, int], ...], owner: str
) -> None:
    """``lease_required`` says whether somebody must be heard for new risk, and no more."""
    rig = Rig()
    rig.send(beat(owner))
    for name, side, reduce_only in (("entry", "buy", False), ("exit", "sell", True)):
        if reduce_only:
            rig.send(signal("bought", algo="marketable_limit", owner=owner, epoch=1))
            rig.run(SECOND)
        rig.send(
            signal(
                name,
                owner=owner,
                epoch=1,
                side=side,
                reduce_only=reduce_only,
                quantity=Decimal("0.1"),
                algo=algo,
                params=params,
                limit_price=Decimal(59_900) if side == "buy" else Decimal(60_100),
                expires_ns=rig.now + 3_600 * SECOND,
            )
        )
    for _ in range(20):
        rig.run(SECOND)
        rig.send(beat(owner))
    assert rig.report("entry").status == "working"
    assert rig.engine.unwatched(rig.now) == 0
    rig.run(14 * SECOND)
    assert rig.report("entry").status == "working"
    assert rig.engine.unwatched(rig.now) == 2
    rig.run(4 * SECOND)
    assert (rig.report("entry").status, rig.report("entry").reason_code) == (
        "canceled",
        "MACRO_LEASE_LOST",
    )
    assert rig.report("exit").status == "working"
    assert rig.engine.unwatched(rig.now) == 1


def test_without_a_required_lease_orders_by_hand_and_of_unknown_macros_go_on() -> None:
    rig = Rig()
    rig.send(beat("hand", instance="cli"))
    rig.send(beat(instance="other", epoch=7))
    for name, owner, strategy in (("hand", "hand", "cli"), ("tape", "", "t"), ("new", "o9", "t")):
        rig.send(
            signal(
                name,
                owner=owner,
                strategy=strategy,
                algo="limit",
                quantity=Decimal("0.1"),
                limit_price=Decimal(59_900),
                expires_ns=rig.now + 3_600 * SECOND,
            )
        )
    rig.run(100 * SECOND)
    assert {rig.report(name).status for name in ("hand", "tape", "new")} == {"working"}
    assert rig.engine.unwatched(rig.now) == 0


def test_after_a_restart_a_macro_has_the_time_of_a_lease_to_send_a_heartbeat() -> None:
    rig = Rig()
    rig.send(beat("o1"))
    rig.send(
        signal(
            owner="o1",
            algo="limit",
            limit_price=Decimal(59_900),
            expires_ns=rig.now + 3_600 * SECOND,
        )
    )
    rig.run(SECOND)
    rig.restart()
    rig.run(14 * SECOND)
    assert rig.report().status == "working"
    rig.run(4 * SECOND)
    assert rig.report().reason_code == "MACRO_LEASE_LOST"


def test_a_macro_without_a_heartbeat_has_no_lease_of_anothers() -> None:
    rig = Rig(config(**LEASED))
    rig.send(beat("alive", instance="alive"))
    assert of(rig, "stranger", "s") == "MACRO_LEASE_LOST"


def test_macros_without_an_owner_are_distinguished_by_their_runs() -> None:
    rig = Rig(config(**LEASED))
    rig.send(beat(instance="a", epoch=1))
    rig.send(beat(instance="b", epoch=2))
    assert of(rig, "", "a-1", epoch=1) == ""
    for _ in range(17):
        rig.run(SECOND)
        rig.send(beat(instance="b", epoch=2))
    rig.run(2 * SECOND)
    assert rig.report("a-1").reason_code == "MACRO_LEASE_LOST"
    assert of(rig, "", "b-1", epoch=2) == ""


def test_anothers_clock_denies_nobody_else() -> None:
    rig = Rig()
    rig.send(beat("mine", instance="mine"))
    rig.send(beat("other", instance="other", skew_ns=600 * SECOND))
    assert of(rig, "mine", "m") == ""
    assert of(rig, "other", "o") == "CLOCK_SKEW"


def test_an_exit_is_taken_while_the_clocks_differ() -> None:
    rig = Rig()
    rig.send(beat("mine"))
    rig.send(signal("entry", owner="mine", algo="marketable_limit"))
    rig.run(2 * SECOND)
    assert rig.report("entry").status == "filled"
    rig.send(beat("mine", skew_ns=3 * SECOND))
    assert of(rig, "mine", "more") == "CLOCK_SKEW"
    ahead = rig.now + 2 * SECOND
    rig.send(
        signal("ahead", owner="mine", side="sell", created_ns=ahead, expires_ns=ahead + 10 * SECOND)
    )
    assert rig.report("ahead").reason_code == "CLOCK_SKEW"
    rig.send(signal("exit", owner="mine", side="sell", algo="marketable_limit"))
    assert rig.report("exit").reason_code == ""


def test_leases_are_bounded_and_the_living_stay() -> None:
    leases = Leases()
    for number in range(MOST_LEASES + 10):
        leases.beat(beat(f"o{number}"), number)
    assert leases.age_ns("o0", 1, 1_000) == 1_000
    assert leases.age_ns(f"o{MOST_LEASES + 9}", 1, 1_000) is None
    leases.beat(beat("late"), 2 * 3_600 * SECOND)
    assert leases.age_ns("late", 1, 2 * 3_600 * SECOND) == 0
    assert leases.age_ns("o0", 1, 2 * 3_600 * SECOND) is None


def held(action: str) -> Rig:
    """A position of 0.5 with a stop and a take-profit, of a macro that is heard no more."""
    rig = Rig(
        config(
            limits=paper_defaults(
                lease_required=True,
                lease_dead_action=action,
                depth_participation_bps=10_000.0,
            )
        )
    )
    rig.venue.partial_share = 0.0
    rig.send(beat("o1"))
    rig.send(signal("bought", algo="marketable_limit", owner="o1"))
    rig.run(SECOND)
    for name, kind, price in (("stop", "stop", None), ("profit", "order", Decimal(60_500))):
        rig.send(
            signal(
                name,
                kind=kind,
                side="sell",
                owner="o1",
                reduce_only=True,
                quantity=Decimal("0.2"),
                algo="limit",
                limit_price=price,
                stop_price=Decimal(50_000) if kind == "stop" else None,
                expires_ns=rig.now + 3_600 * SECOND,
            )
        )
    rig.run(58 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.5")
    assert rig.report("profit").status == "working"
    return rig


def test_what_is_held_stays_without_heartbeats_for_long() -> None:
    rig = held("hold")
    rig.run(300 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.5")
    assert (rig.report("profit").status, rig.report("stop").status) == ("working", "accepted")


def test_or_is_flattened_where_the_configuration_says_so() -> None:
    rig = held("flatten")
    rig.run(10 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == 0
    assert rig.events_noted().count("flatten_for_silence") == 1
    rig.run(100 * SECOND)
    assert rig.events_noted().count("flatten_for_silence") == 1


def test_a_macro_that_is_back_in_time_is_not_flattened() -> None:
    rig = held("flatten")
    rig.send(beat("o1"))
    rig.run(59 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal("0.5")


def test_the_dead_time_is_no_shorter_than_the_hard_lease() -> None:
    with pytest.raises(BadInput, match="lease_dead_ns"):
        paper_defaults(lease_dead_ns=10, lease_soft_ns=5, lease_hard_ns=11)
    with pytest.raises(BadInput, match="lease_dead_action"):
        paper_defaults(lease_dead_action="panic")
