"""How an order is worked: an algorithm of the registry with its parameters, under a short name."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_bridge.params import read_param
from citadel_micro.core.algos import ALGORITHMS, algorithm, listed
from citadel_micro.offline.work import WorkOrder, signal_of
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Value


class Plan(NamedTuple):
    """An algorithm and its parameters."""

    name: str
    algo: str
    params: tuple[tuple[str, Value], ...] = ()

    @property
    def text(self) -> str:
        """The algorithm with its parameters, as ``parse`` reads them."""
        given = ",".join(f"{name}={_plain(value)}" for name, value in self.params)
        return f"{self.algo}:{given}" if given else self.algo


_ENDS: Final[tuple[tuple[str, Value], ...]] = (
    ("max_chase_bps", 1_000.0),
    ("max_cross_bps", 50.0),
    ("on_timeout", "cross_ioc"),
)
"""Everything is bought in the end, so that costs can be compared."""
BASELINES: Final = (
    Plan("cross", "marketable_limit", (("max_cross_bps", 50.0),)),
    Plan("join", "chase_limit", (*_ENDS, ("max_reprices", 0), ("urgency", "passive"))),
    Plan("chase", "chase_limit", _ENDS),
)
"""Cross at arrival; rest at the best price of arrival and cross after 60 s; chase with its defaults."""


def standard() -> tuple[Plan, ...]:
    """The baselines, and ``auto`` where it is registered."""
    return (*BASELINES, Plan("auto", "auto", _ENDS)) if "auto" in ALGORITHMS else BASELINES


def parse(text: str) -> Plan:
    """``name=algo:param=value,param=value``. Raises BadInput for what the algorithm does not know, or lacks."""
    name, found, rest = text.partition("=")
    algo, _, given = rest.partition(":")
    if not found or not name or not algo:
        raise BadInput(f"{text!r}", where="--plan", allowed="name=algo:param=value,param=value")
    kind, texts = algorithm(algo), list[str]()
    for each in given.split(","):
        if texts and each and "=" not in each:
            texts[-1] += f",{each}"  # one more number of a list
        elif each:
            texts.append(each)
    pairs = (read_param(each, "--plan") for each in texts)
    params = tuple((key, listed(key, value)) for key, value in pairs)
    if kind.traits.held:
        raise BadInput(
            f"{algo} only reduces a position, and here there is none",
            where=f"--plan {name}",
            allowed=", ".join(each for each, one in ALGORITHMS.items() if not one.traits.held),
        )
    one = WorkOrder(
        capture=Path(),
        venue="",
        symbol="",
        side="buy",
        quantity=Decimal(1),
        algo=algo,
        params=params,
    )
    kind.make(params).check(signal_of(one, 0))
    return Plan(name, algo, params)


def _plain(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
