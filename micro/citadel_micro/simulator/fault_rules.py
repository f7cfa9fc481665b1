"""Which request or event a fault hits: rules that count, drawn from a seed, the same every time."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from citadel_micro.sim.rng import SplitMix64, key_of
from citadel_micro.simulator.knobs import KNOBS, Knob
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT_HITS: Final = 100_000
GRAMMAR: Final = (
    "[KEY:]NAME=WHEN[,on=WHAT][,for=SECONDS], WHEN one of once, always, first:N, nth:N, every:N, "
    "or a chance from 0 to 1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """A knob, for whom, and when.

    ``key`` is an API key or an account (empty: everyone). ``when`` is ``first`` (the first
    ``number``), ``nth`` (only that one), ``every`` (each ``number``-th) or ``chance``.
    """

    knob: Knob
    key: str = ""
    when: str = "nth"
    number: float = 1.0
    on: tuple[str, ...] = ()
    seconds: float = 0.0


def parse_rule(text: str) -> FaultRule:
    """Read one rule.

    Raises:
        BadInput: for an unknown knob, a WHEN that is none, or a number that cannot be.
    """
    head, *options = text.split(",")
    left, sign, when = head.partition("=")
    key, _, name = left.rpartition(":")
    knob = KNOBS.get(name)
    if knob is None:
        raise BadInput(
            f"no fault is called {name!r}", where="--fault", allowed=", ".join(sorted(KNOBS))
        )
    kind, number = _parse_when(when if sign else "once", text)
    on, seconds = knob.on, knob.seconds
    for option in options:
        label, _, value = option.partition("=")
        if label == "on" and value:
            on = tuple(value.split("+"))
        elif label == "for":
            seconds = _number(value.removesuffix("s"), text)
        else:
            raise BadInput(f"cannot read {option!r} in {text!r}", where="--fault", allowed=GRAMMAR)
    if seconds < 0 and name != "clock-skew":
        raise BadInput(f"for={seconds} in {text!r}", where="--fault", allowed="0 or more seconds")
    return FaultRule(knob=knob, key=key, when=kind, number=number, on=on, seconds=seconds)


def _parse_when(when: str, text: str) -> tuple[str, float]:
    if when == "once":
        return "first", 1.0
    if when == "always":
        return "every", 1.0
    kind, sign, number = when.partition(":")
    if sign:
        value = _number(number, text)
        if kind not in {"first", "nth", "every"} or value < 1 or value != int(value):
            raise BadInput(f"cannot read {text!r}", where="--fault", allowed=GRAMMAR)
        return kind, value
    chance = _number(when, text)
    if not 0.0 <= chance <= 1.0:
        raise BadInput(f"cannot read {text!r}", where="--fault", allowed=GRAMMAR)
    return "chance", chance


def _number(value: str, text: str) -> float:
    try:
        number = float(value)
    except ValueError as error:
        raise BadInput(f"cannot read {text!r}", where="--fault", allowed=GRAMMAR) from error
    if not math.isfinite(number):
        raise BadInput(f"cannot read {text!r}", where="--fault", allowed=GRAMMAR)
    return number


@dataclass(slots=True)
class _Counter:
    rule: FaultRule
    rng: SplitMix64
    seen: int = 0
    hits: int = 0

    def count(self) -> bool:
        self.seen += 1
        rule = self.rule
        match rule.when:
            case "first":
                hit = self.seen <= rule.number
            case "nth":
                hit = self.seen == rule.number
            case "every":
                hit = self.seen % int(rule.number) == 0
            case _:
                hit = self.rng.uniform() < rule.number
        self.hits += hit
        return hit


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A fault that was injected, for the log of the simulator."""

    name: str
    key: str
    on: str
    time_ms: int


@dataclass(slots=True)
class FaultRules:
    """The rules in force. ``log`` has the hits in order, the last 100,000 of them."""

    seed: int = 1
    log: deque[Hit] = field(default_factory=lambda: deque(maxlen=KEPT_HITS))
    _counters: dict[str, list[_Counter]] = field(default_factory=dict)
    _added: int = 0

    def add(self, rule: FaultRule) -> None:
        """Put a rule in force; it counts from here."""
        self._added += 1
        rng = SplitMix64(key_of(self.seed, "fault", rule.knob.name, rule.key, self._added))
        self._counters.setdefault(rule.knob.name, []).append(_Counter(rule, rng))

    def extend(self, texts: Iterable[str]) -> None:
        """Read rules and put them in force.

        Raises:
            BadInput: for the first that cannot be read; none is then added.
        """
        for rule in [parse_rule(text) for text in texts]:
            self.add(rule)

    def clear(self, name: str = "") -> None:
        """Lift the rules of one knob, or all."""
        if name:
            self._counters.pop(name, None)
        else:
            self._counters.clear()

    def names(self) -> tuple[str, ...]:
        """Return the knobs that have rules."""
        return tuple(self._counters)

    def hit(self, name: str, who: tuple[str, ...], what: str, time_ms: int) -> FaultRule | None:
        """Count one request or event of ``who`` (key id, account); return the rule that hits it."""
        found = None
        for counter in self._counters.get(name, ()):
            rule = counter.rule
            if rule.key and rule.key not in who:
                continue
            if rule.on and what not in rule.on:
                continue
            if counter.count() and found is None:
                found = rule
                self.log.append(Hit(name=name, key=who[0], on=what, time_ms=time_ms))
        return found

    def listed(self) -> list[dict[str, object]]:
        """Return each rule with its counts and hits."""
        return [
            {
                "name": name,
                "key": counter.rule.key,
                "when": f"{counter.rule.when}:{counter.rule.number:g}",
                "on": list(counter.rule.on),
                "for": counter.rule.seconds,
                "seen": counter.seen,
                "hits": counter.hits,
            }
            for name, counters in self._counters.items()
            for counter in counters
        ]
