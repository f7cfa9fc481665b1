"""Which alerts are due: each thing once, grouped, bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.shell.alerts.rules import (
    AGAIN_S,
    GROUP_S,
    HOUR_S,
    MOST_LINES,
    OVER_S,
    Alert,
    AlertRules,
    Condition,
    Severity,
)
from citadel_micro.shell.alerts.watch import CHECK_S, HOLDS_S


def rules(least: Severity = "warning", most: int = 30) -> AlertRules:
    return AlertRules("micro", least, most)


def down(key: str = "venue x", severity: Severity = "warning", hold_s: float = 0.0) -> Condition:
    return Condition(key=key, severity=severity, text=f"{key} is down", hold_s=hold_s)


def told(made: AlertRules, now_s: float) -> Alert | None:
    return made.due(now_s + GROUP_S)


def test_a_condition_is_reported_once_and_its_end_once() -> None:
    made = rules()
    for second in range(10):
        made.observe([down()], float(second))
        alert = made.due(float(second) + 0.99)
        assert (alert is None) == (second != 1), "told once, after what may join it"
    for second in range(10, 20):
        made.observe([], float(second))
    alert = told(made, 20)
    assert alert == Alert(
        severity="info", title="micro: over: venue x is down", body="over: venue x is down"
    )
    assert told(made, 30) is None


def test_one_that_flaps_is_reported_once() -> None:
    made = rules()
    count = 0
    for second in range(60):
        made.observe([down()] if second % 3 == 0 else [], float(second))
        count += made.due(float(second), at_once=True) is not None
    assert count == 1


def test_a_short_one_is_not_reported_and_neither_is_its_end() -> None:
    made = rules()
    made.observe([down(hold_s=5)], 0)
    made.observe([down(hold_s=5)], 4.9)
    made.observe([], 20)
    assert told(made, 30) is None
    made.observe([down(hold_s=5)], 40)
    made.observe([down(hold_s=5)], 45)
    assert told(made, 45) is not None


def test_what_comes_together_is_one_message_with_the_worst_severity() -> None:
    made = rules()
    made.observe([down("venue a"), down("venue b")], 0)
    made.happened("anomaly", "critical", "a fill that cannot be", 0.5)
    alert = told(made, 0)
    assert alert is not None
    assert alert.severity == "critical"
    assert alert.body.splitlines() == [
        "venue a is down",
        "venue b is down",
        "a fill that cannot be",
    ]
    assert alert.title == "micro: 3 alerts"


def test_a_long_message_is_cut_and_says_so() -> None:
    made = rules()
    made.observe([down(f"venue {n}") for n in range(50)], 0)
    alert = told(made, 0)
    assert alert is not None
    lines = alert.body.splitlines()
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "and 30 more"


def test_severity_below_the_least_is_not_reported() -> None:
    made = rules("critical")
    made.observe([down()], 0)
    made.happened("x", "info", "up", 0)
    assert told(made, 0) is None
    made.observe([], OVER_S + 1)
    assert told(made, OVER_S + 2) is None, "nor is the end of what was not told"


def test_an_hour_has_a_bound_which_critical_ones_pass() -> None:
    made = rules(most=3)
    sent = []
    for n in range(10):
        made.happened(f"w{n}", "warning", f"w{n}", float(n * 10))
        sent.append(told(made, n * 10))
    assert [alert is not None for alert in sent] == [True] * 3 + [False] * 7
    made.happened("c", "critical", "halted", 200)
    alert = told(made, 200)
    assert alert is not None
    assert "7 earlier ones were left out" in alert.body
    made.happened("later", "warning", "later", HOUR_S + 20)
    assert told(made, HOUR_S + 20) is not None


def test_the_same_event_is_reported_again_after_a_while_only() -> None:
    made = rules()
    made.happened("anomaly btc", "critical", "one", 0)
    assert told(made, 0) is not None
    made.happened("anomaly btc", "critical", "two", AGAIN_S - 1)
    assert told(made, AGAIN_S - 1) is None
    made.happened("anomaly btc", "critical", "three", AGAIN_S)
    assert told(made, AGAIN_S) is not None


@given(
    st.lists(
        st.tuples(st.floats(0.1, 120), st.sets(st.sampled_from("abcd")), st.booleans()), max_size=60
    )
)
def test_no_condition_that_holds_stays_unsent(steps: list[tuple[float, set[str], bool]]) -> None:
    """Whatever comes and goes: what is told as begun and as over alternates, by condition."""
    made = rules(most=10_000)
    now_s = 0.0
    open_now: set[str] = set()
    for wait_s, keys, again in steps:
        now_s += wait_s
        made.observe([down(key) for key in sorted(keys)], now_s)
        if again:
            made.observe([down(key) for key in sorted(keys)], now_s)
        alert = made.due(now_s, at_once=True)
        for line in alert.body.splitlines() if alert else ():
            name = line.removeprefix("over: ")[0]
            if line.startswith("over: "):
                assert name in open_now
                open_now.discard(name)
            else:
                assert name not in open_now
                open_now.add(name)
        assert keys <= open_now


@pytest.mark.parametrize(
    "kind",
    ["state", "fault", "stuck", "book", "macro", "recovery", "trip", "venue", "blind", "an event"],
)
def test_each_kind_is_told_once_and_within_two_seconds(kind: str) -> None:
    """At the pace of a run's own watch, after as long as it must last; it begins between two looks."""
    hold_s = HOLDS_S.get(kind, 0.0)
    begins_s, sent = CHECK_S / 5, []
    made = rules()
    condition = down(f"{kind} x", hold_s=hold_s)
    if kind == "an event":
        made.happened(kind, "critical", "an order is lost", begins_s)
    for look in range(1, int((hold_s + 30) / CHECK_S)):
        now_s = look * CHECK_S
        if kind == "an event":
            made.happened(kind, "critical", "an order is lost", now_s)  # and again at each look
        else:
            made.observe([condition], now_s)
        if made.due(now_s) is not None:
            sent.append(now_s)
    assert len(sent) == 1
    assert sent[0] - begins_s <= hold_s + 2.0
