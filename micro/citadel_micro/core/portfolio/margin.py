"""Margin of derivative positions: what the venue demands, and at which price it liquidates.

Sources: Binance's pages "Leverage and margin of USD-M futures" and "How to calculate the liquidation
price". One-way positions and linear contracts only.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from citadel_micro.core.model.account_events import MarginTerms, MarginTier, MarkPrice
    from citadel_micro.core.portfolio.position import Position

Key = tuple[str, str]
"""(venue, symbol)."""
_ZERO = Decimal(0)


class _Isolated(NamedTuple):
    """A stated isolated margin, and the quantity that it was stated for."""

    quantity: Decimal
    margin: Decimal
    funding: Decimal
    """Of the position then."""


class MarginBook:
    """The margin terms and mark prices of every derivative, as last stated.

    Not durable: the venue states them again after every connection.
    """

    def __init__(self) -> None:
        self.venues: frozenset[str] = frozenset()
        """Where positions are margined."""
        self.terms: dict[Key, MarginTerms] = {}
        self.marks: dict[Key, MarkPrice] = {}
        self._isolated: dict[Key, _Isolated] = {}

    def mark(self, key: Key) -> Decimal | None:
        """The last mark price; None when there is none."""
        known = self.marks.get(key)
        return None if known is None else Decimal(repr(known.mark))

    def state_isolated(self, position: Position, margin: Decimal) -> None:
        """The venue has stated the isolated margin of a position."""
        key = (position.venue, position.symbol)
        self._isolated[key] = _Isolated(position.quantity, margin, position.funding)

    def isolated(self, position: Position, leverage: int) -> Decimal:
        """Isolated margin of a position: as stated for this quantity, else its initial margin.

        Funding since then is paid out of it.
        """
        stated = self._isolated.get((position.venue, position.symbol))
        if stated is not None and stated.quantity == position.quantity:
            return stated.margin + position.funding - stated.funding
        return abs(position.quantity) * position.entry_value / leverage

    def beside(self, position: Position, settle: str) -> Decimal | None:
        """What it adds to the margin of the cross positions of a currency.

        That is its unrealized profit less its maintenance margin; 0 for one that has its own margin,
        None where it is not known.
        """
        key = (position.venue, position.symbol)
        terms, mark = self.terms.get(key), self.mark(key)
        if position.kind == "spot" or position.settle != settle:
            return _ZERO
        if terms is None or mark is None:
            return None
        if terms.mode == "isolated":
            return _ZERO
        notional = abs(position.quantity) * position.value(mark)
        tier = tier_of(terms, notional)
        if tier is None:
            return None
        needed = notional * tier.maintenance_rate - tier.maintenance_amount
        return position.unrealised(mark) - needed

    def liquidation_price(
        self, position: Position, wallet: Decimal | None, others: Decimal
    ) -> Decimal | None:
        """Price at which a position is liquidated; None where there is none or it is not known.

        Args:
            position: to liquidate.
            wallet: balance of its settle currency, for a cross position.
            others: unrealized profit of the other cross positions of that currency, less their
                maintenance margin.
        """
        key = (position.venue, position.symbol)
        terms, mark = self.terms.get(key), self.mark(key)
        if terms is None or position.quantity == 0 or position.kind != "linear":
            return None
        price = position.entry_price if mark is None else mark
        tier = tier_of(terms, abs(position.quantity) * position.value(price))
        if tier is None:
            return None
        if terms.mode == "isolated":
            margin: Decimal | None = self.isolated(position, terms.leverage)
        else:
            margin = None if wallet is None else wallet + others
        if margin is None:
            return None
        size = position.quantity * position.contract_size
        return liquidation_price(size, position.entry_price, margin, tier)


def tier_of(terms: MarginTerms, notional: Decimal) -> MarginTier | None:
    """The bracket of a notional; None above the last one."""
    return next((tier for tier in terms.tiers if notional <= tier.max_notional), None)


def liquidation_price(
    size: Decimal, entry: Decimal, margin: Decimal, tier: MarginTier
) -> Decimal | None:
    """Mark price at which the margin falls to the maintenance margin; None where none does.

    At ``p`` there is ``margin + size x (p - entry)``, and needed is ``|size| x p x rate - amount``.

    Args:
        size: signed, in coins.
        entry: average price.
        margin: in the settle currency, without the position's unrealized profit.
        tier: its bracket.
    """
    slope = size - abs(size) * tier.maintenance_rate
    if slope == 0:
        return None
    price = (size * entry - margin - tier.maintenance_amount) / slope
    return price if price > _ZERO else None
