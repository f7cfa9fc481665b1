"""The exchange's side of the books: its own ledger of one account, in exact decimals."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from citadel_micro.demo.market import MARKETS
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ZERO: Final = Decimal(0)
MS: Final = 1_000_000
UNIT: Final = Decimal("1e-8")
"""In which the exchange keeps money and coins."""


class LedgerFill(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One side of one trade, as the exchange booked it."""

    symbol: str
    """Unified."""
    order_id: int
    client_order_id: str
    trade_id: int
    side: Literal["BUY", "SELL"]
    price: Decimal
    quantity: Decimal
    quote: Decimal
    """Price by quantity: what moved on spot, and what a position cost."""
    realised: Decimal = _ZERO
    """Profit of what the fill has closed of a position."""
    fee: Decimal
    fee_asset: str
    maker: bool
    time: int
    """In ms."""

    @property
    def buys(self) -> bool:
        """Whether the account bought."""
        return self.side == "BUY"

    def flows(self) -> Iterator[tuple[str, Decimal]]:
        """(currency, amount) that came, negative where it went; without the fee."""
        base, quote = coins(self.symbol)
        sign = 1 if self.buys else -1
        yield base, sign * self.quantity
        yield quote, -sign * self.quote


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one balance."""

    kind: str
    asset: str
    amount: Decimal
    symbol: str = ""
    """Unified; empty where it is of none."""


_OF_POSITIONS: Final = frozenset({"pnl", "fee", "funding"})
"""Kinds of movements that positions make: their profit, the fees of their fills, and funding."""


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange has booked for an account since it was opened."""

    account: str
    market: str = "spot"
    """As ``demo.market`` has it."""
    opening: dict[str, Decimal]
    balances: dict[str, Decimal]
    """Totals by currency, free and locked together."""
    fills: list[LedgerFill]
    movements: list[Movement] = []

    @property
    def futures(self) -> bool:
        """Whether fills make positions, and only their profit moves money."""
        return MARKETS[self.market].futures

    def funding(self, symbol: str) -> Decimal:
        """Received less paid for the positions of a symbol."""
        return self._sum(symbol, frozenset({"funding"}))

    def gained(self, symbol: str) -> Decimal:
        """Realized by the positions of a symbol, with funding and without what fees took."""
        return self._sum(symbol, _OF_POSITIONS)

    def _sum(self, symbol: str, kinds: frozenset[str]) -> Decimal:
        found = (m.amount for m in self.movements if m.symbol == symbol and m.kind in kinds)
        return sum(found, _ZERO)

    def _expected(self) -> Iterator[tuple[str, Decimal]]:
        for fill in self.fills:
            yield fill.fee_asset, -fill.fee
            yield from () if self.futures else fill.flows()
            if self.futures:
                yield coins(fill.symbol)[1], fill.realised
        if self.futures:
            yield from ((m.asset, m.amount) for m in self.movements if m.kind == "funding")

    def unexplained(self) -> dict[str, Decimal]:
        """By currency: what has moved beside fills, their fees, and funding; empty where nothing has."""
        expected = dict(self.opening)
        for currency, amount in self._expected():
            expected[currency] = expected.get(currency, _ZERO) + amount
        names = sorted(expected.keys() | self.balances.keys())
        moved = {name: self.balances.get(name, _ZERO) - expected.get(name, _ZERO) for name in names}
        return {name: amount for name, amount in moved.items() if amount}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFills:
    """What one parent order, or one leg of a trade, has filled at the exchange."""

    quantity: Decimal = _ZERO
    value: Decimal = _ZERO
    fees: tuple[tuple[str, Decimal], ...] = ()

    @property
    def average(self) -> Decimal | None:
        """Volume-weighted; None where nothing was filled."""
        return self.value / self.quantity if self.quantity else None


def added(fills: list[LedgerFill]) -> OrderFills:
    """Their sum, at the exact prices."""
    fees: dict[str, Decimal] = {}
    for fill in fills:
        fees[fill.fee_asset] = fees.get(fill.fee_asset, _ZERO) + fill.fee
    return OrderFills(
        quantity=sum((fill.quantity for fill in fills), _ZERO),
        value=sum((fill.price * fill.quantity for fill in fills), _ZERO),
        fees=tuple(fees.items()),
    )


def read_ledger(path: Path) -> Ledger:
    """Read what the operator's door of the simulated exchange tells of an account.

    Raises:
        BadInput: it cannot be read, or is no such ledger.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Ledger)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadInput(
            f"not a ledger of `citadel sim`: {error}",
            where=str(path),
            mend="name the exchange-ledger.json of a demo, or what GET /sim/v1/ledger tells",
        ) from error
    if found.market not in MARKETS:
        raise BadInput(
            f"the market {found.market!r} has no other books to compare it with",
            where=str(path),
            allowed=", ".join(MARKETS),
        )
    if not found.futures:
        return found
    # The exchange names a perpetual as its spot pair.
    settle = MARKETS[found.market].settle
    replace = msgspec.structs.replace
    return replace(
        found,
        fills=[replace(each, symbol=f"{each.symbol}{settle}") for each in found.fills],
        movements=[
            replace(each, symbol=f"{each.symbol}{settle}" if each.symbol else "")
            for each in found.movements
        ],
    )


def coins(symbol: str) -> tuple[str, str]:
    """Base and quote of a unified symbol, spot or perpetual."""
    base, _, rest = symbol.partition("/")
    return base, rest.partition(":")[0]
