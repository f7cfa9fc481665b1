"""One instrument's position: its quantity, its cash flow, and the profit of both."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from citadel_micro.core.model.instrument import Kind

_ZERO = Decimal(0)


@dataclass(slots=True, kw_only=True)
class Position:
    """One instrument's position.

    ``quantity`` is signed, in the instrument's quantity units (base units, contracts for
    derivatives). ``cash`` is the signed flow of the settle currency, all of its fees included.
    ``entry_value`` is the average of ``value()`` over the open quantity.
    """

    venue: str
    symbol: str
    base: str
    quote: str
    settle: str
    kind: Kind
    contract_size: Decimal
    quantity: Decimal = _ZERO
    cash: Decimal = _ZERO
    entry_value: Decimal = _ZERO
    fees: Decimal = _ZERO
    """Paid so far in the settle currency, or in base and valued at their fill's price."""
    updated_ns: int = 0
    exchange_ns: int = 0
    """The venue's time of the last fill."""
    funding: Decimal = _ZERO
    """Received less paid so far, in the settle currency; part of ``cash``."""
    funding_since_open: Decimal = _ZERO
    """The same of the last position alone: since it was opened from nothing, also after its end."""

    def value(self, price: Decimal) -> Decimal:
        """Value of one unit of quantity in the settle currency.

        Inverse contracts gain ``contract_size x (1/entry - 1/exit)``, so their value is
        ``-contract_size / price``.
        """
        if self.kind == "inverse":
            return -self.contract_size / price
        return price * self.contract_size

    @property
    def entry_price(self) -> Decimal:
        """Average entry in quote units; 0 when flat."""
        if self.quantity == 0:
            return _ZERO
        if self.kind == "inverse":
            return -self.contract_size / self.entry_value
        return self.entry_value / self.contract_size

    @property
    def realised(self) -> Decimal:
        """Profit of the closed quantity and funding, less all fees, in the settle currency."""
        return self.cash + self.quantity * self.entry_value

    def unrealised(self, mark: Decimal) -> Decimal:
        """Profit that closing at ``mark`` would add, before its fees, in the settle currency."""
        if self.quantity == 0:
            return _ZERO
        return self.quantity * (self.value(mark) - self.entry_value)

    def profit(self, mark: Decimal) -> Decimal:
        """Realized plus unrealized, exact."""
        return self.cash + self.quantity * self.value(mark)

    def trade(self, change: Decimal, price: Decimal) -> None:
        """Add a signed quantity at a price: open, add, close partially, close, or flip."""
        value = self.value(price)
        before = self.quantity
        after = before + change
        if before == 0:
            self.funding_since_open = _ZERO
        self.cash -= change * value
        if after == 0:
            self.entry_value = _ZERO
        elif before == 0 or (after > 0) != (before > 0):
            self.entry_value = value
        elif (change > 0) == (before > 0):
            self.entry_value = (self.entry_value * before + value * change) / after
        self.quantity = after

    def fund(self, amount: Decimal) -> None:
        """Book a payment of funding, received or (negative) paid."""
        self.cash += amount
        self.funding += amount
        self.funding_since_open += amount
