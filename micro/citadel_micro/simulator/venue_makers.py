"""Which venues a simulator can serve beside Binance, and who makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.simulator.bybit.app import Bybit
from citadel_micro.simulator.bybit.linear import BybitLinear
from citadel_micro.simulator.hyperliquid.app import Hyperliquid
from citadel_micro.simulator.kraken.app import KrakenSpot
from citadel_micro.simulator.okx.app import Okx
from citadel_micro.simulator.okx.swap import OkxSwap
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.simulator.venues import VenueParts, VenueSide

MAKERS: Final[Mapping[str, Callable[[VenueParts], VenueSide]]] = {
    "bybit": Bybit,
    "bybit-linear": BybitLinear,
    "hyperliquid": Hyperliquid,
    "kraken": KrakenSpot,
    "okx": Okx,
    "okx-swap": OkxSwap,
}
"""By the name that ``--venues`` knows."""


def check_names(names: tuple[str, ...]) -> None:
    """Raise BadInput for a venue that is not simulated, or is named twice."""
    for name in names:
        if name not in MAKERS:
            allowed = ", ".join(MAKERS)
            raise BadInput(f"{name!r} is not simulated", where="--venues", allowed=allowed)
    if len(set(names)) < len(names):
        raise BadInput("a venue is named twice", where="--venues", mend="name each once")
