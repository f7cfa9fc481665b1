"""Where a chase starts and how far it may go: Freqtrade's rate, and what micro may add to it.

With ``price_side: same``, which Freqtrade writes into a new configuration, its rate is the near
touch. As a worst price that would leave nothing to chase: an order is left behind by the first
move of the market. So the rate is where an order starts, and ``chase_beyond_bps`` is how far beyond
it micro may follow. A rate that is not Freqtrade's own (``custom_entry_price``, ``/forceenter`` at a
price) is somebody's limit, and is kept as one.
"""

from __future__ import annotations

import threading
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_macro.config import BridgeSettings

PARAM: Final = "chase_beyond_bps"
FOLLOWING: Final = ("chase_limit", "auto", "bracket")
"""Algorithms that may follow the market beyond Freqtrade's rate."""
TIMED: Final = (*FOLLOWING, "twap", "vwap", "pov")
"""Those that work for a time of their own: by default as long as Freqtrade lets an order stand."""
PLACES: Final = Decimal("0.01")
"""Basis points are sent with two decimals."""
_TOUCH: Final = {
    ("entry", "same"): "the near touch (a buy at the bid)",
    ("entry", "other"): "the far touch (a buy at the ask)",
    ("exit", "same"): "the near touch (a sell at the ask)",
    ("exit", "other"): "the far touch (a sell at the bid)",
}


class Quotes:
    """The rates that Freqtrade last made itself, by thread, pair and purpose.

    By thread, because FreqUI asks for rates in threads of its own while the worker prices an order.
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def note(self, pair: str, purpose: str, rate: float) -> None:
        """Remember the rate of ``get_rate``; ``purpose`` is entry or exit."""
        self._rates()[pair, purpose] = rate

    def last(self, pair: str, purpose: str) -> float | None:
        """The newest rate that this thread was given, None if it never asked."""
        return self._rates().get((pair, purpose))

    def _rates(self) -> dict[tuple[str, str], float]:
        found: dict[tuple[str, str], float] | None = getattr(self._local, "rates", None)
        if found is None:
            found = self._local.rates = {}
        return found


def payable_bps(free: Decimal, notional: Decimal) -> Decimal:
    """How far beyond its rate an order can be paid from what is free, in bps; 0 at least.

    Args:
        free: quote currency that is not locked.
        notional: quantity times rate, in the same currency.
    """
    if notional <= 0 or free <= notional:
        return Decimal(0)
    return ((free / notional - 1) * 10_000).quantize(PLACES, ROUND_FLOOR)


def in_words(config: Mapping[str, Any], settings: BridgeSettings) -> str:
    """What entry and exit pricing come to, for the log at start."""
    starts = []
    for purpose in ("entry", "exit"):
        side = config.get(f"{purpose}_pricing", {}).get("price_side", "same")
        touch = _TOUCH.get((purpose, side), f"the {side}")
        starts.append(f"{'entries' if purpose == 'entry' else 'exits'} start at {touch}")
    said = ", ".join(starts)
    bps = settings.chase_beyond_bps
    if settings.algo not in FOLLOWING:
        return (
            f"Limit orders: {said}; {settings.algo} works them, with the rate as the worst price."
        )
    if bps:
        return (
            f"Limit orders: {said}, and may follow the market up to {bps:g} bps beyond that "
            "(citadel.chase_beyond_bps). A price that your strategy or you set is a hard limit."
        )
    return (
        f"Limit orders: {said}, and never go beyond it (citadel.chase_beyond_bps is 0): "
        "when the market leaves, they stay behind."
    )
