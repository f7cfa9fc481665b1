"""Balances from two channels: totals from the ledger's, and what open orders hold from the orders'.

The venue reports a total when something is booked, and nothing when an order only holds or
releases. A change of what is held is reported with the time of the total that it belongs to, so that
it can never replace a newer one.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.shell.venue.facts import BalanceFact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.model.instrument import Instrument

_ZERO: Final = Decimal(0)
_UNIT: Final = Decimal("0.00000001")


class Holdings:
    """The account's totals and holds."""

    def __init__(self) -> None:
        self._totals: dict[str, tuple[Decimal, int]] = {}
        self._held: dict[str, tuple[str, Decimal]] = {}

    def restart(self) -> None:
        """Another stream: its snapshot has every open order."""
        self._held.clear()

    def stated(self, rows: Iterable[tuple[str, Decimal]], exchange_ns: int) -> None:
        """Totals as of a time of the venue."""
        for currency, total in rows:
            if exchange_ns >= self._totals.get(currency, (total, 0))[1]:
                self._totals[currency] = (total, exchange_ns)

    def fact(self, currency: str) -> list[BalanceFact]:
        """The balance of one currency; empty where its total is not known."""
        known = self._totals.get(currency)
        if known is None:
            return []
        total, exchange_ns = known
        used = sum((held for coin, held in self._held.values() if coin == currency), _ZERO)
        used = min(used, total)
        rows = ((currency, total - used, used),)
        return [BalanceFact(balances=rows, exchange_ns=exchange_ns)]

    def order(
        self, order_id: str, rules: Instrument, side: str, left: Decimal, price: Decimal
    ) -> str:
        """An order holds what it needs for what is left of it; returns the currency that this changes."""
        before = self._held.pop(order_id, None)
        if left <= 0:
            return "" if before is None else before[0]
        currency, amount = rules.base, left
        if side == "buy":
            rate = max(rules.maker_fee, rules.taker_fee, _ZERO)
            fee = (left * price * rate).quantize(_UNIT, ROUND_CEILING)
            currency, amount = rules.quote, left * price + fee
        self._held[order_id] = (currency, amount)
        return "" if before == (currency, amount) else currency
