"""One lease for each owner: nobody's heartbeat keeps another's orders, nobody's clock denies another."""

from __future__ import annotations

from engine_kit import SECOND, Rig, config, signal

from citadel_micro.core.events import MacroBeat
from citadel_micro.core.leases import MOST_LEASES, Leases
from citadel_micro.core.limits import paper_defaults

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


def test_who_was_never_heard_has_no_lease_of_anothers() -> None:
    rig = Rig(config(**LEASED))
    rig.send(beat("alive", instance="alive"))
    assert of(rig, "stranger", "s") == "MACRO_LEASE_LOST"


def test_macros_without_an_owner_are_told_apart_by_their_runs() -> None:
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
