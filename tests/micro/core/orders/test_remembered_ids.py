"""A name acts at most once, however often and whenever its signal arrives."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from effort import examples
from engine_kit import MS, SECOND, START, Rig, config, signal
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import PlaceOrder, PublishAnswer
from citadel_micro.core.model.events import CancelReceived, MacroBeat, QueryReceived
from citadel_micro.core.orders import name_counts as names
from citadel_micro.core.orders import remembered_ids as remembered
from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.core.orders.remembered_ids import ADMISSION_NS, GRACE_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.events import Event, SignalReceived

YEAR_NS = 365 * 24 * 3_600 * SECOND


def stop(signal_id: str, now_ns: int) -> SignalReceived:
    """A stop as Freqtrade makes it: it lives for a year."""
    return signal(
        signal_id,
        kind="stop",
        side="sell",
        order_type="market",
        stop_price=Decimal(50_000),
        algo="stop",
        created_ns=now_ns,
        expires_ns=now_ns + YEAR_NS,
    )


def crowd(rig: Rig, count: int, prefix: str = "x", owner: str = "") -> None:
    """So many orders that end at once."""
    for number in range(count):
        rig.send(
            signal(
                f"{prefix}{number}",
                quantity=Decimal("0.0001"),
                owner=owner,
                created_ns=rig.now,
                expires_ns=rig.now + 3_600 * SECOND,
            )
        )


def test_a_cancelled_stop_never_reopens_however_many_came_after() -> None:
    rig = Rig(config(retention_count=5))
    frame = stop("stop", rig.now)
    rig.send(frame)
    assert rig.parent("stop").state is ParentState.HELD
    rig.cancel("stop")
    assert rig.report("stop").status == "canceled"
    crowd(rig, 20)
    rig.run(61 * SECOND)
    assert "stop" not in rig.engine.order_store.known
    for _ in range(3):
        rig.restart()
        rig.run(100 * MS)
        told = len(rig.reports)
        rig.send(frame)
        assert "stop" not in rig.engine.order_store.known
        assert [r.status for r in rig.reports[told:]] == ["canceled"]
        assert rig.report("stop").reason == remembered.ENDED_LONG_AGO


def test_a_filled_order_that_is_forgotten_still_says_what_it_filled() -> None:
    rig = Rig(config(retention_count=1))
    rig.venue.partial_share = 0.0
    frame = signal(order_type="market", owner="a", expires_ns=START + 600 * SECOND)
    rig.send(frame)
    rig.run(1 * SECOND)
    before = rig.report()
    assert before.status == "filled"
    crowd(rig, 3)
    rig.run(61 * SECOND)
    placed = len(rig.venue.placed)
    rig.send(frame)
    rig.run(1 * SECOND)
    after = rig.report()
    assert len(rig.venue.placed) == placed
    assert replace(
        after, fills=before.fills, balances=before.balances, position=before.position
    ) == replace(
        before,
        reason=after.reason,
        arrival_mid=after.arrival_mid,
    )
    query = QueryReceived(
        query_id="q",
        kind="order",
        reply_to="m",
        signal_id="s1",
        venue="",
        symbol="",
        since_ns=0,
    )
    (answer,) = [c for c in rig.send(query) if isinstance(c, PublishAnswer)]
    assert answer.found
    assert [report.filled for report in answer.reports] == [Decimal("0.5")]
    rig.cancel("s1")
    assert rig.engine.order_store.remembered.withdrawn == {}


def test_a_cancel_that_came_first_outlives_thousands_of_others_and_a_restart() -> None:
    rig = Rig()
    rig.cancel("s1")
    for number in range(3_000):
        rig.cancel(f"other{number}")
    rig.restart()
    rig.run(100 * MS)
    rig.send(signal())
    rig.run(100 * MS)
    assert rig.report().status == "canceled"
    assert rig.venue.placed == []


def test_memory_is_bounded_by_refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_NAMES", 100)
    monkeypatch.setattr(names, "MOST_REFUSED", 10)
    rig = Rig(config(retention_count=5))
    crowd(rig, 50)
    frame = signal("late", created_ns=rig.now, expires_ns=rig.now + 600 * SECOND)
    rig.send(frame)
    assert (rig.report("late").status, rig.report("late").reason_code) == (
        "rejected",
        remembered.TOO_MANY_NAMES,
    )
    crowd(rig, 200, "y")
    known = rig.engine.order_store
    assert len(known.known) + len(known.remembered.ended) <= 60
    told = len(rig.reports)
    crowd(rig, 1, "z")
    assert len(rig.reports) == told, "a refusal that cannot be remembered is not said"
    rig.restart()
    rig.run(61 * SECOND)
    crowd(rig, 1, "z")
    assert rig.engine.order_store.remembered.names.total == 50
    # When the others cannot act any more there is room, and what was refused stays refused.
    rig.now += ADMISSION_NS + GRACE_NS
    rig.run(61 * SECOND)
    rig.book(60_000.0, 60_000.1)
    rig.send(frame)
    rig.send(signal("new", created_ns=rig.now, expires_ns=rig.now + 600 * SECOND))
    rig.run(1 * SECOND)
    assert rig.report("late").status == "rejected"
    assert rig.report("new").status == "working"
    assert not [order for order in rig.venue.placed if order.parent_id == "late"]


def test_one_who_floods_leaves_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_NAMES", 240)
    rig = Rig(config(retention_count=5))
    owners = ("flood", "also", "quiet")
    for owner in owners:
        rig.send(MacroBeat(instance=owner, strategy="", epoch=1, seq=1, skew_ns=0, owner=owner))

    def send(owner: str, count: int) -> int:
        """So many orders of an owner; how many were taken."""
        before = rig.engine.order_store.remembered.names.total
        crowd(rig, count, f"{owner}{len(rig.reports)}-", owner=owner)
        return rig.engine.order_store.remembered.names.total - before

    for number in range(500):  # strangers, each with a name of his own
        send(f"stranger{number}", 1)
    assert rig.engine.order_store.remembered.names.total == 120
    assert send("flood", 500) == 60
    assert send("also", 500) == 30
    assert send("quiet", 10) == 10
    assert send("stranger", 1) == 0
    rig.run(61 * SECOND)
    rig.restart()
    rig.run(100 * MS)
    assert rig.engine.order_store.remembered.names.total == 220
    assert send("flood", 5) == 0


def test_cancels_that_cannot_be_kept_refuse_the_signals_that_they_may_mean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remembered, "MOST_WITHDRAWN", 40)
    rig = Rig()
    before = rig.now
    beat = MacroBeat(instance="a", strategy="", epoch=1, seq=1, skew_ns=0, owner="a")
    rig.send(beat)
    for number in range(25):
        rig.send(CancelReceived(signal_id=f"c{number}", reason="", owner=f"stranger{number}"))
    rig.restart()
    rig.run(100 * MS)
    rig.send(beat)
    rig.send(signal("c24", owner="stranger24", created_ns=before))
    assert rig.report("c24").reason_code == remembered.TOO_MANY_NAMES
    quantity = Decimal("0.1")
    rig.send(signal("later", quantity=quantity, created_ns=rig.now))
    rig.send(signal("other", owner="a", quantity=quantity, created_ns=before))
    rig.run(100 * MS)
    assert rig.report("later").status == "working"
    assert rig.report("other").status == "working", "strangers do not cost him his orders"
    for number in range(15):
        rig.send(CancelReceived(signal_id=f"a{number}", reason="", owner="a", epoch=1))
    rig.send(signal("a14", owner="a", created_ns=before))
    assert rig.report("a14").reason_code == remembered.TOO_MANY_NAMES


@pytest.mark.parametrize(
    ("made", "life", "code"),
    [
        (-ADMISSION_NS - SECOND, YEAR_NS, "INTENT_EXPIRED"),
        (2 * ADMISSION_NS, 10 * SECOND, "BAD_NUMBER"),
        (0, 2 * YEAR_NS, "BAD_NUMBER"),
        (0, 2**62, "BAD_NUMBER"),
    ],
)
def test_a_signal_whose_name_would_have_to_be_kept_for_ever_is_refused(
    made: int, life: int, code: str
) -> None:
    rig = Rig()
    frame = stop("s1", rig.now + made)
    rig.send(replace(frame, expires_ns=frame.created_ns + life))
    assert (rig.report().status, rig.report().reason_code) == ("rejected", code)


def test_names_are_dropped_when_they_cannot_act_any_more() -> None:
    rig = Rig(config(retention_count=1))
    crowd(rig, 10)
    rig.cancel("c")
    rig.run(61 * SECOND)
    assert any(key.startswith("ended/") for key in rig.durable)
    rig.now += rig.settings.retention_ns
    rig.run(61 * SECOND)
    kept = ("ended/", "withdrawn/")
    assert not [key for key in rig.durable if key.startswith(kept)]


def test_names_that_were_withdrawn_before_owners_were_known_still_count() -> None:
    rig = Rig()
    rig.durable["tombstone/s1"] = [rig.now, "of an older release"]
    rig.restart()
    rig.run(100 * MS)
    rig.restart()
    rig.run(100 * MS)
    rig.send(signal())
    assert rig.report().status == "canceled"
    assert not [key for key in rig.durable if key.startswith("tombstone/")]


# --- random histories ---------------------------------------------------------------------------


class Once(Rig):
    """Fails when a name that has ended, or was withdrawn, has an order placed."""

    def __init__(self) -> None:
        self.over: set[str] = set()
        self.outcome: dict[str, tuple[str, Decimal]] = {}
        super().__init__(config(retention_count=2))
        self.venue.partial_share = 0.0

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, Approved) and isinstance(command.order, PlaceOrder):
                assert command.order.parent_id not in self.over
        super().check_after(event, commands)

    def note_ends(self) -> None:
        for report in self.reports:
            if report.status in {"filled", "canceled", "expired", "rejected", "done_dust"}:
                self.over.add(report.signal_id)
                if report.reason_code == "INTENT_EXPIRED":
                    continue  # said of whatever comes after its end
                said = (report.status, report.filled)
                assert self.outcome.setdefault(report.signal_id, said) == said
        self.reports.clear()


_STEP = st.one_of(
    st.tuples(st.just("signal"), st.integers(0, 5)),
    st.tuples(st.just("signal"), st.integers(0, 5)),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("crowd"), st.integers(1, 4)),
    st.tuples(st.just("pass"), st.sampled_from([1, 30, 61, 600, 4_000, 8_000])),
    st.tuples(st.just("restart"), st.just(0)),
)


@settings(max_examples=examples(15, 120), deadline=None)
@given(st.lists(_STEP, min_size=3, max_size=25))
def test_each_name_is_executed_at_most_once(history: list[tuple[str, int]]) -> None:
    rig = Once()
    frames: dict[int, SignalReceived] = {}
    crowds = 0
    for what, value in history:
        name = f"s{value}"
        if what in {"signal", "cancel"} and value not in frames:
            market = signal(
                name,
                order_type="market",
                created_ns=rig.now,
                expires_ns=rig.now + 7_200 * SECOND,
            )
            frames[value] = stop(name, rig.now) if value % 2 else market
        if what == "signal":
            rig.send(frames[value])
            rig.run(300 * MS)
        elif what == "cancel":
            rig.cancel(name)
            if name not in rig.engine.order_store.known:
                rig.over.add(name)
            rig.run(50 * MS)
        elif what == "crowd":
            crowds += 1
            crowd(rig, value, f"x{crowds}-")
        elif what == "pass":
            rig.now += value * SECOND
            rig.run(61 * SECOND if value == 61 else 200 * MS, refresh_ns=0)
            rig.book(60_000.0, 60_000.1)
        else:
            rig.restart()
            rig.run(200 * MS)
        rig.note_ends()
    for value, frame in frames.items():
        assert rig.venue.filled_of(f"s{value}") <= 500, frame
