"""What every order that goes to micro takes from Freqtrade: its quantity, and how long it may work."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from freqtrade.exceptions import InvalidOrderException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from freqtrade.exchange.exchange import Exchange

UNFILLED_TIMEOUT_S: Final = 600.0
"""Time limit of an order where ``unfilledtimeout`` is not set: Freqtrade's documented ten minutes."""
LONGEST_CHASE_MS: Final = 86_400_000


def unfilled_timeout_s(config: Mapping[str, Any], *, is_entry: bool) -> float:
    """Seconds after which Freqtrade cancels what an order has not filled."""
    timeouts = config.get("unfilledtimeout", {})
    value = timeouts.get("entry" if is_entry else "exit")
    if value is None:
        return UNFILLED_TIMEOUT_S
    return timedelta(**{timeouts.get("unit", "minutes"): value}).total_seconds()


def quantity_text(exchange: Exchange, pair: str, amount: float) -> str:
    """Base quantity on the venue's grid, rounded down, as decimal text.

    Raises:
        InvalidOrderException: nothing is left after rounding.
    """
    contracts = exchange.amount_to_precision(pair, exchange._amount_to_contracts(pair, amount))  # noqa: SLF001 - as its own orders
    size = exchange.get_contract_size(pair) or 1.0
    quantity = Decimal(repr(float(contracts))) * Decimal(repr(float(size)))
    if quantity <= 0:
        raise InvalidOrderException(
            f"{amount} {pair} is below the smallest quantity of {exchange.name}"
        )
    return format(quantity.normalize(), "f")
