"""Execution algorithms: one module and one line of this registry each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos.chase_limit import ChaseLimit
from citadel_micro.core.algos.limit import Limit, MarketableLimit
from citadel_micro.core.algos.stop import Stop
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Algorithm

ALGORITHMS: Final[dict[str, type[Algorithm]]] = {
    "chase_limit": ChaseLimit,
    "limit": Limit,
    "marketable_limit": MarketableLimit,
    "stop": Stop,
}


def algorithm(name: str) -> type[Algorithm]:
    """The algorithm of that name. Raises BadInput, listing them all, for an unknown one."""
    found = ALGORITHMS.get(name)
    if found is None:
        raise BadInput(f"there is no algorithm {name!r}", allowed=", ".join(ALGORITHMS))
    return found
