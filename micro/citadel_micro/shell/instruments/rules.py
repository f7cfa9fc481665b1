"""Building an ``Instrument`` from the rules of a list, a file or a capture."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.marketdata.naming import nearest
from citadel_micro.shell.marketdata.spec import known_spec
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Instruments = dict[tuple[str, str], Instrument]
"""By (venue, unified symbol)."""

Kind = Literal["spot", "linear", "inverse"]
FeeSide = Literal["received", "quote"]

FEES: Final[Mapping[Kind, tuple[Decimal, Decimal]]] = {
    "spot": (Decimal("0.001"), Decimal("0.001")),
    "linear": (Decimal("0.0002"), Decimal("0.0005")),
    "inverse": (Decimal("0.0001"), Decimal("0.0005")),
}
"""Fees of an account without volume, as fractions: (maker, taker). Binance's, where none are given."""


def exempts(venue: str, kind: Kind) -> bool:
    """Whether it takes reduce-only orders below the minimum notional (``VenueSpec``)."""
    spec = None if kind == "spot" else known_spec(venue)
    return spec is not None and spec.reduce_only_exempt


def make_instrument(
    *,
    venue: str,
    symbol: str,
    native: str,
    kind: Kind,
    tick: Decimal,
    lot: Decimal,
    min_quantity: Decimal,
    min_notional: Decimal = Decimal(0),
    contract_size: Decimal = Decimal(1),
    fees: tuple[Decimal, Decimal] | None = None,
    fee_side: FeeSide | None = None,
    reduce_only_exempt_min_notional: bool | None = None,
) -> Instrument:
    """Fill in the derived fields."""
    pair, _, settle = symbol.partition(":")
    base, _, quote = pair.partition("/")
    maker, taker = fees or FEES[kind]
    tick, lot = plain(tick), plain(lot)
    return Instrument(
        venue=venue,
        symbol=symbol,
        venue_symbol=native,
        base=base,
        quote=quote or base,
        settle=settle.partition("-")[0] or quote or base,
        kind=kind,
        tick=tick,
        lot=lot,
        min_lots=max(1, math.ceil(Fraction(min_quantity) / Fraction(lot))) if lot > 0 else 1,
        min_notional=plain(min_notional),
        contract_size=plain(contract_size),
        maker_fee=plain(maker),
        taker_fee=plain(taker),
        fee_side=fee_side or ("received" if kind == "spot" else "quote"),
        reduce_only_exempt_min_notional=(
            exempts(venue, kind)
            if reduce_only_exempt_min_notional is None
            else reduce_only_exempt_min_notional
        ),
    )


def plain(value: Decimal) -> Decimal:
    """The same number with no trailing zeros and no exponent: 0.01000000 -> 0.01, 1E+1 -> 10.

    No arithmetic is done on it, so no digit can be rounded away.
    """
    text = format(value, "f")
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def pick(instruments: Mapping[tuple[str, str], Instrument], venue: str, symbol: str) -> Instrument:
    """This instrument. Raises BadInput with the nearest symbols of the venue."""
    found = instruments.get((venue, symbol))
    if found is None:
        known = [name for owner, name in instruments if owner == venue]
        raise unknown_symbol(venue, symbol, known)
    return found


def unknown_symbol(venue: str, symbol: str, known: Collection[str]) -> BadInput:
    """The error for a symbol that is not among the known ones, with the nearest of them."""
    near = nearest(symbol, known)
    return BadInput(
        f"{venue} has no {symbol!r}",
        where="symbol",
        allowed=", ".join(near or sorted(known)[:10]) or "none are known",
        mend=f"did you mean {' or '.join(near)}?" if near else "write it as the venue's list does",
    )


def kind_of(symbol: str) -> Kind:
    """Spot ``A/B``, linear ``A/B:B``, inverse ``A/B:A``, from a unified symbol alone."""
    pair, _, settle = symbol.partition(":")
    if not settle:
        return "spot"
    return "inverse" if settle.partition("-")[0] == pair.partition("/")[0] else "linear"
