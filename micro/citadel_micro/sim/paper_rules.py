"""Checks of an exchange before matching: minimums, receive window, post-only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import PlaceOrder
    from citadel_micro.core.model.events import Side
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.sim.accounts import Ledger

SelfTrade = Literal["expire_maker", "expire_taker", "expire_both"]
"""Which order ends when two of one account would trade with each other."""


def refusal_of(
    command: PlaceOrder,
    instrument: Instrument,
    ledger: Ledger,
    *,
    known: bool,
    touch: int | None,
    now_ns: int,
) -> tuple[str, str] | None:
    """Why this order would be rejected: (code, the venue's text), or None.

    The texts are those of Binance spot's error messages, as a client would get them there.

    Args:
        command: the order as it arrived.
        instrument: the trading rules.
        ledger: the account, for reduce-only orders.
        known: whether the client id was used before.
        touch: best opposite price in ticks, None without a public book.
        now_ns: time of arrival.
    """
    if known:
        return "DUPLICATE_ID", "Duplicate order sent."
    if now_ns > command.expires_ns:
        return "OTHER", "Timestamp for this request is outside of the recvWindow."
    if command.price_ticks <= 0:
        return "BAD_PRICE", "Filter failure: PRICE_FILTER"
    if command.quantity_lots < instrument.min_lots:
        return "BELOW_MIN", "Filter failure: LOT_SIZE"
    notional = instrument.notional(command.price_ticks, command.quantity_lots)
    exempt = command.reduce_only and instrument.reduce_only_exempt_min_notional
    if notional < instrument.min_notional and not exempt:
        return "BELOW_MIN", "Filter failure: NOTIONAL"
    # Spot exchanges have no reduce-only: what is not there cannot be sold anyway.
    if command.reduce_only and instrument.kind != "spot":
        reducible = ledger.reducible(instrument, command.side)
        if instrument.quantity(command.quantity_lots) > reducible:
            return "OTHER", "ReduceOnly Order is rejected."
    if touch is None:
        return "OTHER", "No public book to match against."
    if command.post_only and reaches(command.side, command.price_ticks, touch):
        return "POST_ONLY", "Order would immediately match and take."
    return None


def reaches(side: Side, price_ticks: int, touch: int) -> bool:
    """Whether a limit at this price would trade against the best opposite price."""
    return price_ticks >= touch if side == "buy" else price_ticks <= touch
