"""The gate over restarts: the persisted state is the present one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gate_kit import BTC, NOW, VENUE, S, calm, hold, limits, parent
from hypothesis import given
from hypothesis import strategies as st
from risk_kit import operator, states

from citadel_micro.core.risk.circuit_breakers import GLOBAL, SEVERITY, symbol_scope
from citadel_micro.core.risk.manager import RiskManager


def test_state_after_a_restart_is_published_and_the_same() -> None:
    manager = RiskManager(limits())
    manager.trip("OPERATOR_KILL", GLOBAL, "drill", NOW)
    manager.trip("OVERFILL", symbol_scope(VENUE, BTC), "one lot more", NOW)
    again = RiskManager(limits())
    commands = again.restore(manager.to_state())
    assert states(commands) == [
        (GLOBAL, "KILLED", "OPERATOR_KILL"),
        (symbol_scope(VENUE, BTC), "HALTED", "OVERFILL"),
    ]
    assert states(again.publish_all()) == states(commands)
    assert states(RiskManager(limits()).publish_all()) == [(GLOBAL, "ACTIVE", "")]
    assert again.judge(parent(), calm(), NOW).code == "KILLED"


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.integers(-5, 30), st.integers(84, 104), st.integers(0, 20)),
        st.tuples(st.just("feed"), st.booleans()),
        st.tuples(st.just("reject")),
        st.tuples(st.just("enter"), st.integers(100, 101)),
        st.tuples(st.just("fill"), st.sampled_from(["buy", "sell"]), st.integers(198, 202)),
        st.tuples(st.just("done"), st.booleans()),
        st.tuples(
            st.just("operator"),
            st.sampled_from(["pause", "halt", "kill", "reset"]),
            st.integers(1, 4),
        ),
    ),
    max_size=25,
)


WATCHED = limits(
    max_identical_orders=2,
    max_repeated_entries=3,
    max_venue_rejects=4,
    loss_streak=2,
    max_strategy_exposure={"*": Decimal(2_000)},
    max_owner_exposure={"*": Decimal(2_000)},
)


class Run:
    """One gate and its day, in the hands of chance."""

    def __init__(self) -> None:
        self.manager = RiskManager(WATCHED)
        self.view = calm("10")
        self.now_ns = NOW

    def restart(self) -> None:
        state, portfolio = self.manager.to_state(), self.view.portfolio.to_state()
        self.manager = RiskManager(WATCHED)
        self.manager.restore(state)
        mark = self.view.portfolio.marks[(VENUE, BTC)]
        lease = self.view.lease
        self.view = calm()
        self.view.lease = lease
        self.view.portfolio.load(portfolio)
        self.view.portfolio.mark(VENUE, BTC, mark)

    def step(self, step: tuple[Any, ...]) -> None:
        manager, view = self.manager, self.view
        match step:
            case ("tick", seconds, mark, lease):
                self.now_ns += seconds * S
                view.lease = lease * S
                view.portfolio.mark(VENUE, BTC, float(mark))
                manager.on_tick(view, self.now_ns)
            case ("feed", live):
                manager.on_feed(VENUE, BTC, self.now_ns, live=live, reason="r")
            case ("reject",):
                manager.on_venue_reject(VENUE, BTC, self.now_ns)
            case ("enter", lots):
                request = parent(
                    quantity_lots=lots,
                    signal_created_ns=self.now_ns,
                    signal_expires_ns=self.now_ns + S,
                )
                verdict = manager.judge(request, view, self.now_ns)
                manager.on_admission(request, verdict, self.now_ns)
            case ("fill", side, ticks):
                change = Decimal(1) if side == "buy" else Decimal(-1)
                hold(view, BTC, str(change), ticks)
                position = view.portfolio.position(VENUE, BTC)
                assert position is not None
                whose = ("trend", "o")
                cause = manager.on_fill(
                    (VENUE, BTC), change, position, dust=Decimal("0.01"), whose=whose
                )
                manager.trip_for(cause, self.now_ns)
            case ("done", clean):
                manager.on_parent_done(VENUE, BTC, "trend", clean=clean)
            case ("operator", action, number):
                command = operator(action, trip_id=f"trip-{number}")
                manager.on_operator(command, self.now_ns)
            case _:
                raise AssertionError(step)

    def answers(self) -> list[object]:
        manager = self.manager
        request = parent(signal_created_ns=self.now_ns, signal_expires_ns=self.now_ns + S)
        verdict = manager.judge(request, self.view, self.now_ns)
        state = manager.to_state()
        state["breakers"] = manager.breakers.trips
        state["limits_epoch"] = 0
        return [verdict, manager.publish_all(), state]


@given(STEPS, st.integers(0, 25))
def test_a_restart_is_no_restart(steps: list[tuple[Any, ...]], cut: int) -> None:
    whole, broken = Run(), Run()
    for number, step in enumerate(steps):
        if number == cut:
            broken.restart()
        whole.step(step)
        broken.step(step)
    assert broken.answers() == whole.answers()


@given(STEPS)
def test_whatever_happens_the_last_persisted_state_is_the_present_one(
    steps: list[tuple[Any, ...]],
) -> None:
    run = Run()
    for step in steps:
        before = SEVERITY[run.manager.effective_state(VENUE, BTC, "trend")]
        epoch = run.manager.risk_epoch
        run.step(step)
        after = SEVERITY[run.manager.effective_state(VENUE, BTC, "trend")]
        if before != after:
            assert run.manager.risk_epoch > epoch
        assert run.manager._persisted == run.manager.breakers.version
