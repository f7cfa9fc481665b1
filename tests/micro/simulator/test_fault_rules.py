"""Fault rules: which of many requests each one hits, the same every time."""

from __future__ import annotations

import pytest

from citadel_micro.simulator.fault_rules import FaultRules, parse_rule
from citadel_micro.simulator.knobs import KNOBS, TRADING
from citadel_proto.errors import BadInput

WHO = ("key", "account")


def hits(rule: str, *, count: int = 12, on: str = "order.place", seed: int = 1) -> list[int]:
    faults = FaultRules(seed=seed)
    faults.extend([rule])
    name = rule.partition("=")[0].rpartition(":")[2]
    return [
        number for number in range(1, count + 1) if faults.hit(name, WHO, on, number) is not None
    ]


def test_when() -> None:
    assert hits("answer-lost") == [1]
    assert hits("answer-lost=once") == [1]
    assert hits("answer-lost=first:3") == [1, 2, 3]
    assert hits("answer-lost=nth:5") == [5]
    assert hits("answer-lost=every:4") == [4, 8, 12]
    assert hits("answer-lost=always") == list(range(1, 13))
    assert hits("answer-lost=0") == []
    assert hits("answer-lost=1.0") == list(range(1, 13))


def test_a_chance_is_drawn_from_the_seed() -> None:
    drawn = hits("answer-lost=0.2", count=2000)
    assert 320 < len(drawn) < 480
    assert hits("answer-lost=0.2", count=2000) == drawn
    assert hits("answer-lost=0.2", count=2000, seed=2) != drawn


def test_whom_and_what() -> None:
    assert hits("key:answer-lost") == [1]
    assert hits("account:answer-lost") == [1]
    assert hits("other:answer-lost=always") == []
    assert hits("answer-lost=always", on="order.status") == []
    assert hits("answer-lost=once,on=order.status+myTrades", on="myTrades") == [1]
    assert parse_rule("answer-lost").on == TRADING
    assert parse_rule("answer-delayed=once,for=0.25s").seconds == 0.25
    assert parse_rule("clock-skew=once,for=-2").seconds == -2
    assert parse_rule("new-delayed").seconds == KNOBS["new-delayed"].seconds


def test_every_rule_counts_what_concerns_it_even_when_another_hits() -> None:
    faults = FaultRules()
    faults.extend(["answer-lost=nth:1", "account:answer-lost=nth:2"])
    assert [faults.hit("answer-lost", WHO, "order.place", 0) is not None for _ in range(3)] == [
        True,
        True,
        False,
    ]
    assert [entry["hits"] for entry in faults.listed()] == [1, 1]
    assert [entry["seen"] for entry in faults.listed()] == [3, 3]
    assert [hit.on for hit in faults.log] == ["order.place", "order.place"]
    faults.clear("answer-lost")
    assert faults.listed() == []
    faults.extend(["mute"])
    faults.clear()
    assert faults.listed() == []


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "answer-lost=",
        "answer-lost=sometimes",
        "answer-lost=1.5",
        "answer-lost=-0.1",
        "answer-lost=nan",
        "answer-lost=every:0",
        "answer-lost=every:1.5",
        "answer-lost=never:2",
        "answer-lost=once,for=x",
        "answer-lost=once,for=-1",
        "answer-lost=once,for=inf",
        "answer-lost=once,on=",
        "answer-lost=once,because=2",
    ],
)
def test_rules_that_cannot_be_read(text: str) -> None:
    faults = FaultRules()
    with pytest.raises(BadInput, match="--fault"):
        faults.extend(["mute", text])
    assert faults.listed() == []
