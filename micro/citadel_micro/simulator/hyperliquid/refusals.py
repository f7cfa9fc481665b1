"""What the exchange refuses, in Hyperliquid's words (page "Error responses")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.simulator.hyperliquid.universe import wire

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import OrderRefused, Reason
    from citadel_micro.simulator.hyperliquid.universe import Perp

NO_ORDER: Final = "Order was never placed, already canceled, or filled."
_MARGIN: Final = "Insufficient margin to place order."
_TEXTS: Final[dict[Reason, str]] = {
    "UNKNOWN_ORDER": NO_ORDER,
    "INSUFFICIENT_BALANCE": _MARGIN,
    "MAX_LEVERAGE": _MARGIN,
    "REDUCE_ONLY": "Reduce only order would increase position.",
    "MARKET_CLOSED": "Trading is halted.",
    "DUPLICATE_CLIENT_ID": "An open order has this cloid.",
}
_FILTERS: Final = {
    "NOTIONAL": "Order must have minimum value of $10.",
    "PRICE_FILTER": "Price must be divisible by tick size.",
    "LOT_SIZE": "Order has invalid size.",
    "PERCENT_PRICE_BY_SIDE": ("Order price cannot be more than 80% away from the reference price"),
    "MAX_NUM_ORDERS": "Too many open orders.",
}


def text_of(refused: OrderRefused, perp: Perp, best: tuple[int, int]) -> str:
    """Return the error of one order. ``best``: bid and ask in ticks."""
    tick = perp.spec.tick_e8
    if refused.reason == "WOULD_TAKE":
        bid, ask = (wire(ticks * tick) for ticks in best)
        text = f"Post only order would have immediately matched, bbo was {bid}@{ask}."
    elif refused.reason == "FILTER":
        text = _FILTERS.get(refused.filter, f"Order is invalid: {refused.filter}.")
    else:
        text = _TEXTS.get(refused.reason, f"Order is invalid: {refused}")
    return f"{text} asset={perp.number}"
