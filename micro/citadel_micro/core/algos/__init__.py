"""Execution algorithms: one module and one line of this registry each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos.chase_limit import ChaseLimit
from citadel_micro.core.algos.limit import Limit, MarketableLimit
from citadel_micro.core.algos.peg import Peg
from citadel_micro.core.algos.stop import Stop
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Algorithm

DEFAULT: Final = "chase_limit"
"""Works a signal that names no algorithm."""
FOR_MARKET: Final = "marketable_limit"
"""Works market and immediate-or-cancel signals, where the one that they name does not by itself."""
FOR_STOPS: Final = "stop"
"""Works every signal of kind stop."""
ALGORITHMS: Final[dict[str, type[Algorithm]]] = {
    "chase_limit": ChaseLimit,
    "limit": Limit,
    "marketable_limit": MarketableLimit,
    "peg": Peg,
    "stop": Stop,
}


def algorithm(name: str) -> type[Algorithm]:
    """The algorithm of that name. Raises BadInput, listing them all, for an unknown one."""
    found = ALGORITHMS.get(name)
    if found is None:
        raise BadInput(f"there is no algorithm {name!r}", allowed=", ".join(ALGORITHMS))
    return found
