"""Parameters that were found valid are not checked again: what is made of them is the same every time."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import TYPE_CHECKING

import pytest
from engine_kit import signal

from citadel_micro.core.algos import ALGORITHMS, with_present_defaults
from citadel_micro.core.execution import admission
from citadel_micro.core.execution.admission import Algorithms
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.model.events import SignalReceived

DEFAULTS = with_present_defaults({"marketable_limit": {"max_cross_bps": 7.0}})


def made(algorithms: Algorithms, asked: SignalReceived, *, kills: bool) -> tuple[object, ...]:
    """What is chosen, or why nothing is."""
    try:
        found = algorithms.choose(asked, fill_or_kill=kills)
    except BadInput as error:
        return (str(error),)
    values = {name: (type(value), value) for name, value in found.values.items()}
    return type(found), values, found.working_ns, found.post_only, found.most_live


def drawn(chance: Random) -> SignalReceived:
    name = chance.choice(("", "nothing", *ALGORITHMS))
    kind = ALGORITHMS.get(name)
    known = [] if kind is None else [each.name for each in kind.params]
    names = chance.sample([*known, "max_cross_bps", "unknown"], chance.randrange(3))
    values = (0, 1, 1.0, 0.0, True, False, 2.5, "", "1", "low", -1)
    return signal(
        algo=name,
        params=tuple((each, chance.choice(values)) for each in dict.fromkeys(names)),
        kind=chance.choice(("order", "order", "stop")),
        order_type=chance.choice(("limit", "market")),
        time_in_force=chance.choice(("GTC", "IOC", "PO", "FOK")),
    )


def test_what_is_kept_is_what_would_be_made_anew() -> None:
    chance, kept = Random(1), Algorithms(DEFAULTS)
    asked = [drawn(chance) for _ in range(1_500)]
    for one, kills in product(asked, (False, True)):
        assert made(kept, one, kills=kills) == made(Algorithms(DEFAULTS), one, kills=kills)
    again = [made(kept, one, kills=True) for one in asked]
    assert again == [made(Algorithms(DEFAULTS), one, kills=True) for one in asked]
    assert sum(len(each) > 1 for each in again) > 100


@pytest.mark.parametrize("other", [0, 0.0, ""])
def test_an_equal_value_of_another_kind_is_not_the_one_that_was_valid(other: float | str) -> None:
    kept = Algorithms({})
    good = signal(algo="marketable_limit", params=(("repeat", False),))
    kept.choose(good, fill_or_kill=False)
    bad = signal(algo="marketable_limit", params=(("repeat", other),))
    with pytest.raises(BadInput, match="repeat"):
        kept.choose(bad, fill_or_kill=False)


def test_each_signal_has_one_of_its_own() -> None:
    kept = Algorithms({})
    one, other = (kept.choose(signal(), fill_or_kill=False) for _ in range(2))
    assert one is not other
    assert type(one) is type(other)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_orders_share_nothing_that_changes(name: str) -> None:
    known = {each.name for each in ALGORITHMS[name].params}
    wanted = {"queue_miss_bps": 2.5, "allow_taker": True, "cross_imbalance": 0.5, "levels": 2}
    params = tuple((each, value) for each, value in wanted.items() if each in known)
    kept = ALGORITHMS[name].make(params)
    one, other = kept.again(), kept.again()
    anew = type(one)(one.values)
    assert vars(one).keys() == vars(other).keys() == vars(anew).keys()
    for attribute, value in vars(one).items():
        if isinstance(value, int | float | str | tuple | None):
            assert value == vars(other)[attribute] == vars(anew)[attribute], attribute
        elif attribute != "values":  # which are never changed
            assert value is not vars(other)[attribute], attribute
            assert type(value) is type(vars(anew)[attribute]), attribute


def test_no_more_are_kept_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MOST_KEPT", 3)
    kept = Algorithms({})
    for number in range(10):
        asked = signal(algo="marketable_limit", params=(("max_cross_bps", float(number)),))
        assert kept.choose(asked, fill_or_kill=False).real("max_cross_bps") == number
        assert len(kept._valid) <= 3
