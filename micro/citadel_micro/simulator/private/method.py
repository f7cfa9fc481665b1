"""A method of a private protocol: what a key must be allowed, what it weighs, who answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from citadel_micro.simulator.private.venue import Call

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Method:
    """One method, by its name on the websocket API; ``rest`` is the verb and path that lead to it.

    ``trades``: the key must be allowed to trade. ``free``: no weight when it succeeds.
    ``heavier``: (parameter, weight) where its absence weighs more; ``with_rates`` is the weight of
    a test that is to say what the order would cost. ``sapi``: weighed apart. ``rest_only``: it is no
    method of the websocket API. ``unsigned``: a key is enough.
    """

    name: str
    rest: str
    answer: Callable[[Call], Any]
    _: KW_ONLY
    weight: int = 0
    trades: bool = False
    free: bool = False
    heavier: tuple[str, int] = ("", 0)
    with_rates: int = 0
    sapi: bool = False
    rest_only: bool = False
    unsigned: bool = False

    def weigh(self, params: Mapping[str, str]) -> int:
        """Return what a request with these parameters weighs."""
        if self.with_rates and params.get("computeCommissionRates") == "true":
            return self.with_rates
        name, weight = self.heavier
        return weight if name and not params.get(name) else self.weight


def by_name(*methods: Method) -> dict[str, Method]:
    """Return a table of methods."""
    return {method.name: method for method in methods}
