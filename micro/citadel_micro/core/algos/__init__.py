"""Execution algorithms: one module and one line of this registry each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos.auto import Auto
from citadel_micro.core.algos.bracket import Bracket
from citadel_micro.core.algos.chase_limit import ChaseLimit
from citadel_micro.core.algos.fill_or_kill import FillOrKill
from citadel_micro.core.algos.iceberg import Iceberg
from citadel_micro.core.algos.limit import Limit, MarketableLimit
from citadel_micro.core.algos.oco import Oco
from citadel_micro.core.algos.peg import Peg
from citadel_micro.core.algos.pov import Pov
from citadel_micro.core.algos.scaled import Scaled
from citadel_micro.core.algos.snipe import Snipe
from citadel_micro.core.algos.stop import Stop
from citadel_micro.core.algos.stop_limit import StopLimit
from citadel_micro.core.algos.trailing_stop import TrailingStop
from citadel_micro.core.algos.twap import Twap
from citadel_micro.core.algos.vwap import Vwap
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.algos.base import Algorithm, Value

DEFAULT: Final = "chase_limit"
"""Used for a signal that names no algorithm."""
FOR_MARKET: Final = "marketable_limit"
"""Used for market and immediate-or-cancel signals, where the algorithm named is not immediate."""
FOR_ALL_OR_NOTHING: Final = "fill_or_kill"
"""Used for fill-or-kill signals, where the venue has such orders."""
FOR_STOPS: Final = "stop"
"""Used for signals of kind stop that name none that is held."""
ALGORITHMS: Final[dict[str, type[Algorithm]]] = {
    "auto": Auto,
    "chase_limit": ChaseLimit,
    "limit": Limit,
    "marketable_limit": MarketableLimit,
    "peg": Peg,
    "iceberg": Iceberg,
    "scaled": Scaled,
    "snipe": Snipe,
    "fill_or_kill": FillOrKill,
    "twap": Twap,
    "vwap": Vwap,
    "pov": Pov,
    "bracket": Bracket,
    "stop": Stop,
    "stop_limit": StopLimit,
    "trailing_stop": TrailingStop,
    "oco": Oco,
}
LISTS_OF_NUMBERS: Final = frozenset(
    param.name for kind in ALGORITHMS.values() for param in kind.params if param.numbers
)
"""Parameters that are text with numbers, in every algorithm that has one of that name."""


def listed(name: str, value: Value) -> Value:
    """One number where an algorithm takes a list of them is a list of one: ``take_profits=61000`` says no more."""
    single = name in LISTS_OF_NUMBERS and not isinstance(value, bool | str)
    return repr(value) if single else value


def with_present_defaults(
    configured: Mapping[str, Mapping[str, Value]],
) -> dict[str, dict[str, Value]]:
    """A configuration's parameters, with the defaults that have changed since the first version.

    So they are stated in the journal, and one of before means what it meant then.
    """
    stated: dict[str, dict[str, Value]] = {}
    for name, kind in ALGORITHMS.items():
        present: dict[str, Value] = {
            param.name: param.default for param in kind.params if param.before is not None
        }
        values = overridden(kind, present, configured.get(name, {}))
        if values:
            stated[name] = values
    return stated


def overridden(
    kind: type[Algorithm], values: Mapping[str, Value], named: Mapping[str, Value]
) -> dict[str, Value]:
    """``values`` with the ``named`` ones instead, and without those that one of these replaces."""
    replaced = {
        param.name for param in kind.params if param.instead_of in named and param.name not in named
    }
    return {name: value for name, value in values.items() if name not in replaced} | dict(named)


def algorithm(name: str) -> type[Algorithm]:
    """The algorithm of that name. Raises BadInput, listing them all, for an unknown one."""
    found = ALGORITHMS.get(name)
    if found is None:
        raise BadInput(f"there is no algorithm {name!r}", allowed=", ".join(ALGORITHMS))
    return found
