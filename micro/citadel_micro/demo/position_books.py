"""Futures positions in Freqtrade's database, micro's journal and the exchange's ledger."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.demo.ledger import UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from citadel_micro.demo.freqtrade_books import BookedTrade
    from citadel_micro.demo.journals import Held
    from citadel_micro.demo.ledger import Ledger

_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionBooks:
    """Every position in one perpetual, in the three books; in the settle currency."""

    pair: str
    trades: int
    """Of Freqtrade."""
    freqtrade_funding: Decimal | None
    """None while a trade is open: Freqtrade asks for its funding at full hours, and as it leaves."""
    micro_funding: Decimal
    exchange_funding: Decimal
    micro_gained: Decimal | None
    """With funding and without fees; None while the position is not flat, and has realized only a part."""
    exchange_gained: Decimal

    @property
    def differences(self) -> Iterator[str]:
        """In words."""
        rows = (
            ("funding", "Freqtrade", self.freqtrade_funding, self.exchange_funding),
            ("funding", "micro", self.micro_funding, self.exchange_funding),
            ("gain", "micro", self.micro_gained, self.exchange_gained),
        )
        for what, book, ours, theirs in rows:
            if ours is not None and ours != theirs:
                yield f"{self.pair}: {what} {ours} in {book}, {theirs} at the exchange"


def compare_positions(
    ledger: Ledger, trades: Sequence[BookedTrade], held: Mapping[str, Held]
) -> tuple[PositionBooks, ...]:
    """Hold the funding and the gains of every pair against each other."""
    names = {each.pair for each in trades} | held.keys() | {each.symbol for each in ledger.fills}
    return tuple(_pair(name, ledger, trades, held.get(name)) for name in sorted(names))


def _pair(
    name: str, ledger: Ledger, trades: Sequence[BookedTrade], held: Held | None
) -> PositionBooks:
    ours = [each for each in trades if each.pair == name]
    flat = held is None or held.quantity == 0
    return PositionBooks(
        pair=name,
        trades=len(ours),
        freqtrade_funding=None
        if any(each.open for each in ours)
        else sum((_exact(each.funding) for each in ours), _ZERO),
        micro_funding=_ZERO if held is None else held.funding,
        exchange_funding=ledger.funding(name),
        micro_gained=None if not flat else _ZERO if held is None else held.cash,
        exchange_gained=ledger.gained(name),
    )


def _exact(money: float) -> Decimal:
    """The unit that a binary float stands for."""
    return Decimal(repr(money)).quantize(UNIT, ROUND_HALF_EVEN)
